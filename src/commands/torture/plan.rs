//! What a seed stands for: which songs are asked for when, and what goes wrong when.

use std::{collections::BTreeSet, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use segue_spotify::sim::catalog::{Catalog, Track};

use super::faults::KINDS;

/// Playlists that are filled; the last one is filled in order, one song after the other has ended.
pub(super) const PLAYLISTS: usize = 6;
/// The playlist that is filled in order.
pub(super) const ORDERED: usize = PLAYLISTS - 1;
/// Songs that each playlist begins with.
const SONGS_BEFORE: usize = 60;
/// Time for each sync, and for each kill, in which the whole is spread.
const FOR_EACH_SYNC: Duration = Duration::from_millis(500);
const FOR_EACH_KILL: Duration = Duration::from_millis(2_400);
/// Faults to each sync.
const FAULTS_PER_SYNC: f64 = 0.35;
/// Requests that a sync takes, about. Faults come by the number of requests, not by the clock: an
/// upstream that is left alone for a while would meet nothing but faults afterwards.
const REQUESTS_PER_SYNC: usize = 4;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// When, from the start.
    pub(super) at: Duration,
    /// Which playlist.
    pub(super) playlist: usize,
    /// The song as the source has it.
    pub(super) title: String,
    pub(super) artist: String,
    /// The recording. None for a song that does not exist.
    pub(super) isrc: Option<String>,
    /// When it is cancelled, from its acceptance.
    pub(super) cancel_after: Option<Duration>,
}

/// Which process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Victim {
    Server,
    Upstream,
    Engine,
}

/// All that is going to happen, by its seed.
pub(super) struct Plan {
    /// What each playlist holds before.
    pub(super) before: Vec<Vec<String>>,
    /// In the order of their times.
    pub(super) wishes: Vec<Wish>,
    /// After how many requests, which kind, and a number for what varies.
    pub(super) faults: Vec<(usize, usize, u64)>,
    pub(super) kills: Vec<(Duration, Victim)>,
}

impl Plan {
    pub(super) fn new(seed: u64, syncs: u32, kills: u32) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let songs = songs();
        let length = (FOR_EACH_SYNC * syncs).max(FOR_EACH_KILL * kills);
        let before: Vec<Vec<&Track>> = (0..PLAYLISTS)
            .map(|_| songs.choose_multiple(&mut rng, SONGS_BEFORE).collect())
            .collect();
        let mut wishes: Vec<Wish> = Vec::with_capacity(syncs as usize);
        for number in 0..syncs {
            let at = length.mul_f64(f64::from(number) / f64::from(syncs) * 0.9);
            let wish = match rng.random_range(0..100) {
                // The same again: two assistants, or somebody who asks twice.
                0..10 if !wishes.is_empty() => {
                    let earlier = rng.random_range(wishes.len().saturating_sub(20)..wishes.len());
                    let earlier = wishes[earlier].clone();
                    Wish {
                        at,
                        cancel_after: None,
                        playlist: earlier.playlist.min(ORDERED - 1),
                        ..earlier
                    }
                }
                10..15 => {
                    let playlist = rng.random_range(0..ORDERED);
                    let there = before[playlist].choose(&mut rng).copied();
                    Wish::of(there.unwrap_or(&songs[0]), playlist, at)
                }
                15..17 => Wish {
                    title: format!("Lullaby for a Killed Process No. {number}"),
                    artist: "Nobody At All".to_owned(),
                    isrc: None,
                    ..Wish::of(&songs[0], rng.random_range(0..ORDERED), at)
                },
                kind => {
                    let song = songs.choose(&mut rng).unwrap_or(&songs[0]);
                    let mut wish = Wish::of(song, rng.random_range(0..PLAYLISTS), at);
                    if kind < 30 && wish.playlist != ORDERED {
                        let after = rng.random_range(0..6_000);
                        wish.cancel_after = Some(Duration::from_millis(after));
                    }
                    wish
                }
            };
            wishes.push(wish);
        }
        let moment = |rng: &mut StdRng| length.mul_f64(rng.random_range(0.0..1.0));
        let requests = syncs as usize * REQUESTS_PER_SYNC;
        let mut faults: Vec<_> = (0..(f64::from(syncs) * FAULTS_PER_SYNC) as usize)
            .map(|number| {
                let kind = number % KINDS.len();
                (rng.random_range(0..requests), kind, rng.random())
            })
            .collect();
        let mut kills: Vec<_> = (0..kills)
            .map(|number| {
                // An engine takes the longest to come back.
                let victim = match number % 10 {
                    0..=5 => Victim::Upstream,
                    6..=8 => Victim::Server,
                    _ => Victim::Engine,
                };
                (moment(&mut rng), victim)
            })
            .collect();
        faults.sort_unstable();
        kills.sort_unstable();
        let uris = |songs: Vec<&Track>| songs.into_iter().map(uri_of).collect();
        Self {
            before: before.into_iter().map(uris).collect(),
            wishes,
            faults,
            kills,
        }
    }
}

impl Wish {
    fn of(song: &Track, playlist: usize, at: Duration) -> Self {
        Self {
            at,
            playlist,
            title: song.name.clone(),
            artist: song.artists[0].clone(),
            isrc: song.isrc.clone(),
            cancel_after: None,
        }
    }
}

/// The songs of the catalogue of which an ISRC leaves no doubt which is meant.
pub(super) fn songs() -> Vec<Track> {
    let mut seen = BTreeSet::new();
    let catalog = Catalog::builtin();
    let mut twice = BTreeSet::new();
    for isrc in catalog
        .tracks()
        .iter()
        .filter_map(|track| track.isrc.clone())
    {
        if !seen.insert(isrc.clone()) {
            twice.insert(isrc);
        }
    }
    let clear = |track: &&Track| {
        let isrc = track.isrc.as_ref();
        isrc.is_some_and(|isrc| !twice.contains(isrc))
            && !track.name.is_empty()
            && track.artists.first().is_some_and(|name| !name.is_empty())
    };
    catalog.tracks().iter().filter(clear).cloned().collect()
}

/// The URI of a song.
pub(super) fn uri_of(song: &Track) -> String {
    format!("spotify:track:{}", song.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan() {
        let (one, again, other) = (
            Plan::new(7, 100, 20),
            Plan::new(7, 100, 20),
            Plan::new(8, 100, 20),
        );
        assert_eq!(one.faults, again.faults);
        assert_eq!(one.kills, again.kills);
        assert_eq!(one.before, again.before);
        let titles = |plan: &Plan| {
            plan.wishes
                .iter()
                .map(|w| w.title.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(titles(&one), titles(&again));
        assert_ne!(titles(&one), titles(&other));
    }

    #[test]
    fn a_long_plan_has_every_kind_of_fault_and_victim() {
        let plan = Plan::new(1, 1000, 200);
        let kinds: BTreeSet<_> = plan.faults.iter().map(|&(_, kind, _)| kind).collect();
        let victims: BTreeSet<_> = plan.kills.iter().map(|&(_, victim)| victim).collect();
        assert_eq!((kinds.len(), victims.len()), (KINDS.len(), 3));
        assert!(plan.wishes.iter().any(|wish| wish.cancel_after.is_some()));
        assert!(plan.wishes.iter().any(|wish| wish.isrc.is_none()));
    }
}
