//! HTTP+SSE, the transport of 2024-11-05: what the server says comes as a stream of events, and what the
//! client says is posted to the address that the first of them names.
//!
//! A stream lives in one process. Behind a balancer its client's messages must come to the same one; a
//! client that knows something newer needs nothing of the kind.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::to_bytes,
    extract::{Query, Request},
    http::StatusCode,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{StreamExt, stream};
use rmcp::{
    RoleServer, ServiceExt,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use segue_tools::Segue;
use serde::Deserialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::border::{Held, refusal};

/// Messages that wait on either side of a stream before whoever sends more has to wait.
const WAITING: usize = 32;
/// Time between two signs of life on a stream on which nothing happens.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// A user's streams.
#[derive(Default)]
pub(super) struct Streams {
    open: Mutex<HashMap<Uuid, mpsc::Sender<RxJsonRpcMessage<RoleServer>>>>,
}

/// Where a message is for.
#[derive(Deserialize)]
struct Address {
    session_id: Uuid,
}

/// The server's side of a stream.
struct Line {
    heard: mpsc::Receiver<RxJsonRpcMessage<RoleServer>>,
    said: mpsc::Sender<TxJsonRpcMessage<RoleServer>>,
}

/// The client has gone.
#[derive(Debug, thiserror::Error)]
#[error("the client has closed its stream")]
struct Gone;

impl Transport<RoleServer> for Line {
    type Error = Gone;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Gone>> + Send + 'static {
        let said = self.said.clone();
        async move { said.send(message).await.map_err(|_| Gone) }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.heard.recv().await
    }

    async fn close(&mut self) -> Result<(), Gone> {
        self.heard.close();
        Ok(())
    }
}

/// Closes a stream when its answer is dropped, which is when the client hangs up.
struct Open {
    streams: Arc<Streams>,
    id: Uuid,
}

impl Drop for Open {
    fn drop(&mut self) {
        // The server hears no more, and ends.
        self.streams.lines().remove(&self.id);
    }
}

impl Streams {
    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.lines().len()
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Uuid, mpsc::Sender<RxJsonRpcMessage<RoleServer>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a stream with this server at its other end.
    pub(super) fn start(self: &Arc<Self>, server: Segue) -> impl IntoResponse + use<> {
        let id = Uuid::new_v4();
        let (to_server, heard) = mpsc::channel(WAITING);
        let (said, from_server) = mpsc::channel(WAITING);
        self.lines().insert(id, to_server);
        tokio::spawn(async move {
            match server.serve(Line { heard, said }).await {
                Ok(session) => _ = session.waiting().await,
                Err(error) => tracing::debug!(%error, "a client left before it said anything"),
            }
        });
        let open = Open {
            streams: self.clone(),
            id,
        };
        let first = Event::default()
            .event("endpoint")
            .data(format!("/messages?session_id={id}"));
        let rest = stream::unfold((from_server, open), |(mut from_server, open)| async {
            let message = from_server.recv().await?;
            let event = Event::default().event("message").json_data(message);
            Some((event, (from_server, open)))
        });
        let events = stream::iter([Ok(first)]).chain(rest.filter_map(|event| async {
            match event {
                Ok(event) => Some(Ok::<_, Infallible>(event)),
                Err(error) => {
                    tracing::error!(%error, "a message cannot be written");
                    None
                }
            }
        }));
        Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE))
    }

    /// Takes what a client says.
    pub(super) async fn take(&self, request: Request) -> Response {
        let Ok(Query(address)) = Query::<Address>::try_from_uri(request.uri()) else {
            return refusal(
                StatusCode::BAD_REQUEST,
                "session_id is missing: post to the address that the stream of GET /sse begins with.",
            );
        };
        let line = self.lines().get(&address.session_id).cloned();
        let Some(line) = line else {
            return refusal(
                StatusCode::NOT_FOUND,
                "There is no such stream here: open one with GET /sse.",
            );
        };
        let held = request.extensions().get::<Held>().cloned();
        // The border has measured it.
        let body = to_bytes(request.into_body(), usize::MAX).await;
        match serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(&body.unwrap_or_default()) {
            Ok(mut message) => {
                // It is answered on the stream, and keeps its places until then.
                message.insert_extension(held);
                match line.send(message).await {
                    Ok(()) => (StatusCode::ACCEPTED, "Accepted").into_response(),
                    Err(_) => refusal(StatusCode::NOT_FOUND, "The stream has just been closed."),
                }
            }
            Err(error) => refusal(
                StatusCode::BAD_REQUEST,
                &format!("The body is no message of MCP: {error}"),
            ),
        }
    }
}
