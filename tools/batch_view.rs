//! A batch as its reader sees it: what its sync view has beyond that of a single song.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use segue_workflows::{
    batch::{BatchOutcome, Counts, FailedBatch, Imported, Phase},
    batch_sync::BatchSync,
    call_budget::CallBudget,
    gate::WINDOW,
    imports::{Format, UnreadableRow},
    names, standing,
    sync::SyncStatus,
};
use serde::Serialize;
use temporalio_client::{
    Client, WorkflowExecutionDescription, WorkflowExecutionStatus as EngineStatus,
    WorkflowGetResultOptions, WorkflowQueryOptions, errors::WorkflowGetResultError,
};
use temporalio_common::error::IncomingError;

use crate::{
    error::ToolError,
    report::ReportRow,
    resources, source,
    view::{self, SyncView},
};

/// Requests that a row costs, all kinds together: measured with songs of a real catalogue.
const REQUESTS_A_ROW: f64 = 1.1;

/// How a batch is doing.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BatchView {
    /// What it does now.
    pub phase: Phase,
    /// How many rows came to what. Counted anew after each page of 100.
    pub counts: Counts,
    /// Rows of the page under way that have been searched.
    pub searched_of_page: u32,
    /// A title that is being searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_track: Option<String>,
    /// Rows that were done a second, waiting included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracks_per_second: Option<f64>,
    /// While open: when it will have ended, by its rate so far and by what Spotify's limit allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_end: Option<Timestamp>,
    /// It only looks, and changes nothing.
    pub dry_run: bool,
    /// The resource that lists what became of every row, as JSON; with .csv instead of .json as a
    /// table.
    pub report: String,
    /// If its tracks were read from an export: what came of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportView>,
    /// The rows of the page that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<ReportRow>>,
}

/// What came of reading an export.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ImportView {
    /// The form in which it was read.
    pub format: Format,
    /// Rows that could not be read, and so are no part of the batch.
    pub unreadable: u32,
    /// The first of them; the report has more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first_unreadable: Vec<UnreadableRow>,
}

impl From<&Imported> for ImportView {
    fn from(imported: &Imported) -> Self {
        let mut first_unreadable = imported.rows().unwrap_or_default();
        first_unreadable.truncate(source::MOST_SHOWN);
        Self {
            format: imported.format,
            unreadable: imported.unreadable,
            first_unreadable,
        }
    }
}

/// What is remembered of the export from which a batch was read, if it was.
pub(crate) fn imported(described: &WorkflowExecutionDescription) -> Option<Imported> {
    described.memo().get(names::IMPORT_MEMO).ok().flatten()
}

/// The view of a batch that has just been started, and may not have said anything yet.
pub(crate) fn at_start(
    mut view: SyncView,
    rows: u32,
    dry_run: bool,
    imported: Option<&Imported>,
) -> SyncView {
    if view.batch.is_none() && !view.is_ended() {
        let mut batch = batch(&view, Phase::FindPlaylist, Counts::of(rows, ""), dry_run);
        batch.import = imported.map(ImportView::from);
        view.batch = Some(batch);
    }
    view
}

/// Whether this is a batch.
pub(crate) fn is_batch(described: &WorkflowExecutionDescription) -> bool {
    described.workflow_type() == "BatchSync"
}

/// Completes the view of a batch.
pub(crate) async fn read(
    client: &Client,
    view: SyncView,
    described: &WorkflowExecutionDescription,
) -> Result<SyncView, ToolError> {
    let mut view = match described.status() {
        EngineStatus::Running | EngineStatus::Paused => running(client, view, described).await?,
        _ => ended(client, view).await?,
    };
    if let Some(batch) = &mut view.batch {
        batch.import = imported(described).as_ref().map(ImportView::from);
    }
    Ok(view)
}

fn batch(view: &SyncView, phase: Phase, counts: Counts, dry_run: bool) -> BatchView {
    BatchView {
        phase,
        counts,
        searched_of_page: 0,
        current_track: None,
        tracks_per_second: None,
        estimated_end: None,
        dry_run,
        report: resources::report_uri(&view.sync_id),
        import: None,
        rows: None,
    }
}

async fn running(
    client: &Client,
    mut view: SyncView,
    described: &WorkflowExecutionDescription,
) -> Result<SyncView, ToolError> {
    let standing = standing::of_open_batch(client, described)
        .await
        .map_err(|error| ToolError::engine_failed("look at the batch", &error))?;
    let Some(progress) = standing.progress else {
        return Ok(view);
    };
    if !progress.status.is_open() {
        return ended(client, view).await;
    }
    let counts = progress.counts;
    let done = counts.total - counts.pending;
    let now = Timestamp::now();
    let elapsed = now.duration_since(progress.started_at).as_secs_f64();
    let mut batch = batch(&view, progress.phase, counts, progress.dry_run);
    batch.searched_of_page = standing.searched;
    batch.current_track = standing.searching;
    batch.tracks_per_second = (done > 0).then(|| round(f64::from(done) / elapsed.max(0.001)));
    batch.estimated_end =
        estimated_end(client, &batch, progress.wait.as_ref().map(|w| w.until)).await;
    view.status = progress.status;
    view.retry_count = progress.retry_count;
    view.elapsed_seconds = round(elapsed);
    view.steps_completed = done;
    view.steps_total = counts.total;
    view.message = match &progress.wait {
        Some(wait) => {
            view.waiting_until = Some(wait.until);
            view.error_code = Some(wait.reason.code.as_str().to_owned());
            view::waits(progress.status, wait.until, &wait.reason)
        }
        None => match progress.phase {
            Phase::FindPlaylist => format!("Looking for the playlist {:?}.", view.playlist),
            Phase::ReadPlaylist => "Reading what is in the playlist.".to_owned(),
            Phase::Tracks => format!(
                "{done} of {} tracks are done, {} of the next page are searched.",
                counts.total, batch.searched_of_page
            ),
            Phase::Review => "Taking in what the user has decided.".to_owned(),
            Phase::Undo => "Taking out again what was added.".to_owned(),
            Phase::Done => "About to end.".to_owned(),
        },
    };
    view.next_step = view::next_step(progress.status);
    view.batch = Some(batch);
    Ok(view)
}

/// When it will have ended: no sooner than the budget of calls allows, nor than its rate so far says,
/// and not before what it waits for.
async fn estimated_end(
    client: &Client,
    batch: &BatchView,
    waits_until: Option<Timestamp>,
) -> Option<Timestamp> {
    let budget = client.get_workflow_handle::<CallBudget>(names::BUDGET_ID);
    let facts = budget.query(CallBudget::facts, (), WorkflowQueryOptions::default());
    let facts = facts.await.ok()?;
    let left = f64::from(batch.counts.pending.saturating_sub(batch.searched_of_page));
    let allowed = f64::from(facts.calls_per_window.max(1)) / WINDOW.as_secs_f64();
    let seconds = left * REQUESTS_A_ROW / allowed;
    let by_rate = left / batch.tracks_per_second.unwrap_or(f64::INFINITY);
    let seconds = SignedDuration::try_from_secs_f64(seconds.max(by_rate)).ok()?;
    let from = Timestamp::now().max(waits_until.unwrap_or(Timestamp::MIN));
    from.checked_add(seconds).ok()
}

async fn ended(client: &Client, view: SyncView) -> Result<SyncView, ToolError> {
    Ok(match outcome_of(client, &view.sync_id).await? {
        Ended::With(status, outcome) => with_outcome(view, status, &outcome),
        Ended::Failed(failed) => {
            let mut view = with_outcome(view, SyncStatus::Failed, &failed.outcome);
            let error = failed.error;
            view.message = format!("{} ({error})", view.message);
            view.error_code = Some(error.code.as_str().to_owned());
            view.next_step = Some(error.next_step);
            view
        }
        Ended::Broken(message) => SyncView {
            next_step: Some(START_AGAIN.to_owned()),
            ..view::broken(view, message)
        },
    })
}

/// What to do about a batch that the engine ended.
pub(crate) const START_AGAIN: &str =
    "Start it again with sync_playlist; what is in the playlist is not added twice.";

/// How a batch ended.
pub(crate) enum Ended {
    /// By itself, or cancelled.
    With(SyncStatus, BatchOutcome),
    /// As a whole.
    Failed(Box<FailedBatch>),
    /// By the engine, so that it could say nothing.
    Broken(String),
}

/// How the batch ended, which has.
pub(crate) async fn outcome_of(client: &Client, sync_id: &str) -> Result<Ended, ToolError> {
    let handle = client.get_workflow_handle::<BatchSync>(sync_id);
    match handle.get_result(WorkflowGetResultOptions::default()).await {
        Ok(outcome) => Ok(Ended::With(SyncStatus::Completed, outcome)),
        Err(WorkflowGetResultError::Cancelled { details }) => {
            let outcome = details
                .deserialize::<BatchOutcome>()
                .map_err(|error| ToolError::engine_failed("read the batch's result", &error))?;
            Ok(Ended::With(SyncStatus::Cancelled, outcome))
        }
        Err(WorkflowGetResultError::Failed(failure)) => {
            let failed = match &*failure {
                IncomingError::Application(failure) => {
                    failure.details::<FailedBatch>().ok().flatten()
                }
                _ => None,
            };
            Ok(match failed {
                Some(failed) => Ended::Failed(Box::new(failed)),
                None => Ended::Broken(failure.failure().message.clone()),
            })
        }
        Err(
            error @ (WorkflowGetResultError::Terminated { .. } | WorkflowGetResultError::TimedOut),
        ) => Ok(Ended::Broken(error.to_string())),
        Err(error) => Err(ToolError::engine_failed("read the batch's result", &error)),
    }
}

fn with_outcome(mut view: SyncView, status: SyncStatus, outcome: &BatchOutcome) -> SyncView {
    let counts = outcome.counts;
    let mut batch = batch(&view, Phase::Done, counts, outcome.dry_run);
    let done = f64::from(counts.total - counts.pending);
    let seconds = outcome.execution_time_seconds;
    batch.tracks_per_second = (seconds > 0.0).then(|| round(done / seconds));
    view.status = status;
    view.success = Some(outcome.success);
    view.message.clone_from(&outcome.message);
    view.playlist.clone_from(&outcome.playlist_id);
    view.retry_count = outcome.retry_count;
    view.steps_completed = counts.total - counts.pending;
    view.steps_total = counts.total;
    view.elapsed_seconds = seconds;
    view.execution_time_seconds = Some(seconds);
    if !outcome.success && status == SyncStatus::Completed {
        view.next_step = Some(format!(
            "Read {} to see every row and why; retry_failed tries again what failed.",
            batch.report
        ));
    }
    view.batch = Some(batch);
    view
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
