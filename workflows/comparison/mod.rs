//! The words of a comparison: the same songs found by the pipeline and by agents, and what follows from it.

mod verdict;

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::verdict::{LEAST_KNOWN, Verdict};
use crate::{
    error::{ErrorCode, SyncError},
    model::Usage,
    track::SourceTrack,
};

/// Songs of a comparison at most. Each costs some 7 calls of the model.
pub const MOST_SONGS: usize = 500;
/// Songs on which the two differ that are told one by one.
const MOST_DIFFERENCES: usize = 50;

/// A song that both look for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Song {
    /// What the user has.
    pub track: SourceTrack,
    /// Spotify's ids of the tracks of which any is right; none of them: it is not there. Absent: nobody
    /// knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<Vec<String>>,
}

/// What one of the two found of a song.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Spotify's id of the track that it would add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_id: Option<String>,
    /// Title and artists of that track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// From the first step to the last, in milliseconds.
    pub milliseconds: u64,
    /// Why it found nothing, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<ErrorCode>,
    /// What the model was used for.
    #[serde(default, skip_serializing_if = "Usage::is_none")]
    pub usage: Usage,
}

/// What both found of a song.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// What the pipeline found.
    pub pipeline: Finding,
    /// What the agents found.
    pub agents: Finding,
}

/// What the model's tokens cost, in any currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// A million tokens of questions.
    pub prompt: f64,
    /// A million tokens of answers.
    pub completion: f64,
}

impl Prices {
    fn of(&self, usage: Usage) -> f64 {
        let millions = |tokens: u64| tokens as f64 / 1e6;
        self.prompt * millions(usage.prompt_tokens)
            + self.completion * millions(usage.completion_tokens)
    }
}

/// How one of the two did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Songs for which it would add a track.
    pub matched: u32,
    /// Songs whose right track it found, or rightly found to be not there. Of those whose truth is known.
    pub right: u32,
    /// Songs for which it would add another track.
    pub wrong: u32,
    /// Songs that are there and were not found.
    pub missed: u32,
    /// Songs on which it failed. They count as missed as well.
    pub failed: u32,
    /// Half of the songs took no longer than this, in milliseconds. All are looked for a few at a time.
    pub p50_milliseconds: u64,
    /// 95 of 100 songs took no longer than this, in milliseconds.
    pub p95_milliseconds: u64,
    /// Calls of the model.
    pub model_calls: u32,
    /// Tokens of the questions to the model.
    pub prompt_tokens: u64,
    /// Tokens of its answers.
    pub completion_tokens: u64,
    /// What the tokens cost, where the configuration knows the prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// A song on which the two differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Its place in the list, from 1.
    pub row: u32,
    /// The title as the source spells it.
    pub title: String,
    /// The artist as the source spells it.
    pub artist: String,
    /// What the pipeline would add; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// What the agents would add; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<String>,
    /// Which of them is right, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Which>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The pipeline.
    Pipeline,
    /// The agents.
    Agents,
    /// Both: two tracks are right.
    Both,
    /// Neither.
    Neither,
}

/// The two side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Songs there are.
    pub songs: u32,
    /// Songs that have been compared.
    pub compared: u32,
    /// Of those, songs whose truth is known.
    pub truth_known: u32,
    /// Of those compared, songs for which both would add the same track, or both none.
    pub agreed: u32,
    /// How the pipeline did.
    pub pipeline: Side,
    /// How the agents did.
    pub agents: Side,
    /// The first songs on which they differ.
    pub differences: Vec<Difference>,
    /// When it began.
    pub started_at: Timestamp,
    /// Why it ended before the last song, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<SyncError>,
    /// Whether to let agents do syncs, and why. Once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl Comparison {
    /// What the pairs found so far come to.
    pub fn of(
        songs: &[Song],
        pairs: &[Pair],
        prices: Option<Prices>,
        started_at: Timestamp,
    ) -> Self {
        let both: Vec<(&Song, &Pair)> = songs.iter().zip(pairs).collect();
        let side = |which: fn(&Pair) -> &Finding| {
            let found: Vec<(&Song, &Finding)> = both
                .iter()
                .map(|(song, pair)| (*song, which(pair)))
                .collect();
            Side::of(&found, prices)
        };
        let differ = |pair: &Pair| pair.pipeline.track_id != pair.agents.track_id;
        let differences = (1..)
            .zip(&both)
            .filter(|(_, (_, pair))| differ(pair))
            .take(MOST_DIFFERENCES)
            .map(|(row, (song, pair))| Difference {
                row,
                title: song.track.title.clone(),
                artist: song.track.artist.clone(),
                pipeline: pair.pipeline.name.clone(),
                agents: pair.agents.name.clone(),
                right: song
                    .truth
                    .is_some()
                    .then(|| Which::of(song.is_right(&pair.pipeline), song.is_right(&pair.agents))),
            });
        Self {
            songs: count(songs.len()),
            compared: count(both.len()),
            truth_known: count(both.iter().filter(|(song, _)| song.truth.is_some()).count()),
            agreed: count(both.iter().filter(|(_, pair)| !differ(pair)).count()),
            pipeline: side(|pair| &pair.pipeline),
            agents: side(|pair| &pair.agents),
            differences: differences.collect(),
            started_at,
            stopped_by: None,
            verdict: None,
        }
    }
}

impl Which {
    fn of(pipeline: bool, agents: bool) -> Self {
        match (pipeline, agents) {
            (true, true) => Self::Both,
            (true, false) => Self::Pipeline,
            (false, true) => Self::Agents,
            (false, false) => Self::Neither,
        }
    }
}

impl Song {
    fn is_right(&self, finding: &Finding) -> bool {
        match (&self.truth, &finding.track_id) {
            (None, _) => false,
            (Some(truth), Some(found)) => truth.contains(found),
            (Some(truth), None) => truth.is_empty() && finding.failed.is_none(),
        }
    }
}

impl Side {
    fn of(found: &[(&Song, &Finding)], prices: Option<Prices>) -> Self {
        let mut side = Self::default();
        let mut usage = Usage::default();
        for (song, finding) in found {
            usage += finding.usage;
            side.matched += u32::from(finding.track_id.is_some());
            side.failed += u32::from(finding.failed.is_some());
            if song.truth.is_some() {
                match (song.is_right(finding), &finding.track_id) {
                    (true, _) => side.right += 1,
                    (false, Some(_)) => side.wrong += 1,
                    (false, None) => side.missed += 1,
                }
            }
        }
        let mut times: Vec<u64> = found.iter().map(|(_, f)| f.milliseconds).collect();
        times.sort_unstable();
        let at = |share: f64| {
            let place = (share * times.len().saturating_sub(1) as f64).round() as usize;
            times.get(place).copied().unwrap_or(0)
        };
        Self {
            p50_milliseconds: at(0.50),
            p95_milliseconds: at(0.95),
            model_calls: usage.calls,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cost: prices.map(|prices| prices.of(usage)),
            ..side
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The songs without what would tell the answer: a source that names the track is not searched.
pub fn to_be_found(songs: Vec<Song>) -> Vec<Song> {
    songs
        .into_iter()
        .map(|mut song| {
            if let Some(id) = song.track.spotify_id.take() {
                let mut truth: BTreeSet<String> = song.truth.take().into_iter().flatten().collect();
                truth.insert(id);
                song.truth = Some(truth.into_iter().collect());
            }
            song
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn song(truth: Option<&[&str]>) -> Song {
        Song {
            track: SourceTrack {
                title: "Halo".into(),
                artist: "Beyoncé".into(),
                ..SourceTrack::default()
            },
            truth: truth.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()),
        }
    }

    fn found(id: Option<&str>, milliseconds: u64) -> Finding {
        Finding {
            track_id: id.map(str::to_owned),
            name: id.map(|id| format!("the song {id}")),
            milliseconds,
            ..Finding::default()
        }
    }

    #[test]
    fn each_song_counts_as_what_it_is() {
        let songs = [
            song(Some(&["a", "b"])),
            song(Some(&["a"])),
            song(Some(&[])),
            song(None),
            song(Some(&["not compared yet"])),
        ];
        let mut failed = found(None, 9);
        failed.failed = Some(ErrorCode::ModelUnavailable);
        failed.usage = Usage {
            calls: 3,
            prompt_tokens: 2_000_000,
            completion_tokens: 500_000,
        };
        let pairs = [
            Pair {
                pipeline: found(Some("a"), 1),
                agents: found(Some("b"), 7),
            },
            Pair {
                pipeline: found(None, 2),
                agents: found(Some("c"), 8),
            },
            Pair {
                pipeline: found(None, 3),
                agents: failed,
            },
            Pair {
                pipeline: found(Some("a"), 4),
                agents: found(Some("a"), 10),
            },
        ];
        let prices = Prices {
            prompt: 1.5,
            completion: 6.0,
        };
        let told = Comparison::of(&songs, &pairs, Some(prices), Timestamp::UNIX_EPOCH);
        assert_eq!((told.songs, told.compared, told.truth_known), (5, 4, 3));
        assert_eq!(told.agreed, 2, "none and none are the same");
        let counts = |side: &Side| {
            [
                side.matched,
                side.right,
                side.wrong,
                side.missed,
                side.failed,
            ]
        };
        assert_eq!(counts(&told.pipeline), [2, 2, 0, 1, 0]);
        assert_eq!(counts(&told.agents), [3, 1, 1, 1, 1]);
        assert_eq!(told.agents.p50_milliseconds, 9);
        assert_eq!(told.pipeline.cost, Some(0.0));
        assert_eq!(told.agents.cost, Some(6.0));
        let right: Vec<_> = told.differences.iter().map(|d| (d.row, d.right)).collect();
        assert_eq!(right, [(1, Some(Which::Both)), (2, Some(Which::Neither))]);
    }

    #[test]
    fn what_would_tell_the_answer_is_the_truth() {
        let mut named = song(None);
        named.track.spotify_id = Some("a".into());
        let songs = to_be_found(vec![named, song(None)]);
        assert_eq!(songs[0].track.spotify_id, None);
        assert_eq!(songs[0].truth, Some(vec!["a".to_owned()]));
        assert_eq!(songs[1].truth, None);
    }
}
