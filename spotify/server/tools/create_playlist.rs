//! `create_playlist`: a new, empty playlist of the user.

use rmcp::{Json, handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input;
use crate::server::{Playlist, SpotifyServer, ToolError};

/// Spotify's own apps stop at 100 characters; its API is not documented to. This only bounds.
const MAX_NAME_CHARS: usize = 500;
/// As above; the apps stop at 300.
const MAX_DESCRIPTION_CHARS: usize = 1000;

/// What to create.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Name of the playlist. Need not be unique.
    #[schemars(length(min = 1, max = 500))]
    pub name: String,
    /// Description shown below the name.
    #[schemars(length(max = 1000))]
    pub description: Option<String>,
    /// Whether to show it on the user's profile; private by default.
    #[serde(default)]
    pub public: bool,
}

/// What was created.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The new playlist.
    pub playlist: Playlist,
}

#[tool_router(router = create_playlist_router, vis = "pub(super)")]
impl SpotifyServer {
    /// Create an empty playlist in the user's library. Repeating the call creates another one of
    /// the same name: after an `upstream_unavailable` error, look in `get_user_playlists` first.
    #[tool(
        name = "create_playlist",
        annotations(
            title = "Create a playlist",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_playlist(
        &self,
        Parameters(params): Parameters<Params>,
    ) -> Result<Json<Output>, ToolError> {
        let name = input::of_length("name", params.name.trim(), 1..=MAX_NAME_CHARS)?;
        let description = match params.description.as_deref() {
            // Spotify takes an empty description for a mistake.
            None | Some("") => None,
            Some(text) => Some(input::of_length(
                "description",
                text,
                1..=MAX_DESCRIPTION_CHARS,
            )?),
        };
        let wire = self
            .api
            .create_playlist(name, description, params.public)
            .await?;
        let playlist = Playlist::created(wire);
        Ok(Json(Output { playlist }))
    }
}
