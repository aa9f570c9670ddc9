//! What belongs to a user: a server that acts for them, their sessions and their streams. Somebody else's
//! are not refused: they are not there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService,
    session::local::{LocalSessionManager, SessionConfig},
};
use segue_tools::{EngineState, Segue};
use segue_workflows::metrics::Metrics;
use serde::Deserialize;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    border::{Caller, SMALL_BODY, refusal},
    sessions::KeptSessions,
    sse::Streams,
    streams::Ending,
};

/// Users whose servers are held; of more, the one who came least lately is forgotten, and found again by
/// their next call.
const MOST_USERS: usize = 2_000;
/// Sessions that a user may have open in this process.
const MOST_SESSIONS: usize = 100;
/// Time between two counts of what is open.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How long a session is held in memory that nobody uses. It is known to the engine for a day.
const SESSION_IDLE: Duration = Duration::from_secs(3600);

/// The users who have come so far.
pub(super) struct Users {
    server: Segue,
    engine: watch::Receiver<EngineState>,
    ending: Ending,
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    theirs: Arc<Theirs>,
    last: Instant,
}

/// One user's.
pub(super) struct Theirs {
    server: Segue,
    mcp: StreamableHttpService<Segue, LocalSessionManager>,
    sessions: Arc<LocalSessionManager>,
    streams: Arc<Streams>,
}

impl Users {
    pub(super) fn new(server: Segue, engine: watch::Receiver<EngineState>, ending: Ending) -> Self {
        Self {
            server,
            engine,
            ending,
            known: Mutex::default(),
        }
    }

    /// What belongs to the user from whom the request is, whom the border has named.
    pub(super) fn of(&self, request: &Request) -> Arc<Theirs> {
        let caller = request.extensions().get::<Caller>().cloned();
        // Nothing passes the border without a caller; nobody's is empty.
        let user_id = caller.map(|caller| caller.user_id).unwrap_or_default();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(&user_id) && known.len() >= MOST_USERS {
            let oldest = known.iter().min_by_key(|(_, known)| known.last);
            if let Some(oldest) = oldest.map(|(user, _)| user.clone()) {
                known.remove(&oldest);
            }
        }
        let entry = known.entry(user_id).or_insert_with_key(|user_id| Known {
            theirs: Arc::new(self.new_of(user_id)),
            last: Instant::now(),
        });
        entry.last = Instant::now();
        entry.theirs.clone()
    }

    fn new_of(&self, user_id: &str) -> Theirs {
        let server = self.server.acting_for(user_id);
        let mut sessions = LocalSessionManager::default();
        let mut terms = SessionConfig::default();
        terms.keep_alive = Some(SESSION_IDLE);
        sessions.session_config = terms;
        let sessions = Arc::new(sessions);
        let mut config = StreamableHttpServerConfig::default()
            .with_cancellation_token(self.ending.of_calls().clone())
            // The border has done both, for every path; and has measured the body.
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_max_request_body_bytes(usize::MAX)
            // An answer that nothing comes before is one JSON object, which a phone's shortcut can read.
            .with_json_response(true);
        config.session_store = Some(Arc::new(KeptSessions {
            engine: self.engine.clone(),
            user_id: user_id.to_owned(),
        }));
        let acting = server.clone();
        let mcp = StreamableHttpService::new(move || Ok(acting.clone()), sessions.clone(), config);
        Theirs {
            server,
            mcp,
            sessions,
            streams: Arc::default(),
        }
    }

    /// Keeps count of the sessions and streams that are open, until `stop`.
    pub(super) async fn count(self: Arc<Self>, metrics: Metrics, stop: CancellationToken) {
        let mut counted = Vec::new();
        while !stop.is_cancelled() {
            counted.resize_with(self.open().await, || metrics.open_session());
            tokio::select! {
                () = sleep(COUNT_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn open(&self) -> usize {
        let known: Vec<_> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.values().map(|known| known.theirs.clone()).collect()
        };
        let mut open = 0;
        for theirs in known {
            open += theirs.sessions.sessions.read().await.len() + theirs.streams.open();
        }
        open
    }
}

/// The one thing that is read of a message before rmcp reads it.
#[derive(Deserialize)]
struct Named {
    method: String,
}

impl Theirs {
    /// Streamable HTTP.
    pub(super) async fn mcp(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        // The border has read it.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        if body.len() as u64 > SMALL_BODY {
            let named = serde_json::from_slice::<Named>(&body);
            // A stream would keep it in memory for as long as it is open.
            if named.is_ok_and(|named| named.method != "tools/call") {
                return refusal(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "Only a call of a tool may be so large.",
                );
            }
        }
        if self.sessions.sessions.read().await.len() >= MOST_SESSIONS {
            let named = serde_json::from_slice::<Named>(&body);
            if named.is_ok_and(|named| named.method == "initialize") {
                return refusal(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too many sessions are open. End some with DELETE, or wait: they end after an hour \
                     without a call.",
                );
            }
        }
        let request = Request::from_parts(parts, Body::from(body));
        self.mcp.handle(request).await.map(Body::new)
    }

    /// The stream of a client that speaks HTTP+SSE.
    pub(super) fn open_sse(&self) -> Response {
        match self.streams.open() {
            0..MOST_SESSIONS => self.streams.start(self.server.clone()).into_response(),
            _ => refusal(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many streams are open. Close some.",
            ),
        }
    }

    /// A message of such a client.
    pub(super) async fn take_message(&self, request: Request) -> Response {
        self.streams.take(request).await
    }
}
