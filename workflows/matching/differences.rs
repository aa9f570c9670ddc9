//! What sets a candidate apart from the track that the user has, in words for a person who chooses.

use super::normalise::fold;
use super::score::score;
use crate::track::{Candidate, SourceTrack};

/// Two lengths closer than this, in milliseconds, are the same to the ear.
const SAME_LENGTH: u32 = 3_000;

/// From this likeness on, the artists are the same ones written otherwise.
const SAME_ARTISTS: f64 = 0.95;

/// What differs, each in a few words; nothing for a candidate that fits in all that is known.
pub fn differences(source: &SourceTrack, candidate: &Candidate) -> Vec<String> {
    let score = score(source, candidate);
    let mut found = Vec::new();
    if fold(&source.title) != fold(&candidate.title) {
        found.push(format!("called \"{}\"", candidate.title));
    }
    if score.parts.artist < SAME_ARTISTS {
        found.push(format!("by {}", candidate.artists.join(", ")));
    }
    found.extend(score.version_note);
    if let (Some(asked), Some(offered)) = (&source.album, &candidate.album)
        && fold(asked) != fold(offered)
    {
        found.push(format!("on \"{offered}\""));
    }
    if let (Some(asked), Some(offered)) = (source.duration_ms, candidate.duration_ms)
        && asked.abs_diff(offered) >= SAME_LENGTH
    {
        let seconds = asked.abs_diff(offered) / 1000;
        let than = if offered > asked { "longer" } else { "shorter" };
        found.push(format!("{seconds} s {than}"));
    }
    if score.parts.isrc == Some(false) {
        found.push("another recording by its ISRC".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_and_what_fits_is_not() {
        let source = SourceTrack {
            title: "Under Pressure".into(),
            artist: "Queen".into(),
            album: Some("Hot Space".into()),
            duration_ms: Some(248_000),
            isrc: Some("GBUM71029622".into()),
            ..SourceTrack::default()
        };
        let same = Candidate {
            title: "Under pressure".into(),
            artists: vec!["Queen".into()],
            album: Some("Hot Space".into()),
            duration_ms: Some(249_000),
            isrc: source.isrc.clone(),
            ..Candidate::default()
        };
        assert!(differences(&source, &same).is_empty());
        let live = Candidate {
            title: "Under Pressure (Live at Wembley)".into(),
            artists: vec!["The Queen Tribute".into()],
            album: Some("Live at Wembley".into()),
            duration_ms: Some(221_000),
            isrc: Some("GBUM79200001".into()),
            ..Candidate::default()
        };
        let told = differences(&source, &live).join("; ");
        for expected in [
            "called \"Under Pressure (Live at Wembley)\"",
            "by The Queen Tribute",
            "live",
            "on \"Live at Wembley\"",
            "27 s shorter",
            "ISRC",
        ] {
            assert!(told.contains(expected), "{expected} is not in {told}");
        }
    }

    #[test]
    fn what_is_not_known_does_not_differ() {
        let source = SourceTrack {
            title: "Halo".into(),
            artist: "Beyoncé".into(),
            ..SourceTrack::default()
        };
        let candidate = Candidate {
            title: "Halo".into(),
            artists: vec!["Beyoncé".into()],
            album: Some("I AM…".into()),
            duration_ms: Some(261_000),
            ..Candidate::default()
        };
        assert!(differences(&source, &candidate).is_empty());
    }
}
