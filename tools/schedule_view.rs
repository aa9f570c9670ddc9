//! A schedule as its reader sees it: what it does, when it runs next, what came of its last runs.

use std::time::SystemTime;

use jiff::Timestamp;
use schemars::JsonSchema;
use segue_workflows::{
    error::SyncError,
    names,
    schedule::{Overlap, Rule, RunOutcome, Source, Work},
    scheduled_sync::ScheduledSync,
    sync::{SyncStatus, Wait},
};
use serde::Serialize;
use temporalio_client::{
    Client, NamespacedClient, WorkflowDescribeOptions, WorkflowExecutionDescription,
    WorkflowExecutionInfo, WorkflowExecutionStatus as EngineStatus, WorkflowGetResultOptions,
    WorkflowHandle,
    errors::{WorkflowGetResultError, WorkflowInteractionError},
    schedules::ScheduleRecentAction,
};
use temporalio_common::error::IncomingError;

use crate::{error::ToolError, schedules::Known, view};

/// Next times that are shown.
const NEXT_RUNS: usize = 5;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ScheduleView {
    /// The id by which every tool knows this schedule.
    pub schedule_id: String,
    /// How the user calls it.
    pub name: String,
    /// What a run does, in one sentence.
    pub does: String,
    /// The export file that it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The playlist that it reads: its id, or its name; with file, the playlist of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_playlist: Option<String>,
    /// The playlist that it fills: its id, or its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playlist: Option<String>,
    /// Of a mirror that takes out what has left its source: the most that it takes out in one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_removals: Option<u32>,
    /// The cron expression by which it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The time zone of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Seconds between two runs, if it runs by an interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,
    /// Each run begins up to this many seconds later than its time.
    pub jitter_seconds: u32,
    /// A run that was missed by no more than this many seconds is made up for.
    pub catch_up_seconds: u32,
    /// What becomes of a run whose time has come while the one before it still runs.
    pub overlap: Overlap,
    /// Whether it is paused: then it runs only by run_schedule_now.
    pub paused: bool,
    /// Its next times, jitter included. None while it is paused, or if the rule names none.
    pub next_runs: Vec<Timestamp>,
    /// Runs so far.
    pub runs: u64,
    /// Runs that were left out because the one before them still ran.
    pub runs_skipped: u64,
    /// Runs that were left out because their time had passed by more than catch_up_seconds.
    pub runs_missed: u64,
    /// Runs that wait for the one before them.
    pub runs_waiting: u64,
    /// The last runs, the latest first.
    pub last_runs: Vec<RunView>,
}

/// A run of a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct RunView {
    /// When it was to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_for: Option<Timestamp>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Where it stands.
    pub status: SyncStatus,
    /// What happened, or happens now.
    pub message: String,
    /// Once ended: whether everything was done that there was to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// The sync of what was new: get_sync_progress shows it, cancel_sync stops it. Absent if nothing
    /// was new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<String>,
    /// Songs of the source that were new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_songs: Option<u32>,
    /// Rows of the file that could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<u32>,
    /// Songs that were added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<u32>,
    /// Songs that were taken out because they left the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<u32>,
    /// Dead letters that it tries again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried: Option<u32>,
    /// Of a run that failed or waits: the stable name of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What to do next, where there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

/// The view of a schedule, with so many of its last runs.
pub(crate) async fn read(
    client: &Client,
    known: &Known,
    runs: usize,
) -> Result<ScheduleView, ToolError> {
    let (input, described) = (&known.input, &known.described);
    let info = described.raw().info.as_ref();
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    let mut last_runs = Vec::new();
    // The engine names the latest last.
    for action in described.recent_actions().iter().rev().take(runs) {
        last_runs.push(run(client, action).await?);
    }
    let (mut file, mut source_playlist, mut playlist, mut max_removals) = (None, None, None, None);
    if let Work::Sync(batch) = &input.work {
        match &batch.source {
            Source::Playlist(source) => source_playlist = Some(source.as_str().to_owned()),
            Source::File(source) => {
                file = Some(source.path.clone());
                source_playlist.clone_from(&source.playlist);
            }
        }
        playlist = Some(batch.target.as_str().to_owned());
        max_removals = batch.removals.map(|removals| removals.most);
    }
    let (cron, time_zone, interval_seconds) = match input.when.rule.clone() {
        Rule::Cron {
            expression,
            time_zone,
        } => (Some(expression), Some(time_zone), None),
        Rule::Interval { seconds } => (None, None, Some(seconds)),
    };
    let next_runs = match described.paused() {
        true => Vec::new(),
        false => described.future_action_times(),
    };
    Ok(ScheduleView {
        schedule_id: known.schedule_id.clone(),
        name: input.name.clone(),
        does: story_of(&input.work),
        file,
        source_playlist,
        playlist,
        max_removals,
        cron,
        time_zone,
        interval_seconds,
        jitter_seconds: input.when.jitter_seconds,
        catch_up_seconds: input.when.catch_up_seconds,
        overlap: input.when.overlap,
        paused: described.paused(),
        next_runs: next_runs
            .into_iter()
            .take(NEXT_RUNS)
            .filter_map(|time| timestamp(Some(time)))
            .collect(),
        runs: count(described.action_count()),
        runs_skipped: count(described.overlap_skipped()),
        runs_missed: count(described.missed_catchup_window()),
        runs_waiting: count(info.map_or(0, |info| info.buffer_size)),
        last_runs,
    })
}

impl ScheduleView {
    /// When it runs next, in a sentence.
    pub(crate) fn next(&self) -> String {
        match self.next_runs.first() {
            _ if self.paused => "It is paused.".to_owned(),
            Some(next) => format!("It runs next at {next:.0}."),
            None => "Its rule names no time to come: it never runs by itself.".to_owned(),
        }
    }
}

fn story_of(work: &Work) -> String {
    let Work::Sync(batch) = work else {
        return "Tries all dead-lettered syncs again.".to_owned();
    };
    let (source, target) = match &batch.source {
        Source::Playlist(source) => (source.as_str(), batch.target.as_str()),
        Source::File(file) => {
            let (path, target) = (&file.path, batch.target.as_str());
            return format!("Adds what is new in the file {path:?} to the playlist {target:?}.");
        }
    };
    match batch.removals {
        None => format!("Adds what is new in the playlist {source:?} to the playlist {target:?}."),
        Some(_) => format!(
            "Mirrors the playlist {source:?} into the playlist {target:?}: adds what is new, and takes \
             out again what has left it."
        ),
    }
}

/// A run, as far as the engine still knows it.
pub(crate) async fn run(
    client: &Client,
    action: &ScheduleRecentAction,
) -> Result<RunView, ToolError> {
    let mut view = RunView {
        scheduled_for: timestamp(action.schedule_time),
        started_at: timestamp(action.actual_time),
        status: SyncStatus::Completed,
        message: "It has ended; what came of it is no longer known.".to_owned(),
        success: None,
        sync_id: None,
        new_songs: None,
        unreadable: None,
        added: None,
        removed: None,
        retried: None,
        error_code: None,
        next_step: None,
    };
    let handle = handle(client, action);
    let described = match handle.describe(WorkflowDescribeOptions::default()).await {
        Ok(described) => described,
        // The time for which ended workflows are remembered is over.
        Err(WorkflowInteractionError::NotFound(_)) => return Ok(view),
        Err(error) => return Err(ToolError::engine_failed("look at a run", &error)),
    };
    if matches!(
        described.status(),
        EngineStatus::Running | EngineStatus::Paused
    ) {
        view.is_at(&described);
        return Ok(view);
    }
    match handle.get_result(WorkflowGetResultOptions::default()).await {
        Ok(outcome) => view.ended_with(outcome),
        Err(WorkflowGetResultError::Cancelled { .. }) => {
            view.status = SyncStatus::Cancelled;
            view.message = "It was cancelled before it had come to an end.".to_owned();
        }
        Err(WorkflowGetResultError::Failed(failure)) => {
            let known = match &*failure {
                IncomingError::Application(failure) => {
                    failure.details::<SyncError>().ok().flatten()
                }
                _ => None,
            };
            view.failed_with(known, failure.failure().message.clone());
        }
        Err(
            error @ (WorkflowGetResultError::Terminated { .. } | WorkflowGetResultError::TimedOut),
        ) => view.failed_with(None, error.to_string()),
        Err(error) => return Err(ToolError::engine_failed("read what came of a run", &error)),
    }
    Ok(view)
}

/// The engine's handle of a run. Two that begin in the same second have one workflow id.
pub(crate) fn handle(
    client: &Client,
    action: &ScheduleRecentAction,
) -> WorkflowHandle<Client, ScheduledSync> {
    let info = WorkflowExecutionInfo::builder()
        .namespace(client.namespace())
        .workflow_id(action.workflow_id.clone())
        .run_id(action.run_id.clone())
        .build();
    WorkflowHandle::new(client.clone(), info)
}

impl RunView {
    fn is_at(&mut self, described: &WorkflowExecutionDescription) {
        let attributes = described.search_attributes();
        let status = attributes.get(&names::SYNC_STATUS);
        let wait = attributes.get(&names::SYNC_WAIT);
        let wait = wait.as_deref().and_then(Wait::of_line);
        let children = described.raw().pending_children.iter();
        let mut children = children.map(|child| &child.workflow_id);
        self.sync_id = children.find(|id| names::is_sync_id(id)).cloned();
        self.status = status
            .and_then(|status| SyncStatus::parse(&status))
            .unwrap_or(SyncStatus::Running);
        self.message = match (&wait, &self.sync_id) {
            (Some(wait), _) => view::waits(self.status, wait.until, &wait.reason),
            (None, Some(sync_id)) => format!("It syncs what is new, as {sync_id}."),
            (None, None) => "It is at work.".to_owned(),
        };
        self.error_code = wait.map(|wait| wait.reason.code.as_str().to_owned());
    }

    fn ended_with(&mut self, outcome: RunOutcome) {
        self.success = Some(outcome.success);
        self.message = outcome.message;
        self.new_songs = Some(outcome.new_rows);
        self.unreadable = Some(outcome.unreadable_rows).filter(|rows| *rows > 0);
        self.added = Some(outcome.counts.map_or(0, |counts| counts.added));
        self.removed = Some(outcome.removed).filter(|removed| *removed > 0);
        self.retried = Some(outcome.retried).filter(|retried| *retried > 0);
        self.sync_id = outcome.sync_id;
        if let Some(error) = outcome.error {
            self.error_code = Some(error.code.as_str().to_owned());
            self.next_step = Some(error.next_step);
        } else if let (false, Some(sync_id)) = (outcome.success, &self.sync_id) {
            self.next_step = Some(format!(
                "Call get_sync_progress with {sync_id} to see which songs were not added, and why."
            ));
        }
    }

    fn failed_with(&mut self, known: Option<SyncError>, message: String) {
        self.status = SyncStatus::Failed;
        self.success = Some(false);
        match known {
            Some(error) => {
                self.message = format!("It failed: {}.", error.message.trim_end_matches('.'));
                self.error_code = Some(error.code.as_str().to_owned());
                self.next_step = Some(
                    "Mend what the message names; the next run makes up for this one, or call \
                     run_schedule_now."
                        .to_owned(),
                );
            }
            None => self.message = format!("It was ended by the engine: {message}."),
        }
    }
}

fn timestamp(time: Option<SystemTime>) -> Option<Timestamp> {
    Timestamp::try_from(time?).ok()
}
