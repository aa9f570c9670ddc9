//! The part of a sync that decides which candidate it is, if the matcher alone could not: by what the user said before
//! or says now, by a model, or by taking the best.

use std::collections::BTreeMap;

use jiff::Timestamp;
use temporalio_sdk::{ParentClosePolicy, WorkflowContext};

use super::{
    MusicSync,
    outcome::{chosen, declined, no_match, unanswered},
};
use crate::{
    activities::Payer,
    batch::{Found, OnAmbiguous, Pick},
    disambiguation,
    matching::{Decision, Match},
    names,
    notices::{self, Event},
    remembered_answer::recall,
    review::{self, DecidedBy, Review, ReviewInput, Verdict},
    step::{StepFailure, Steps},
    sync::SyncOutcome,
    turn::{internal, of_child},
};

impl MusicSync {
    /// The match to place: the matcher's, or of an uncertain track what the user said before or says
    /// now; or the outcome of a sync that has none.
    pub(super) async fn decide(
        ctx: &WorkflowContext<Self>,
        decision: &Decision,
        playlist_id: &str,
    ) -> Result<Result<Match, SyncOutcome>, StepFailure> {
        if let Some(found) = &decision.matched {
            return Ok(Ok(found.clone()));
        }
        let input = ctx.state(|sync| sync.input.clone());
        let without = || no_match(decision, input.match_threshold);
        let (Some(on_ambiguous), Found::Unsure(picks)) = (input.on_ambiguous, Found::of(decision))
        else {
            return Ok(Err(without()));
        };
        let track = BTreeMap::from([(0, input.track.clone())]);
        let recalled = recall(ctx, input.user_id.clone(), track).await?;
        let verdict = match (recalled.get(&0), on_ambiguous) {
            (Some(said), _) => Verdict {
                decided_by: DecidedBy::User,
                pick: said.clone(),
            },
            (None, OnAmbiguous::Skip) => return Ok(Err(without())),
            (None, OnAmbiguous::Best) => {
                let best = decision.best().cloned();
                return Ok(best.ok_or_else(without));
            }
            (None, OnAmbiguous::Ai) => return Self::ask_model(ctx, decision).await,
            (None, OnAmbiguous::Review) => Self::review(ctx, picks, playlist_id).await?,
        };
        Ok(match (verdict.pick, verdict.decided_by) {
            (Some(pick), _) => Ok(chosen(decision, pick)),
            (None, DecidedBy::User) => Err(declined(decision)),
            (None, _) => Err(unanswered(decision)),
        })
    }

    /// Asks a model which of the candidates it is; what it does not decide is left out.
    async fn ask_model(
        ctx: &WorkflowContext<Self>,
        decision: &Decision,
    ) -> Result<Result<Match, SyncOutcome>, StepFailure> {
        let input = ctx.state(|sync| sync.input.clone());
        let mut without = no_match(decision, input.match_threshold);
        let Some(doubt) = disambiguation::doubt(&input.track, &decision.candidates) else {
            return Ok(Err(without));
        };
        let payer = Payer {
            user_id: input.user_id,
            sync_id: ctx.workflow_id().to_owned(),
        };
        let answers = disambiguation::ask(ctx, &payer, &[doubt]).await?;
        let choice = answers.choices.get(&0);
        let found = choice.and_then(|choice| disambiguation::chosen(choice, &decision.candidates));
        let told = match answers.error {
            Some(error) => format!(
                " The model could not be asked: {error}. {}",
                error.next_step
            ),
            None => " The model chose none of the candidates either.".to_owned(),
        };
        without.message.push_str(&told);
        Ok(found.ok_or(without))
    }

    /// Asks the user which of the candidates it is.
    async fn review(
        ctx: &WorkflowContext<Self>,
        candidates: Vec<Pick>,
        playlist_id: &str,
    ) -> Result<Verdict, StepFailure> {
        let sync_id = ctx.workflow_id().to_owned();
        let input = ctx.state(|sync| ReviewInput {
            user_id: sync.input.user_id.clone(),
            row: None,
            number: None,
            playlist: playlist_id.to_owned(),
            source: sync.input.track.clone(),
            terms: sync.input.review,
            sync_id,
            candidates,
        });
        let id = names::review_id(&input.sync_id, None);
        let token = ctx.cancellation_token();
        let options = review::options(id, &input, ParentClosePolicy::RequestCancel, token);
        let wait = review::wait(input.terms.deadline(ctx), 1);
        let started = ctx
            .start_child_workflow(Review::run, input, options)
            .await
            .map_err(|error| match error.as_cancelled() {
                Some(_) => StepFailure::Cancelled { tried: false },
                None => internal(&error),
            })?;
        Self::show_wait(ctx, Some(wait.clone())).await;
        Self::tell_of_review(ctx, playlist_id, wait.until).await;
        let verdict = started.result().await;
        Self::show_wait(ctx, None).await;
        verdict.map_err(|error| of_child(&error))
    }

    /// Tells the user that it waits for them, if they are told of anything.
    async fn tell_of_review(ctx: &WorkflowContext<Self>, playlist: &str, until: Timestamp) {
        let input = ctx.state(|sync| sync.input.clone());
        if !input.notify {
            return;
        }
        let sync = (ctx.workflow_id(), &*input.user_id);
        let track = Some(&input.track);
        notices::tell(ctx, |time| {
            Event::review_waiting(time, sync, playlist, (1, until), track)
        })
        .await;
    }
}
