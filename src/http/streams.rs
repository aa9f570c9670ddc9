//! How answers that go on for long end when the process does: calls first have time to come to their end,
//! and whoever still listens is told why nothing more comes.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, header::CONTENT_TYPE},
    middleware::Next,
    response::Response,
};
use futures::{StreamExt, stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Time for calls that are under way when the process is told to stop. The worker has a little longer.
pub(super) const LAST_CALLS: Duration = Duration::from_millis(3_500);

/// The path of a stream over HTTP+SSE.
pub(super) const SSE: &str = "/sse";
/// The header by which a client takes up a stream that was cut off.
const LAST_EVENT: &str = "last-event-id";

/// What the client reads at the end: a comment, which is part of no event.
const REASON: Bytes = Bytes::from_static(b": segue is shutting down; connect again\n\n");

/// When streams end.
#[derive(Clone)]
pub(super) struct Ending {
    /// For those that only listen.
    listening: CancellationToken,
    /// For those that wait for the answer of a call.
    calls: CancellationToken,
}

impl Ending {
    pub(super) fn on(stop: CancellationToken) -> Self {
        let calls = CancellationToken::new();
        let (later, stopped) = (calls.clone(), stop.clone());
        tokio::spawn(async move {
            stopped.cancelled().await;
            sleep(LAST_CALLS).await;
            later.cancel();
        });
        Self {
            listening: stop,
            calls,
        }
    }

    /// When whatever still runs is cut off.
    pub(super) fn of_calls(&self) -> &CancellationToken {
        &self.calls
    }
}

/// Puts an end to streams of events.
pub(super) async fn end(State(ending): State<Ending>, request: Request, next: Next) -> Response {
    // The answers of calls come by a stream of their own where the client speaks HTTP+SSE, and where it takes
    // up one that was cut off.
    let has_answers = request.uri().path() == SSE || request.headers().contains_key(LAST_EVENT);
    let ends = match *request.method() {
        Method::GET if !has_answers => ending.listening,
        _ => ending.calls,
    };
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE);
    let of_events = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if !of_events {
        return response;
    }
    response.map(|body| {
        let told = ends.clone();
        let events = body.into_data_stream();
        let events = events.take_until(ends.cancelled_owned());
        // Only of a stream that was cut off, and not of one that came to its end.
        let reason = stream::once(async move { told.is_cancelled().then_some(Ok(REASON)) });
        let reason = reason.filter_map(|reason| async { reason });
        Body::from_stream(events.chain(reason))
    })
}
