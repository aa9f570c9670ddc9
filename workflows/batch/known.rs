//! What is in a playlist, as far as a batch has to know: enough to tell that a song is there.
//!
//! It goes with the batch from run to run, so it is kept small: 48 bits of a hash for each of the
//! ways in which a song may be met again. Among 40,000 songs a false "it is there" has a chance of
//! one in 2,000 for the whole batch, and the report names it.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize, de::Error as _};
use sha2::{Digest, Sha256};

use crate::{
    matching::{song_keys, source_key},
    track::{Candidate, SourceTrack},
};

/// Bytes of a hash that are kept.
const KEPT: usize = 6;

type Hash = [u8; KEPT];

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    hashes: BTreeSet<Hash>,
}

/// How a song is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// The very track.
    Track,
    /// The same recording under another id.
    Recording,
    /// The same song by title, artist, version and length.
    Song,
}

impl Known {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Remembers a track.
    pub fn remember(&mut self, track: &Candidate) {
        self.hashes.insert(hash("id", &track.id));
        if let Some(isrc) = &track.isrc {
            self.hashes.insert(hash("isrc", isrc));
        }
        // An upstream that tells no titles would make one song of all.
        if !track.title.is_empty() {
            self.hashes.insert(hash("song", &song_keys(track).own));
        }
    }

    /// How the track is there, if it is.
    pub fn look_for(&self, track: &Candidate) -> Option<There> {
        let is = |kind, text: &str| self.hashes.contains(&hash(kind, text));
        let near = || song_keys(track).near;
        if is("id", &track.id) {
            Some(There::Track)
        } else if track.isrc.as_ref().is_some_and(|isrc| is("isrc", isrc)) {
            Some(There::Recording)
        } else if !track.title.is_empty() && near().iter().any(|key| is("song", key)) {
            Some(There::Song)
        } else {
            None
        }
    }

    /// Remembers a row of the source; whether the same one came before.
    pub fn is_repeated(&mut self, row: &SourceTrack) -> bool {
        !self.hashes.insert(hash("row", &source_key(row)))
    }

    /// Whether this row of the source is remembered.
    pub fn has_row(&self, row: &SourceTrack) -> bool {
        self.hashes.contains(&hash("row", &source_key(row)))
    }

    /// Takes in what another knows.
    pub fn merge(&mut self, other: &Self) {
        self.hashes.extend(&other.hashes);
    }

    /// Forgets what another knows.
    pub fn forget(&mut self, other: &Self) {
        self.hashes.retain(|hash| !other.hashes.contains(hash));
    }

    /// Takes in what another knows, but for what a third does.
    pub fn merge_but(&mut self, other: &Self, third: &Self) {
        self.hashes.extend(other.hashes.difference(&third.hashes));
    }
}

fn hash(kind: &str, text: &str) -> Hash {
    let digest = Sha256::new()
        .chain_update(kind)
        .chain_update([0])
        .chain_update(text)
        .finalize();
    let mut kept = [0; KEPT];
    kept.copy_from_slice(&digest[..KEPT]);
    kept
}

impl Serialize for Known {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.hashes.iter().flatten().copied().collect();
        STANDARD_NO_PAD.encode(bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(D::Error::custom)?;
        let (hashes, rest) = bytes.as_chunks::<KEPT>();
        if !rest.is_empty() {
            return Err(D::Error::custom("what is known was cut off"));
        }
        Ok(Self {
            hashes: hashes.iter().copied().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(id: &str, isrc: &str, title: &str) -> Candidate {
        Candidate {
            id: id.into(),
            title: title.into(),
            artists: vec!["Queen".into()],
            isrc: Some(isrc.into()),
            duration_ms: Some(200_000),
            ..Candidate::default()
        }
    }

    #[test]
    fn a_song_is_met_again_by_its_id_its_recording_and_its_name() {
        let mut known = Known::default();
        assert_eq!(known.look_for(&track("a", "1", "Halo")), None);
        known.remember(&track("a", "1", "Halo"));
        let json = serde_json::to_string(&known).expect("written");
        let known: Known = serde_json::from_str(&json).expect("read");
        for (again, there) in [
            (track("a", "9", "Else"), Some(There::Track)),
            (track("b", "1", "Else"), Some(There::Recording)),
            (track("b", "2", "Halo (Remastered)"), Some(There::Song)),
            (track("b", "2", "Halo (Live)"), None),
        ] {
            assert_eq!(known.look_for(&again), there, "{again:?}");
        }
        assert!(serde_json::from_str::<Known>("\"AAA\"").is_err());
    }

    #[test]
    fn a_row_is_repeated_when_it_is_spelt_alike() {
        let mut known = Known::default();
        let row = |title: &str| SourceTrack {
            title: title.into(),
            artist: "Queen".into(),
            ..SourceTrack::default()
        };
        assert!(!known.is_repeated(&row("Halo")));
        assert!(known.is_repeated(&row("HALO ")));
        assert!(!known.is_repeated(&row("Halo (Live)")));
        let named = SourceTrack {
            spotify_id: Some("0VjIjW4GlUZAMYd2vXMi3b".into()),
            ..row("Halo")
        };
        assert!(!known.is_repeated(&named), "it may be another track");
        assert!(known.is_repeated(&named));
    }
}
