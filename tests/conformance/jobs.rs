//! The jobs as tasks: what `segue_tools::tasks` has to be told of them.

use rmcp::{
    ErrorData,
    model::{CallToolResult, InputRequests, InputResponses},
};
use segue_tools::tasks::{Standing, TaskError, TaskSource};
use temporalio_client::{
    Client, WorkflowExecuteUpdateOptions, WorkflowExecutionDescription, WorkflowExecutionStatus,
    WorkflowGetResultOptions, WorkflowStartOptions, errors::WorkflowGetResultError,
};
use uuid::Uuid;

use crate::job::{ASKS, Job, Order};

/// The task queue of the jobs.
pub(crate) const QUEUE: &str = "conformance";

const PREFIX: &str = "job-";

/// A killed process has its step for so long before another may take it.
const STEP: std::time::Duration = std::time::Duration::from_secs(1);

/// Starts a job, and gives the id of its task.
pub(crate) async fn start(client: &Client, order: Order) -> Result<String, TaskError> {
    let id = format!("{PREFIX}{}", Uuid::new_v4().simple());
    let options = WorkflowStartOptions::new(QUEUE, &id)
        .task_timeout(STEP)
        .build();
    match client.start_workflow(Job::run, order, options).await {
        Ok(_) => Ok(id),
        Err(error) => Err(TaskError::engine("start the job", &error)),
    }
}

/// What a job that has ended, or is about to, came to.
pub(crate) async fn result(client: &Client, id: &str) -> Result<Standing, TaskError> {
    let handle = client.get_workflow_handle::<Job>(id);
    let failed = |message: String| Standing::Failed(ErrorData::internal_error(message, None));
    match handle.get_result(WorkflowGetResultOptions::default()).await {
        Ok(result) => {
            let result: CallToolResult = serde_json::from_value(result)
                .map_err(|error| TaskError::engine("read the result", &error))?;
            Ok(Standing::Completed {
                message: String::new(),
                result: Box::new(result),
            })
        }
        Err(WorkflowGetResultError::Cancelled { .. }) => {
            Ok(Standing::Cancelled("It was cancelled.".to_owned()))
        }
        Err(WorkflowGetResultError::Failed(failure)) => {
            Ok(failed(failure.failure().message.clone()))
        }
        Err(
            error @ (WorkflowGetResultError::Terminated { .. } | WorkflowGetResultError::TimedOut),
        ) => Ok(failed(error.to_string())),
        Err(error) => Err(TaskError::engine("read the result", &error)),
    }
}

/// The jobs, for a server that has one user.
pub(crate) struct Jobs;

impl TaskSource for Jobs {
    fn is_task_id(&self, text: &str) -> bool {
        let random = text.strip_prefix(PREFIX);
        random.is_some_and(|random| {
            random.len() == 32 && random.bytes().all(|b| b.is_ascii_hexdigit())
        })
    }

    fn is_callers(&self, workflow: &WorkflowExecutionDescription) -> bool {
        workflow.workflow_type() == "Job"
    }

    async fn standing(
        &self,
        client: &Client,
        workflow: &WorkflowExecutionDescription,
    ) -> Result<Standing, TaskError> {
        if workflow.status() != WorkflowExecutionStatus::Running {
            return result(client, workflow.id()).await;
        }
        let requests = asks(workflow);
        Ok(match requests.is_empty() {
            true => Standing::Working("It is at work.".to_owned()),
            false => Standing::InputRequired {
                message: "It waits for an answer.".to_owned(),
                requests,
            },
        })
    }

    async fn answer(
        &self,
        client: &Client,
        workflow: &WorkflowExecutionDescription,
        mut responses: InputResponses,
    ) -> Result<(), TaskError> {
        let asks = asks(workflow);
        responses.retain(|key, _| asks.contains_key(key));
        if responses.is_empty() {
            return Ok(());
        }
        client
            .get_workflow_handle::<Job>(workflow.id())
            .execute_update(
                Job::answer,
                responses,
                WorkflowExecuteUpdateOptions::default(),
            )
            .await
            .map_err(|error| TaskError::engine("take the answer", &error))
    }
}

/// What a job still asks.
fn asks(workflow: &WorkflowExecutionDescription) -> InputRequests {
    workflow.memo().get(ASKS).ok().flatten().unwrap_or_default()
}
