//! `verify_track_added`: whether a track is in a playlist, and where.

use rmcp::{Json, handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input;
use crate::server::{SpotifyServer, ToolError, spotify_api::MAX_PAGE_LIMIT};

/// Spotify's playlists hold 10,000 items; a scan that goes on beyond is going in circles.
const MAX_ITEMS: u32 = 11_000;

/// What to look for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The playlist: its id, `spotify:playlist:` URI or link.
    pub playlist_id: String,
    /// The track, as a `spotify:track:` URI.
    pub track_uri: String,
}

/// What was found.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Whether the track is in the playlist.
    pub present: bool,
    /// Every place where it is, counted from 0.
    pub positions: Vec<u32>,
    /// How many items the playlist has.
    pub total: u32,
}

#[tool_router(router = verify_track_added_router, vis = "pub(super)")]
impl SpotifyServer {
    /// Check whether a track is in a playlist, and at which positions. Reads the whole playlist,
    /// one request for every 50 items.
    #[tool(
        name = "verify_track_added",
        annotations(
            title = "Check that a track is in a playlist",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn verify_track_added(
        &self,
        Parameters(params): Parameters<Params>,
    ) -> Result<Json<Output>, ToolError> {
        let playlist = input::playlist_id(&params.playlist_id)?;
        let wanted = input::uri(&input::track_id(&params.track_uri)?);
        let mut positions = Vec::new();
        let mut offset = 0;
        loop {
            let page = self
                .api
                .playlist_items(&playlist, MAX_PAGE_LIMIT, offset)
                .await?;
            for (position, entry) in (offset..).zip(&page.items) {
                let item = entry.as_ref().and_then(|entry| entry.item());
                if item.and_then(|item| item.uri.as_deref()) == Some(wanted.as_str()) {
                    positions.push(position);
                }
            }
            offset = match page.next_offset(offset) {
                Some(next) if next < MAX_ITEMS => next,
                // To say "not there" of a list that was not read to its end would be a guess.
                Some(_) => {
                    return Err(ToolError::unavailable(
                        "the playlist is longer than any that Spotify allows",
                    ));
                }
                None => {
                    return Ok(Json(Output {
                        present: !positions.is_empty(),
                        positions,
                        total: page.total,
                    }));
                }
            };
        }
    }
}
