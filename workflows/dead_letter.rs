//! `DeadLetter`: keeps a sync that ran out of attempts, whole, until somebody decides.
//!
//! 1. Tell the user that it is there, if they are told of anything ([`notices`]).
//! 2. Wait for the word: retry, or discard.
//! 3. Retry: a new sync with the same input, linked to the old. Its success closes the letter; its
//!    failure is kept in place of the old one, and the letter waits again.

use serde::{Deserialize, Serialize};
use temporalio_common::error::{ChildWorkflowExecutionError, IncomingError};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ChildWorkflowCancellationType, ChildWorkflowOptions, ParentClosePolicy, SyncWorkflowContext,
    WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    error::{ErrorCode, SyncError},
    music_sync::{MusicSync, attributes_of},
    names,
    notices::{self, Event},
    sync::{FailedSync, SyncInput, SyncOutcome, SyncStatus},
};

/// What is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LetterInput {
    /// The sync that failed.
    pub sync_id: String,
    /// What it was asked to do.
    pub sync: SyncInput,
    /// Why it failed.
    pub error: SyncError,
}

/// How a letter was closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "closed")]
pub enum LetterClosed {
    /// A retry came through.
    Retried {
        /// The sync that did it.
        sync_id: String,
        /// What came of it.
        outcome: Box<SyncOutcome>,
    },
    /// The user gave it up.
    Discarded,
}

/// What a letter says when asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LetterState {
    /// What the sync was asked to do. The engine forgets the sync after a time, but not the letter.
    pub sync: SyncInput,
    /// Why the sync, or its latest retry, failed.
    pub error: SyncError,
    /// The retry that is under way.
    pub retrying: Option<String>,
    /// Retries that were started.
    pub retries: u32,
}

/// See the module.
#[workflow]
pub struct DeadLetter {
    input: LetterInput,
    state: LetterState,
    discarded: bool,
}

#[workflow_methods]
impl DeadLetter {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: LetterInput) -> Self {
        let state = LetterState {
            sync: input.sync.clone(),
            error: input.error.clone(),
            retrying: None,
            retries: 0,
        };
        Self {
            input,
            state,
            discarded: false,
        }
    }

    /// The story.
    #[run(name = "DeadLetter")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<LetterClosed> {
        Self::tell(ctx).await;
        loop {
            ctx.wait_condition(|letter| letter.discarded || letter.state.retrying.is_some())
                .await?;
            let Some(sync_id) = ctx.state(|letter| letter.state.retrying.clone()) else {
                return Ok(LetterClosed::Discarded);
            };
            match Self::retry(ctx, sync_id.clone()).await {
                Ok(outcome) => {
                    return Ok(LetterClosed::Retried {
                        sync_id,
                        outcome: outcome.into(),
                    });
                }
                Err(error) => ctx.state_mut(|letter| {
                    letter.state.retrying = None;
                    // A retry that was cancelled says nothing new.
                    if let Some(error) = error {
                        letter.state.error = error;
                    }
                }),
            }
        }
    }

    /// Why it is kept, and whether a retry is under way.
    #[query(name = "state")]
    pub fn state(&self, _ctx: &WorkflowContextView) -> LetterState {
        self.state.clone()
    }

    #[update_validator(retry_as)]
    fn may_retry(
        &self,
        _ctx: &WorkflowContextView,
        _sync_id: &String,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match &self.state.retrying {
            Some(running) => Err(format!("a retry is under way already: {running}").into()),
            None if self.discarded => Err("it has just been discarded".into()),
            None => Ok(()),
        }
    }

    /// Starts a retry under this new sync id.
    #[update(name = "retry")]
    pub fn retry_as(&mut self, _ctx: &mut SyncWorkflowContext<Self>, sync_id: String) {
        self.state.retries += 1;
        self.state.retrying = Some(sync_id);
    }

    #[update_validator(discard)]
    fn may_discard(
        &self,
        _ctx: &WorkflowContextView,
        _nothing: &(),
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match &self.state.retrying {
            Some(running) => Err(format!("a retry is under way: {running}").into()),
            None => Ok(()),
        }
    }

    /// Gives the sync up.
    #[update(name = "discard")]
    pub fn discard(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _nothing: ()) {
        self.discarded = true;
    }
}

impl DeadLetter {
    /// Tells the user that there is a letter, if they are told of anything. The sync itself has ended by then:
    /// it does not wait for this either.
    async fn tell(ctx: &WorkflowContext<Self>) {
        let LetterInput {
            sync_id,
            sync,
            error,
        } = ctx.state(|letter| letter.input.clone());
        if sync.notify {
            notices::tell(ctx, |time| {
                Event::dead_lettered(time, &sync_id, &sync, &error)
            })
            .await;
        }
    }

    /// What came of the retry; an error, if it failed and was not just cancelled.
    async fn retry(
        ctx: &WorkflowContext<Self>,
        sync_id: String,
    ) -> Result<SyncOutcome, Option<SyncError>> {
        let letter = ctx.state(|letter| letter.input.clone());
        let sync = SyncInput {
            retry_of: Some(letter.sync_id),
            kept_by_letter: true,
            ..letter.sync
        };
        let options = ChildWorkflowOptions::builder()
            .workflow_id(sync_id)
            .task_queue(names::SYNC_QUEUE.to_owned())
            .parent_close_policy(ParentClosePolicy::Abandon)
            .cancel_type(ChildWorkflowCancellationType::Abandon)
            .search_attributes(attributes_of(&sync, SyncStatus::Running))
            .build();
        let started = ctx
            .start_child_workflow(MusicSync::run, sync, options)
            .await
            .map_err(|error| Some(SyncError::new(ErrorCode::Internal, error.to_string())))?;
        started.result().await.map_err(|error| of_retry(&error))
    }
}

fn of_retry(error: &ChildWorkflowExecutionError) -> Option<SyncError> {
    if error.as_cancelled().is_some() {
        return None;
    }
    let known = match error.cause() {
        Some(IncomingError::Application(failure)) => failure.details::<FailedSync>().ok().flatten(),
        _ => None,
    };
    Some(known.map_or_else(
        || SyncError::new(ErrorCode::Internal, error.to_string()),
        |failed| failed.error,
    ))
}
