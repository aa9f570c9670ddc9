//! The accounts service: sign-in with PKCE, and tokens.

pub(crate) mod authorize;
pub(crate) mod token;
pub(crate) mod tokens;

/// The scopes of the first grant: all that reading and changing playlists asks for.
pub(crate) const PLAYLIST_SCOPES: [&str; 4] = [
    "playlist-read-private",
    "playlist-read-collaborative",
    "playlist-modify-private",
    "playlist-modify-public",
];

/// The other scopes that Spotify's OpenAPI document lists.
const OTHER_SCOPES: [&str; 15] = [
    "app-remote-control",
    "streaming",
    "ugc-image-upload",
    "user-follow-modify",
    "user-follow-read",
    "user-library-modify",
    "user-library-read",
    "user-modify-playback-state",
    "user-read-currently-playing",
    "user-read-email",
    "user-read-playback-position",
    "user-read-playback-state",
    "user-read-private",
    "user-read-recently-played",
    "user-top-read",
];

/// Whether Spotify knows a scope of this name.
pub(crate) fn is_scope(name: &str) -> bool {
    PLAYLIST_SCOPES.contains(&name) || OTHER_SCOPES.contains(&name)
}
