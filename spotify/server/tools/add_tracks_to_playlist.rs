//! `add_tracks_to_playlist`: puts tracks into a playlist.

use rmcp::{Json, handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input;
use crate::server::{SpotifyServer, ToolError};

/// What to add, and where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The playlist: its id, `spotify:playlist:` URI or link.
    pub playlist_id: String,
    /// The tracks in order, as `spotify:track:` URIs. One that is there already is added again.
    #[schemars(length(min = 1, max = 100))]
    pub track_uris: Vec<String>,
    /// Place of the first new track, counted from 0; left out, the tracks go to the end.
    pub position: Option<u32>,
}

/// What was done.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// How many tracks were added.
    pub added: usize,
    /// Names the playlist's state after this change.
    pub snapshot_id: String,
}

#[tool_router(router = add_tracks_to_playlist_router, vis = "pub(super)")]
impl SpotifyServer {
    /// Add 1 to 100 tracks to a playlist. Repeating the call adds them again: after an
    /// `upstream_unavailable` error, check with `verify_track_added` first.
    #[tool(
        name = "add_tracks_to_playlist",
        annotations(
            title = "Add tracks to a playlist",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn add_tracks_to_playlist(
        &self,
        Parameters(params): Parameters<Params>,
    ) -> Result<Json<Output>, ToolError> {
        let playlist = input::playlist_id(&params.playlist_id)?;
        let tracks = input::track_ids(&params.track_uris)?;
        let snapshot_id = self
            .api
            .add_items(&playlist, &tracks, params.position)
            .await?;
        Ok(Json(Output {
            added: tracks.len(),
            snapshot_id,
        }))
    }
}
