//! A comparison of the pipeline with agents, as its reader sees it.

use jiff::Timestamp;
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

/// What to do about a comparison that came to no end.
const AGAIN: &str = "Mend what the message says, and start it again with compare_strategies.";

/// One that the engine ended.
fn broken(view: SyncView, message: String) -> SyncView {
    SyncView {
        next_step: Some(AGAIN.to_owned()),
        comparison: Some(Comparison::of(&[], &[], None, Timestamp::now())),
        ..view::broken(view, message)
    }
}

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
        _ => {
            let ended_at = described.close_time();
            let ended_at = ended_at.and_then(|at| Timestamp::try_from(at).ok());
            ended(client, view, ended_at).await
        }
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
            Some(told) if told.compared > 0 => {
                format!("{} of {} songs are compared.", told.compared, told.songs)
            }
            _ => "The comparison has begun.".to_owned(),
        };
    }
    // The workflow shows how far it is as its first act; until then there is nothing.
    let told = told.unwrap_or_else(|| Comparison::of(&[], &[], None, Timestamp::now()));
    (view.steps_completed, view.steps_total) = (told.compared, told.songs);
    view.elapsed_seconds = since(told.started_at, Timestamp::now());
    view.comparison = Some(told);
    view
}

/// Seconds from one time to another, to the millisecond.
fn since(from: Timestamp, until: Timestamp) -> f64 {
    until.duration_since(from).as_millis() as f64 / 1000.0
}

async fn ended(
    client: &Client,
    mut view: SyncView,
    ended_at: Option<Timestamp>,
) -> Result<SyncView, ToolError> {
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
            return Ok(broken(view, failure.failure().message.clone()));
        }
        Err(
            error @ (WorkflowGetResultError::Terminated { .. } | WorkflowGetResultError::TimedOut),
        ) => return Ok(broken(view, error.to_string())),
        Err(error) => return Err(unreadable(&error)),
    };
    view.status = status;
    view.success = Some(status == SyncStatus::Completed && told.stopped_by.is_none());
    if let Some(ended_at) = ended_at {
        view.elapsed_seconds = since(told.started_at, ended_at);
    }
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
        view.next_step = Some(AGAIN.to_owned());
    }
    view.comparison = Some(told);
    Ok(view)
}
