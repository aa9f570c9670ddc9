//! What happens to every request for Spotify: it is logged, and it meets the faults on order.

use std::future::ready;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use serde_json::Value;
use tokio::sync::futures::Notified;
use url::form_urlencoded;

use super::api::TookEffect;
use super::endpoint::Endpoint;
use super::error::{ApiError, OAuthError};
use super::faults::{BodyFault, DropWhen, Fault};
use super::request_log::Arrival;
use super::{MAX_BODY_BYTES, World, locked};

/// Marks a response that must not be sent: the connection is closed in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CloseConnection;

/// Marks a request that is to be answered as if it had been carried out, and changes nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pretence;

/// How much [`BodyFault::Huge`] appends: 64 MiB, far above any answer of Spotify's.
const HUGE_BYTES: usize = 64 << 20;
/// In pieces of this many bytes.
const HUGE_PIECE: usize = 64 << 10;
/// Time between two drops of [`BodyFault::Endless`].
const DROP_EVERY: Duration = Duration::from_millis(100);

/// What [`BodyFault::WrongIds`] puts in the place of ids: too short, too long, of other letters,
/// and something that wants to be a path.
const WRONG_IDS: [&str; 4] = [
    "4uLU6hMCjMI75M1A2tKUQ",
    "4uLU6hMCjMI75M1A2tKUQCC",
    "4uLU6hMCjMI75M1A2tKU-_",
    "../../v1/me",
];

/// Lists the request, lets it meet at most one fault, and carries it out.
pub(crate) async fn intercept(
    State(world): State<Arc<World>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(endpoint) = Endpoint::of(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "Request entity too large")
            .into_response();
    };
    let query = parts.uri.query().unwrap_or_default();
    let pen = world.requests.open(Arrival {
        endpoint,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: query.to_owned(),
        uris: uris(endpoint, query, &body),
    });
    // From here on it is let go by a release, also by one that comes before it is held.
    let mut released = pin!(world.released.notified());
    let fault = locked(&world.faults).take(endpoint);
    let fault = fault.as_ref();

    hold(fault.map_or(0, |fault| fault.latency_ms), released.as_mut()).await;
    if fault.and_then(|fault| fault.drop) == Some(DropWhen::Before) {
        return close();
    }
    if fault.is_some_and(|fault| fault.no_effect) {
        parts.extensions.insert(Pretence);
    }
    let retry_after = fault.and_then(|fault| fault.retry_after);
    let mut response = match fault.and_then(Fault::refusal) {
        Some(status) => refuse(endpoint, status, retry_after),
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    };
    if response.extensions().get::<TookEffect>().is_some() {
        pen.took_effect();
    }
    let after = fault.map_or(0, |fault| fault.latency_after_ms);
    hold(after, released.as_mut()).await;
    if fault.and_then(|fault| fault.drop) == Some(DropWhen::After) {
        return close();
    }
    if let Some(status) = fault.and_then(Fault::denial) {
        response = refuse(endpoint, status, retry_after);
    }
    if let Some(body) = fault.and_then(|fault| fault.body) {
        response = spoil(response, body, &world).await;
    }
    pen.answered(response.status().as_u16());
    response
}

/// Waits until the time is over, or the request is let go.
async fn hold(ms: u64, released: Pin<&mut Notified<'_>>) {
    if ms > 0 {
        // In time or before it: it goes on either way.
        let _ = tokio::time::timeout(Duration::from_millis(ms), released).await;
    }
}

fn close() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(CloseConnection);
    response
}

fn refuse(endpoint: Endpoint, status: StatusCode, retry_after: Option<u32>) -> Response {
    let mut response = if endpoint == Endpoint::Token {
        OAuthError::ordered(status).into_response()
    } else {
        ApiError::ordered(status).into_response()
    };
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The URIs that an edit carries, as far as they can be made out.
fn uris(endpoint: Endpoint, query: &str, body: &Bytes) -> Option<Vec<String>> {
    let list = match endpoint {
        Endpoint::AddItems | Endpoint::UpdateItems => "uris",
        Endpoint::RemoveItems => "items",
        _ => return None,
    };
    if let Some((_, uris)) =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "uris")
    {
        return Some(uris.split(',').map(|uri| uri.trim().to_owned()).collect());
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = body[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let uri = |item: &Value| item.as_str().or(item["uri"].as_str()).map(str::to_owned);
    Some(items.iter().filter_map(uri).collect())
}

/// The end of a truncated body. It waits a turn, for hyper sends what it has when a body is not
/// ready, and drops what it has when a body fails.
async fn cut_off() -> Result<Bytes, &'static str> {
    tokio::task::yield_now().await;
    Err("cut off, as ordered")
}

/// Replaces the body of a good answer by a bad one.
async fn spoil(response: Response, fault: BodyFault, world: &World) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return close();
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = match fault {
        BodyFault::Malformed => Body::from("<html><body>upstream connect error</body></html>"),
        BodyFault::Empty => Body::empty(),
        BodyFault::Truncated => {
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            let half = body.slice(..body.len() / 2);
            Body::from_stream(stream::once(ready(Ok(half))).chain(stream::once(cut_off())))
        }
        BodyFault::Huge => {
            let blank = Bytes::from(vec![b' '; HUGE_PIECE]);
            let padding = std::iter::repeat_n(blank, HUGE_BYTES / HUGE_PIECE);
            let pieces = std::iter::once(body).chain(padding).map(Ok::<_, &str>);
            Body::from_stream(stream::iter(pieces))
        }
        BodyFault::Endless => {
            let drops = stream::repeat(Bytes::from_static(b" ")).then(|drop| async {
                tokio::time::sleep(DROP_EVERY).await;
                drop
            });
            Body::from_stream(stream::once(ready(body)).chain(drops).map(Ok::<_, &str>))
        }
        BodyFault::NoItems => rewritten(&body, |items| items.clear()),
        BodyFault::FirstGone => rewritten(&body, |items| {
            if let Some(first) = items.first_mut() {
                (first["item"], first["track"]) = (Value::Null, Value::Null);
            }
        }),
        BodyFault::WrongIds => rewritten(&body, |items| {
            for (song, wrong) in items.iter_mut().zip(WRONG_IDS.iter().cycle()) {
                song["id"] = Value::from(*wrong);
                song["uri"] = format!("spotify:track:{wrong}").into();
            }
        }),
        BodyFault::Unrelated => rewritten(&body, |items| {
            let found: Vec<Value> = items.iter().map(|song| song["id"].clone()).collect();
            let others = (0..world.shelf.tracks().len())
                .map(|at| world.shelf.track_object(at, &world.url))
                .filter(|song| !found.contains(&song["id"]));
            *items = others.take(items.len()).collect();
        }),
    };
    Response::from_parts(parts, body)
}

/// A page of songs or playlists with other items on it. A refusal has none, and stays as it is.
fn rewritten(body: &Bytes, change: impl FnOnce(&mut Vec<Value>)) -> Body {
    let Ok(mut answer) = serde_json::from_slice::<Value>(body) else {
        return Body::from(body.clone());
    };
    // What was found stands below `tracks`, what a playlist holds at the top.
    let page = match answer.get("tracks") {
        Some(_) => &mut answer["tracks"],
        None => &mut answer,
    };
    if let Some(items) = page.get_mut("items").and_then(Value::as_array_mut) {
        change(items);
    }
    Body::from(answer.to_string())
}
