//! What a batch says of itself when it ends.

use jiff::Timestamp;
use temporalio_sdk::WorkflowContext;

use super::BatchSync;
use crate::{
    batch::{BatchOptions, BatchOutcome, Counts, Phase, SoFar},
    model::Usage,
    notices::{self, Event},
    step::{StepFailure, now},
    sync::SyncStatus,
};

impl BatchSync {
    /// Tells the user how it ended, if they are told of anything. That it is on record takes the engine a moment,
    /// and the receiver has no part in it.
    pub(super) async fn tell_of_end(ctx: &WorkflowContext<Self>, ended: &Result<(), StepFailure>) {
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

    pub(super) fn end(ctx: &WorkflowContext<Self>, status: SyncStatus) -> BatchOutcome {
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
        sentences.push_str(match so_far.unsure {
            false => " It was to be all or nothing: the playlist is as it was before.",
            true => {
                " It was to be all or nothing, and some of the tracks that failed may be in the playlist all the \
                 same; look there, and take them out in Spotify."
            }
        });
    }
    if status == SyncStatus::Cancelled && !options.atomic && counts.added > 0 {
        sentences.push_str(" What was added stays in the playlist.");
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
            " Not all that had been added could be taken out again ({error}); take it out in Spotify \
             if you do not want it."
        ));
    }
    sentences
}
