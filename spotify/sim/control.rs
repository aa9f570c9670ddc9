//! The front page, and the controls below `/_sim`: faults, state, requests, tokens, playlists.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::edit_items::known_track;
use super::api::extract::JsonBody;
use super::error::ApiError;
use super::faults::Fault;
use super::library::{STRANGER, USER, user_now};
use super::oauth::is_scope;
use super::oauth::tokens::Scopes;
use super::playlist::{MAX_ITEMS, NewPlaylist, Playlist};
use super::{WHAT_THIS_IS, World, locked};

/// `GET /`: says plainly what this is.
pub(crate) async fn front_page(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({
        "name": "Segue's simulated Spotify",
        "what": WHAT_THIS_IS,
        "version": env!("CARGO_PKG_VERSION"),
        "api_url": format!("{}/v1/", world.url),
        "accounts_url": format!("{}/", world.url),
        "tracks": world.shelf.tracks().len(),
        "controls": [
            "POST /_sim/faults", "DELETE /_sim/faults", "POST /_sim/release", "GET /_sim/state",
            "GET /_sim/requests", "DELETE /_sim/requests", "POST /_sim/tokens",
            "POST /_sim/playlists", "PUT /_sim/playlists",
        ],
    }))
}

/// `POST /_sim/faults`: orders one fault or an array of them, and answers with all that wait.
pub(crate) async fn order_faults(
    State(world): State<Arc<World>>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<Value>, ApiError> {
    // Read as one or the other by shape, so that an error names the field that is wrong.
    let faults = if body.is_array() {
        serde_json::from_value(body)
    } else {
        serde_json::from_value(body).map(|fault| vec![fault])
    };
    let faults: Vec<Fault> = faults.map_err(|error| ApiError::bad_request(error.to_string()))?;
    let mut book = locked(&world.faults);
    book.order(faults).map_err(ApiError::bad_request)?;
    Ok(Json(json!({"faults": book.remaining()})))
}

/// `DELETE /_sim/faults`
pub(crate) async fn clear_faults(State(world): State<Arc<World>>) -> Json<Value> {
    locked(&world.faults).clear();
    Json(json!({"faults": []}))
}

/// `POST /_sim/release`: lets go of every request that an ordered latency holds, so that a test
/// ends its holds by what has happened and not by the clock.
pub(crate) async fn release(State(world): State<Arc<World>>) -> StatusCode {
    world.released.notify_waiters();
    StatusCode::NO_CONTENT
}

/// `GET /_sim/state`: every playlist with the URIs it holds, and the faults that wait.
pub(crate) async fn state(State(world): State<Arc<World>>) -> Json<Value> {
    let faults = json!(locked(&world.faults).remaining());
    let library = locked(&world.library);
    let mut playlists = BTreeMap::new();
    let mut details = BTreeMap::new();
    for playlist in library.newest_first() {
        playlists.insert(&playlist.id, world.uris_of(playlist));
        details.insert(
            &playlist.id,
            json!({
                "name": playlist.name,
                "owner": playlist.owner,
                "snapshot_id": playlist.snapshot_id(),
                "collaborative": playlist.collaborative,
                "public": playlist.public,
            }),
        );
    }
    Json(json!({"playlists": playlists, "details": details, "faults": faults}))
}

/// `GET /_sim/requests`
pub(crate) async fn requests(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"requests": world.requests.all()}))
}

/// `DELETE /_sim/requests`
pub(crate) async fn clear_requests(State(world): State<Arc<World>>) -> Json<Value> {
    world.requests.clear();
    Json(json!({"requests": []}))
}

/// What `POST /_sim/tokens` does to the tokens that are about.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenOrder {
    /// Let every access token expire now.
    #[serde(default)]
    expire_access: bool,
    /// Revoke every refresh token.
    #[serde(default)]
    revoke_refresh: bool,
    /// Give every token these scopes in place of its own.
    scopes: Option<Scopes>,
    /// Whether a refresh replaces the refresh token, from now on.
    rotate_refresh: Option<bool>,
    /// Whether the user refuses consent on `/authorize`, from now on.
    deny_consent: Option<bool>,
}

/// `POST /_sim/tokens`
pub(crate) async fn change_tokens(
    State(world): State<Arc<World>>,
    JsonBody(order): JsonBody<TokenOrder>,
) -> Result<StatusCode, ApiError> {
    let unknown = order.scopes.iter().flatten().find(|scope| !is_scope(scope));
    if let Some(unknown) = unknown {
        return Err(ApiError::bad_request(format!(
            "Spotify has no scope `{unknown}`"
        )));
    }
    let mut tokens = locked(&world.tokens);
    if order.expire_access {
        tokens.expire_access(Instant::now());
    }
    if order.revoke_refresh {
        tokens.revoke_refresh();
    }
    if let Some(scopes) = &order.scopes {
        tokens.set_scopes(scopes);
    }
    tokens.rotate = order.rotate_refresh.unwrap_or(tokens.rotate);
    tokens.deny_consent = order.deny_consent.unwrap_or(tokens.deny_consent);
    Ok(StatusCode::NO_CONTENT)
}

/// A playlist that `POST /_sim/playlists` makes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaylistOrder {
    name: String,
    /// A user id; by default the user who is signed in.
    owner: Option<String>,
    /// What it holds, in this order. Up to 10,000 URIs.
    #[serde(default)]
    uris: Vec<String>,
    /// Whether the user may read and change it. By default that is so if the user owns it. `true`
    /// with another owner makes it collaborative; `false` without an owner gives it a stranger's.
    writable: Option<bool>,
    #[serde(default)]
    public: bool,
}

/// `POST /_sim/playlists`
pub(crate) async fn make_playlist(
    State(world): State<Arc<World>>,
    JsonBody(order): JsonBody<PlaylistOrder>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let default_owner = if order.writable == Some(false) {
        STRANGER
    } else {
        USER
    };
    let owner = order.owner.unwrap_or_else(|| default_owner.to_owned());
    let owned = owner == USER;
    if owned && order.writable == Some(false) {
        return Err(ApiError::bad_request(
            "the user may always write what the user owns",
        ));
    }
    let tracks: Result<Vec<usize>, ApiError> = order
        .uris
        .iter()
        .map(|uri| known_track(&world.shelf, uri))
        .collect();
    let mut playlist = Playlist::new(NewPlaylist {
        name: order.name,
        description: None,
        owner,
        public: order.public,
        collaborative: !owned && order.writable == Some(true),
    });
    let full = |_| ApiError::bad_request("a playlist holds at most 10000 items");
    playlist.add(&tracks?, None, &user_now()).map_err(full)?;
    let answer = json!({
        "id": playlist.id,
        "uri": format!("spotify:playlist:{}", playlist.id),
        "writable": playlist.open_to(USER),
    });
    locked(&world.library).insert(playlist);
    Ok((StatusCode::CREATED, Json(answer)))
}

/// What `PUT /_sim/playlists` puts into a playlist, in place of everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refill {
    id: String,
    /// What it is to hold, in this order. Up to 10,000 URIs.
    uris: Vec<String>,
}

/// `PUT /_sim/playlists`: what Spotify itself does to a Discover Weekly on Mondays.
pub(crate) async fn refill_playlist(
    State(world): State<Arc<World>>,
    JsonBody(order): JsonBody<Refill>,
) -> Result<StatusCode, ApiError> {
    let tracks: Result<Vec<usize>, ApiError> = order
        .uris
        .iter()
        .map(|uri| known_track(&world.shelf, uri))
        .collect();
    let tracks = tracks?;
    if tracks.len() > MAX_ITEMS {
        return Err(ApiError::bad_request(
            "a playlist holds at most 10000 items",
        ));
    }
    let mut library = locked(&world.library);
    let playlist = library
        .get_mut(&order.id)
        .ok_or_else(|| ApiError::bad_request("there is no such playlist"))?;
    playlist.replace(&tracks, &user_now());
    Ok(StatusCode::NO_CONTENT)
}
