//! `BatchSync`: many tracks into one playlist, in the user's order.
//!
//! 1. Find the playlist, or make it, and read once what is in it.
//! 2. Page after page: search and match it ([`BatchPage`]; the next page is searched while this one is
//!    added), leave out what is there or came before, and place the rest ([`PlacePage`]).
//! 3. Rows about which the user is asked ([`Review`](crate::review::Review)) have their turn when the answers come, after all
//!    pages.
//! 4. All or nothing, and a track failed; or cancelled so: take out again what was added.
//!
//! Between pages it continues as new before its history grows large, with the pages that are left and
//! with what it knows. No row is forgotten: its fate is a letter in the outcome, and what was found for
//! it the result of its page.

mod adding;
mod outcome;
mod reviews;
mod rows;

use std::time::Duration;

use jiff::Timestamp;
use temporalio_common::{MemoValue, WorkflowDefinition, search_attributes::SearchAttributes};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ChildWorkflowCancellationType, ChildWorkflowOptions, ContinueAsNewOptions, ParentClosePolicy,
    SignalWorkflowOptions, StartedChildWorkflow, SyncWorkflowContext, WorkflowCancellationToken,
    WorkflowContext, WorkflowContextView, WorkflowResult, WorkflowTermination,
};

use crate::{
    activities::{Activities, BatchActivities, NewPlaylist, Payer},
    batch::{
        BatchInput, BatchOutcome, BatchProgress, Counts, FailedBatch, Fate, Known, OnAmbiguous,
        Phase, ROWS_A_PAGE, SoFar, SourcePage, Target,
    },
    batch_page::{BatchPage, PageFound, PageInput},
    names,
    place_page::PlacePage,
    review::Reviewed,
    step::{StepFailure, StepPolicy, Steps, failed_with, run_step},
    sync::{PlaylistRef, SyncStatus, Wait},
    turn::{internal, of_child},
};

/// Looking up the playlist, and reading it: 10,000 entries are 200 calls.
const READ: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(600),
    heartbeat: Duration::from_secs(5),
    attempts: 5,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// Making a playlist, and taking out what was added.
const CHANGE: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(60),
    heartbeat: Duration::from_secs(8),
    attempts: 10,
    first_retry: Duration::from_secs(2),
    longest_retry: Duration::from_secs(60),
};

/// Pages of one run: a page takes some 30 events and 15 kB, and the whole is to stay far below the
/// 10,240 events and 10 MB at which Temporal warns.
const PAGES_A_RUN: usize = 50;

/// See the module.
#[workflow]
pub struct BatchSync {
    input: BatchInput,
    so_far: SoFar,
    progress: BatchProgress,
    /// The pages that are being searched: their workflows.
    searching: Vec<String>,
    /// The workflow that adds a page.
    placing: Option<String>,
    times_woken: u32,
}

#[workflow_methods]
impl BatchSync {
    #[init]
    fn new(ctx: &WorkflowContextView, mut input: BatchInput) -> Self {
        let so_far = input.so_far.take().map_or_else(
            || SoFar {
                started_at: ctx
                    .start_time()
                    .and_then(|time| Timestamp::try_from(time).ok())
                    .unwrap_or_default(),
                ..SoFar::default()
            },
            |so_far| *so_far,
        );
        let progress = BatchProgress {
            status: SyncStatus::Running,
            phase: Phase::FindPlaylist,
            counts: Counts::of(input.rows, &so_far.fates),
            retry_count: so_far.retry_count,
            started_at: so_far.started_at,
            dry_run: input.options.dry_run,
            reversed: input.options.reversed,
            wait: None,
        };
        Self {
            input,
            so_far,
            progress,
            searching: Vec::new(),
            placing: None,
            times_woken: 0,
        }
    }

    /// The story, and how it is told when it ends badly.
    #[run(name = "BatchSync")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<BatchOutcome> {
        let ended = match Self::story(ctx).await {
            // The next run would not hear of it.
            Ok(Next::AnotherRun) if ctx.cancellation_token().is_cancelled() => {
                Err(StepFailure::Cancelled { tried: true })
            }
            Ok(Next::AnotherRun) => {
                let input = ctx.state(Self::rest_of_it);
                ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
                return Err(WorkflowTermination::cancelled());
            }
            ended => ended.map(|_| ()),
        };
        if ctx.state(|batch| batch.is_to_be_undone(ended.is_ok())) {
            Self::undo(ctx).await;
        }
        Self::withdraw_reviews(ctx).await;
        Self::tell_of_end(ctx, &ended).await;
        match ended {
            Ok(()) => Ok(Self::end(ctx, SyncStatus::Completed)),
            Err(StepFailure::Cancelled { .. }) => {
                let outcome = Self::end(ctx, SyncStatus::Cancelled);
                Err(WorkflowTermination::cancelled_with_details(outcome))
            }
            Err(StepFailure::Failed(error)) => {
                let outcome = Self::end(ctx, SyncStatus::Failed);
                let failed = FailedBatch {
                    error: error.clone(),
                    outcome,
                };
                Err(failed_with(error, failed).into())
            }
        }
    }

    /// What has become of the rows so far, a letter each, and why pages failed. To be asked of a batch
    /// that has ended; see [`standing`](crate::standing).
    #[query(name = "so_far")]
    pub fn so_far(&self, _ctx: &WorkflowContextView) -> SoFar {
        SoFar {
            // Nobody outside can make anything of these.
            known: Known::default(),
            ours: Known::default(),
            added: String::new(),
            added_rows: Vec::new(),
            ..self.so_far.clone()
        }
    }

    /// The pages whose turn has not come.
    #[query(name = "pages_left")]
    pub fn pages_left(&self, _ctx: &WorkflowContextView) -> Vec<SourcePage> {
        self.input.pages.clone()
    }

    /// What it was asked to do, without the rows.
    #[query(name = "input")]
    pub fn input(&self, _ctx: &WorkflowContextView) -> BatchInput {
        BatchInput {
            pages: Vec::new(),
            ..self.input.clone()
        }
    }

    /// A workflow that does something for it waits, or is at work again.
    #[signal(name = "child_waits_for")]
    pub fn child_waits_for(&mut self, ctx: &mut SyncWorkflowContext<Self>, wait: Option<Wait>) {
        self.progress.wait(wait);
        ctx.upsert_search_attributes(self.progress.attributes());
    }

    /// A review of one of its rows has come to its end.
    #[signal(name = "reviewed")]
    pub fn reviewed(&mut self, _ctx: &mut SyncWorkflowContext<Self>, reviewed: Reviewed) {
        if self.fate_of(reviewed.row) == Fate::WaitingForReview {
            let verdicts = &mut self.so_far.verdicts;
            verdicts.insert(reviewed.row, reviewed.verdict);
        }
    }

    /// What it waits for may be over: it is to look at once.
    #[signal(name = "wake")]
    pub async fn wake(ctx: &mut WorkflowContext<Self>) {
        let (searching, placing) = ctx.state_mut(|batch| {
            batch.times_woken += 1;
            (batch.searching.clone(), batch.placing.clone())
        });
        // Under a token of its own, or it would not reach what a cancelled batch still does. One that
        // has just ended has nothing to be woken for.
        let options = || {
            SignalWorkflowOptions::builder()
                .cancellation_token(WorkflowCancellationToken::new())
                .build()
        };
        for page in searching {
            let page = ctx.external_workflow(page, None);
            let _ = page.signal(BatchPage::wake, (), options()).await;
        }
        if let Some(placing) = placing {
            let placing = ctx.external_workflow(placing, None);
            let _ = placing.signal(PlacePage::wake, (), options()).await;
        }
    }
}

/// What comes after a run.
enum Next {
    /// Another one goes on with what is left.
    AnotherRun,
    /// Nothing: all is done.
    TheEnd,
}

impl BatchSync {
    async fn story(ctx: &WorkflowContext<Self>) -> Result<Next, StepFailure> {
        if ctx.state(|batch| batch.so_far.playlist_id.is_empty() && batch.so_far.pages_done == 0) {
            Self::begin(ctx).await?;
        }
        Self::enter(ctx, Phase::Tracks);
        let pages = ctx.state(|batch| batch.input.pages.len().min(PAGES_A_RUN));
        let mut ahead = None;
        for page in 0..pages {
            let searching = match ahead.take() {
                Some(searching) => searching,
                None => Self::search(ctx, 0).await?,
            };
            // The next page is searched while this one is added.
            if page + 1 < pages {
                ahead = Some(Self::search(ctx, 1).await?);
            }
            let found = searching.result().await.map_err(|error| of_child(&error))?;
            let rows = found.rows.unpack().map_err(|error| internal(&error))?;
            ctx.state_mut(|batch| {
                batch.so_far.model += found.model;
                if found.model_error.is_some() {
                    batch.so_far.model_error = found.model_error;
                }
            });
            let number = ctx.state(|batch| batch.so_far.pages_done);
            let (mut fates, picks) = Self::decide(ctx, &rows);
            let numbers: Vec<u32> = (number * ROWS_A_PAGE as u32..).take(fates.len()).collect();
            let placed = Self::place(ctx, number, &numbers, &mut fates, &picks).await;
            Self::note_page(ctx, &fates, found.retries);
            placed?;
            Self::ask(ctx, number, rows, &fates).await?;
            if ctx.cancellation_token().is_cancelled() {
                return Err(StepFailure::Cancelled { tried: true });
            }
        }
        match ctx.state(|batch| batch.input.pages.is_empty()) {
            true => Self::hear(ctx).await,
            false => Ok(Next::AnotherRun),
        }
    }

    /// Finds or makes the playlist, and reads what is in it.
    async fn begin(ctx: &WorkflowContext<Self>) -> Result<(), StepFailure> {
        Self::enter(ctx, Phase::FindPlaylist);
        let token = ctx.cancellation_token();
        let (target, dry_run) =
            ctx.state(|batch| (batch.input.target.clone(), batch.input.options.dry_run));
        let id = match target {
            Target::Playlist(PlaylistRef::Id(id)) => id,
            Target::Playlist(PlaylistRef::Name(name)) => {
                let activity = || Activities::find_playlist;
                run_step(ctx, READ, &token, activity, |_| name.clone())
                    .await?
                    .id
            }
            // It is not made to look what would be in it.
            Target::New(_) if dry_run => return Ok(()),
            Target::New(name) => {
                let activity = || BatchActivities::namesakes;
                let namesakes = run_step(ctx, READ, &token, activity, |_| name.clone()).await?;
                let activity = || BatchActivities::create_playlist;
                run_step(ctx, CHANGE, &token, activity, |before| NewPlaylist {
                    name: name.clone(),
                    namesakes: namesakes.clone(),
                    tried_before: before.tried,
                })
                .await?
                .id
            }
        };
        ctx.upsert_search_attributes([names::PLAYLIST_ID.value_set(id.clone())]);
        Self::enter(ctx, Phase::ReadPlaylist);
        ctx.state_mut(|batch| batch.so_far.playlist_id = id);
        Self::read_playlist(ctx).await
    }

    /// Reads what is in the playlist.
    async fn read_playlist(ctx: &WorkflowContext<Self>) -> Result<(), StepFailure> {
        let token = ctx.cancellation_token();
        let id = ctx.state(|batch| batch.so_far.playlist_id.clone());
        let activity = || BatchActivities::read_playlist;
        let read = run_step(ctx, READ, &token, activity, |_| id.clone()).await?;
        ctx.state_mut(|batch| {
            batch.so_far.known.merge(&read.known);
            batch.so_far.entries = read.entries;
        });
        Ok(())
    }

    /// Starts the search of the first page that is left, or of one after it.
    async fn search(
        ctx: &WorkflowContext<Self>,
        ahead: u32,
    ) -> Result<
        StartedChildWorkflow<impl WorkflowDefinition<Output = PageFound> + 'static>,
        StepFailure,
    > {
        let (number, mut input) = ctx.state_mut(|batch| batch.page_input(ahead))?;
        if ctx.state(|batch| batch.input.options.on_ambiguous == OnAmbiguous::Ai) {
            input.payer = Some(Payer {
                user_id: ctx.state(|batch| batch.input.user_id.clone()),
                sync_id: ctx.workflow_id().to_owned(),
            });
        }
        let id = names::page_id(ctx.workflow_id(), number);
        let options = ChildWorkflowOptions::builder()
            .workflow_id(id.clone())
            .cancel_type(ChildWorkflowCancellationType::WaitCancellationCompleted)
            .parent_close_policy(ParentClosePolicy::RequestCancel)
            .build();
        let started = ctx
            .start_child_workflow(BatchPage::run, input, options)
            .await
            .map_err(|error| match error.as_cancelled() {
                Some(_) => StepFailure::Cancelled { tried: false },
                None => internal(&error),
            })?;
        ctx.state_mut(|batch| {
            batch.searching.push(id);
        });
        Ok(started)
    }

    fn page_input(&mut self, ahead: u32) -> Result<(u32, PageInput), StepFailure> {
        let rows = self.input.pages[ahead as usize].clone();
        let sources = rows.unpack().map_err(|error| internal(&error))?;
        let options = self.input.options;
        let known = &mut self.so_far.known;
        let repeated = (0..)
            .zip(&sources)
            .filter(|(_, source)| !options.add_duplicates && known.is_repeated(source))
            .map(|(place, _)| place)
            .collect();
        let number = self.so_far.pages_done + ahead;
        let input = PageInput {
            rows,
            repeated,
            match_threshold: options.match_threshold,
            previewed: self
                .input
                .from_preview
                .as_ref()
                .map(|preview| names::page_id(preview, number)),
            user_id: Some(self.input.user_id.clone()),
            payer: None,
        };
        Ok((number, input))
    }

    /// The page is done.
    fn note_page(ctx: &WorkflowContext<Self>, fates: &[Fate], retries: u32) {
        let (page, letters) = ctx.state_mut(|batch| {
            batch.input.pages.remove(0);
            batch.searching.remove(0);
            let so_far = &mut batch.so_far;
            let letters: String = fates.iter().map(|fate| fate.letter()).collect();
            let page = names::fates_memo(so_far.pages_done);
            so_far.pages_done += 1;
            so_far.retry_count += retries;
            so_far.fates.push_str(&letters);
            batch.progress.counts = Counts::of(batch.input.rows, &so_far.fates);
            batch.progress.retry_count = so_far.retry_count;
            (page, letters)
        });
        Self::show(ctx, [(page, Some(MemoValue::new(letters)))]);
    }

    fn has_missed(&self) -> bool {
        let mut fates = self.so_far.fates.chars().map(Fate::of_letter);
        fates.any(Fate::is_miss)
    }

    fn rest_of_it(&self) -> BatchInput {
        BatchInput {
            so_far: Some(Box::new(self.so_far.clone())),
            ..self.input.clone()
        }
    }

    fn enter(ctx: &WorkflowContext<Self>, phase: Phase) {
        ctx.state_mut(|batch| batch.progress.phase = phase);
        Self::show(ctx, []);
    }

    /// Shows how far it is where that is looked for: in its memo.
    fn show(
        ctx: &WorkflowContext<Self>,
        more: impl IntoIterator<Item = (String, Option<MemoValue>)>,
    ) {
        let progress = ctx.state(|batch| batch.progress.clone());
        let progress = (
            names::PROGRESS_MEMO.to_owned(),
            Some(MemoValue::new(progress)),
        );
        let shown = ctx.upsert_memo(more.into_iter().chain([progress]));
        if let Err(error) = shown {
            tracing::debug!("the progress cannot be shown: {error}");
        }
    }
}

/// The search attributes of a batch.
pub fn attributes_of(batch: &BatchInput, status: SyncStatus) -> SearchAttributes {
    let value = names::attribute_value;
    let mut attributes = SearchAttributes::new([
        names::USER_ID.value_set(value(&batch.user_id)),
        names::PLAYLIST_ID.value_set(value(batch.target.as_str())),
        names::SYNC_STATUS.value_set(status.as_str().to_owned()),
    ]);
    if let Target::New(name) | Target::Playlist(PlaylistRef::Name(name)) = &batch.target {
        attributes.apply(names::PLAYLIST_NAME.value_set(value(name)));
    }
    attributes
}

impl Steps for BatchSync {
    fn is_patient(_ctx: &WorkflowContext<Self>) -> bool {
        true
    }

    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
        let attributes = ctx.state_mut(|batch| {
            batch.progress.wait(wait);
            batch.progress.attributes()
        });
        ctx.upsert_search_attributes(attributes);
    }

    fn count_retries(&mut self, retries: u32) {
        self.so_far.retry_count += retries;
    }

    fn times_woken(&self) -> u32 {
        self.times_woken
    }
}
