//! Durable MCP Tasks: the extension `io.modelcontextprotocol/tasks` (SEP-2663) with Temporal as its store.
//!
//! A task is a workflow, and the task's id is the workflow's. No process keeps anything of a task, so any
//! process of the server answers for it, also after all of them were killed and started again. The times and
//! `ttlMs` are the engine's own.
//!
//! This module knows nothing of what the workflows do. A server says that in a [`TaskSource`]: which texts can
//! be ids of its tasks, whose a workflow is, where it stands, and how it takes an answer. A [`TaskStore`] over
//! that source answers `tasks/get`, `tasks/update` and `tasks/cancel`, and makes the answer of a call that has
//! started a task. See `docs/tasks.md`.

mod store;
mod wire;

use std::future::Future;

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResult, InputRequests, InputResponses},
    service::RequestContext,
};
use temporalio_client::{
    Client, WorkflowCancelOptions, WorkflowExecutionDescription, errors::WorkflowInteractionError,
};
use temporalio_common::UntypedWorkflow;

pub use self::store::{Retention, TaskStore};

/// Whether the client of this request can be answered with a task.
#[must_use]
pub fn is_declared(context: &RequestContext<RoleServer>) -> bool {
    let capabilities = context.client_capabilities();
    capabilities.is_some_and(|capabilities| capabilities.supports_tasks())
}

/// Where a task stands.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It goes on by itself; in words, what it does.
    Working(String),
    /// It waits for what the client is to ask.
    InputRequired {
        /// In words, what it waits for.
        message: String,
        /// What is still to be asked. A key never comes again for anything else, as long as the task lives.
        requests: InputRequests,
    },
    /// The call came to this result; also to one that says that it is an error.
    Completed {
        /// In words, what came of it.
        message: String,
        /// What the call would have been answered with, had it waited.
        result: Box<CallToolResult>,
    },
    /// The call came to an error of the protocol.
    Failed(ErrorData),
    /// It was cancelled; in words, what was undone.
    Cancelled(String),
}

impl Standing {
    /// Whether it will never stand anywhere else.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        match self {
            Self::Working(_) | Self::InputRequired { .. } => false,
            Self::Completed { .. } | Self::Failed(_) | Self::Cancelled(_) => true,
        }
    }
}

/// Why a task could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// There is no such task, or it is somebody else's: a caller cannot tell.
    #[error(
        "There is no task of this id. One that has ended is kept for as long as its ttlMs said."
    )]
    Unknown,
    /// What the client sent is not right. Nothing of it was taken.
    #[error("{0}")]
    Invalid(String),
    /// The engine failed; the same request may be made again.
    #[error("{0}")]
    Engine(String),
}

impl TaskError {
    /// The engine could not do this.
    pub fn engine(during: &str, error: &dyn std::fmt::Display) -> Self {
        Self::Engine(format!(
            "The engine could not {during}: {error}. Nothing was lost; ask again."
        ))
    }
}

impl From<TaskError> for ErrorData {
    fn from(error: TaskError) -> Self {
        let message = error.to_string();
        match error {
            TaskError::Unknown | TaskError::Invalid(_) => Self::invalid_params(message, None),
            TaskError::Engine(_) => Self::internal_error(message, None),
        }
    }
}

/// What a server knows of the workflows that are its tasks. It stands for one caller: one is made for each
/// request.
pub trait TaskSource: Send + Sync {
    /// Whether this text can be the id of a task at all. The engine is asked for no other.
    fn is_task_id(&self, text: &str) -> bool;

    /// Whether this workflow is a task of the caller's.
    fn is_callers(&self, workflow: &WorkflowExecutionDescription) -> bool;

    /// Where the task stands.
    ///
    /// # Errors
    /// The engine could not be asked.
    fn standing(
        &self,
        client: &Client,
        workflow: &WorkflowExecutionDescription,
    ) -> impl Future<Output = Result<Standing, TaskError>> + Send;

    /// Gives an open task these answers, durably. Keys that nothing waits for are left out: the answer may
    /// have come twice, or too late.
    ///
    /// # Errors
    /// An answer does not fit its question, and then none is taken; or the engine failed.
    fn answer(
        &self,
        client: &Client,
        workflow: &WorkflowExecutionDescription,
        responses: InputResponses,
    ) -> impl Future<Output = Result<(), TaskError>> + Send;

    /// Asks an open task to stop. It goes on until it has undone what it has to.
    ///
    /// # Errors
    /// The engine failed.
    fn cancel(
        &self,
        client: &Client,
        workflow: &WorkflowExecutionDescription,
    ) -> impl Future<Output = Result<(), TaskError>> + Send {
        let handle = client.get_workflow_handle::<UntypedWorkflow>(workflow.id());
        async move {
            let reason = WorkflowCancelOptions::builder()
                .reason("tasks/cancel")
                .build();
            match handle.cancel(reason).await {
                // It has just ended by itself.
                Ok(()) | Err(WorkflowInteractionError::NotFound(_)) => Ok(()),
                Err(error) => Err(TaskError::engine("cancel the task", &error)),
            }
        }
    }
}
