//! Syncs as MCP tasks: a client that declares the extension is answered with the task that a call has started,
//! and the task's id is the sync's.
//!
//! Who waits (`wait_seconds`) and sees the end is answered with the result at once, as without the extension.
//! A sync that failed is a task that completed with a result that says it is an error; only a fault of the
//! protocol would be a failed task. What waits for the user's word is asked through the task if the client can
//! ask, each question under the id of its review, which is never used again.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{CreateTaskResult, ElicitResult, ElicitationAction, InputResponses, TaskStatus},
    service::RequestContext,
};
use segue_workflows::{metrics::TaskStands, names, sync::SyncStatus};
use temporalio_client::{Client, WorkflowExecutionDescription, WorkflowExecutionStatus};

use crate::{
    Segue, answer, asking,
    error::ToolError,
    review_match,
    review_view::{self, ReviewView},
    tasks::{self, Standing, TaskError, TaskSource, TaskStore},
    view::{self, SyncView},
    waiting,
};

/// The syncs of one user, as the client of one request sees them.
pub(crate) struct SyncTasks {
    user_id: String,
    /// The client can show a form to its user.
    asks: bool,
}

impl Segue {
    /// The tasks of whoever made this request.
    pub(crate) async fn tasks(
        &self,
        context: &RequestContext<RoleServer>,
    ) -> Result<TaskStore<SyncTasks>, ErrorData> {
        let engine = self.engine().ready(context).await;
        let engine = engine.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(self.tasks_on(&engine.client, context))
    }

    fn tasks_on(
        &self,
        client: &Client,
        context: &RequestContext<RoleServer>,
    ) -> TaskStore<SyncTasks> {
        let source = SyncTasks {
            user_id: self.user_id().to_owned(),
            asks: asking::can_ask(context),
        };
        TaskStore::new(client.clone(), self.retention().clone(), source)
    }
}

/// The task with which a call is answered that has started this sync. There is none if the client knows no
/// tasks, or if the sync ended while the call waited for it.
pub(crate) async fn instead_of_answer(
    segue: &Segue,
    client: &Client,
    context: &RequestContext<RoleServer>,
    sync_id: &str,
    wait: Duration,
) -> Result<Option<CreateTaskResult>, ToolError> {
    if !tasks::is_declared(context) {
        return Ok(None);
    }
    if !wait.is_zero() {
        let user_id = segue.user_id();
        let view = waiting::for_end_or_question(client, context, user_id, sync_id, wait).await?;
        if view.is_ended() {
            return Ok(None);
        }
    }
    let created = segue.tasks_on(client, context).created(sync_id).await;
    created.map(Some).map_err(|error| match error {
        TaskError::Unknown => ToolError::unknown_sync(sync_id),
        other => ToolError::engine_failed("look at the sync", &other),
    })
}

impl TaskSource for SyncTasks {
    fn is_task_id(&self, text: &str) -> bool {
        names::is_sync_id(text)
    }

    fn is_callers(&self, workflow: &WorkflowExecutionDescription) -> bool {
        let owner = workflow.search_attributes().get(&names::USER_ID);
        owner.as_deref() == Some(&self.user_id)
    }

    async fn standing(
        &self,
        client: &Client,
        workflow: &WorkflowExecutionDescription,
    ) -> Result<Standing, TaskError> {
        let view = view::of(client, workflow.id(), workflow).await?;
        if view.status == SyncStatus::Cancelled {
            return Ok(Standing::Cancelled(view.message));
        }
        if view.is_ended() {
            return ended(view);
        }
        let requests = match self.asks && view.waits_for_user() {
            true => asking::requests(&self.open_reviews(client, &view).await?),
            false => None,
        };
        let message = match &view.next_step {
            // It is asked through the task itself.
            Some(next_step) if requests.is_none() => format!("{} {next_step}", view.message),
            _ => view.message,
        };
        Ok(match requests {
            Some(requests) => Standing::InputRequired { message, requests },
            None => Standing::Working(message),
        })
    }

    async fn answer(
        &self,
        client: &Client,
        workflow: &WorkflowExecutionDescription,
        responses: InputResponses,
    ) -> Result<(), TaskError> {
        let mut given = Vec::new();
        for (review_id, response) in responses {
            if names::sync_of_review(&review_id) != Some(workflow.id()) {
                continue;
            }
            let Some(review) = self.open_review(client, &review_id).await? else {
                continue;
            };
            let invalid = |problem: String| {
                TaskError::Invalid(format!("The answer to {review_id}: {problem}"))
            };
            let result: ElicitResult = serde_json::from_value(response)
                .map_err(|_| invalid("it is no result of an elicitation.".to_owned()))?;
            // Who closes the question wants to be left alone: the review waits on.
            if result.action != ElicitationAction::Accept {
                continue;
            }
            let choice =
                asking::choice(&result).ok_or_else(|| invalid("it has no choice.".to_owned()))?;
            let answer =
                review_match::parse(choice, &review).map_err(|error| invalid(error.to_string()))?;
            given.push((review, answer));
        }
        for (review, answer) in given {
            match review_match::deliver(client, &review, answer).await {
                Ok(_) => {}
                // It was decided a moment before, or is kept and will be read: the next look tells.
                Err(error) if matches!(error.code, "wrong_state" | "not_yet") => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl SyncTasks {
    /// The reviews of this sync that are open, as many as one asks about at a time.
    async fn open_reviews(
        &self,
        client: &Client,
        view: &SyncView,
    ) -> Result<Vec<ReviewView>, TaskError> {
        if view.batch.is_none() {
            let review_id = names::review_id(&view.sync_id, None);
            let review = self.open_review(client, &review_id).await?;
            return Ok(review.into_iter().collect());
        }
        let (user_id, limit) = (&self.user_id, waiting::ASKED_AT_A_TIME);
        Ok(review_view::of_sync(client, user_id, &view.sync_id, limit).await?)
    }

    async fn open_review(
        &self,
        client: &Client,
        review_id: &str,
    ) -> Result<Option<ReviewView>, TaskError> {
        match review_view::describe(client, &self.user_id, review_id).await {
            Ok(described) if described.status() == WorkflowExecutionStatus::Running => {
                Ok(review_view::of(&described))
            }
            Ok(_) => Ok(None),
            Err(error) if error.code == "unknown_review" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A sync that has ended, with what its call would have been answered with.
fn ended(view: SyncView) -> Result<Standing, TaskError> {
    let result = answer::result(&view.message, &view);
    let mut result = result.map_err(|error| TaskError::Engine(error.message.into_owned()))?;
    // One that was brought home by a retry is a success.
    let failed = matches!(view.status, SyncStatus::Failed | SyncStatus::DeadLettered);
    if failed && view.success != Some(true) {
        result.is_error = Some(true);
    }
    Ok(Standing::Completed {
        message: view.message,
        result: Box::new(result),
    })
}

/// What is counted of a task that a client was told about.
pub(crate) fn stands(status: TaskStatus) -> TaskStands {
    match status {
        TaskStatus::InputRequired => TaskStands::InputRequired,
        TaskStatus::Completed => TaskStands::Completed,
        TaskStatus::Failed => TaskStands::Failed,
        TaskStatus::Cancelled => TaskStands::Cancelled,
        _ => TaskStands::Working,
    }
}

impl From<ToolError> for TaskError {
    fn from(error: ToolError) -> Self {
        match error.code {
            "unknown_sync" => Self::Unknown,
            _ => Self::Engine(error.to_string()),
        }
    }
}
