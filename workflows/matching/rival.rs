//! When two recordings fit equally well, neither is taken: a coin toss is not a match.
//!
//! That holds for a source that names its album, as a library or an export does: its owner has one
//! recording and no other. Who asks for a song by title and artist alone means the usual one, and
//! the upstream puts that first.

use std::collections::BTreeSet;

use super::decide::Match;
use super::normalise::fold;
use super::score::MatchMethod;
use crate::track::SourceTrack;

/// Confidences this close do not decide: less than what a different album costs, about what a
/// remark such as "Remastered 2011" does.
const CLOSE: f64 = 0.01;

/// Recordings whose lengths differ by no more than this, in milliseconds, are the same to a
/// listener. Pressings of one recording differ by the silence at their ends.
const SAME_LENGTH_MS: u32 = 1_000;

/// How much nearer, in milliseconds, a length must be to the source's to decide.
const NEARER_MS: u32 = 2_000;

/// The candidate that fits as well as the best, though it is another recording; nothing if the
/// best stands alone, or if all that come near it are the same to a listener.
pub(super) fn rival<'a>(source: &SourceTrack, ranked: &'a [Match]) -> Option<&'a Match> {
    source.album.as_ref()?;
    let (best, others) = ranked.split_first()?;
    if best.score.method == MatchMethod::Isrc {
        return None;
    }
    others
        .iter()
        .take_while(|other| best.score.confidence - other.score.confidence < CLOSE)
        .find(|other| {
            another_recording(best, other)
                && !interchangeable(best, other)
                && !decided_by_length(source, best, other)
        })
}

/// Both have a recording code, and not the same. A track without one is as a rule an old copy.
fn another_recording(one: &Match, other: &Match) -> bool {
    match (&one.candidate.isrc, &other.candidate.isrc) {
        (Some(a), Some(b)) => a != b,
        _ => false,
    }
}

/// The same title, artists and length: whichever is taken, the listener hears the same.
fn interchangeable(one: &Match, other: &Match) -> bool {
    let artists = |m: &Match| -> BTreeSet<String> {
        m.candidate.artists.iter().map(|name| fold(name)).collect()
    };
    let apart = match (one.candidate.duration_ms, other.candidate.duration_ms) {
        (Some(a), Some(b)) => a.abs_diff(b),
        _ => 0,
    };
    apart <= SAME_LENGTH_MS
        && fold(&one.candidate.title) == fold(&other.candidate.title)
        && artists(one) == artists(other)
}

fn decided_by_length(source: &SourceTrack, best: &Match, other: &Match) -> bool {
    let (Some(asked), Some(one), Some(two)) = (
        source.duration_ms,
        best.candidate.duration_ms,
        other.candidate.duration_ms,
    ) else {
        return false;
    };
    asked.abs_diff(two).saturating_sub(asked.abs_diff(one)) > NEARER_MS
}

#[cfg(test)]
mod tests {
    use crate::matching::{DEFAULT_THRESHOLD, best};
    use crate::track::{Candidate, SourceTrack};

    fn source(duration_ms: Option<u32>) -> SourceTrack {
        SourceTrack {
            title: "Animals".into(),
            artist: "Martin Garrix".into(),
            album: Some("Animals".into()),
            duration_ms,
            ..SourceTrack::default()
        }
    }

    fn pressing(id: &str, isrc: &str, duration_ms: u32) -> Candidate {
        Candidate {
            id: id.into(),
            title: "Animals".into(),
            artists: vec!["Martin Garrix".into()],
            album: Some("Animals".into()),
            isrc: Some(isrc.into()),
            duration_ms: Some(duration_ms),
            ..Candidate::default()
        }
    }

    #[test]
    fn two_cuts_that_fit_equally_are_left_to_the_user() {
        let cuts = [
            pressing("club", "NLZ541300466", 303_000),
            pressing("radio", "NLZ541300467", 176_000),
        ];
        let decision = best(&source(None), &cuts, DEFAULT_THRESHOLD);
        assert!(decision.matched.is_none());
        assert_eq!(decision.rival.map(|m| m.candidate.id), Some("radio".into()));
    }

    #[test]
    fn who_names_no_album_means_the_usual_one() {
        let cuts = [
            pressing("club", "NLZ541300466", 303_000),
            pressing("radio", "NLZ541300467", 176_000),
        ];
        let asked = SourceTrack {
            album: None,
            ..source(None)
        };
        let decision = best(&asked, &cuts, DEFAULT_THRESHOLD);
        assert_eq!(
            decision.matched.map(|m| m.candidate.id),
            Some("club".into())
        );
    }

    #[test]
    fn the_length_decides_where_the_source_knows_it() {
        let cuts = [
            pressing("club", "NLZ541300466", 303_000),
            pressing("radio", "NLZ541300467", 176_000),
        ];
        let decision = best(&source(Some(175_500)), &cuts, DEFAULT_THRESHOLD);
        assert_eq!(
            decision.matched.map(|m| m.candidate.id),
            Some("radio".into())
        );
    }

    #[test]
    fn pressings_that_sound_the_same_are_no_rivals() {
        let same = [
            pressing("first", "NLZ541300466", 303_000),
            pressing("again", "NLZ541300499", 303_400),
        ];
        let decision = best(&source(None), &same, DEFAULT_THRESHOLD);
        assert_eq!(
            decision.matched.map(|m| m.candidate.id),
            Some("first".into())
        );
    }
}
