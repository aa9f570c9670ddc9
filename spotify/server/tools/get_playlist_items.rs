//! `get_playlist_items`: one page of a playlist.

use rmcp::{Json, handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input;
use crate::server::{PlaylistItem, SpotifyServer, ToolError, spotify_api::MAX_PAGE_LIMIT};

/// Which part of which playlist.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The playlist: its id, `spotify:playlist:` URI or link.
    pub playlist_id: String,
    /// How many entries to return at most.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 50))]
    pub limit: u32,
    /// How many entries to skip; for the next page, the `next_offset` of this one.
    #[serde(default)]
    pub offset: u32,
}

fn default_limit() -> u32 {
    MAX_PAGE_LIMIT
}

/// A page of the playlist.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The entries in order. Those that Spotify no longer has are left out.
    pub items: Vec<PlaylistItem>,
    /// How many entries the playlist has.
    pub total: u32,
    /// How many entries were skipped.
    pub offset: u32,
    /// How many entries were asked for.
    pub limit: u32,
    /// Where the next page begins; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u32>,
    /// Names the playlist's state, if Spotify says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
}

#[tool_router(router = get_playlist_items_router, vis = "pub(super)")]
impl SpotifyServer {
    /// List what is in a playlist, a page at a time. Works for the user's own and for
    /// collaborative playlists.
    #[tool(
        name = "get_playlist_items",
        annotations(
            title = "List a playlist's items",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_playlist_items(
        &self,
        Parameters(params): Parameters<Params>,
    ) -> Result<Json<Output>, ToolError> {
        let playlist = input::playlist_id(&params.playlist_id)?;
        let limit = input::in_range("limit", params.limit, 1..=MAX_PAGE_LIMIT)?;
        let page = self
            .api
            .playlist_items(&playlist, limit, params.offset)
            .await?;
        Ok(Json(Output {
            total: page.total,
            offset: params.offset,
            limit,
            next_offset: page.next_offset(params.offset),
            snapshot_id: page.snapshot_id,
            items: page
                .items
                .into_iter()
                .flatten()
                .filter_map(PlaylistItem::from_wire)
                .collect(),
        }))
    }
}
