//! The two things a sync is about: the track the user has, and the tracks the upstream offers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::upstream::{is_spotify_id, track_id_of};

/// What the user has: a song as their library, their export or their words describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceTrack {
    /// The title as the source spells it, with whatever it says about the version.
    pub title: String,
    /// The artist, or all artists in one string as the source joins them.
    pub artist: String,
    /// The album, if the source knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// The length in milliseconds, if the source knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// The International Standard Recording Code, if the source knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isrc: Option<String>,
    /// Further codes that the source gives to the same song.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_isrcs: Vec<String>,
    /// Spotify's id of the track, if the source knows it: 22 characters, base 62. Then there is nothing
    /// to search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spotify_id: Option<String>,
}

/// A track the upstream offers as an answer to a search.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Spotify's id of the track: 22 characters, base 62.
    pub id: String,
    /// `spotify:track:` and the id.
    pub uri: String,
    /// The title as Spotify spells it.
    pub title: String,
    /// The artists in Spotify's order, the main one first.
    pub artists: Vec<String>,
    /// The album, where the upstream tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// The length in milliseconds, where the upstream tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// The International Standard Recording Code, where the upstream tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isrc: Option<String>,
}

/// Spotify's id of a track, from the id itself, a `spotify:track:` URI or an `open.spotify.com` link.
pub fn spotify_id(text: &str) -> Option<&str> {
    let text = text.trim();
    let id = track_id_of(text).or_else(|| Some(text).filter(|text| is_spotify_id(text)));
    id.or_else(|| id_in_link(text))
}

/// `https://open.spotify.com/track/<id>?si=…`, also with a language before `track`.
fn id_in_link(text: &str) -> Option<&str> {
    let (before, path) = text.split_once("open.spotify.com/")?;
    if !matches!(before, "" | "https://" | "http://") {
        return None;
    }
    let mut parts = path.split(['/', '?', '#']);
    parts.find(|part| *part == "track")?;
    parts.next().filter(|id| is_spotify_id(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_bare_and_from_uris_and_links() {
        let id = "0VjIjW4GlUZAMYd2vXMi3b";
        for text in [
            id.to_owned(),
            format!(" spotify:track:{id}"),
            format!("https://open.spotify.com/track/{id}"),
            format!("open.spotify.com/intl-de/track/{id}?si=0a1b2c"),
        ] {
            assert_eq!(spotify_id(&text), Some(id), "{text}");
        }
        for text in [
            "",
            "1440833098",
            "spotify:local:A:B:C:231",
            "spotify:episode:0VjIjW4GlUZAMYd2vXMi3b",
            "https://open.spotify.com/album/0VjIjW4GlUZAMYd2vXMi3b",
            "https://evil.example/open.spotify.com/track/0VjIjW4GlUZAMYd2vXMi3b",
            "https://www.deezer.com/track/3135556",
        ] {
            assert_eq!(spotify_id(text), None, "{text}");
        }
    }
}
