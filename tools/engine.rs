//! The engine as the tools see it: it may still be starting, and a call that needs it waits.

use std::time::{Duration, Instant};

use rmcp::{RoleServer, model::ProgressNotificationParam, service::RequestContext};
use temporalio_client::Client;
use tokio::{sync::watch, time::timeout};

use crate::error::ToolError;

/// How long a call waits for the engine: less than the 60 s after which assistants drop a call.
const LONGEST_WAIT: Duration = Duration::from_secs(50);

/// Where the engine stands.
#[derive(Clone)]
pub enum EngineState {
    /// On its way; the text says what it is doing.
    Starting(String),
    /// There, with the client through which it is spoken to.
    Ready(Client),
    /// Not there; the text says why, and what to do. It may still come.
    Failed(String),
}

/// A watch on the engine.
#[derive(Clone)]
pub struct Engine {
    state: watch::Receiver<EngineState>,
}

/// An engine that is there, and how long the call had to wait for it.
pub(crate) struct Ready {
    pub(crate) client: Client,
    waited: Duration,
}

impl Engine {
    /// The engine whose state is told through this channel.
    pub fn new(state: watch::Receiver<EngineState>) -> Self {
        Self { state }
    }

    /// Where the engine stands now.
    pub(crate) fn state(&self) -> EngineState {
        self.state.borrow().clone()
    }

    /// The engine, waited for if it is still starting; a caller that asked for progress is told
    /// what it waits for.
    pub(crate) async fn ready(
        &self,
        context: &RequestContext<RoleServer>,
    ) -> Result<Ready, ToolError> {
        let since = Instant::now();
        let mut state = self.state.clone();
        let starting = match &*state.borrow() {
            EngineState::Starting(what) => Some(format!("waiting for the engine: {what}")),
            _ => None,
        };
        if let (Some(message), Some(token)) = (starting, context.meta.get_progress_token()) {
            let told = ProgressNotificationParam::new(token, 0.0).with_message(message);
            // A client that is gone will not read the answer either.
            let _ = context.peer.notify_progress(told).await;
        }
        let settled = timeout(
            LONGEST_WAIT,
            state.wait_for(|state| !matches!(state, EngineState::Starting(_))),
        )
        .await;
        match settled {
            Ok(Ok(state)) => match &*state {
                EngineState::Ready(client) => Ok(Ready {
                    client: client.clone(),
                    waited: since.elapsed(),
                }),
                EngineState::Failed(why) | EngineState::Starting(why) => {
                    Err(ToolError::engine_unavailable(why.clone()))
                }
            },
            Ok(Err(_)) => Err(ToolError::engine_unavailable("Segue is shutting down.")),
            Err(_) => Err(ToolError::engine_unavailable(format!(
                "The engine is still starting after {} s.",
                LONGEST_WAIT.as_secs()
            ))),
        }
    }
}

impl Ready {
    /// What to add to an answer that had to wait for the engine; nothing for one that had not.
    pub(crate) fn note(&self) -> String {
        if self.waited < Duration::from_millis(500) {
            return String::new();
        }
        format!(
            " (The engine was still starting: this call waited {:.1} s for it.)",
            self.waited.as_secs_f64()
        )
    }
}
