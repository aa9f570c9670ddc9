//! A sync as its reader sees it, wherever that has to be read: from the running workflow, from the
//! result of a closed one, or from the dead letter that keeps it.

use jiff::Timestamp;
use schemars::JsonSchema;
use segue_workflows::{
    comparison::Comparison,
    dead_letter::{DeadLetter, LetterClosed},
    error::SyncError,
    matching::{Match, MatchMethod},
    music_sync::MusicSync,
    names, standing,
    sync::{FailedSync, PlaylistRef, Step, SyncInput, SyncOutcome, SyncStatus},
};
use serde::Serialize;
use temporalio_client::WorkflowExecutionStatus as EngineStatus;
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowExecutionDescription, WorkflowGetResultOptions,
    WorkflowQueryOptions,
    errors::{WorkflowGetResultError, WorkflowInteractionError},
};
use temporalio_common::error::IncomingError;

use crate::{
    batch_view::{self, BatchView},
    comparison_view,
    error::ToolError,
};

/// Where a sync stands, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SyncView {
    /// The id by which every other tool knows this sync.
    pub sync_id: String,
    /// Where it stands.
    pub status: SyncStatus,
    /// What happened, or happens now, in one sentence.
    pub message: String,
    /// The title as the source spells it; absent of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    /// The artist as the source spells it; absent of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// The playlist: its id, or the name that is still being looked up.
    pub playlist: String,
    /// What it does now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step: Option<Step>,
    /// Steps that are done.
    pub steps_completed: u32,
    /// Steps there are.
    pub steps_total: u32,
    /// Candidates that Spotify has offered so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates_found: Option<u32>,
    /// Seconds since the start; for a sync that has ended, from its start to its end.
    pub elapsed_seconds: f64,
    /// Attempts that had to be repeated.
    pub retry_count: u32,
    /// While waiting: when it goes on by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_until: Option<Timestamp>,
    /// Once ended: whether the track is in the playlist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// Spotify's id of the match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spotify_track_id: Option<String>,
    /// Spotify's URI of the match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spotify_track_uri: Option<String>,
    /// How sure the match is, 0.0 to 1.0; of the best candidate when there was no match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_score: Option<f64>,
    /// How the match was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_method: Option<MatchMethod>,
    /// The best candidate and why it scored as it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_candidate: Option<Match>,
    /// The track was in the playlist before the sync began; nothing was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub already_present: Option<bool>,
    /// For a cancelled sync: what was undone, or what could not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone: Option<String>,
    /// Once ended: seconds from the start to the end, waiting included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_time_seconds: Option<f64>,
    /// For a sync that failed or waits: the stable name of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What to do next, where there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// The sync that tries this one again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried_by: Option<String>,
    /// Of a batch: how many rows came to what, and how fast it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchView>,
    /// Of a comparison: how the pipeline and the agents did, side by side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// What a model is saying, for progress notifications alone: an answer is read by other models, and
    /// no words of one belong there.
    #[serde(skip)]
    pub(crate) saying: Option<String>,
}

impl SyncView {
    /// Whether something of it waits for the user's word.
    pub(crate) fn waits_for_user(&self) -> bool {
        let in_batch = |batch: &BatchView| batch.counts.waiting_for_review > 0;
        self.status == SyncStatus::WaitingForReview || self.batch.as_ref().is_some_and(in_batch)
    }

    /// Whether the sync has ended.
    pub fn is_ended(&self) -> bool {
        !self.status.is_open()
    }
}

/// Reads a sync of this user's.
pub(crate) async fn read(
    client: &Client,
    user_id: &str,
    sync_id: &str,
) -> Result<SyncView, ToolError> {
    let described = match describe(client, user_id, sync_id).await {
        Err(unknown) if unknown.code == "unknown_sync" => {
            return forgotten(client, user_id, sync_id)
                .await
                .unwrap_or(Err(unknown));
        }
        described => described?,
    };
    of(client, sync_id, &described).await
}

/// The sync of this description.
pub(crate) async fn of(
    client: &Client,
    sync_id: &str,
    described: &WorkflowExecutionDescription,
) -> Result<SyncView, ToolError> {
    let view = started(sync_id, described);
    if batch_view::is_batch(described) {
        return batch_view::read(client, view, described).await;
    }
    if comparison_view::is_comparison(described) {
        return comparison_view::read(client, view, described).await;
    }
    match described.status() {
        EngineStatus::Running | EngineStatus::Paused => running(client, view, described).await,
        _ => ended(client, view).await,
    }
}

/// The sync's description, if it is one of this user's. Somebody else's is as unknown as none.
pub(crate) async fn describe(
    client: &Client,
    user_id: &str,
    sync_id: &str,
) -> Result<WorkflowExecutionDescription, ToolError> {
    if !names::is_sync_id(sync_id) {
        return Err(ToolError::unknown_sync(sync_id));
    }
    let handle = client.get_workflow_handle::<MusicSync>(sync_id);
    match handle.describe(WorkflowDescribeOptions::default()).await {
        Ok(described)
            if described
                .search_attributes()
                .get(&names::USER_ID)
                .as_deref()
                == Some(user_id) =>
        {
            Ok(described)
        }
        Ok(_) | Err(WorkflowInteractionError::NotFound(_)) => Err(ToolError::unknown_sync(sync_id)),
        Err(error) => Err(ToolError::engine_failed("look up the sync", &error)),
    }
}

/// A sync with this input that is about to start, if its playlist has not to be looked up: the engine need not be
/// asked for what the caller has just said.
pub(crate) fn about_to_start(sync_id: &str, sync: &SyncInput) -> Option<SyncView> {
    let PlaylistRef::Id(playlist) = &sync.playlist else {
        return None;
    };
    let view = SyncView {
        track: Some(names::attribute_value(&sync.track.title)),
        artist: Some(names::attribute_value(&sync.track.artist)),
        playlist: playlist.clone(),
        ..blank(sync_id)
    };
    Some(view)
}

/// The same once it has completed.
pub(crate) fn completed(view: SyncView, outcome: SyncOutcome) -> SyncView {
    let view = SyncView {
        elapsed_seconds: outcome.execution_time_seconds,
        ..view
    };
    with_outcome(view, SyncStatus::Completed, outcome)
}

fn started(sync_id: &str, described: &WorkflowExecutionDescription) -> SyncView {
    let attributes = described.search_attributes();
    let seconds_since = |from: Option<std::time::SystemTime>| {
        let until = described
            .close_time()
            .unwrap_or_else(std::time::SystemTime::now);
        from.and_then(|from| until.duration_since(from).ok())
            .map_or(0.0, |elapsed| {
                (elapsed.as_secs_f64() * 1000.0).round() / 1000.0
            })
    };
    SyncView {
        track: attributes.get(&names::TRACK_NAME),
        artist: attributes.get(&names::ARTIST_NAME),
        playlist: attributes.get(&names::PLAYLIST_ID).unwrap_or_default(),
        elapsed_seconds: seconds_since(described.start_time()),
        ..blank(sync_id)
    }
}

fn blank(sync_id: &str) -> SyncView {
    SyncView {
        sync_id: sync_id.to_owned(),
        status: SyncStatus::Running,
        message: "The sync is about to start.".to_owned(),
        track: None,
        artist: None,
        playlist: String::new(),
        current_step: None,
        steps_completed: 0,
        steps_total: Step::TOTAL,
        candidates_found: None,
        elapsed_seconds: 0.0,
        retry_count: 0,
        waiting_until: None,
        success: None,
        spotify_track_id: None,
        spotify_track_uri: None,
        confidence_score: None,
        match_method: None,
        best_candidate: None,
        already_present: None,
        undone: None,
        execution_time_seconds: None,
        error_code: None,
        next_step: None,
        retried_by: None,
        batch: None,
        comparison: None,
        saying: None,
    }
}

/// A sync that the engine has forgotten, because its time of retention is over, while a dead letter
/// still keeps it; nothing if there is no such letter.
async fn forgotten(
    client: &Client,
    user_id: &str,
    sync_id: &str,
) -> Option<Result<SyncView, ToolError>> {
    let letter_id = names::dead_letter_id(sync_id);
    let letter = client.get_workflow_handle::<DeadLetter>(&letter_id);
    let described = letter
        .describe(WorkflowDescribeOptions::default())
        .await
        .ok()?;
    let theirs = described
        .search_attributes()
        .get(&names::USER_ID)
        .as_deref()
        == Some(user_id);
    if !theirs || described.status() != EngineStatus::Running {
        return None;
    }
    let state = letter
        .query(DeadLetter::state, (), WorkflowQueryOptions::default())
        .await
        .ok()?;
    let failed = FailedSync {
        error: state.error,
        dead_letter: Some(letter_id),
        retry_count: 0,
    };
    Some(with_failure(client, started(sync_id, &described), failed).await)
}

async fn running(
    client: &Client,
    mut view: SyncView,
    described: &WorkflowExecutionDescription,
) -> Result<SyncView, ToolError> {
    let progress = standing::of_open_sync(client, described)
        .await
        .map_err(|error| ToolError::engine_failed("look at the sync", &error))?;
    if !progress.status.is_open() {
        // It is about to end; what came of it is in its result.
        return ended(client, view).await;
    }
    let step = progress.current_step;
    view.status = progress.status;
    view.current_step = Some(step);
    view.steps_completed = step.completed_before();
    view.candidates_found = Some(progress.candidates_found);
    view.retry_count = progress.retry_count;
    view.waiting_until = progress.waiting_until;
    if let Some(reason) = &progress.waiting_for {
        view.error_code = Some(reason.code.as_str().to_owned());
    }
    view.next_step = next_step(progress.status);
    view.saying = progress.saying;
    let wait = progress.waiting_until.zip(progress.waiting_for.as_ref());
    view.message = match (wait, step) {
        (Some((until, reason)), _) => waits(progress.status, until, reason),
        (None, Step::FindPlaylist) => format!("Looking for the playlist {:?}.", view.playlist),
        (None, Step::Search) => "Searching for the track.".to_owned(),
        (None, Step::Add) => "Adding the track.".to_owned(),
        (None, Step::Verify) => "Checking that the track is in the playlist.".to_owned(),
        (None, Step::Undo) => "Cancelled; undoing what it had done.".to_owned(),
        (None, Step::Done) => "About to end.".to_owned(),
    };
    Ok(view)
}

/// What the user can do about a wait, where there is something to do.
pub(crate) fn next_step(status: SyncStatus) -> Option<String> {
    let step = match status {
        SyncStatus::WaitingForSignIn => "Run `segue login`; nothing else is to be done.",
        SyncStatus::WaitingForReview => {
            "Call list_reviews with this sync_id, show the candidates to the user, and answer with \
             review_match."
        }
        _ => return None,
    };
    Some(step.to_owned())
}

pub(crate) fn waits(status: SyncStatus, until: Timestamp, reason: &SyncError) -> String {
    let reason = reason.message.as_str();
    match status {
        SyncStatus::WaitingForSignIn => format!(
            "Waiting for a sign-in to Spotify ({reason}); it goes on by itself after `segue login`, \
             and looks again at {until:.0} in any case."
        ),
        SyncStatus::WaitingForReview => format!(
            "Waiting for the user's word: {reason}; at {until:.0} at the latest it is decided without."
        ),
        SyncStatus::WaitingForUpstream => format!(
            "Waiting for the upstream server ({reason}); it is tried again by itself at {until:.0}."
        ),
        _ => format!("Waiting for Spotify's rate limit; it goes on by itself at {until:.0}."),
    }
}

async fn ended(client: &Client, view: SyncView) -> Result<SyncView, ToolError> {
    let handle = client.get_workflow_handle::<MusicSync>(&view.sync_id);
    match handle.get_result(WorkflowGetResultOptions::default()).await {
        Ok(outcome) => Ok(with_outcome(view, SyncStatus::Completed, outcome)),
        Err(WorkflowGetResultError::Cancelled { details }) => {
            let outcome = details
                .deserialize::<SyncOutcome>()
                .map_err(|error| ToolError::engine_failed("read the sync's result", &error))?;
            Ok(with_outcome(view, SyncStatus::Cancelled, outcome))
        }
        Err(WorkflowGetResultError::Failed(failure)) => {
            let failed = match &*failure {
                IncomingError::Application(failure) => {
                    failure.details::<FailedSync>().ok().flatten()
                }
                _ => None,
            };
            match failed {
                Some(failed) => with_failure(client, view, failed).await,
                None => Ok(broken(view, failure.failure().message.clone())),
            }
        }
        Err(
            error @ (WorkflowGetResultError::Terminated { .. } | WorkflowGetResultError::TimedOut),
        ) => Ok(broken(view, error.to_string())),
        Err(error) => Err(ToolError::engine_failed("read the sync's result", &error)),
    }
}

fn with_outcome(mut view: SyncView, status: SyncStatus, outcome: SyncOutcome) -> SyncView {
    view.status = status;
    view.message = outcome.message;
    view.success = Some(outcome.success);
    if status == SyncStatus::Completed {
        view.current_step = Some(Step::Done);
        view.steps_completed = Step::TOTAL;
        view.already_present = Some(outcome.already_present);
    }
    if !outcome.success && status == SyncStatus::Completed {
        view.next_step = Some(
            "Check the spelling of title and artist, or give the ISRC; a lower match_threshold \
             accepts a less certain match."
                .to_owned(),
        );
    }
    view.spotify_track_id = outcome.spotify_track_id;
    view.spotify_track_uri = outcome.spotify_track_uri;
    view.confidence_score = outcome.confidence_score;
    view.match_method = outcome.match_method;
    view.best_candidate = outcome.best_candidate;
    view.undone = outcome.undone;
    view.retry_count = outcome.retry_count;
    view.execution_time_seconds = Some(outcome.execution_time_seconds);
    view
}

async fn with_failure(
    client: &Client,
    mut view: SyncView,
    failed: FailedSync,
) -> Result<SyncView, ToolError> {
    view.status = SyncStatus::Failed;
    view.success = Some(false);
    view.retry_count = failed.retry_count;
    view.execution_time_seconds = Some(view.elapsed_seconds);
    let mut error = failed.error;
    let mut closed = None;
    if let Some(letter_id) = failed.dead_letter {
        let letter = client.get_workflow_handle::<DeadLetter>(&letter_id);
        let open = match letter.describe(WorkflowDescribeOptions::default()).await {
            Ok(described) => described.status() == EngineStatus::Running,
            Err(WorkflowInteractionError::NotFound(_)) => false,
            Err(error) => return Err(ToolError::engine_failed("look up the dead letter", &error)),
        };
        if open {
            view.status = SyncStatus::DeadLettered;
            let state = letter
                .query(DeadLetter::state, (), WorkflowQueryOptions::default())
                .await
                .map_err(|error| ToolError::engine_failed("ask the dead letter", &error))?;
            error = state.error;
            view.retried_by = state.retrying;
        } else {
            // A letter that the engine has forgotten tells nothing more.
            let result = letter.get_result(WorkflowGetResultOptions::default()).await;
            closed = result.ok();
        }
    }
    if let Some(closed) = closed {
        view.message = match closed {
            LetterClosed::Retried { sync_id, outcome } => {
                // What its retry came to is what the user asked for.
                view.success = Some(outcome.success);
                view.spotify_track_id = outcome.spotify_track_id;
                view.spotify_track_uri = outcome.spotify_track_uri;
                view.confidence_score = outcome.confidence_score;
                view.match_method = outcome.match_method;
                view.already_present = Some(outcome.already_present);
                view.best_candidate = outcome.best_candidate;
                view.retried_by = Some(sync_id.clone());
                format!(
                    "The sync failed, and was brought to its end as {sync_id}: {}",
                    outcome.message
                )
            }
            LetterClosed::Discarded => "The sync failed, and was discarded.".to_owned(),
        };
        view.error_code = Some(error.code.as_str().to_owned());
        return Ok(view);
    }
    view.message = format!("The sync failed: {}.", error.message.trim_end_matches('.'));
    view.error_code = Some(error.code.as_str().to_owned());
    view.next_step = Some(match (&view.retried_by, view.status) {
        (Some(retry), _) => format!("It is being tried again as {retry}."),
        (None, SyncStatus::DeadLettered) => format!(
            "Everything is kept. {} cancel_sync discards it.",
            error.next_step
        ),
        (None, _) => error.next_step,
    });
    Ok(view)
}

pub(crate) fn broken(mut view: SyncView, message: String) -> SyncView {
    view.status = SyncStatus::Failed;
    view.success = Some(false);
    view.message = format!("The sync was ended by the engine: {message}.");
    view.next_step = Some("Call retry_failed to try it again.".to_owned());
    view
}
