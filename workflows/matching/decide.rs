//! Which of the candidates is taken, and whether any is.

use std::cmp::{Ordering, Reverse};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::normalise::{fold, similarity};
use super::reading::Reading;
use super::rival::rival;
use super::score::{MatchMethod, Score, compare};
use crate::track::{Candidate, SourceTrack};

/// A candidate and how well it fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Match {
    /// What the upstream offers.
    pub candidate: Candidate,
    /// How well it fits, and why.
    pub score: Score,
}

/// What became of a search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The candidate to take, if one reaches the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<Match>,
    /// Another recording that fits as well as the best, so that neither is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<Match>,
    /// The candidates, best first, at most [`MAX_RANKED`].
    pub candidates: Vec<Match>,
    /// How many different candidates were looked at.
    pub candidates_found: usize,
}

impl Decision {
    /// The best candidate, whether or not it was good enough.
    pub fn best(&self) -> Option<&Match> {
        self.candidates.first()
    }
}

/// How many candidates a decision keeps: what a person can choose from, and small enough for a
/// workflow's history.
pub const MAX_RANKED: usize = 10;

/// The step in which confidences are compared: smaller differences are artefacts of rounding.
const STEP: f64 = 1e-9;

/// Ranks the candidates, and takes the best if it reaches the threshold and has no rival.
///
/// A threshold outside 0.0 to 1.0 is brought inside. Equal candidates keep the upstream's order,
/// which puts the usual release first.
pub fn best(source: &SourceTrack, candidates: &[Candidate], threshold: f64) -> Decision {
    let asked = Reading::of_source(source);
    let candidates_found = candidates.len();
    let mut ranked: Vec<(Match, Tie)> = candidates
        .iter()
        .map(|candidate| {
            let offered = Reading::of_candidate(candidate);
            let score = compare(&asked, &offered);
            let tie = Tie {
                punctuation: asked.title.literal != offered.title.literal,
                length: length_apart(source, candidate),
                wording: Reverse(wording(source, candidate)),
                releases: Reverse(releases(candidate, candidates)),
                strangers: strangers(&asked, &offered),
            };
            (
                Match {
                    candidate: candidate.clone(),
                    score,
                },
                tie,
            )
        })
        .collect();
    ranked.sort_by(|(a, tie_a), (b, tie_b)| by_score(a, b).then_with(|| tie_a.cmp(tie_b)));
    let candidates: Vec<Match> = ranked
        .into_iter()
        .map(|(m, _)| m)
        .take(MAX_RANKED)
        .collect();
    let threshold = if threshold.is_nan() {
        1.0
    } else {
        threshold.clamp(0.0, 1.0)
    };
    let good = candidates
        .first()
        .filter(|m| m.score.confidence >= threshold);
    let rival = good.and_then(|_| rival(source, &candidates)).cloned();
    let matched = good.filter(|_| rival.is_none()).cloned();
    Decision {
        matched,
        rival,
        candidates_found,
        candidates,
    }
}

/// The confidence for ranking. A track without an ISRC is as a rule an old copy that the catalogue
/// keeps for those who have it saved, so a copy that can be identified goes first if it fits
/// nearly as well.
fn rank(m: &Match) -> f64 {
    const UNIDENTIFIED: f64 = 0.005;
    m.score.confidence
        - if m.candidate.isrc.is_some() {
            0.0
        } else {
            UNIDENTIFIED
        }
}

/// Better first: the more confident; at equal confidence a shared ISRC, then the better text.
///
/// In whole steps, because "nearly equal" is no order: with a near b and b near c, but not a near
/// c, sorting may panic.
pub(super) fn by_score(a: &Match, b: &Match) -> Ordering {
    let parts = |m: &Match| {
        let p = &m.score.parts;
        p.title + p.artist + p.album.unwrap_or_default()
    };
    let more = |x: f64, y: f64| (y / STEP).round().total_cmp(&(x / STEP).round());
    let by_text = |m: &Match| m.score.method != MatchMethod::Isrc;
    more(rank(a), rank(b))
        .then_with(|| by_text(a).cmp(&by_text(b)))
        .then_with(|| more(a.score.parts.version, b.score.parts.version))
        .then_with(|| more(parts(a), parts(b)))
}

/// What decides between candidates of equal score. Smaller is better, the first field first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tie {
    /// Whether the titles differ in punctuation: "In the Flesh?" and "In the Flesh".
    punctuation: bool,
    /// The difference in length, in milliseconds.
    length: u32,
    /// How alike the whole titles are, decorations included, in hundredths.
    wording: Reverse<u32>,
    /// On how many of the candidates the same recording is: the more, the more usual it is.
    releases: Reverse<usize>,
    /// How many artists the candidate has beyond those named.
    strangers: usize,
}

fn length_apart(source: &SourceTrack, candidate: &Candidate) -> u32 {
    match (source.duration_ms, candidate.duration_ms) {
        (Some(a), Some(b)) => a.abs_diff(b),
        _ => 0,
    }
}

fn wording(source: &SourceTrack, candidate: &Candidate) -> u32 {
    (similarity(&fold(&source.title), &fold(&candidate.title)) * 100.0).round() as u32
}

fn releases(candidate: &Candidate, candidates: &[Candidate]) -> usize {
    match &candidate.isrc {
        Some(_) => candidates
            .iter()
            .filter(|c| c.isrc == candidate.isrc)
            .count(),
        None => 0,
    }
}

fn strangers(asked: &Reading, offered: &Reading) -> usize {
    offered
        .artists
        .entries
        .len()
        .saturating_sub(asked.artists.entries.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::DEFAULT_THRESHOLD;

    fn source(title: &str) -> SourceTrack {
        SourceTrack {
            title: title.into(),
            artist: "Queen".into(),
            ..SourceTrack::default()
        }
    }

    fn candidate(id: &str, title: &str, artist: &str, album: &str) -> Candidate {
        Candidate {
            id: id.into(),
            title: title.into(),
            artists: vec![artist.into()],
            album: Some(album.into()),
            ..Candidate::default()
        }
    }

    fn versions() -> Vec<Candidate> {
        vec![
            candidate(
                "karaoke",
                "Under Pressure (Karaoke Version)",
                "Queen",
                "Karaoke Hits",
            ),
            candidate("copy", "Under Pressure", "The Queen Tribute Band", "Hits"),
            candidate(
                "live",
                "Under Pressure - Live at Wembley",
                "Queen",
                "Live at Wembley",
            ),
            candidate(
                "remix",
                "Under Pressure - Rah Mix",
                "Queen",
                "Greatest Hits III",
            ),
            candidate(
                "studio",
                "Under Pressure - Remastered 2011",
                "Queen",
                "Hot Space",
            ),
            candidate("other", "Under Attack", "ABBA", "The Visitors"),
        ]
    }

    fn matched(title: &str, candidates: &[Candidate]) -> Option<String> {
        best(&source(title), candidates, DEFAULT_THRESHOLD)
            .matched
            .map(|m| m.candidate.id)
    }

    #[test]
    fn each_version_is_matched_by_its_own_kind_alone() {
        for (asked, right) in [
            ("Under Pressure", "studio"),
            ("Under Pressure (Live)", "live"),
            ("Under Pressure (Rah Mix)", "remix"),
            ("Under Pressure (Karaoke)", "karaoke"),
        ] {
            let all = versions();
            assert_eq!(matched(asked, &all).as_deref(), Some(right), "{asked}");
            let without: Vec<Candidate> = all.into_iter().filter(|c| c.id != right).collect();
            assert_eq!(matched(asked, &without), None, "{asked} without its match");
        }
    }

    #[test]
    fn the_order_of_candidates_does_not_change_who_is_best() {
        let mut candidates = versions();
        for _ in 0..candidates.len() {
            candidates.rotate_left(1);
            assert_eq!(
                matched("Under Pressure", &candidates).as_deref(),
                Some("studio")
            );
        }
    }

    #[test]
    fn equals_are_told_apart_by_album_length_and_order() {
        let mut asked = source("Under Pressure");
        let mut first = candidate("first", "Under Pressure", "Queen", "Hot Space");
        let mut second = candidate("second", "Under Pressure", "Queen", "Hot Space");
        let id = |asked: &SourceTrack, all: &[Candidate]| {
            best(asked, all, DEFAULT_THRESHOLD)
                .best()
                .map(|m| m.candidate.id.clone())
        };
        assert_eq!(
            id(&asked, &[first.clone(), second.clone()]).as_deref(),
            Some("first")
        );
        asked.duration_ms = Some(248_000);
        (first.duration_ms, second.duration_ms) = (Some(246_000), Some(248_500));
        assert_eq!(
            id(&asked, &[first.clone(), second.clone()]).as_deref(),
            Some("second")
        );
        asked.album = Some("Greatest Hits".into());
        first.album = Some("Greatest Hits".into());
        assert_eq!(id(&asked, &[first, second]).as_deref(), Some("first"));
    }

    #[test]
    fn the_usual_recording_goes_before_a_rare_one() {
        let code = |mut c: Candidate, isrc: &str| {
            c.isrc = Some(isrc.into());
            c
        };
        let rare = code(
            candidate("rare", "Under Pressure", "Queen", "A"),
            "GBUM71100001",
        );
        let usual = code(
            candidate("usual", "Under Pressure", "Queen", "B"),
            "GBUM71100002",
        );
        let again = code(
            candidate("again", "Under Pressure", "Queen", "C"),
            "GBUM71100002",
        );
        assert_eq!(
            matched("Under Pressure", &[rare, usual, again]).as_deref(),
            Some("usual")
        );
    }

    #[test]
    fn nothing_and_a_strange_threshold_are_no_match() {
        assert_eq!(
            best(&source("Under Pressure"), &[], 0.0),
            Decision::default()
        );
        let all = versions();
        for (threshold, matches) in [(f64::NAN, false), (-1.0, true), (2.0, false), (0.85, true)] {
            let decision = best(&source("Under Pressure"), &all, threshold);
            assert_eq!(decision.matched.is_some(), matches, "{threshold}");
            assert_eq!(decision.candidates.len(), all.len());
        }
    }

    #[test]
    fn a_decision_keeps_only_the_best() {
        let many: Vec<Candidate> = (0..50)
            .map(|i| candidate(&i.to_string(), "Under Pressure", "Queen", "Hot Space"))
            .collect();
        assert_eq!(
            best(&source("Under Pressure"), &many, 0.85)
                .candidates
                .len(),
            MAX_RANKED
        );
    }
}
