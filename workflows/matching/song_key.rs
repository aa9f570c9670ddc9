//! The same song under another id: a word for a song that two releases of it share; and one for a
//! track of the source, by which its next appearance is known.

use super::normalise::{compact, fold, transliterate};
use super::reading::Reading;
use crate::track::{Candidate, SourceTrack};

/// Two lengths this far apart, in milliseconds, may be the same take: the pause at the end differs
/// from release to release.
const SAME_LENGTH: u32 = 4_000;

/// The words under which a song is remembered, and those under which it is found again. Title, main
/// artist and version are in each, and the length, so that two songs called "Intro" stay two: it is
/// remembered in steps, and looked for in the neighbouring steps as well.
pub fn song_keys(candidate: &Candidate) -> SongKeys {
    let reading = Reading::of_candidate(candidate);
    let main = reading.artists.main().unwrap_or_default();
    let version = &reading.version;
    let joined = |words: &std::collections::BTreeSet<String>| {
        words.iter().cloned().collect::<Vec<_>>().join(" ")
    };
    let base = format!(
        "{}|{}|{:?}|{}|{}",
        compact(&transliterate(&reading.title.base)),
        compact(&transliterate(main)),
        version.kinds,
        joined(&version.names),
        joined(&version.details),
    );
    let Some(length) = reading.duration_ms else {
        return SongKeys {
            own: base.clone(),
            near: vec![base],
        };
    };
    let step = length / SAME_LENGTH;
    let key = |step: u32| format!("{base}|{step}");
    SongKeys {
        own: key(step),
        near: vec![key(step.saturating_sub(1)), key(step), key(step + 1)],
    }
}

/// See [`song_keys`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SongKeys {
    /// The word under which the song is remembered.
    pub own: String,
    /// The words under which the same song may have been remembered.
    pub near: Vec<String>,
}

/// The word under which a track of the source is known again when it is spelt alike.
pub fn source_key(source: &SourceTrack) -> String {
    let mut key = format!(
        "{}|{}|{}|{}",
        fold(&source.title),
        fold(&source.artist),
        source.album.as_deref().map(fold).unwrap_or_default(),
        source.isrc.as_deref().unwrap_or_default(),
    );
    if let Some(id) = &source.spotify_id {
        key.push('|');
        key.push_str(id);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn song(title: &str, artist: &str, seconds: u32) -> Candidate {
        Candidate {
            title: title.into(),
            artists: vec![artist.into()],
            duration_ms: Some(seconds * 1000),
            ..Candidate::default()
        }
    }

    fn same(a: &Candidate, b: &Candidate) -> bool {
        song_keys(b).near.contains(&song_keys(a).own)
    }

    #[test]
    fn releases_of_one_song_are_the_same_and_other_versions_and_songs_are_not() {
        let first = song("Under Pressure", "Queen", 248);
        for (title, artist, seconds, expected) in [
            ("Under Pressure - Remastered 2011", "Queen", 246, true),
            ("Under Pressure", "QUEEN", 251, true),
            ("Under Pressure - Live at Wembley", "Queen", 248, false),
            ("Under Pressure", "Queen", 300, false),
            ("Under Pressure", "Karaoke Stars", 248, false),
            ("Under Attack", "Queen", 248, false),
        ] {
            let second = song(title, artist, seconds);
            assert_eq!(
                same(&first, &second),
                expected,
                "{title} {artist} {seconds}"
            );
            assert_eq!(same(&second, &first), expected, "{title} the other way");
        }
    }
}
