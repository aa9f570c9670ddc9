//! The endpoints by name, as faults and the request log speak of them.

use axum::http::Method;
use serde::{Deserialize, Serialize};

/// An endpoint of Spotify's. The JSON names are what `POST /_sim/faults` accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `GET /v1/search`
    Search,
    /// `GET /v1/tracks/{id}`
    Track,
    /// `GET /v1/playlists/{id}`
    Playlist,
    /// `GET /v1/playlists/{id}/items`
    PlaylistItems,
    /// `POST /v1/playlists/{id}/items`
    AddItems,
    /// `PUT /v1/playlists/{id}/items`
    UpdateItems,
    /// `DELETE /v1/playlists/{id}/items`
    RemoveItems,
    /// `GET /v1/me`
    Me,
    /// `GET /v1/me/playlists`
    MyPlaylists,
    /// `POST /v1/me/playlists`
    CreatePlaylist,
    /// `GET /authorize`
    Authorize,
    /// `POST /api/token`
    Token,
    /// Anything else below `/v1`: deprecated paths, wrong methods, typing errors.
    Other,
    /// In a fault, any of the above. No request is logged as this.
    Any,
}

impl Endpoint {
    /// The endpoint a request is for, or `None` if it is not for Spotify: the front page and the
    /// controls of the simulator are neither logged nor disturbed by faults.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        Some(match (method.as_str(), segments.as_slice()) {
            (_, [] | ["_sim", ..]) => return None,
            ("GET", ["v1", "search"]) => Self::Search,
            ("GET", ["v1", "tracks", _]) => Self::Track,
            ("GET", ["v1", "playlists", _]) => Self::Playlist,
            ("GET", ["v1", "playlists", _, "items"]) => Self::PlaylistItems,
            ("POST", ["v1", "playlists", _, "items"]) => Self::AddItems,
            ("PUT", ["v1", "playlists", _, "items"]) => Self::UpdateItems,
            ("DELETE", ["v1", "playlists", _, "items"]) => Self::RemoveItems,
            ("GET", ["v1", "me"]) => Self::Me,
            ("GET", ["v1", "me", "playlists"]) => Self::MyPlaylists,
            ("POST", ["v1", "me", "playlists"]) => Self::CreatePlaylist,
            ("GET", ["authorize"]) => Self::Authorize,
            ("POST", ["api", "token"]) => Self::Token,
            _ => Self::Other,
        })
    }

    /// Whether a fault ordered for `self` concerns a request for `asked`.
    pub(crate) fn covers(self, asked: Self) -> bool {
        self == Self::Any || self == asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_tells_endpoints_on_one_path_apart() {
        let path = "/v1/playlists/37i9dQZF1DXcBWIGoYBM5M/items";
        assert_eq!(
            Endpoint::of(&Method::GET, path),
            Some(Endpoint::PlaylistItems)
        );
        assert_eq!(Endpoint::of(&Method::POST, path), Some(Endpoint::AddItems));
        assert_eq!(
            Endpoint::of(&Method::PUT, path),
            Some(Endpoint::UpdateItems)
        );
        assert_eq!(
            Endpoint::of(&Method::DELETE, path),
            Some(Endpoint::RemoveItems)
        );
    }

    #[test]
    fn the_simulators_own_pages_are_no_endpoint() {
        assert_eq!(Endpoint::of(&Method::GET, "/"), None);
        assert_eq!(Endpoint::of(&Method::POST, "/_sim/faults"), None);
    }

    #[test]
    fn what_is_unknown_is_still_listed() {
        assert_eq!(
            Endpoint::of(&Method::GET, "/v1/albums/1"),
            Some(Endpoint::Other)
        );
    }

    #[test]
    fn any_covers_everything_and_a_name_only_itself() {
        assert!(Endpoint::Any.covers(Endpoint::Token));
        assert!(Endpoint::Search.covers(Endpoint::Search));
        assert!(!Endpoint::Search.covers(Endpoint::Me));
    }
}
