//! `get_user_playlists`: the playlists in the user's library.

use std::collections::HashSet;

use rmcp::{Json, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::{Playlist, SpotifyServer, ToolError};

/// About as many playlists as a user can have; more are not read.
const MAX_PLAYLISTS: u32 = 11_000;

/// The user's library.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The user's own playlists and those they follow, in the library's order.
    pub playlists: Vec<Playlist>,
}

#[tool_router(router = get_user_playlists_router, vis = "pub(super)")]
impl SpotifyServer {
    /// List all playlists in the user's library, their own and those they follow. Only those with
    /// `writable: true` can be read and changed.
    #[tool(
        name = "get_user_playlists",
        annotations(
            title = "List the user's playlists",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_user_playlists(&self) -> Result<Json<Output>, ToolError> {
        let me = self.api.me().await?;
        let mut playlists = Vec::new();
        // A playlist that moves up while the pages are read would be on two of them.
        let mut seen = HashSet::new();
        let mut offset = 0;
        loop {
            let page = self.api.my_playlists(offset).await?;
            let next = page.next_offset(offset);
            for wire in page.items.into_iter().flatten() {
                if seen.insert(wire.id.clone()) {
                    playlists.push(Playlist::from_wire(wire, &me));
                }
            }
            offset = match next {
                Some(next) if next < MAX_PLAYLISTS => next,
                _ => return Ok(Json(Output { playlists })),
            };
        }
    }
}
