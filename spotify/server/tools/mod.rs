//! The tools, one a file, and the table of them all.

pub mod add_tracks_to_playlist;
pub mod create_playlist;
pub mod get_playlist_items;
pub mod get_user_playlists;
pub(super) mod input;
pub mod remove_tracks_from_playlist;
pub mod search_by_isrc;
pub mod search_track;
pub mod verify_track_added;

use rmcp::handler::server::router::tool::ToolRouter;

use super::SpotifyServer;

/// Every tool of the server.
pub(super) fn router() -> ToolRouter<SpotifyServer> {
    SpotifyServer::add_tracks_to_playlist_router()
        + SpotifyServer::create_playlist_router()
        + SpotifyServer::get_playlist_items_router()
        + SpotifyServer::get_user_playlists_router()
        + SpotifyServer::remove_tracks_from_playlist_router()
        + SpotifyServer::search_by_isrc_router()
        + SpotifyServer::search_track_router()
        + SpotifyServer::verify_track_added_router()
}
