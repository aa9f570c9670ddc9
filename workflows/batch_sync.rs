//! `BatchSync`: many tracks into one playlist, in the user's order.
//!
//! 1. Find the playlist, or make it, and read once what is in it.
//! 2. Page after page: search and match it ([`BatchPage`]; the next page is searched while this one is
//!    added), leave out what is there or came before, and place the rest ([`PlacePage`]).
//! 3. Rows about which the user is asked ([`Review`]) have their turn when the answers come, after all
//!    pages.
//! 4. All or nothing, and a track failed; or cancelled so: take out again what was added.
//!
//! Between pages it continues as new before its history grows large, with the pages that are left and
//! with what it knows. No row is forgotten: its fate is a letter in the outcome, and what was found for
//! it the result of its page.

mod reviews;

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
    activities::{Activities, BatchActivities, NewPlaylist, PagePlacement, Payer},
    batch::{
        BatchInput, BatchOptions, BatchOutcome, BatchProgress, Counts, FailedBatch, Fate, Found,
        Known, OnAmbiguous, Phase, Pick, ROWS_A_PAGE, Row, SoFar, SourcePage, Target, There,
    },
    batch_page::{BatchPage, PageFound, PageInput},
    error::{ErrorCode, SyncError},
    model::Usage,
    names,
    notices::{self, Event},
    place_page::{PagePlaced, PlacePage, PlacePageInput},
    review::Reviewed,
    step::{StepFailure, StepPolicy, Steps, failed_with, now, run_step},
    sync::{PlaylistRef, SyncStatus, Wait},
    turn::{internal, of_child, start_in_turn},
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

/// Entries that Spotify allows in a playlist.
const PLAYLIST_HOLDS: u32 = 10_000;

/// Characters of one of Spotify's ids.
const ID_LENGTH: usize = 22;

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
            let placed = Self::place(ctx, number, &mut fates, &picks).await;
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

    /// What is to become of each row, and what is to be added: the places of the rows in the page, and
    /// their tracks.
    fn decide(ctx: &WorkflowContext<Self>, rows: &[Row]) -> (Vec<Fate>, Vec<(usize, Pick)>) {
        ctx.state_mut(|batch| {
            let options = batch.input.options;
            let mut picks = Vec::new();
            let mut fates = Vec::new();
            for (place, row) in rows.iter().enumerate() {
                let picked = pick_of(&row.found, &options).map_err(|fate| match fate {
                    Fate::WaitingForReview if !batch.may_ask() => Fate::Uncertain,
                    fate => fate,
                });
                if picked == Err(Fate::WaitingForReview) {
                    batch.so_far.asked += 1;
                }
                let fate = match picked {
                    Err(fate) => fate,
                    Ok(pick) => batch.so_far.take(pick, &options).unwrap_or_else(|fate| {
                        picks.push((place, pick.clone()));
                        fate
                    }),
                };
                fates.push(fate);
            }
            (fates, picks)
        })
    }

    /// Adds what is to be added of a page, when its turn has come.
    async fn place(
        ctx: &WorkflowContext<Self>,
        page: u32,
        fates: &mut [Fate],
        picks: &[(usize, Pick)],
    ) -> Result<(), StepFailure> {
        let picks = ctx.state_mut(|batch| batch.what_fits(page, fates, picks));
        let (options, input) = ctx.state(|batch| {
            let input = PlacePageInput {
                playlist_id: batch.so_far.playlist_id.clone(),
                track_uris: picks
                    .iter()
                    .map(|(_, pick)| pick.track.uri.clone())
                    .collect(),
                from: batch.so_far.entries,
                add_duplicates: batch.input.options.add_duplicates,
            };
            (batch.input.options, input)
        });
        let in_vain = options.atomic
            && (fates.iter().any(|fate| fate.is_miss()) || ctx.state(Self::has_missed));
        if options.dry_run || picks.is_empty() || in_vain {
            return Ok(());
        }
        let id = names::place_page_id(&input.playlist_id);
        let started = start_in_turn(ctx, || PlacePage::run, &input, &id, None).await?;
        ctx.state_mut(|batch| batch.placing = Some(id));
        let placed = started.result().await;
        ctx.state_mut(|batch| batch.placing = None);
        let placed = placed.map_err(|error| of_child(&error))?;
        for ((place, _), letter) in picks.iter().zip(placed.fates.chars()) {
            fates[*place] = Fate::of_letter(letter);
        }
        ctx.state_mut(|batch| batch.take_in(page, &placed, picks));
        match placed.error {
            _ if placed.cancelled => Err(StepFailure::Cancelled { tried: true }),
            // One that is about the playlist, and not about a track, would meet every page.
            Some(error) if !is_about_a_track(&error) => Err(StepFailure::Failed(error)),
            _ => Ok(()),
        }
    }

    /// Those of the tracks for which the playlist has room; the others have failed.
    fn what_fits<'a>(
        &mut self,
        page: u32,
        fates: &mut [Fate],
        picks: &'a [(usize, Pick)],
    ) -> &'a [(usize, Pick)] {
        let room = PLAYLIST_HOLDS.saturating_sub(self.so_far.entries) as usize;
        let (fitting, too_many) = picks.split_at(room.min(picks.len()));
        if !too_many.is_empty() && !self.input.options.dry_run {
            for (place, _) in too_many {
                fates[*place] = Fate::Failed;
            }
            let full = format!(
                "the playlist is full: Spotify allows {PLAYLIST_HOLDS} songs in one; sync the rest to another"
            );
            let full = SyncError::new(ErrorCode::InvalidRequest, full);
            self.so_far.page_errors.push((page, full));
        }
        fitting
    }

    /// Takes in what came of a page in the playlist.
    fn take_in(&mut self, page: u32, placed: &PagePlaced, picks: &[(usize, Pick)]) {
        let so_far = &mut self.so_far;
        so_far.entries = placed.entries;
        so_far.known.merge_but(&placed.known, &so_far.ours);
        so_far.retry_count += placed.retries;
        if let Some(error) = &placed.error {
            so_far.page_errors.push((page, error.clone()));
        }
        if self.input.options.atomic {
            for ((_, pick), letter) in picks.iter().zip(placed.fates.chars()) {
                if Fate::of_letter(letter) == Fate::Added {
                    so_far.added.push_str(&pick.track.id);
                }
            }
        }
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

    /// Whether what was added is to be taken out again.
    fn is_to_be_undone(&self, ended_well: bool) -> bool {
        let something_missed = !ended_well || self.has_missed();
        self.input.options.atomic && something_missed && !self.so_far.added.is_empty()
    }

    /// Takes out what was added, the last first.
    async fn undo(ctx: &WorkflowContext<Self>) {
        Self::enter(ctx, Phase::Undo);
        // A token of its own, or the undo would be cancelled with the rest.
        let token = WorkflowCancellationToken::new();
        let (playlist_id, added) =
            ctx.state(|batch| (batch.so_far.playlist_id.clone(), batch.so_far.added.clone()));
        let ids: Vec<String> = added
            .as_bytes()
            .chunks(ID_LENGTH)
            .map(|id| format!("spotify:track:{}", String::from_utf8_lossy(id)))
            .collect();
        for track_uris in ids.rchunks(ROWS_A_PAGE) {
            let activity = || BatchActivities::take_out_page;
            let taken = run_step(ctx, CHANGE, &token, activity, |_| PagePlacement {
                playlist_id: playlist_id.clone(),
                track_uris: track_uris.to_vec(),
                from: 0,
                tried_before: false,
                add_duplicates: false,
            })
            .await;
            if let Err(StepFailure::Failed(error)) = taken {
                ctx.state_mut(|batch| batch.so_far.undo_error = Some(error));
                return;
            }
        }
        ctx.state_mut(|batch| {
            let taken_out = Fate::TakenOut.letter().to_string();
            let so_far = &mut batch.so_far;
            so_far.fates = so_far.fates.replace(Fate::Added.letter(), &taken_out);
            so_far.added.clear();
        });
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

    /// Tells the user how it ended, if they are told of anything. That it is on record takes the engine a moment,
    /// and the receiver has no part in it.
    async fn tell_of_end(ctx: &WorkflowContext<Self>, ended: &Result<(), StepFailure>) {
        if !ctx.state(|batch| batch.input.notify) {
            return;
        }
        let (status, error) = match ended {
            Ok(()) => (SyncStatus::Completed, None),
            Err(StepFailure::Cancelled { .. }) => (SyncStatus::Cancelled, None),
            Err(StepFailure::Failed(error)) => (SyncStatus::Failed, Some(error)),
        };
        let outcome = ctx.state(|batch| batch.outcome(status, now(ctx)));
        let (user, target) =
            ctx.state(|batch| (batch.input.user_id.clone(), batch.input.target.clone()));
        let batch = (ctx.workflow_id(), &*user);
        notices::tell(ctx, |time| {
            Event::batch_ended(time, batch, target.as_str(), status, &outcome, error)
        })
        .await;
    }

    fn end(ctx: &WorkflowContext<Self>, status: SyncStatus) -> BatchOutcome {
        let outcome = ctx.state_mut(|batch| {
            let outcome = batch.outcome(status, now(ctx));
            batch.progress.wait(None);
            batch.progress.status = status;
            batch.progress.phase = Phase::Done;
            batch.progress.counts = outcome.counts;
            outcome
        });
        let attributes = ctx.state(|batch| batch.progress.attributes());
        ctx.upsert_search_attributes(attributes);
        outcome
    }

    /// What has come of it when it ends like this.
    fn outcome(&self, status: SyncStatus, now: Timestamp) -> BatchOutcome {
        let (so_far, options) = (self.so_far.clone(), &self.input.options);
        let counts = Counts::of(self.input.rows, &so_far.fates);
        let milliseconds = now.duration_since(so_far.started_at).as_millis();
        BatchOutcome {
            success: status == SyncStatus::Completed && counts.missed() == 0,
            message: story_of(&counts, status, options, &so_far),
            playlist_id: so_far.playlist_id,
            counts,
            fates: so_far.fates,
            chosen: so_far.chosen,
            page_errors: so_far.page_errors,
            pages: so_far.pages_done,
            reversed: options.reversed,
            dry_run: options.dry_run,
            model: so_far.model,
            retry_count: so_far.retry_count,
            execution_time_seconds: milliseconds as f64 / 1000.0,
        }
    }
}

impl SoFar {
    /// What becomes of a row with this track without anything being added; an error, with its fate
    /// until then, if the track is to be added.
    fn take(&mut self, pick: &Pick, options: &BatchOptions) -> Result<Fate, Fate> {
        match self.meets(pick) {
            Some(fate) if !options.add_duplicates => Ok(fate),
            _ => {
                self.ours.remember(&pick.track);
                Err(match options.dry_run {
                    true => Fate::WouldAdd,
                    false => Fate::Pending,
                })
            }
        }
    }

    /// How the track is met again: earlier in this batch, or in the playlist.
    fn meets(&self, pick: &Pick) -> Option<Fate> {
        if self.ours.look_for(&pick.track).is_some() {
            return Some(Fate::Repeated);
        }
        Some(match self.known.look_for(&pick.track)? {
            There::Track => Fate::AlreadyThere,
            There::Recording | There::Song => Fate::AlreadyThereAsAnother,
        })
    }
}

/// The track to take for a row, or what becomes of a row that has none.
fn pick_of<'a>(found: &'a Found, options: &BatchOptions) -> Result<&'a Pick, Fate> {
    match (found, options.on_ambiguous) {
        (Found::Match(pick), _) => Ok(pick),
        (Found::Unsure(picks), OnAmbiguous::Best) => picks.first().ok_or(Fate::NotFound),
        // A dry run asks nobody.
        (Found::Unsure(_), OnAmbiguous::Review) if !options.dry_run => Err(Fate::WaitingForReview),
        // What the model has decided is a match by now.
        (Found::Unsure(_), OnAmbiguous::Skip | OnAmbiguous::Review | OnAmbiguous::Ai) => {
            Err(Fate::Uncertain)
        }
        (Found::Nothing, _) => Err(Fate::NotFound),
        (Found::Declined, _) => Err(Fate::Declined),
        (Found::Failed(_), _) => Err(Fate::Failed),
        (Found::Repeated, _) => Err(Fate::Repeated),
    }
}

fn is_about_a_track(error: &SyncError) -> bool {
    matches!(
        error.code,
        ErrorCode::InvalidRequest | ErrorCode::NotVerified
    )
}

/// What happened, in a few sentences.
fn story_of(counts: &Counts, status: SyncStatus, options: &BatchOptions, so_far: &SoFar) -> String {
    let tracks = |n: u32| match n {
        1 => "1 track".to_owned(),
        n => format!("{n} tracks"),
    };
    let mut parts = Vec::new();
    for (n, what) in [
        (counts.added, "added"),
        (counts.would_add, "would be added"),
        (counts.already_there, "already in the playlist"),
        (counts.repeated, "repeated in the source"),
        (counts.uncertain, "without a certain match"),
        (counts.declined, "left out, as you said"),
        (counts.not_found, "not on Spotify"),
        (counts.failed, "failed"),
        (counts.taken_out, "added and taken out again"),
        (counts.pending, "not done"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    let of = format!("Of {}: {}.", tracks(counts.total), parts.join(", "));
    let mut sentences = match status {
        SyncStatus::Cancelled => format!("The batch was cancelled. {of}"),
        SyncStatus::Failed => format!("The batch failed. {of}"),
        _ => of,
    };
    if options.atomic && counts.missed() > 0 && so_far.undo_error.is_none() {
        sentences.push_str(" It was to be all or nothing: the playlist is as it was before.");
    }
    if !so_far.model.is_none() {
        let Usage { calls, .. } = so_far.model;
        let tokens = so_far.model.tokens();
        sentences.push_str(&format!(
            " The model was asked {calls} times ({tokens} tokens)."
        ));
    }
    if let Some(error) = &so_far.model_error {
        sentences.push_str(&format!(
            " The model could not be asked about all tracks in doubt ({error}); those are left out. {}",
            error.next_step
        ));
    }
    if let Some(error) = &so_far.undo_error {
        sentences.push_str(&format!(
            " What had been added could not be taken out again ({error}); take it out in Spotify \
             if you do not want it."
        ));
    }
    sentences
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
