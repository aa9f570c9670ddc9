//! `remove_tracks_from_playlist`: takes tracks out of a playlist.

use std::collections::HashSet;

use rmcp::{Json, handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input;
use crate::server::{SpotifyServer, ToolError};

/// Spotify's snapshot ids have about 60 characters.
const MAX_SNAPSHOT_ID_CHARS: usize = 500;

/// What to remove.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The playlist: its id, `spotify:playlist:` URI or link.
    pub playlist_id: String,
    /// The tracks, as `spotify:track:` URIs. Every occurrence of each is removed.
    #[schemars(length(min = 1, max = 100))]
    pub track_uris: Vec<String>,
    /// The playlist's state that the removal is meant for, from an earlier answer; left out, the
    /// present one.
    #[schemars(length(min = 1, max = 500))]
    pub snapshot_id: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// How many different tracks Spotify was told to remove. It does not say how many were there.
    pub removed: usize,
    /// Names the playlist's state after this change.
    pub snapshot_id: String,
}

#[tool_router(router = remove_tracks_from_playlist_router, vis = "pub(super)")]
impl SpotifyServer {
    /// Remove 1 to 100 tracks from a playlist, with all their occurrences. A track that is not in
    /// the playlist is no error.
    #[tool(
        name = "remove_tracks_from_playlist",
        annotations(
            title = "Remove tracks from a playlist",
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn remove_tracks_from_playlist(
        &self,
        Parameters(params): Parameters<Params>,
    ) -> Result<Json<Output>, ToolError> {
        let playlist = input::playlist_id(&params.playlist_id)?;
        let mut tracks = input::track_ids(&params.track_uris)?;
        let mut seen = HashSet::new();
        tracks.retain(|track| seen.insert(input::uri(track)));
        let snapshot_id = match &params.snapshot_id {
            Some(id) => Some(input::of_length(
                "snapshot_id",
                id,
                1..=MAX_SNAPSHOT_ID_CHARS,
            )?),
            None => None,
        };
        let snapshot_id = self
            .api
            .remove_items(&playlist, &tracks, snapshot_id)
            .await?;
        Ok(Json(Output {
            removed: tracks.len(),
            snapshot_id,
        }))
    }
}
