//! `ScheduledSync`: a run of a schedule, started by the engine when its time has come.
//!
//! 1. Recall what the run before left: the rows that have had their turn.
//! 2. Read the source, and leave those rows out.
//! 3. Sync what is new, as a batch of its own ([`BatchSync`]) that every tool knows by its sync id.
//! 4. Of a mirror: take out of the target what has left the source, if this schedule had added it.
//!
//! Or, instead of all that: try the user's dead letters again.
//!
//! What the next run is to know is part of the result. The engine keeps the result of the last run
//! that came to its end with the schedule itself, however long ago that was. So a run whose batch
//! failed or was cancelled comes to its end all the same, and tells it; one that could not read its
//! source fails, and changes nothing of what is known.

use std::{slice, time::Duration};

use temporalio_common::error::{ChildWorkflowExecutionError, IncomingError};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ChildWorkflowCancellationType, ChildWorkflowOptions, ParentClosePolicy, SyncWorkflowContext,
    WorkflowCancellationToken, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    activities::{
        Activities, BatchActivities, PagePlacement, ReadFile, ReadSource, ScheduleActivities,
    },
    batch::{BatchInput, BatchOutcome, FailedBatch, Fate, Known, ROWS_A_PAGE, Target},
    batch_sync::{BatchSync, attributes_of},
    error::SyncError,
    imports::told,
    names,
    schedule::{News, Removals, RunOutcome, ScheduleInput, ScheduledBatch, Source, Work, ids_in},
    step::{StepFailure, StepPolicy, Steps, run_step},
    sync::{self, PlaylistRef, SyncStatus, Wait},
    track::SourceTrack,
    turn::internal,
};

/// Asking the engine.
const RECALL: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(60),
    heartbeat: Duration::from_secs(5),
    attempts: 10,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// Looking up the source, and reading it: 10,000 entries are 200 calls.
const READ: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(600),
    heartbeat: Duration::from_secs(5),
    attempts: 5,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// Taking tracks out.
const CHANGE: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(60),
    heartbeat: Duration::from_secs(8),
    attempts: 10,
    first_retry: Duration::from_secs(2),
    longest_retry: Duration::from_secs(60),
};

/// See the module.
#[workflow]
pub struct ScheduledSync {
    input: ScheduleInput,
    times_woken: u32,
}

#[workflow_methods]
impl ScheduledSync {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: ScheduleInput) -> Self {
        Self {
            input,
            times_woken: 0,
        }
    }

    /// The story.
    #[run(name = "ScheduledSync")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<RunOutcome> {
        let work = ctx.state(|run| run.input.work.clone());
        let ended = match work {
            Work::Sync(batch) => Self::sync(ctx, &batch).await,
            Work::RetryDeadLetters => Self::retry_letters(ctx).await,
        };
        let status = match &ended {
            Ok(_) => SyncStatus::Completed,
            Err(StepFailure::Cancelled { .. }) => SyncStatus::Cancelled,
            Err(StepFailure::Failed(_)) => SyncStatus::Failed,
        };
        ctx.upsert_search_attributes(sync::attributes(status, None));
        Ok(ended?)
    }

    /// What it waits for may be over: it is to look at once.
    #[signal(name = "wake")]
    pub fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _nothing: ()) {
        self.times_woken += 1;
    }
}

impl ScheduledSync {
    async fn sync(
        ctx: &WorkflowContext<Self>,
        batch: &ScheduledBatch,
    ) -> Result<RunOutcome, StepFailure> {
        let news = Self::news(ctx, batch).await?;
        let mut outcome = RunOutcome {
            success: true,
            message: match (news.source_rows, news.no_tracks) {
                (0, 0) => "The source is empty.".to_owned(),
                (0, _) => "There is no song in the source.".to_owned(),
                (n, _) => format!(
                    "{} of {} in the source are new.",
                    news.rows + news.left,
                    songs(n)
                ),
            },
            source_rows: news.source_rows,
            new_rows: news.rows + news.left,
            left_rows: news.left,
            unreadable_rows: news.unreadable,
            memory: news.memory.clone(),
            ..RunOutcome::default()
        };
        if news.rows > 0 {
            Self::sync_news(ctx, batch, &news, &mut outcome).await?;
        }
        if let Some(first) = &news.first_unreadable {
            outcome.tell(match news.unreadable {
                1 => format!(
                    "A row of the file could not be read: {}",
                    told(slice::from_ref(first))
                ),
                n => format!(
                    "{n} rows of the file could not be read, first {}",
                    told(slice::from_ref(first))
                ),
            });
        }
        if news.no_tracks > 0 {
            outcome.tell(format!(
                "{} of the source cannot be added: no songs of Spotify's own, such as local files, or songs that \
                 Spotify no longer has.",
                match news.no_tracks {
                    1 => "One entry".to_owned(),
                    n => format!("{n} entries"),
                }
            ));
        }
        if news.left > 0 {
            outcome.tell(format!("{} are left to the next run.", songs(news.left)));
        }
        if let Some(removals) = batch.removals.filter(|_| !news.gone.is_empty()) {
            Self::take_out(ctx, removals, &news, &mut outcome).await;
        }
        Ok(outcome)
    }

    /// What is new in the source.
    async fn news(
        ctx: &WorkflowContext<Self>,
        batch: &ScheduledBatch,
    ) -> Result<News, StepFailure> {
        let token = ctx.cancellation_token();
        let recall = || ScheduleActivities::recall;
        let memory = run_step(ctx, RECALL, &token, recall, |_| ()).await?;
        let source = match &batch.source {
            Source::Playlist(source) => source,
            Source::File(file) => {
                let read = || ScheduleActivities::read_file;
                return run_step(ctx, READ, &token, read, |_| ReadFile {
                    file: file.clone(),
                    memory: memory.clone(),
                })
                .await;
            }
        };
        let playlist_id = match source {
            PlaylistRef::Id(id) => id.clone(),
            PlaylistRef::Name(name) => {
                let find = || Activities::find_playlist;
                let found = run_step(ctx, READ, &token, find, |_| name.clone()).await?;
                found.id
            }
        };
        let read = || ScheduleActivities::read_source;
        run_step(ctx, READ, &token, read, |_| ReadSource {
            playlist_id: playlist_id.clone(),
            memory: memory.clone(),
        })
        .await
    }

    /// Syncs what is new, and notes what has had its turn.
    async fn sync_news(
        ctx: &WorkflowContext<Self>,
        batch: &ScheduledBatch,
        news: &News,
        outcome: &mut RunOutcome,
    ) -> Result<(), StepFailure> {
        let sync_id = names::derived_sync_id(&[ctx.workflow_id(), ctx.run_id()]);
        let input = BatchInput {
            user_id: ctx.state(|run| run.input.user_id.clone()),
            // The one that the first run found or made, whatever it is called by now.
            target: match &news.memory.playlist_id {
                Some(id) => Target::Playlist(PlaylistRef::Id(id.clone())),
                None => batch.target.clone(),
            },
            pages: news.pages.clone(),
            rows: news.rows,
            options: batch.options,
            retry_of: None,
            from_preview: None,
            notify: news.notify,
            so_far: None,
        };
        let options = ChildWorkflowOptions::builder()
            .workflow_id(sync_id.clone())
            .cancel_type(ChildWorkflowCancellationType::WaitCancellationCompleted)
            // A run that is terminated leaves a sync that can be followed by its id.
            .parent_close_policy(ParentClosePolicy::Abandon)
            .search_attributes(attributes_of(&input, SyncStatus::Running))
            .build();
        let started = ctx
            .start_child_workflow(BatchSync::run, input, options)
            .await
            .map_err(|error| match error.as_cancelled() {
                Some(_) => StepFailure::Cancelled { tried: false },
                None => internal(&error),
            })?;
        outcome.sync_id = Some(sync_id.clone());
        let (done, error) = match started.result().await {
            Ok(done) => (done, None),
            Err(error) if error.as_cancelled().is_some() => {
                (Self::cancelled_batch(ctx, &sync_id).await?, None)
            }
            Err(error) => failed_batch(&error)?,
        };
        let rows: Result<Vec<_>, _> = news.pages.iter().map(|page| page.unpack()).collect();
        let rows = rows.map_err(|error| internal(&error))?.concat();
        outcome.note(&rows, &done.fates, batch.removals.is_some());
        outcome.success = done.success && error.is_none();
        outcome.counts = Some(done.counts);
        outcome.error = error;
        outcome.tell(done.message);
        if !done.playlist_id.is_empty() {
            outcome.memory.playlist_id = Some(done.playlist_id);
        }
        Ok(())
    }

    /// What a batch did before it was cancelled. SDK 1.1.1 hands the details of a cancelled child to
    /// nobody, so the engine is asked.
    async fn cancelled_batch(
        ctx: &WorkflowContext<Self>,
        sync_id: &str,
    ) -> Result<BatchOutcome, StepFailure> {
        // A token of its own: the run may be cancelled itself, and has to know all the same.
        let token = WorkflowCancellationToken::new();
        let ask = || ScheduleActivities::cancelled_batch;
        let outcome = run_step(ctx, RECALL, &token, ask, |_| sync_id.to_owned()).await?;
        outcome.ok_or(StepFailure::Cancelled { tried: true })
    }

    /// Takes out of the target what has left the source. What this schedule did not add stays, and
    /// so does everything when more is to go than was allowed.
    async fn take_out(
        ctx: &WorkflowContext<Self>,
        removals: Removals,
        news: &News,
        outcome: &mut RunOutcome,
    ) {
        let token = ctx.cancellation_token();
        let gone: Vec<String> = ids_in(&news.gone)
            .map(|id| format!("spotify:track:{id}"))
            .collect();
        let all = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        let too_many = all > removals.most || news.source_rows == 0;
        let playlist_id = outcome.memory.playlist_id.clone();
        let Some(playlist_id) = playlist_id.filter(|_| !too_many && !token.is_cancelled()) else {
            outcome.keep(&news.gone);
            if too_many {
                outcome.tell(held_back(all, removals, news.source_rows));
            }
            return;
        };
        for (chunk, track_uris) in gone.chunks(ROWS_A_PAGE).enumerate() {
            let take_out = || BatchActivities::take_out_page;
            let taken = run_step(ctx, CHANGE, &token, take_out, |_| {
                PagePlacement::to_take_out(playlist_id.clone(), track_uris.to_vec())
            });
            if let Err(failure) = taken.await {
                let left: String = ids_in(&news.gone).skip(chunk * ROWS_A_PAGE).collect();
                outcome.keep(&left);
                if let StepFailure::Failed(error) = failure {
                    outcome.tell(format!("Not all could be taken out again: {error}."));
                    outcome.error = Some(error);
                }
                break;
            }
            outcome.removed += u32::try_from(track_uris.len()).unwrap_or_default();
        }
        if outcome.removed > 0 {
            if outcome.memory.forget_others() {
                outcome.tell(
                    "What was there under another id is looked at again by the next run."
                        .to_owned(),
                );
            }
            let removed = songs(outcome.removed);
            outcome.tell(format!(
                "{removed} that left the source are in the playlist no more."
            ));
        }
    }

    async fn retry_letters(ctx: &WorkflowContext<Self>) -> Result<RunOutcome, StepFailure> {
        let token = ctx.cancellation_token();
        let user_id = ctx.state(|run| run.input.user_id.clone());
        let retry = || ScheduleActivities::retry_letters;
        let told = run_step(ctx, READ, &token, retry, |_| user_id.clone()).await?;
        let mut outcome = RunOutcome {
            success: true,
            retried: told.retried,
            message: match told.retried {
                0 => "There is no dead letter to try again.".to_owned(),
                1 => "One dead letter is being tried again.".to_owned(),
                n => format!("{n} dead letters are being tried again."),
            },
            ..RunOutcome::default()
        };
        if told.passed_over > 0 {
            outcome.tell(format!(
                "Of {} a retry is under way, or they were closed.",
                told.passed_over
            ));
        }
        if told.more {
            outcome.tell("The others are left to the next run.".to_owned());
        }
        Ok(outcome)
    }
}

impl RunOutcome {
    fn tell(&mut self, sentence: String) {
        self.message.push(' ');
        self.message.push_str(&sentence);
    }

    /// What has left the source and is still in the target.
    fn keep(&mut self, gone: &str) {
        self.success = false;
        self.not_removed = u32::try_from(ids_in(gone).count()).unwrap_or(u32::MAX);
        self.memory.ours.push_str(gone);
    }

    /// Notes which rows have had their turn. One that failed, or whose turn did not come, is as new
    /// to the next run as it was to this.
    fn note(&mut self, rows: &[SourceTrack], fates: &str, keeps_ours: bool) {
        let mut open = Known::default();
        let fates: Vec<Fate> = fates.chars().map(Fate::of_letter).collect();
        for (row, fate) in rows.iter().zip(&fates) {
            match fate {
                Fate::Added => self.memory.note(row, keeps_ours),
                Fate::AlreadyThereAsAnother => self.note_another(row, keeps_ours),
                Fate::AlreadyThere | Fate::Uncertain | Fate::Declined | Fate::NotFound => {
                    self.memory.note(row, false)
                }
                Fate::Repeated => {}
                _ => _ = open.is_repeated(row),
            }
        }
        // A repetition of one that failed is no other row, and one of the same id is no other song.
        let mut own = Known::default();
        for (row, fate) in rows.iter().zip(&fates) {
            if *fate != Fate::Repeated {
                own.is_repeated(row);
            } else if !open.has_row(row) {
                self.note_another(row, keeps_ours && !own.has_row(row));
            }
        }
    }

    fn note_another(&mut self, row: &SourceTrack, keeps_ours: bool) {
        self.memory.note(row, false);
        if keeps_ours {
            self.memory.as_another.is_repeated(row);
        }
    }
}

/// What a batch came to that failed; a failure of the run, if it could not say.
fn failed_batch(
    error: &ChildWorkflowExecutionError,
) -> Result<(BatchOutcome, Option<SyncError>), StepFailure> {
    let failed = match error.cause() {
        Some(IncomingError::Application(failure)) => {
            failure.details::<FailedBatch>().ok().flatten()
        }
        _ => None,
    };
    let failed = failed.ok_or_else(|| internal(error))?;
    Ok((failed.outcome, Some(failed.error)))
}

fn held_back(all: u32, removals: Removals, source_rows: u32) -> String {
    let left = songs(all);
    match source_rows {
        0 => format!("{left} were in it before; none was taken out, for the case of a mistake."),
        _ => format!(
            "{left} have left it, more than the {} that may be taken out in one run: none was. \
             If that is right, raise max_removals with update_schedule.",
            removals.most
        ),
    }
}

fn songs(n: u32) -> String {
    match n {
        1 => "1 song".to_owned(),
        n => format!("{n} songs"),
    }
}

impl Steps for ScheduledSync {
    fn is_patient(_ctx: &WorkflowContext<Self>) -> bool {
        true
    }

    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
        let status = wait.as_ref().map_or(SyncStatus::Running, Wait::status);
        ctx.upsert_search_attributes(sync::attributes(status, wait.as_ref()));
    }

    fn count_retries(&mut self, _retries: u32) {}

    fn times_woken(&self) -> u32 {
        self.times_woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: char) -> SourceTrack {
        SourceTrack {
            title: "Halo".into(),
            spotify_id: Some(id.to_string().repeat(22)),
            ..SourceTrack::default()
        }
    }

    #[test]
    fn what_failed_or_had_no_turn_is_new_again_and_so_is_its_repetition() {
        let rows: Vec<SourceTrack> = "aab!!.=?0".chars().map(row).collect();
        let mut outcome = RunOutcome::default();
        // The third is another release of the first; the fifth repeats one that failed.
        outcome.note(&rows, "+rr!r.=?0", true);
        let known: String = "ab!.=?0x"
            .chars()
            .filter(|id| outcome.memory.known.has_row(&row(*id)))
            .collect();
        assert_eq!(known, "ab=?0");
        assert_eq!(outcome.memory.ours, "a".repeat(22));
        let mut outcome = RunOutcome::default();
        outcome.note(&rows, "+", false);
        assert_eq!(outcome.memory.ours, "", "an archive takes nothing out");
    }
}
