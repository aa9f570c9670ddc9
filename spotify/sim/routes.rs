//! Which path leads where.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use super::api::{deprecated, edit_items, playlist_items, playlists, search, tracks, unknown};
use super::error::ApiError;
use super::intercept::intercept;
use super::oauth::{authorize, token};
use super::{MAX_BODY_BYTES, WHAT_THIS_IS, World, control};

/// The whole of the simulator, as one service.
pub(crate) fn router(world: Arc<World>) -> Router {
    let items = get(playlist_items::list)
        .post(edit_items::add)
        .put(edit_items::update)
        .delete(edit_items::remove);
    Router::new()
        .route("/", get(control::front_page))
        .route(
            "/_sim/faults",
            post(control::order_faults).delete(control::clear_faults),
        )
        .route("/_sim/release", post(control::release))
        .route("/_sim/state", get(control::state))
        .route(
            "/_sim/requests",
            get(control::requests).delete(control::clear_requests),
        )
        .route("/_sim/tokens", post(control::change_tokens))
        .route(
            "/_sim/playlists",
            post(control::make_playlist).put(control::refill_playlist),
        )
        .route("/authorize", get(authorize::authorize))
        .route("/api/token", post(token::token))
        .route("/v1/search", get(search::search))
        .route("/v1/tracks/{id}", get(tracks::track))
        .route("/v1/me", get(playlists::me))
        .route(
            "/v1/me/playlists",
            get(playlists::mine).post(playlists::create),
        )
        .route("/v1/playlists/{id}", get(playlists::playlist))
        .route("/v1/playlists/{id}/items", items)
        .route("/v1/playlists/{id}/tracks", any(deprecated))
        .route("/v1/users/{id}/playlists", any(deprecated))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(middleware::from_fn_with_state(world.clone(), intercept))
        .layer(middleware::from_fn(border))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(world)
}

/// Lets in only requests that were addressed to this machine by name, so that no page in a browser
/// reaches the simulator over a domain that resolves to loopback; and marks every answer as
/// simulated.
async fn border(request: Request, next: Next) -> Response {
    let mut response = if addressed_to_loopback(&request) {
        next.run(request).await
    } else {
        ApiError::forbidden("The simulator answers on loopback only").into_response()
    };
    let server = HeaderValue::from_static(concat!("segue-sim/", env!("CARGO_PKG_VERSION")));
    let headers = response.headers_mut();
    headers.insert(header::SERVER, server);
    headers.insert(
        HeaderName::from_static("x-segue-simulated"),
        HeaderValue::from_static(WHAT_THIS_IS),
    );
    response
}

fn addressed_to_loopback(request: &Request) -> bool {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(url) = host.and_then(|host| url::Url::parse(&format!("http://{host}/")).ok()) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
