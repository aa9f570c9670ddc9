//! Sessions of clients that introduce themselves, kept in the engine: whichever process is asked next goes
//! on with them.

use std::time::Duration;

use async_trait::async_trait;
use rmcp::transport::streamable_http_server::session::{
    SessionState, SessionStore, SessionStoreError,
};
use segue_tools::EngineState;
use segue_workflows::client_session;
use temporalio_client::Client;
use tokio::{sync::watch, time::timeout};

/// How long a client that has just introduced itself waits for an engine that still starts. Without it
/// the session is good in this process alone.
const START: Duration = Duration::from_secs(2);
/// How long it is waited for to look a session up.
const LOOK: Duration = Duration::from_secs(20);

/// One user's sessions.
pub(super) struct KeptSessions {
    pub(super) engine: watch::Receiver<EngineState>,
    pub(super) user_id: String,
}

impl KeptSessions {
    async fn client(&self, patience: Duration) -> Result<Client, SessionStoreError> {
        let mut engine = self.engine.clone();
        let there = engine.wait_for(|state| matches!(state, EngineState::Ready(_)));
        match timeout(patience, there).await {
            Ok(Ok(state)) => match &*state {
                EngineState::Ready(client) => Ok(client.clone()),
                _ => Err("the engine is not there".into()),
            },
            _ => Err("the engine is not there".into()),
        }
    }
}

#[async_trait]
impl SessionStore for KeptSessions {
    async fn load(&self, session_id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        let client = self.client(LOOK).await?;
        let kept = client_session::find(&client, &self.user_id, session_id).await?;
        Ok(kept.map(serde_json::from_value).transpose()?)
    }

    async fn store(&self, session_id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        let client = self.client(START).await?;
        let introduction = serde_json::to_value(state)?;
        client_session::keep(&client, &self.user_id, session_id, introduction).await?;
        Ok(())
    }

    async fn delete(&self, session_id: &str) -> Result<(), SessionStoreError> {
        let client = self.client(LOOK).await?;
        client_session::forget(&client, &self.user_id, session_id).await?;
        Ok(())
    }
}
