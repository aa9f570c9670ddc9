//! Who a request is from: nothing but the pages that tell how to come in is for everybody.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Uri, header::CONTENT_TYPE},
    response::Response,
};
use futures::{FutureExt, StreamExt, future::Shared, stream};

use crate::access::{Access, Admitted, Refusal};

/// The view for browsers: it has nothing of anybody's in it, and asks for a token by itself.
const VIEW: &str = "/";
/// Pages that a balancer and a client without a token ask for.
const OPEN: [&str; 2] = ["/healthz", "/.well-known/oauth-protected-resource"];
/// What a client reads when its token is taken back: a comment, which is part of no event.
const TAKEN_BACK: Bytes = Bytes::from_static(b": the token is no longer good\n\n");

/// Where a request is asked who it is from.
#[derive(Debug, Clone)]
pub(super) struct Door {
    access: Access,
}

impl Door {
    pub(super) fn new(access: Access) -> Self {
        Self { access }
    }

    /// Lets a request in, before its body is read; nobody is asked for at an open page.
    pub(super) async fn admit(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<Admitted>, Refusal> {
        let path = uri.path();
        let is_open = |open: &&str| {
            let rest = path.strip_prefix(*open);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if path == VIEW || OPEN.iter().any(is_open) {
            return Ok(None);
        }
        self.access.admit(headers).await.map(Some)
    }
}

/// Keeps the user's place for as long as the answer goes on, if it is a stream of events; and ends that when
/// the token is no longer good.
pub(super) fn hold(response: Response, admitted: Arc<Admitted>) -> Response {
    let kind = response.headers().get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    response.map(|body| {
        let ended = async move { admitted.ended().await }.boxed().shared();
        let told: Shared<_> = ended.clone();
        let events = body.into_data_stream().take_until(ended);
        let reason = stream::once(async move { told.now_or_never().map(|()| Ok(TAKEN_BACK)) });
        let reason = reason.filter_map(|reason| async { reason });
        Body::from_stream(events.chain(reason))
    })
}
