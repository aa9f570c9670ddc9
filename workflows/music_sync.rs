//! `MusicSync`: one song of the user's into one playlist.
//!
//! 1. Find the playlist, if it was given by name.
//! 2. Search and match: one query of the ladder after the other, until a candidate is good enough.
//!    No such candidate is a *result*, with the best one and its score.
//!    One that is uncertain is what the user said of this track before, or says now ([`Review`](crate::review::Review)).
//! 3. Place the match ([`PlaceTrack`]): look, add, verify, and undo if the sync is cancelled.
//! 4. Out of attempts: a [`DeadLetter`] keeps the sync until it is retried or discarded.

mod doubt;
mod outcome;

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use temporalio_common::{WorkflowDefinition, search_attributes::SearchAttributes};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ChildWorkflowCancellationType, ChildWorkflowOptions, ParentClosePolicy, SignalWorkflowOptions,
    SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext, WorkflowContextView,
    WorkflowResult, WorkflowTermination,
};

use self::outcome::{cancelled, no_match, of_match};
use crate::{
    activities::{Activities, AtOnce},
    agent_sync::{AgentOutcome, AgentSync, AgentSyncInput},
    dead_letter::{DeadLetter, LetterInput},
    error::{ErrorCode, SyncError},
    matching::{Decision, Match, Query, find_match},
    names,
    place_track::{PlaceInput, PlaceTrack, Placed},
    simple_agent_sync::SimpleAgentSync,
    standing::details_for_placing,
    step::{
        Manner, Missed, StepFailure, StepPolicy, Steps, attempt_within_task, failed_with, now,
        rest, run_step, run_step_as,
    },
    sync::{
        FailedSync, PlaylistRef, Progress, Step, Strategy, SyncInput, SyncOutcome, SyncStatus, Wait,
    },
    track::Candidate,
    turn::{of_child, start_in_turn},
};

/// Searching, and looking up a playlist by its name.
const SEARCH: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(30),
    heartbeat: Duration::from_secs(5),
    attempts: 3,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// See the module.
#[workflow]
pub struct MusicSync {
    input: SyncInput,
    progress: Progress,
    times_woken: u32,
}

#[workflow_methods]
impl MusicSync {
    #[init]
    fn new(ctx: &WorkflowContextView, input: SyncInput) -> Self {
        let started = ctx
            .start_time()
            .and_then(|time| Timestamp::try_from(time).ok());
        Self {
            input,
            progress: Progress::new(started.unwrap_or_default()),
            times_woken: 0,
        }
    }

    /// The story, and how it is told when it ends badly.
    #[run(name = "MusicSync")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<SyncOutcome> {
        match Self::story(ctx).await {
            Ok(Ended::Completed(outcome)) => {
                Self::end(ctx, SyncStatus::Completed);
                Ok(Self::timed(ctx, outcome))
            }
            Ok(Ended::Cancelled(outcome)) => {
                Self::end(ctx, SyncStatus::Cancelled);
                Err(WorkflowTermination::cancelled_with_details(Self::timed(
                    ctx, outcome,
                )))
            }
            Err(StepFailure::Cancelled { .. }) => {
                Self::end(ctx, SyncStatus::Cancelled);
                let outcome = cancelled("Nothing had been added.".to_owned());
                Err(WorkflowTermination::cancelled_with_details(Self::timed(
                    ctx, outcome,
                )))
            }
            Err(StepFailure::Failed(error)) => Err(Self::fail(ctx, error).await),
        }
    }

    /// How far it is. For operators: Segue itself asks no sync that is open (see [`standing`](crate::standing)).
    #[query(name = "progress")]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> Progress {
        self.progress.clone()
    }

    /// What it was asked to do: what a retry starts from.
    #[query(name = "input")]
    pub fn input(&self, _ctx: &WorkflowContextView) -> SyncInput {
        self.input.clone()
    }

    /// The workflow that places the track waits, or is at work again.
    #[signal(name = "child_waits_for")]
    pub fn child_waits_for(&mut self, ctx: &mut SyncWorkflowContext<Self>, wait: Option<Wait>) {
        self.shows_wait(ctx, wait);
    }

    /// The same, as it was said when the rate limit was all there was to wait for.
    #[signal(name = "child_waits")]
    pub fn child_waits(&mut self, ctx: &mut SyncWorkflowContext<Self>, until: Option<Timestamp>) {
        let wait = until.map(|until| Wait {
            until,
            reason: SyncError::new(ErrorCode::RateLimited, "Spotify asked to come back later"),
        });
        self.shows_wait(ctx, wait);
    }

    /// What it waits for may be over: it is to look at once.
    #[signal(name = "wake")]
    pub async fn wake(ctx: &mut WorkflowContext<Self>) {
        ctx.state_mut(|sync| sync.times_woken += 1);
        if let Some(placing) = ctx.state(|sync| sync.progress.placing.clone()) {
            let waking = ctx.external_workflow(placing, None);
            // One that has just ended has nothing to be woken for.
            // Under a token of its own, or it would not reach the undo of a cancelled sync.
            let options = SignalWorkflowOptions::builder()
                .cancellation_token(WorkflowCancellationToken::new())
                .build();
            let _ = waking.signal(PlaceTrack::wake, (), options).await;
        }
    }
}

/// How the story ended, when it did not fail.
enum Ended {
    Completed(SyncOutcome),
    Cancelled(SyncOutcome),
}

impl MusicSync {
    fn shows_wait(&mut self, ctx: &SyncWorkflowContext<Self>, wait: Option<Wait>) {
        self.progress.wait(wait);
        ctx.upsert_search_attributes(self.progress.attributes());
    }

    async fn story(ctx: &WorkflowContext<Self>) -> Result<Ended, StepFailure> {
        let playlist_id = Self::find_playlist(ctx).await?;
        // A track that the source names needs nobody's judgement.
        let is_open = ctx.state(|sync| sync.input.track.spotify_id.is_none());
        if is_open && ctx.state(|sync| sync.input.strategy) != Strategy::Pipeline {
            return Self::by_agents(ctx, playlist_id).await;
        }

        let decision = Self::search_and_match(ctx).await?;
        let found = match Self::decide(ctx, &decision, &playlist_id).await? {
            Ok(found) => found,
            Err(outcome) => return Ok(Ended::Completed(outcome)),
        };

        let placed = Self::place(ctx, playlist_id, &found).await?;
        Ok(Self::end_of_placing(ctx, found, placed))
    }

    /// The same work, done by agents.
    async fn by_agents(
        ctx: &WorkflowContext<Self>,
        playlist_id: String,
    ) -> Result<Ended, StepFailure> {
        ctx.state_mut(|sync| sync.progress.current_step = Step::Search);
        let sync_id = ctx.workflow_id().to_owned();
        let id = names::agents_id(&sync_id);
        let input = AgentSyncInput {
            sync: ctx.state(|sync| sync.input.clone()),
            sync_id,
            playlist_id,
            dry_run: false,
            so_far: None,
        };
        ctx.state_mut(|sync| sync.progress.placing = Some(id.clone()));
        let done = match input.sync.strategy {
            Strategy::SimpleAgent => Self::child(ctx, || SimpleAgentSync::run, &input, &id).await,
            _ => Self::child(ctx, || AgentSync::run, &input, &id).await,
        };
        ctx.state_mut(|sync| sync.progress.placing = None);
        let done = done?;
        Self::count(ctx, done.retries);
        Ok(match done.chosen.zip(done.placed) {
            Some((chosen, placed)) => Self::end_of_placing(ctx, chosen, placed),
            None => {
                let threshold = ctx.state(|sync| sync.input.match_threshold);
                let mut outcome = no_match(&done.decision, threshold);
                if let Some(left) = done.decision.matched {
                    outcome.message = format!(
                        "The agents took none of the candidates, though \"{}\" scored {:.2}. Nothing was added.",
                        left.candidate.title, left.score.confidence
                    );
                }
                Ended::Completed(outcome)
            }
        })
    }

    async fn child<C>(
        ctx: &WorkflowContext<Self>,
        workflow: impl Fn() -> C,
        input: &AgentSyncInput,
        id: &str,
    ) -> Result<AgentOutcome, StepFailure>
    where
        C: WorkflowDefinition<Input = AgentSyncInput, Output = AgentOutcome> + 'static,
    {
        let started = start_in_turn(ctx, workflow, input, id, None).await?;
        started.result().await.map_err(|error| of_child(&error))
    }

    /// How the story ends, after what became of the match in the playlist.
    fn end_of_placing(ctx: &WorkflowContext<Self>, found: Match, placed: Placed) -> Ended {
        let outcome = of_match(found);
        match placed {
            Placed::Added { retries } => {
                Self::count(ctx, retries);
                Ended::Completed(outcome.with("is now in the playlist"))
            }
            Placed::AlreadyThere { retries } => {
                Self::count(ctx, retries);
                let mut outcome = outcome.with("was in the playlist already; nothing was added");
                outcome.already_present = true;
                Ended::Completed(outcome)
            }
            Placed::Cancelled { undone, retries } => {
                Self::count(ctx, retries);
                Ended::Cancelled(cancelled(undone))
            }
        }
    }

    async fn find_playlist(ctx: &WorkflowContext<Self>) -> Result<String, StepFailure> {
        let name = match ctx.state(|sync| sync.input.playlist.clone()) {
            PlaylistRef::Id(id) => return Ok(id),
            PlaylistRef::Name(name) => name,
        };
        let token = ctx.cancellation_token();
        let found = run_step(
            ctx,
            SEARCH,
            &token,
            || Activities::find_playlist,
            |_| name.clone(),
        )
        .await?;
        ctx.upsert_search_attributes([names::PLAYLIST_ID.value_set(found.id.clone())]);
        Ok(found.id)
    }

    async fn search_and_match(ctx: &WorkflowContext<Self>) -> Result<Decision, StepFailure> {
        ctx.state_mut(|sync| sync.progress.current_step = Step::Search);
        let (track, threshold) =
            ctx.state(|sync| (sync.input.track.clone(), sync.input.match_threshold));
        let mut seen = BTreeSet::new();
        let mut at_once = ctx.state(|sync| sync.input.search_at_once);
        find_match(&track, threshold, async |query| {
            // Most tracks are found by their first query.
            let found = Self::search(ctx, query, std::mem::take(&mut at_once)).await?;
            seen.extend(found.iter().map(|candidate| candidate.id.clone()));
            ctx.state_mut(|sync| sync.progress.candidates_found = seen.len() as u32);
            Ok(found)
        })
        .await
    }

    /// Asks for candidates. At once: the first attempt is made within the workflow's own task.
    async fn search(
        ctx: &WorkflowContext<Self>,
        query: Query,
        at_once: bool,
    ) -> Result<Vec<Candidate>, StepFailure> {
        let token = ctx.cancellation_token();
        let (mut policy, mut manner) = (SEARCH, Manner::default());
        if at_once {
            let search = Activities::search_at_once;
            match attempt_within_task(ctx, &token, search, query.clone()).await {
                Ok(AtOnce::Found { candidates }) => return Ok(candidates),
                Ok(AtOnce::NotNow) => {}
                // Nobody has said anything against the upstream: the step has all its attempts.
                Ok(AtOnce::GivenUp) | Err(Missed::Lost(_)) => Self::count(ctx, 1),
                Err(Missed::Cancelled) => return Err(StepFailure::Cancelled { tried: false }),
                Err(Missed::Failed(failed)) if failed.is_to_wait() => {
                    manner.to_wait_for = Some(failed);
                }
                Err(Missed::Failed(failed)) if !failed.error.code.is_retryable() => {
                    return Err(StepFailure::Failed(failed.error));
                }
                Err(Missed::Failed(_)) => {
                    policy.attempts -= 1;
                    Self::count(ctx, 1);
                    let summary = "before the next attempt".to_owned();
                    rest(ctx, SEARCH.first_retry, summary, &token, |_| false).await;
                }
            }
        }
        let (search, query) = (|| Activities::search, |_| query.clone());
        run_step_as(ctx, policy, manner, &token, search, query).await
    }

    /// Places the match, when its turn has come: the engine runs one `PlaceTrack` of a playlist
    /// and a track at a time.
    async fn place(
        ctx: &WorkflowContext<Self>,
        playlist_id: String,
        found: &Match,
    ) -> Result<Placed, StepFailure> {
        ctx.state_mut(|sync| sync.progress.current_step = Step::Add);
        let input = PlaceInput {
            playlist_id,
            track_uri: found.candidate.uri.clone(),
            at_once: true,
        };
        let id = names::place_track_id(&input.playlist_id, &input.track_uri);
        let details = details_for_placing(&ctx.state(|sync| sync.progress.clone()));
        let started = start_in_turn(ctx, || PlaceTrack::run, &input, &id, Some(details)).await?;
        ctx.state_mut(|sync| sync.progress.placing = Some(id));
        let placed = started.result().await;
        ctx.state_mut(|sync| sync.progress.placing = None);
        placed.map_err(|error| of_child(&error))
    }

    /// Ends the sync as failed. One that ran out of attempts is kept by a dead letter, unless it is
    /// the retry of one that has a letter already.
    async fn fail(ctx: &WorkflowContext<Self>, error: SyncError) -> WorkflowTermination {
        let (input, retry_count) =
            ctx.state(|sync| (sync.input.clone(), sync.progress.retry_count));
        let mut failed = FailedSync {
            error: error.clone(),
            dead_letter: None,
            retry_count,
        };
        if error.code.is_retryable() && !input.kept_by_letter {
            let mut letter_attributes = attributes_of(&input, SyncStatus::DeadLettered);
            if let Some(looked_up) = ctx.search_attributes().get(&names::PLAYLIST_ID) {
                letter_attributes.apply(names::PLAYLIST_ID.value_set(looked_up));
            }
            let sync_id = ctx.workflow_id().to_owned();
            let letter_id = names::dead_letter_id(&sync_id);
            let options = ChildWorkflowOptions::builder()
                .workflow_id(letter_id.clone())
                .task_queue(names::DEAD_LETTER_QUEUE.to_owned())
                .parent_close_policy(ParentClosePolicy::Abandon)
                .cancel_type(ChildWorkflowCancellationType::Abandon)
                .cancellation_token(WorkflowCancellationToken::new())
                .search_attributes(letter_attributes)
                .build();
            let letter = LetterInput {
                sync_id,
                sync: input,
                error: error.clone(),
            };
            match ctx
                .start_child_workflow(DeadLetter::run, letter, options)
                .await
            {
                Ok(_) => failed.dead_letter = Some(letter_id),
                Err(refused) => {
                    failed.error.message = format!(
                        "{} (and no dead letter could be kept: {refused})",
                        error.message
                    );
                }
            }
        }
        let status = match failed.dead_letter {
            Some(_) => SyncStatus::DeadLettered,
            None => SyncStatus::Failed,
        };
        Self::end(ctx, status);
        failed_with(failed.error.clone(), failed).into()
    }

    fn end(ctx: &WorkflowContext<Self>, status: SyncStatus) {
        let attributes = ctx.state_mut(|sync| {
            sync.progress.wait(None);
            sync.progress.status = status;
            if status == SyncStatus::Completed {
                sync.progress.current_step = Step::Done;
            }
            sync.progress.attributes()
        });
        ctx.upsert_search_attributes(attributes);
    }

    fn count(ctx: &WorkflowContext<Self>, retries: u32) {
        ctx.state_mut(|sync| sync.count_retries(retries));
    }

    /// The outcome with what only the workflow knows: its retries and its time.
    fn timed(ctx: &WorkflowContext<Self>, mut outcome: SyncOutcome) -> SyncOutcome {
        let (started_at, retries) =
            ctx.state(|sync| (sync.progress.started_at, sync.progress.retry_count));
        outcome.retry_count = retries;
        let milliseconds = now(ctx).duration_since(started_at).as_millis();
        outcome.execution_time_seconds = milliseconds as f64 / 1000.0;
        outcome
    }
}

impl Steps for MusicSync {
    fn is_patient(ctx: &WorkflowContext<Self>) -> bool {
        ctx.patched(names::PATIENCE_PATCH)
    }

    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
        let attributes = ctx.state_mut(|sync| {
            sync.progress.wait(wait);
            sync.progress.attributes()
        });
        ctx.upsert_search_attributes(attributes);
    }

    fn count_retries(&mut self, retries: u32) {
        self.progress.retry_count += retries;
    }

    fn times_woken(&self) -> u32 {
        self.times_woken
    }
}

/// The search attributes of a sync, or of the letter that keeps it.
pub fn attributes_of(sync: &SyncInput, status: SyncStatus) -> SearchAttributes {
    let value = names::attribute_value;
    let mut attributes = SearchAttributes::new([
        names::USER_ID.value_set(value(&sync.user_id)),
        names::PLAYLIST_ID.value_set(value(sync.playlist.as_str())),
        names::TRACK_NAME.value_set(value(&sync.track.title)),
        names::ARTIST_NAME.value_set(value(&sync.track.artist)),
        names::SYNC_STATUS.value_set(status.as_str().to_owned()),
    ]);
    if let PlaylistRef::Name(name) = &sync.playlist {
        attributes.apply(names::PLAYLIST_NAME.value_set(value(name)));
    }
    attributes
}
