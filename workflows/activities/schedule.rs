//! The activities of a schedule's runs: what the run before left, what is new in the source, and the
//! dead letters of a user.

use std::{path::PathBuf, sync::Arc};

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use temporalio_client::{
    Client, NamespacedClient, WorkflowExecuteUpdateOptions, WorkflowFetchHistoryOptions,
    WorkflowGetResultOptions, WorkflowListOptions,
    errors::{WorkflowGetResultError, WorkflowUpdateError},
    tonic::Code,
};
use temporalio_common::{
    data_converters::{SerializationContextData, WorkflowSerializationContext},
    protos::temporal::api::history::v1::history_event::Attributes,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempted, reading};
use crate::{
    batch::BatchOutcome,
    batch_sync::BatchSync,
    dead_letter::DeadLetter,
    error::ErrorCode,
    import_file, imports, names,
    schedule::{Memory, News, RunOutcome, SourceFile, news_of},
    scheduled_sync::ScheduledSync,
    track::{Candidate, SourceTrack},
    upstream::{GatedUpstream, UpstreamError},
};

/// Dead letters that one run tries again; the others are left to the next.
const MOST_LETTERS: usize = 1000;
/// Letters that are told at a time.
const AT_A_TIME: usize = 8;

/// The activities of a schedule's runs, on one upstream server.
pub struct ScheduleActivities {
    upstream: GatedUpstream,
    import_folders: Arc<[PathBuf]>,
    notify: bool,
    stopping: CancellationToken,
}

impl ScheduleActivities {
    /// The activities on this upstream, of a worker that reads files inside these folders and ends when
    /// `stopping` is cancelled.
    pub fn new(
        upstream: GatedUpstream,
        import_folders: Vec<PathBuf>,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            upstream,
            import_folders: import_folders.into(),
            notify: false,
            stopping,
        }
    }

    /// The same, where users are told of what their runs come to, or are not.
    #[must_use]
    pub fn that_notify(self, notify: bool) -> Self {
        Self { notify, ..self }
    }
}

/// A playlist to read as a source, beside what earlier runs knew of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadSource {
    /// Spotify's id of the playlist.
    pub playlist_id: String,
    /// What the runs before left.
    pub memory: Memory,
}

/// An export file to read as a source, beside what earlier runs knew of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadFile {
    /// The file.
    pub file: SourceFile,
    /// What the runs before left.
    pub memory: Memory,
}

/// What became of a user's dead letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LettersRetried {
    /// They are being tried again.
    pub retried: u32,
    /// A retry of them was under way already, or they were closed meanwhile.
    pub passed_over: u32,
    /// There are more; they are left to the next run.
    #[serde(default)]
    pub more: bool,
}

#[activities]
impl ScheduleActivities {
    /// What the last run of this schedule that came to its end left to this one.
    #[activity(name = "recall")]
    pub async fn recall(
        self: Arc<Self>,
        ctx: ActivityContext,
    ) -> Result<Attempted<Memory>, ActivityError> {
        reading(&ctx, &self.stopping, recalled(&ctx)).await
    }

    /// What a batch did before it was cancelled; none, if it was not, or could not say.
    #[activity(name = "cancelled_batch")]
    pub async fn cancelled_batch(
        self: Arc<Self>,
        ctx: ActivityContext,
        sync_id: String,
    ) -> Result<Attempted<Option<BatchOutcome>>, ActivityError> {
        reading(&ctx, &self.stopping, async {
            let client = ctx.client();
            let batch = client.get_workflow_handle::<BatchSync>(sync_id);
            match batch.get_result(WorkflowGetResultOptions::default()).await {
                Err(WorkflowGetResultError::Cancelled { details }) => {
                    Ok(details.deserialize().ok())
                }
                Ok(_) | Err(WorkflowGetResultError::Failed(_)) => Ok(None),
                Err(error) => Err(engine(&error)),
            }
        })
        .await
    }

    /// What is new in a playlist.
    #[activity(name = "read_source")]
    pub async fn read_source(
        self: Arc<Self>,
        ctx: ActivityContext,
        source: ReadSource,
    ) -> Result<Attempted<News>, ActivityError> {
        reading(&ctx, &self.stopping, async {
            let Some(read) = self.upstream.entries(&source.playlist_id, 0).await? else {
                return Err(UpstreamError::new(
                    ErrorCode::CapabilityMissing,
                    "the upstream server has no tool that lists what is in a playlist",
                ));
            };
            let rows: Vec<_> = read.tracks.into_iter().map(row_of).collect();
            let no_tracks = read
                .total
                .saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            let news = news_of(rows, &source.memory)
                .map_err(|error| UpstreamError::new(ErrorCode::Internal, error.to_string()))?;
            Ok(News {
                notify: self.notify,
                no_tracks,
                ..news
            })
        })
        .await
    }

    /// What is new in an export file.
    #[activity(name = "read_file")]
    pub async fn read_file(
        self: Arc<Self>,
        ctx: ActivityContext,
        source: ReadFile,
    ) -> Result<Attempted<News>, ActivityError> {
        let folders = Arc::clone(&self.import_folders);
        reading(&ctx, &self.stopping, async {
            // A disk may be slow, and 20 MB take a second to understand.
            let read = move || news_in(&source, &folders);
            let read = tokio::task::spawn_blocking(read).await;
            let news =
                read.map_err(|error| UpstreamError::new(ErrorCode::Internal, error.to_string()))??;
            Ok(News {
                notify: self.notify,
                ..news
            })
        })
        .await
    }

    /// Tells all dead letters of the user to try their syncs again.
    #[activity(name = "retry_letters")]
    pub async fn retry_letters(
        self: Arc<Self>,
        ctx: ActivityContext,
        user_id: String,
    ) -> Result<Attempted<LettersRetried>, ActivityError> {
        reading(&ctx, &self.stopping, retried(&ctx, &user_id)).await
    }
}

fn news_in(source: &ReadFile, folders: &[PathBuf]) -> Result<News, UpstreamError> {
    let ReadFile { file, memory } = source;
    let unreadable = |error: &dyn std::fmt::Display| {
        let message = format!("{:?} cannot be synced: {error}", file.path);
        UpstreamError::new(ErrorCode::SourceUnreadable, message)
    };
    let bytes = import_file::read(&file.path, folders).map_err(|error| unreadable(&error))?;
    let import = imports::read(&bytes).map_err(|error| unreadable(&error))?;
    let chosen = import
        .choose(file.playlist.as_deref())
        .map_err(|error| unreadable(&error))?;
    let mut news = news_of(chosen.tracks, memory)
        .map_err(|error| UpstreamError::new(ErrorCode::Internal, error.to_string()))?;
    news.unreadable = u32::try_from(chosen.unreadable.len()).unwrap_or(u32::MAX);
    news.first_unreadable = chosen.unreadable.into_iter().next();
    Ok(news)
}

/// A track of a playlist as a row of a source.
fn row_of(track: Candidate) -> SourceTrack {
    SourceTrack {
        title: track.title,
        artist: track.artists.join(", "),
        // Nothing is matched by it, and 10,000 of them would not fit.
        album: None,
        duration_ms: track.duration_ms,
        isrc: track.isrc,
        other_isrcs: Vec::new(),
        spotify_id: Some(track.id),
    }
}

/// A schedule hands the result of its last completed run to the next, in the event by which that is
/// started. SDK 1.1.1 does not show it to the workflow, so it is read from there.
async fn recalled(ctx: &ActivityContext) -> Result<Memory, UpstreamError> {
    let Some(run) = ctx.workflow_handle::<ScheduledSync>() else {
        return Ok(Memory::default());
    };
    let mut history = run.fetch_history(WorkflowFetchHistoryOptions::default());
    let first = history.try_next().await.map_err(|error| engine(&error))?;
    let result = match first.and_then(|event| event.attributes) {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => started
            .last_completion_result
            .and_then(|result| result.payloads.into_iter().next()),
        _ => None,
    };
    let Some(result) = result else {
        return Ok(Memory::default());
    };
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let client = ctx.client();
    let outcome = client
        .data_converter()
        .from_payload::<RunOutcome>(&context, result)
        .await
        .map_err(|error| UpstreamError::new(ErrorCode::Internal, error.to_string()))?;
    Ok(outcome.memory)
}

async fn retried(ctx: &ActivityContext, user_id: &str) -> Result<LettersRetried, UpstreamError> {
    let client = ctx.client();
    let run_id = ctx.info().workflow_run_id.clone().unwrap_or_default();
    let query = format!(
        "WorkflowType = 'DeadLetter' AND ExecutionStatus = 'Running' AND {}",
        names::equals(names::USER_ID.name(), user_id)
    );
    let options = WorkflowListOptions::builder()
        .limit(MOST_LETTERS + 1)
        .build();
    let mut letters: Vec<String> = client
        .list_workflows(query, options)
        .map_ok(|letter| letter.id().to_owned())
        .try_collect()
        .await
        .map_err(|error| engine(&error))?;
    let more = letters.len() > MOST_LETTERS;
    letters.truncate(MOST_LETTERS);
    let told = futures::stream::iter(letters.into_iter().map(Ok))
        .map_ok(|letter| retry(&client, letter, &run_id))
        .try_buffer_unordered(AT_A_TIME)
        .try_fold(LettersRetried::default(), async |mut sum, taken| {
            match taken {
                true => sum.retried += 1,
                false => sum.passed_over += 1,
            }
            Ok(sum)
        })
        .await?;
    Ok(LettersRetried { more, ..told })
}

/// Whether this letter tries its sync again for this run.
async fn retry(client: &Client, letter: String, run_id: &str) -> Result<bool, UpstreamError> {
    let sync_id = names::derived_sync_id(&[&letter, run_id]);
    // A repeated attempt of this activity comes with the same id, and is answered as the first was.
    let options = WorkflowExecuteUpdateOptions::builder()
        .update_id(sync_id.clone())
        .build();
    let told = client
        .get_workflow_handle::<DeadLetter>(letter)
        .execute_update(DeadLetter::retry_as, sync_id, options)
        .await;
    match told {
        Ok(()) => Ok(true),
        Err(WorkflowUpdateError::Failed(_) | WorkflowUpdateError::NotFound(_)) => Ok(false),
        // The engine takes 2,000 updates of one workflow: this letter has had all of its own, the others have not.
        Err(WorkflowUpdateError::Rpc(status)) if status.code() == Code::FailedPrecondition => {
            Ok(false)
        }
        Err(error) => Err(engine(&error)),
    }
}

fn engine(error: &dyn std::fmt::Display) -> UpstreamError {
    UpstreamError::unavailable(format!("the engine gave no answer: {error}"))
}
