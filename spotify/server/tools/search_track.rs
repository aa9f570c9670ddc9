//! `search_track`: tracks that match a query.

use rmcp::{Json, handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input;
use crate::server::{
    SpotifyServer, ToolError, Track,
    spotify_api::{MAX_SEARCH_LIMIT, MAX_SEARCH_OFFSET},
};

/// Longer than any title, artist and album together; Spotify itself stops near 250.
const MAX_QUERY_CHARS: usize = 1000;

/// What to search for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Words to search for. Goes to Spotify unaltered, so its filters work: `isrc:`, `track:`,
    /// `artist:`, `album:`, `year:`.
    #[schemars(length(min = 1, max = 1000))]
    pub query: String,
    /// How many tracks to return at most.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 10))]
    pub limit: u32,
    /// How many tracks to skip, to see further results.
    #[serde(default)]
    #[schemars(range(max = 1000))]
    pub offset: u32,
}

fn default_limit() -> u32 {
    MAX_SEARCH_LIMIT
}

/// What was found.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Matching tracks, best first.
    pub tracks: Vec<Track>,
    /// How many tracks match in all, by Spotify's estimate.
    pub total: u32,
}

#[tool_router(router = search_track_router, vis = "pub(super)")]
impl SpotifyServer {
    /// Search Spotify's catalogue for tracks by words, title, artist or album.
    #[tool(
        name = "search_track",
        annotations(
            title = "Search tracks",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn search_track(
        &self,
        Parameters(params): Parameters<Params>,
    ) -> Result<Json<Output>, ToolError> {
        let query = input::of_length("query", &params.query, 1..=MAX_QUERY_CHARS)?;
        let limit = input::in_range("limit", params.limit, 1..=MAX_SEARCH_LIMIT)?;
        let offset = input::in_range("offset", params.offset, 0..=MAX_SEARCH_OFFSET)?;
        let page = self.api.search_tracks(query, limit, offset).await?;
        Ok(Json(Output {
            total: page.total,
            tracks: page
                .items
                .into_iter()
                .flatten()
                .filter_map(Track::from_wire)
                .collect(),
        }))
    }
}
