//! A comparison of the pipeline with agents, as its reader sees it.

use segue_workflows::{
    comparison::Comparison, names, strategy_comparison::StrategyComparison, sync::SyncStatus,
};
use temporalio_client::{
    Client, WorkflowExecutionDescription, WorkflowExecutionStatus as EngineStatus,
    WorkflowGetResultOptions, errors::WorkflowGetResultError,
};

use crate::{
    error::ToolError,
    view::{self, SyncView},
};

/// Whether this is a comparison.
pub(crate) fn is_comparison(described: &WorkflowExecutionDescription) -> bool {
    described.workflow_type() == "StrategyComparison"
}

/// Completes the view of a comparison.
pub(crate) async fn read(
    client: &Client,
    view: SyncView,
    described: &WorkflowExecutionDescription,
) -> Result<SyncView, ToolError> {
    match described.status() {
        EngineStatus::Running | EngineStatus::Paused => Ok(running(view, described)),
        _ => ended(client, view).await,
    }
}

fn running(mut view: SyncView, described: &WorkflowExecutionDescription) -> SyncView {
    let told: Option<Comparison> = described.memo().get(names::PROGRESS_MEMO).ok().flatten();
    let attributes = described.search_attributes();
    let wait = attributes.get(&names::SYNC_WAIT);
    if let Some(wait) = wait
        .as_deref()
        .and_then(segue_workflows::sync::Wait::of_line)
    {
        view.status = wait.status();
        view.waiting_until = Some(wait.until);
        view.error_code = Some(wait.reason.code.as_str().to_owned());
        view.message = view::waits(view.status, wait.until, &wait.reason);
        view.next_step = view::next_step(view.status);
    } else {
        view.message = match &told {
            Some(told) => format!("{} of {} songs are compared.", told.compared, told.songs),
            None => "The comparison has begun.".to_owned(),
        };
    }
    if let Some(told) = &told {
        (view.steps_completed, view.steps_total) = (told.compared, told.songs);
    }
    view.comparison = told;
    view
}

async fn ended(client: &Client, mut view: SyncView) -> Result<SyncView, ToolError> {
    let handle = client.get_workflow_handle::<StrategyComparison>(&view.sync_id);
    let unreadable = |error: &dyn std::fmt::Display| {
        ToolError::engine_failed("read the comparison's result", error)
    };
    let (status, told) = match handle.get_result(WorkflowGetResultOptions::default()).await {
        Ok(told) => (SyncStatus::Completed, told),
        Err(WorkflowGetResultError::Cancelled { details }) => (
            SyncStatus::Cancelled,
            details
                .deserialize::<Comparison>()
                .map_err(|error| unreadable(&error))?,
        ),
        Err(WorkflowGetResultError::Failed(failure)) => {
            return Ok(view::broken(view, failure.failure().message.clone()));
        }
        Err(
            error @ (WorkflowGetResultError::Terminated { .. } | WorkflowGetResultError::TimedOut),
        ) => return Ok(view::broken(view, error.to_string())),
        Err(error) => return Err(unreadable(&error)),
    };
    view.status = status;
    view.success = Some(status == SyncStatus::Completed && told.stopped_by.is_none());
    view.execution_time_seconds = Some(view.elapsed_seconds);
    (view.steps_completed, view.steps_total) = (told.compared, told.songs);
    let verdict = told.verdict.as_ref().map(|verdict| verdict.told());
    view.message = format!(
        "{} of {} songs are compared; the two agree on {}. {}",
        told.compared,
        told.songs,
        told.agreed,
        verdict.unwrap_or_default()
    );
    if let Some(error) = &told.stopped_by {
        view.error_code = Some(error.code.as_str().to_owned());
        view.next_step = Some(error.next_step.clone());
    }
    view.comparison = Some(told);
    Ok(view)
}
