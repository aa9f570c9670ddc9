//! The part of a batch in which the user is asked about rows, and their word is taken in.

use std::time::Duration;

use futures::future::join_all;
use jiff::SignedDuration;
use temporalio_common::MemoValue;
use temporalio_sdk::{
    ParentClosePolicy, SignalWorkflowOptions, WaitConditionOptions, WorkflowCancellationToken,
    WorkflowContext,
};

use super::{BatchSync, Next};
use crate::{
    batch::{Counts, Fate, Found, Known, MOST_REVIEWS, Phase, Pick, ROWS_A_PAGE, Row},
    names,
    notices::{self, Event},
    review::{self, DecidedBy, Review, ReviewInput, Verdict},
    step::{StepFailure, Steps, now, rest},
    track::SourceTrack,
    turn::internal,
};

/// After this long a playlist is read anew before what was chosen goes in: the user may have changed it
/// while it waited.
const LOOK_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Time in which further answers of the user's are awaited after one has come.
const GATHERING: Duration = Duration::from_secs(2);

impl BatchSync {
    /// Whether the user may be asked about one more row.
    pub(super) fn may_ask(&self) -> bool {
        let in_vain = self.input.options.atomic && self.has_missed();
        self.so_far.asked < MOST_REVIEWS && !in_vain
    }

    /// Asks the user about the rows of a page that wait for it.
    pub(super) async fn ask(
        ctx: &WorkflowContext<Self>,
        page: u32,
        rows: Vec<Row>,
        fates: &[Fate],
    ) -> Result<(), StepFailure> {
        let first = page * ROWS_A_PAGE as u32;
        let asked = (first..).zip(rows).zip(fates);
        let asked = asked.filter(|(_, fate)| **fate == Fate::WaitingForReview);
        let questions: Vec<_> = asked
            .filter_map(|((row, Row { source, found }), _)| match found {
                Found::Unsure(candidates) => Some(Self::question(ctx, row, source, candidates)),
                _ => None,
            })
            .collect();
        if questions.is_empty() {
            return Ok(());
        }
        let until = ctx.state(|batch| batch.input.options.review).deadline(ctx);
        ctx.state_mut(|batch| batch.so_far.asked_until = Some(until));
        let started = questions.into_iter().map(|question| {
            // It outlives this run, which continues as new, and a batch that is cancelled takes it back
            // itself.
            let id = names::review_id(&question.sync_id, question.row);
            let token = WorkflowCancellationToken::new();
            let options = review::options(id, &question, ParentClosePolicy::Abandon, token);
            ctx.start_child_workflow(Review::run, question, options)
        });
        for started in join_all(started).await {
            started.map_err(|error| internal(&error))?;
        }
        Ok(())
    }

    fn question(
        ctx: &WorkflowContext<Self>,
        row: u32,
        source: SourceTrack,
        candidates: Vec<Pick>,
    ) -> ReviewInput {
        let sync_id = ctx.workflow_id().to_owned();
        ctx.state(|batch| ReviewInput {
            user_id: batch.input.user_id.clone(),
            row: Some(row),
            number: Some(match batch.input.options.reversed {
                true => batch.input.rows.saturating_sub(row),
                false => row + 1,
            }),
            playlist: batch.so_far.playlist_id.clone(),
            terms: batch.input.options.review,
            sync_id,
            source,
            candidates,
        })
    }

    /// Takes in what the user says about the rows that are uncertain, until none is left.
    pub(super) async fn hear(ctx: &WorkflowContext<Self>) -> Result<Next, StepFailure> {
        let token = ctx.cancellation_token();
        let mut looked_at = now(ctx);
        loop {
            let (waiting, none_has_come) =
                ctx.state(|batch| (batch.waiting_for_review(), batch.so_far.verdicts.is_empty()));
            // All or nothing, and it will be nothing: no answer can change that.
            let in_vain = ctx.state(|batch| batch.input.options.atomic && batch.has_missed());
            if waiting == 0 || in_vain {
                return Ok(Next::TheEnd);
            }
            if none_has_come {
                let until = ctx.state(|batch| batch.so_far.asked_until);
                let wait = review::wait(until.unwrap_or_else(|| now(ctx)), waiting);
                Self::show_wait(ctx, Some(wait)).await;
                Self::enter(ctx, Phase::Review);
                Self::tell_of_reviews(ctx, waiting).await;
                let heard = WaitConditionOptions::builder()
                    .cancellation_token(token.clone())
                    .build();
                let something = |batch: &Self| !batch.so_far.verdicts.is_empty();
                let _ = ctx.wait_condition_with_options(something, heard).await;
                // Who has answered one is about to answer the next: they go in together.
                rest(ctx, GATHERING, "more answers".to_owned(), &token, |_| false).await;
                Self::show_wait(ctx, None).await;
                if token.is_cancelled() {
                    return Err(StepFailure::Cancelled { tried: true });
                }
            }
            if now(ctx).duration_since(looked_at) > LOOK_AGAIN_AFTER {
                // What the user took out meanwhile is not there any more.
                ctx.state_mut(|batch| batch.so_far.known = Known::default());
                Self::read_playlist(ctx).await?;
            }
            Self::take_verdicts(ctx).await?;
            looked_at = now(ctx);
            if ctx.continue_as_new_suggested() {
                return Ok(Next::AnotherRun);
            }
        }
    }

    /// Tells the user that it waits for them, if they are told of anything: once, when all that could be done
    /// without them is done, for all tracks together.
    async fn tell_of_reviews(ctx: &WorkflowContext<Self>, waiting: u32) {
        let is_new = ctx.state_mut(|batch| {
            let is_new = batch.input.notify && !batch.so_far.told_of_reviews;
            batch.so_far.told_of_reviews |= is_new;
            is_new
        });
        if !is_new {
            return;
        }
        let (user, playlist, until) = ctx.state(|batch| {
            let until = batch.so_far.asked_until;
            let (user, playlist) = (&batch.input.user_id, &batch.so_far.playlist_id);
            (
                user.clone(),
                playlist.clone(),
                until.unwrap_or_else(|| now(ctx)),
            )
        });
        let batch = (ctx.workflow_id(), &*user);
        notices::tell(ctx, |time| {
            Event::review_waiting(time, batch, &playlist, (waiting, until), None)
        })
        .await;
    }

    /// Gives the rows whose reviews have come to their end what they came to, page by page.
    async fn take_verdicts(ctx: &WorkflowContext<Self>) -> Result<(), StepFailure> {
        while let Some((page, verdicts)) = ctx.state_mut(Self::next_verdicts) {
            let (mut fates, picks) = ctx.state_mut(|batch| batch.heard(&verdicts));
            let rows: Vec<u32> = verdicts.iter().map(|(row, _)| *row).collect();
            let placed = Self::place(ctx, page, &rows, &mut fates, &picks).await;
            Self::note_verdicts(ctx, page, &rows.into_iter().zip(fates).collect::<Vec<_>>());
            placed?;
        }
        Ok(())
    }

    /// The verdicts of the first page that has any.
    fn next_verdicts(&mut self) -> Option<(u32, Vec<(u32, Verdict)>)> {
        let verdicts = &mut self.so_far.verdicts;
        let page = verdicts.keys().next()? / ROWS_A_PAGE as u32;
        let later = verdicts.split_off(&((page + 1) * ROWS_A_PAGE as u32));
        let these = std::mem::replace(verdicts, later);
        Some((page, these.into_iter().collect()))
    }

    /// What is to become of rows by these verdicts, and what is to be added.
    fn heard(&mut self, verdicts: &[(u32, Verdict)]) -> (Vec<Fate>, Vec<(usize, Pick)>) {
        let options = self.input.options;
        let mut picks = Vec::new();
        let fates = (0..).zip(verdicts).map(|(place, (row, verdict))| {
            let Some(pick) = &verdict.pick else {
                return match verdict.decided_by {
                    DecidedBy::User => Fate::Declined,
                    DecidedBy::Deadline | DecidedBy::Withdrawn => Fate::Uncertain,
                };
            };
            self.so_far.chosen.insert(*row, pick.clone());
            self.so_far.take(pick, &options).unwrap_or_else(|fate| {
                picks.push((place, pick.clone()));
                fate
            })
        });
        (fates.collect(), picks)
    }

    /// Notes what became of some rows of a page that had its turn before.
    fn note_verdicts(ctx: &WorkflowContext<Self>, page: u32, fates: &[(u32, Fate)]) {
        let (letters, chosen) = ctx.state_mut(|batch| {
            for &(row, fate) in fates {
                batch.set_fate(row, fate);
            }
            batch.progress.counts = Counts::of(batch.input.rows, &batch.so_far.fates);
            let letters = batch.so_far.fates.chars();
            let letters: String = letters
                .skip(page as usize * ROWS_A_PAGE)
                .take(ROWS_A_PAGE)
                .collect();
            let first = page * ROWS_A_PAGE as u32;
            let chosen = batch.so_far.chosen.of_page(first, ROWS_A_PAGE as u32);
            (letters, chosen)
        });
        let letters = (names::fates_memo(page), Some(MemoValue::new(letters)));
        let chosen = (names::chosen_memo(page), Some(MemoValue::new(chosen)));
        Self::show(ctx, [letters, chosen]);
    }

    /// Takes back the questions that are still open: the batch ends without their answers.
    pub(super) async fn withdraw_reviews(ctx: &WorkflowContext<Self>) {
        let rows = ctx.state_mut(|batch| {
            let all = (0..).zip(batch.so_far.fates.chars());
            let open = all.filter(|(_, letter)| *letter == Fate::WaitingForReview.letter());
            let open: Vec<u32> = open.map(|(row, _)| row).collect();
            for &row in &open {
                // A retry is for them as well; what was answered meanwhile is remembered.
                batch.set_fate(row, Fate::Pending);
            }
            open
        });
        let withdrawn = rows.into_iter().map(|row| async move {
            let id = names::review_id(ctx.workflow_id(), Some(row));
            let options = SignalWorkflowOptions::builder()
                .cancellation_token(WorkflowCancellationToken::new())
                .build();
            // One that has just been answered has nothing to be told.
            let review = ctx.external_workflow(&id, None);
            let _ = review.signal(Review::withdraw, (), options).await;
        });
        join_all(withdrawn).await;
    }

    fn waiting_for_review(&self) -> u32 {
        Counts::of(self.input.rows, &self.so_far.fates).waiting_for_review
    }

    pub(super) fn fate_of(&self, row: u32) -> Fate {
        let letter = self.so_far.fates.as_bytes().get(row as usize);
        letter.map_or(Fate::Pending, |&letter| Fate::of_letter(letter.into()))
    }

    pub(super) fn set_fate(&mut self, row: u32, fate: Fate) {
        let place = row as usize;
        if place < self.so_far.fates.len() {
            let letter = fate.letter().to_string();
            self.so_far.fates.replace_range(place..=place, &letter);
        }
    }
}
