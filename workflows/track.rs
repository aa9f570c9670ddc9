//! The two things a sync is about: the track the user has, and the tracks the upstream offers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
