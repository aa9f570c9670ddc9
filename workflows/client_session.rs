//! `ClientSession`: what a client said of itself when it began a conversation, kept so that any process
//! can go on with it.
//!
//! Clients of MCP up to 2025-11-25 introduce themselves once and are known by a session afterwards. Its
//! workflow id names the user and the session, so that a session of somebody else's is not found.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowStartOptions, WorkflowTerminateOptions,
    errors::WorkflowInteractionError,
};
use temporalio_common::MemoValues;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{WorkflowContext, WorkflowResult};

use crate::names;

/// How long a session is known: a day, after which a client introduces itself anew.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);
/// The key in the memo under which the introduction stands.
const INTRODUCTION_MEMO: &str = "introduction";
/// Bytes of an introduction that is kept: names, versions and capabilities take far less.
const LONGEST_INTRODUCTION: usize = 32 * 1024;

/// See the module. Whatever is to be known of it stands in its memo.
#[workflow]
#[derive(Default)]
pub struct ClientSession;

#[workflow_methods]
impl ClientSession {
    /// The story: it is open as long as the session is known.
    #[run(name = "ClientSession")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, length: SessionLength) -> WorkflowResult<()> {
        ctx.timer(Duration::from_secs(length.seconds)).await;
        Ok(())
    }
}

/// How long a session is known.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SessionLength {
    /// In seconds.
    pub seconds: u64,
}

/// Why a session cannot be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The client says more of itself than is kept.
    #[error("an introduction of {0} bytes is not kept; {LONGEST_INTRODUCTION} are")]
    TooLong(usize),
    /// The engine did not do it.
    #[error("the engine: {0}")]
    Engine(String),
}

impl SessionError {
    fn engine(error: impl fmt::Display) -> Self {
        Self::Engine(error.to_string())
    }
}

/// Keeps the introduction of a session that has just begun.
///
/// # Errors
/// It is too long, or the engine does not take it.
pub async fn keep(
    client: &Client,
    user_id: &str,
    session_id: &str,
    introduction: Value,
) -> Result<(), SessionError> {
    let length = introduction.to_string().len();
    if length > LONGEST_INTRODUCTION {
        return Err(SessionError::TooLong(length));
    }
    let mut memo = MemoValues::new();
    memo.insert(INTRODUCTION_MEMO, introduction);
    let id = names::client_session_id(user_id, session_id);
    let options = WorkflowStartOptions::new(names::SYNC_QUEUE, id)
        .memo(memo)
        .build();
    let length = SessionLength {
        seconds: KNOWN_FOR.as_secs(),
    };
    let started = client
        .start_workflow(ClientSession::run, length, options)
        .await;
    started.map(|_| ()).map_err(SessionError::engine)
}

/// The introduction of this user's session; none if there is no such session any more.
///
/// # Errors
/// The engine cannot be asked.
pub async fn find(
    client: &Client,
    user_id: &str,
    session_id: &str,
) -> Result<Option<Value>, SessionError> {
    let id = names::client_session_id(user_id, session_id);
    let handle = client.get_workflow_handle::<ClientSession>(id);
    match handle.describe(WorkflowDescribeOptions::default()).await {
        Ok(described) if described.close_time().is_some() => Ok(None),
        Ok(described) => {
            let memo = described.memo();
            memo.get(INTRODUCTION_MEMO).map_err(SessionError::engine)
        }
        Err(WorkflowInteractionError::NotFound(_)) => Ok(None),
        Err(error) => Err(SessionError::engine(error)),
    }
}

/// Forgets a session that its client has ended. One that is not known is forgotten already.
///
/// # Errors
/// The engine cannot be told.
pub async fn forget(client: &Client, user_id: &str, session_id: &str) -> Result<(), SessionError> {
    let id = names::client_session_id(user_id, session_id);
    let handle = client.get_workflow_handle::<ClientSession>(id);
    let reason = "the client has ended it".to_owned();
    let options = WorkflowTerminateOptions::builder().reason(reason).build();
    match handle.terminate(options).await {
        Ok(()) | Err(WorkflowInteractionError::NotFound(_)) => Ok(()),
        Err(error) => Err(SessionError::engine(error)),
    }
}
