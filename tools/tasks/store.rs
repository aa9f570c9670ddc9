//! The store of tasks: what the engine itself knows of a task, put together with where its source says it
//! stands.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rmcp::model::{CreateTaskResult, GetTaskResult, InputResponses};
use temporalio_client::{
    Client, NamespacedClient, WorkflowDescribeOptions, WorkflowExecutionDescription,
    WorkflowExecutionInfo, WorkflowExecutionStatus, errors::WorkflowInteractionError,
};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    workflowservice::v1::{DescribeNamespaceRequest, GetWorkflowExecutionHistoryReverseRequest},
};
use tokio::sync::Mutex;
use tonic::Code;

use super::{
    Standing, TaskError, TaskSource,
    wire::{self, Times},
};

/// Answers that one `tasks/update` may bring.
const MOST_ANSWERS: usize = 100;

/// How long a namespace's retention is taken to be as it was.
const RETENTION_KNOWN_FOR: Duration = Duration::from_secs(600);

/// What an engine that does not tell its retention is believed to keep at least: the shortest that Temporal
/// allows.
const SHORTEST_RETENTION: Duration = Duration::from_secs(3600);

/// How long the engine keeps a workflow that has ended, as far as is known. Clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    read: Arc<Mutex<Option<(Instant, Duration)>>>,
}

impl Retention {
    async fn of(&self, client: &Client) -> Result<Duration, TaskError> {
        let mut read = self.read.lock().await;
        if let Some((at, retention)) = *read
            && at.elapsed() < RETENTION_KNOWN_FOR
        {
            return Ok(retention);
        }
        let request = DescribeNamespaceRequest {
            namespace: client.namespace(),
            ..DescribeNamespaceRequest::default()
        };
        let mut service = client.connection().workflow_service();
        let retention = match service
            .describe_namespace(tonic::Request::new(request))
            .await
        {
            Ok(described) => described
                .into_inner()
                .config
                .and_then(|config| config.workflow_execution_retention_ttl)
                .and_then(|retention| u64::try_from(retention.seconds).ok())
                .map_or(SHORTEST_RETENTION, Duration::from_secs),
            Err(status) if status.code() == Code::PermissionDenied => SHORTEST_RETENTION,
            Err(status) => return Err(TaskError::engine("tell its retention", &status.message())),
        };
        *read = Some((Instant::now(), retention));
        Ok(retention)
    }
}

/// The tasks of one caller.
pub struct TaskStore<S> {
    client: Client,
    retention: Retention,
    source: S,
}

impl<S: TaskSource> TaskStore<S> {
    /// The tasks that this source knows, on this engine.
    pub fn new(client: Client, retention: Retention, source: S) -> Self {
        Self {
            client,
            retention,
            source,
        }
    }

    /// The answer of a call that has started this task. It is made of what the engine says, so it is not given
    /// before `tasks/get` would find the task.
    ///
    /// # Errors
    /// There is no such task yet, or the engine failed.
    pub async fn created(&self, task_id: &str) -> Result<CreateTaskResult, TaskError> {
        let workflow = self.look(task_id).await?;
        let standing = match is_open(&workflow) {
            true => Standing::Working("The work has begun.".to_owned()),
            false => self.source.standing(&self.client, &workflow).await?,
        };
        let times = self.times(&workflow).await?;
        Ok(wire::created(task_id, &standing, &times))
    }

    /// `tasks/get`: where the task stands.
    ///
    /// # Errors
    /// It is unknown, or the engine failed.
    pub async fn get(&self, task_id: &str) -> Result<GetTaskResult, TaskError> {
        let mut workflow = self.look(task_id).await?;
        let standing = self.source.standing(&self.client, &workflow).await?;
        if standing.is_ended() && is_open(&workflow) {
            // It ended while it was looked at, and the engine now knows when.
            workflow = self.look(task_id).await?;
        }
        let times = self.times(&workflow).await?;
        wire::told(task_id, standing, &times)
    }

    /// `tasks/update`: the answers to what the task asks. A task that has ended wants none.
    ///
    /// # Errors
    /// It is unknown, an answer is not right, or the engine failed.
    pub async fn update(&self, task_id: &str, responses: InputResponses) -> Result<(), TaskError> {
        let workflow = self.look(task_id).await?;
        if responses.len() > MOST_ANSWERS {
            return Err(TaskError::Invalid(format!(
                "inputResponses has more than {MOST_ANSWERS} answers; send the others in another tasks/update."
            )));
        }
        match is_open(&workflow) && !responses.is_empty() {
            true => self.source.answer(&self.client, &workflow, responses).await,
            false => Ok(()),
        }
    }

    /// `tasks/cancel`: asks the task to stop. Of one that has ended nothing is changed.
    ///
    /// # Errors
    /// It is unknown, or the engine failed.
    pub async fn cancel(&self, task_id: &str) -> Result<(), TaskError> {
        let workflow = self.look(task_id).await?;
        match is_open(&workflow) {
            true => self.source.cancel(&self.client, &workflow).await,
            false => Ok(()),
        }
    }

    /// The latest run of the task's workflow, if it is one of the caller's.
    async fn look(&self, task_id: &str) -> Result<WorkflowExecutionDescription, TaskError> {
        if !self.source.is_task_id(task_id) {
            return Err(TaskError::Unknown);
        }
        match self.describe(task_id, None).await {
            Ok(workflow) if self.source.is_callers(&workflow) => Ok(workflow),
            Ok(_) | Err(WorkflowInteractionError::NotFound(_)) => Err(TaskError::Unknown),
            Err(error) => Err(TaskError::engine("look up the task", &error)),
        }
    }

    async fn describe(
        &self,
        task_id: &str,
        run_id: Option<String>,
    ) -> Result<WorkflowExecutionDescription, WorkflowInteractionError> {
        WorkflowExecutionInfo::builder()
            .namespace(self.client.namespace())
            .workflow_id(task_id)
            .maybe_run_id(run_id)
            .build()
            .bind_untyped(self.client.clone())
            .describe(WorkflowDescribeOptions::default())
            .await
    }

    async fn times(&self, workflow: &WorkflowExecutionDescription) -> Result<Times, TaskError> {
        let created_at = self.created_at(workflow).await?;
        let ended_at = time(workflow.close_time());
        let updated_at = match ended_at {
            Some(ended_at) => ended_at,
            None => self.last_event(workflow).await?.unwrap_or(created_at),
        };
        let kept_until = match ended_at {
            Some(ended_at) => {
                let retention = self.retention.of(&self.client).await?;
                Some(ended_at.saturating_add(retention).unwrap_or(Timestamp::MAX))
            }
            None => None,
        };
        Ok(Times {
            created_at,
            updated_at,
            kept_until,
        })
    }

    /// When the first of the workflow's runs began: one that continues as new is one task.
    async fn created_at(
        &self,
        workflow: &WorkflowExecutionDescription,
    ) -> Result<Timestamp, TaskError> {
        let info = workflow.raw().workflow_execution_info.as_ref();
        let first = info.map_or("", |info| info.first_run_id.as_str());
        let started_at = time(workflow.start_time()).unwrap_or_default();
        if first.is_empty() || first == workflow.run_id() {
            return Ok(started_at);
        }
        match self.describe(workflow.id(), Some(first.to_owned())).await {
            Ok(first) => Ok(time(first.start_time()).unwrap_or(started_at)),
            // It ended so long ago that the engine has forgotten it, while the task goes on.
            Err(WorkflowInteractionError::NotFound(_)) => Ok(started_at),
            Err(error) => Err(TaskError::engine("look up the start of the task", &error)),
        }
    }

    async fn last_event(
        &self,
        workflow: &WorkflowExecutionDescription,
    ) -> Result<Option<Timestamp>, TaskError> {
        let request = GetWorkflowExecutionHistoryReverseRequest {
            namespace: self.client.namespace(),
            execution: Some(WorkflowExecution {
                workflow_id: workflow.id().to_owned(),
                run_id: workflow.run_id().to_owned(),
            }),
            maximum_page_size: 1,
            ..GetWorkflowExecutionHistoryReverseRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        let history = service
            .get_workflow_execution_history_reverse(tonic::Request::new(request))
            .await
            .map_err(|status| TaskError::engine("read when the task changed", &status.message()))?
            .into_inner()
            .history;
        let events = history.map(|history| history.events).unwrap_or_default();
        let at = events.first().and_then(|event| event.event_time.as_ref());
        Ok(at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok()))
    }
}

fn is_open(workflow: &WorkflowExecutionDescription) -> bool {
    matches!(
        workflow.status(),
        WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Paused
    )
}

fn time(at: Option<std::time::SystemTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::try_from(at).ok())
}
