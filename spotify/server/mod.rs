//! `segue spotify`: a Spotify MCP server, usable by any client by itself.
//!
//! Each tool is a file in `tools/`. No tool retries: whoever calls knows what a repetition means
//! (Segue's workflows do), and an error says whether and when to try again.

// For the fuzz targets alone, which stand outside this crate.
#[doc(hidden)]
pub mod border;
mod error;
mod output;
mod run;
mod spotify_api;
mod tools;
mod watched;
mod wire;

#[cfg(test)]
mod properties;

use std::sync::Arc;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::{
        router::tool::ToolRouter,
        tool::{IntoCallToolResult, ToolCallContext},
    },
    model::{
        CallToolRequestParams, CallToolResponse, Implementation, ServerCapabilities, ServerConfig,
        Tool,
    },
    service::RequestContext,
    tool_handler,
};
use segue_spans::mcp;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::auth::Session;
use spotify_api::SpotifyApi;

pub use error::{ErrorCode, ToolError};
pub use output::{Playlist, PlaylistItem, Track};
pub use run::{RunError, run, run_stdio};
pub use tools::{
    add_tracks_to_playlist, create_playlist, get_playlist_items, get_user_playlists,
    remove_tracks_from_playlist, search_by_isrc, search_track, verify_track_added,
};
pub use watched::Watched;

/// What a client's model reads about the server as a whole.
const INSTRUCTIONS: &str = "Searches Spotify's catalogue and reads and changes the user's \
    playlists. A failed call has an `error` with a stable `code`. `rate_limited` carries \
    `retry_after_seconds`: wait that long. `auth_expired` and `insufficient_scope` need the user to \
    run `segue login`. After `upstream_unavailable` a change may have taken effect: look with \
    `verify_track_added` before repeating it.";

/// The MCP server. Cloning is cheap, and clones share the session.
#[derive(Clone)]
pub struct SpotifyServer {
    api: SpotifyApi,
    router: Arc<ToolRouter<Self>>,
    /// Cancelled when the client is gone: calls under way end at once.
    client_gone: CancellationToken,
}

impl SpotifyServer {
    /// A server that acts for the user of `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self {
            api: SpotifyApi::new(session),
            router: Arc::new(tools::router()),
            client_gone: CancellationToken::new(),
        }
    }

    /// The definition of every tool, sorted by name.
    #[must_use]
    pub fn tools() -> Vec<Tool> {
        tools::router().list_all()
    }
}

#[tool_handler(router = self.router)]
impl ServerHandler for SpotifyServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(
                Implementation::new("segue-spotify", env!("CARGO_PKG_VERSION"))
                    .with_title("Spotify, by Segue"),
            )
            .with_instructions(INSTRUCTIONS)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let tool = self.router.get(&request.name);
        let tool = tool.map(|tool| tool.name.clone());
        let span = mcp::serving(mcp::CALL, tool.as_deref(), &context);
        let answer = self.answer(request, context).instrument(span.clone());
        let answer = answer.await;
        mcp::answered(&span, &answer);
        answer
    }
}

impl SpotifyServer {
    async fn answer(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let cancelled = context.ct.clone();
        let call = self
            .router
            .call(ToolCallContext::new(self, request, context));
        let result = tokio::select! {
            result = call => result,
            () = cancelled.cancelled() => ToolError::given_up().into_call_tool_result(),
            () = self.client_gone.cancelled() => ToolError::given_up().into_call_tool_result(),
        };
        match result? {
            // Arguments that rmcp could not read: it says so in words alone, and gets our code.
            CallToolResponse::Complete(refusal)
                if refusal.is_error == Some(true) && refusal.structured_content.is_none() =>
            {
                let words = refusal.content.iter().find_map(|block| block.as_text());
                let message = words.map_or("the arguments can't be read", |words| &words.text);
                ToolError::invalid_request(message.to_owned()).into_call_tool_result()
            }
            other => Ok(other),
        }
    }
}
