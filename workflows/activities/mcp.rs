//! The tools of the upstream server as agents call them: on the connection that all share, or in a session
//! that one worker holds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::attempt::{Attempted, reading};
use crate::{
    error::ErrorCode,
    track::Candidate,
    upstream::{GatedUpstream, SearchTool, Session, UpstreamError},
};

/// Sessions that a worker holds at a time: each may be a process of its own.
const MOST_SESSIONS: usize = 16;
/// Time after which a session that nobody called is closed: its workflow was ended from outside.
const LONGEST_IDLE: Duration = Duration::from_secs(15 * 60);

/// Time between two looks for such.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// What a workflow waits for room on a worker, in seconds.
const WAIT_FOR_ROOM_SECONDS: u64 = 5;

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct McpCall {
    /// The tool's name at the server.
    pub tool: String,
    /// Its arguments, in the server's words.
    pub arguments: Map<String, Value>,
}

/// A session, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpSession {
    /// The task queue of the worker that holds it.
    pub queue: String,
    /// Its id there.
    pub id: String,
}

/// A call in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallInSession {
    /// The session.
    pub session: McpSession,
    /// The call.
    pub call: McpCall,
}

/// The sessions that this worker holds.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<String, Held>>>);

struct Held {
    session: Session,
    used: Instant,
}

impl Sessions {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes those that nobody has called for long, again and again, until `stop` is cancelled.
    #[expect(clippy::disallowed_methods, reason = "in no workflow")]
    pub(crate) async fn sweep(&self, stop: &CancellationToken) {
        let sweeping = async {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                let now = Instant::now();
                self.held()
                    .retain(|_, held| now.duration_since(held.used) < LONGEST_IDLE);
            }
        };
        stop.run_until_cancelled(sweeping).await;
    }

    /// Whether there is room for one more.
    fn has_room(&self) -> Result<(), UpstreamError> {
        match self.held().len() < MOST_SESSIONS {
            true => Ok(()),
            false => Err(UpstreamError::held_back(
                ErrorCode::UpstreamUnavailable,
                format!("this worker holds {MOST_SESSIONS} sessions already"),
                WAIT_FOR_ROOM_SECONDS,
            )),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "in an activity")]
    fn keep(&self, session: Session) -> Result<String, UpstreamError> {
        // Others may have come while this one was opened.
        self.has_room()?;
        let id = Uuid::new_v4().simple().to_string();
        let used = Instant::now();
        self.held().insert(id.clone(), Held { session, used });
        Ok(id)
    }

    #[expect(clippy::disallowed_methods, reason = "in an activity")]
    fn get(&self, id: &str) -> Option<Session> {
        let mut held = self.held();
        let held = held.get_mut(id)?;
        held.used = Instant::now();
        Some(held.session.clone())
    }
}

/// The activities of both ways that any worker can do.
pub struct McpActivities {
    upstream: GatedUpstream,
    sessions: Sessions,
    queue: String,
    stopping: CancellationToken,
}

impl McpActivities {
    /// The activities of a worker that holds `sessions` and answers for them on `queue`.
    pub(crate) fn new(
        upstream: GatedUpstream,
        sessions: Sessions,
        queue: String,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            upstream,
            sessions,
            queue,
            stopping,
        }
    }
}

#[activities]
impl McpActivities {
    /// The upstream's tools that an agent may be given.
    #[activity(name = "list_mcp_tools")]
    pub async fn list_mcp_tools(
        self: Arc<Self>,
        ctx: ActivityContext,
    ) -> Result<Attempted<Vec<SearchTool>>, ActivityError> {
        reading(&ctx, &self.stopping, self.upstream.search_tools()).await
    }

    /// Calls one of them, on a connection that is made anew if it broke.
    #[activity(name = "call_mcp_tool")]
    pub async fn call_mcp_tool(
        self: Arc<Self>,
        ctx: ActivityContext,
        call: McpCall,
    ) -> Result<Attempted<Vec<Candidate>>, ActivityError> {
        let called = self.upstream.call_search_tool(&call.tool, call.arguments);
        reading(&ctx, &self.stopping, called).await
    }

    /// Opens a session, which this worker then holds.
    #[activity(name = "open_mcp_session")]
    pub async fn open_mcp_session(
        self: Arc<Self>,
        ctx: ActivityContext,
    ) -> Result<Attempted<McpSession>, ActivityError> {
        reading(&ctx, &self.stopping, async {
            self.sessions.has_room()?;
            let session = self.upstream.open_session().await?;
            Ok(McpSession {
                queue: self.queue.clone(),
                id: self.sessions.keep(session)?,
            })
        })
        .await
    }
}

/// The activities that only the worker can do that holds the session.
pub struct SessionActivities {
    upstream: GatedUpstream,
    sessions: Sessions,
    stopping: CancellationToken,
}

impl SessionActivities {
    /// The activities of the worker that holds `sessions`.
    pub(crate) fn new(
        upstream: GatedUpstream,
        sessions: Sessions,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            upstream,
            sessions,
            stopping,
        }
    }
}

#[activities]
impl SessionActivities {
    /// Calls a tool in a session.
    #[activity(name = "call_in_mcp_session")]
    pub async fn call_in_mcp_session(
        self: Arc<Self>,
        ctx: ActivityContext,
        asked: CallInSession,
    ) -> Result<Attempted<Vec<Candidate>>, ActivityError> {
        reading(&ctx, &self.stopping, async {
            let McpCall { tool, arguments } = asked.call;
            let session = self.sessions.get(&asked.session.id).ok_or_else(|| {
                UpstreamError::new(ErrorCode::McpSessionLost, "the session was closed")
            })?;
            let called = self.upstream.call_in(&session, &tool, arguments).await;
            if matches!(&called, Err(error) if error.code == ErrorCode::McpSessionLost) {
                self.sessions.held().remove(&asked.session.id);
            }
            called
        })
        .await
    }

    /// Closes a session. One that is not there is closed.
    #[activity(name = "close_mcp_session")]
    pub async fn close_mcp_session(
        self: Arc<Self>,
        ctx: ActivityContext,
        session: McpSession,
    ) -> Result<Attempted<()>, ActivityError> {
        reading(&ctx, &self.stopping, async {
            self.sessions.held().remove(&session.id);
            Ok(())
        })
        .await
    }
}
