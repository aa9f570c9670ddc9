//! `PlaceTrack`: one track into one playlist, so that it is there once.
//!
//! Its workflow id names the playlist and the track, and the engine runs only one workflow of an
//! id at a time. So of two syncs that come to the same track the second waits until the first has
//! ended, and then finds the track there.
//!
//! 1. Look: was the track there before? Then nothing is to be done.
//! 2. Add it. An attempt whose answer was lost is looked for before the next one adds.
//! 3. Verify that it is there.
//! 4. Cancelled on the way: take out what may have been added, and nothing else.
//!
//! The first three are one attempt if nothing is in the way ([`Placing`]). Whatever is, the workflow goes on from
//! where that attempt came to, step by step: each with attempts, waits and time of its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    SignalWorkflowOptions, SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowResult,
};

use crate::{
    activities::{Activities, Added, Noted, Placement, Placing},
    error::ErrorCode,
    music_sync::MusicSync,
    names,
    step::{Before, Missed, StepFailure, StepPolicy, Steps, attempt_once, rest, run_step},
    sync::{Step, Wait},
};

/// Looking, adding and verifying in one attempt: it has the time of a look. It counts as lost when an add does.
const AT_ONCE: StepPolicy = StepPolicy {
    attempt: LOOK.attempt,
    heartbeat: ADD.heartbeat,
    attempts: 1,
    first_retry: LOOK.first_retry,
    longest_retry: LOOK.longest_retry,
};

/// Looking into the playlist before the add. A playlist of 10,000 has 200 pages, each of which waits
/// for its turn in the budget of calls.
const LOOK: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(600),
    heartbeat: Duration::from_secs(5),
    attempts: 5,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// Adding. A repeated attempt looks for what the one before may have done; before that it waits a
/// moment (see the activity), so that a request whose answer was lost has arrived.
const ADD: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(60),
    heartbeat: Duration::from_secs(8),
    attempts: 10,
    first_retry: Duration::from_secs(2),
    longest_retry: Duration::from_secs(60),
};

/// Verifying. Spotify may show an add a moment late.
const VERIFY: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(45),
    heartbeat: Duration::from_secs(5),
    attempts: 5,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// What a cancelled sync says that has changed nothing.
const NOTHING_ADDED: &str = "Nothing had been added.";

/// Undoing: as patient as adding, because what it leaves behind is in the user's playlist.
const UNDO: StepPolicy = ADD;

/// What to place, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceInput {
    /// Spotify's id of the playlist.
    pub playlist_id: String,
    /// Spotify's URI of the track.
    pub track_uri: String,
    /// Try it in one attempt first. Workflows begun before there was such a thing go step by step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Placed {
    /// The track was added, and seen in the playlist.
    Added {
        /// Attempts that had to be repeated.
        retries: u32,
    },
    /// The track was in the playlist before.
    AlreadyThere {
        /// Attempts that had to be repeated.
        retries: u32,
    },
    /// Cancelled; the playlist is as it was, or the sentence says what was left behind.
    Cancelled {
        /// What was undone, or what could not be.
        undone: String,
        /// Attempts that had to be repeated.
        retries: u32,
    },
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceProgress {
    /// What it does now.
    pub step: Step,
    /// Attempts that had to be repeated so far.
    pub retries: u32,
}

/// See the module.
#[workflow]
pub struct PlaceTrack {
    input: PlaceInput,
    progress: PlaceProgress,
    times_woken: u32,
}

#[workflow_methods]
impl PlaceTrack {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: PlaceInput) -> Self {
        Self {
            input,
            progress: PlaceProgress {
                step: Step::Add,
                retries: 0,
            },
            times_woken: 0,
        }
    }

    /// The story.
    #[run(name = "PlaceTrack")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Placed> {
        let token = ctx.cancellation_token();
        let before = match Self::see_what_is_there(ctx, &token).await {
            Ok(before) => before,
            Err(StepFailure::Cancelled { .. }) => return Ok(Self::nothing_added(ctx)),
            Err(failed) => return Err(failed.into()),
        };
        let end = match before {
            // It may have ended before it heard of the cancellation.
            Placing::AlreadyThere | Placing::Absent { .. } if token.is_cancelled() => {
                return Ok(Self::nothing_added(ctx));
            }
            Placing::AlreadyThere => return Ok(Self::already_there(ctx)),
            Placing::Absent { end }
            | Placing::Tried { end }
            | Placing::Added { end }
            | Placing::Seen { end } => end,
        };
        // From here on there may be something to undo: an add that timed out may have happened.
        match Self::see_it_added(ctx, &token, before, end).await {
            Ok(true) => Ok(Placed::Added {
                retries: Self::retries(ctx),
            }),
            Ok(false) => Ok(Self::already_there(ctx)),
            Err(StepFailure::Cancelled { tried: false }) => Ok(Self::nothing_added(ctx)),
            Err(StepFailure::Cancelled { tried: true }) => {
                let done = matches!(before, Placing::Added { .. } | Placing::Seen { .. });
                let undone = Self::undo(ctx, end, done).await;
                Ok(Self::cancelled(ctx, undone))
            }
            Err(StepFailure::Failed(mut error)) => {
                // Its last answer may have been lost.
                error.message = format!(
                    "{}; the track may be in the playlist all the same",
                    error.message.trim_end_matches('.')
                );
                Err(StepFailure::Failed(error).into())
            }
        }
    }

    /// What it waits for may be over: it is to look at once.
    #[signal(name = "wake")]
    pub fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _nothing: ()) {
        self.times_woken += 1;
    }

    /// How far it is. For operators: Segue itself asks no workflow that is open (see
    /// [`standing`](crate::standing)).
    #[query(name = "progress")]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> PlaceProgress {
        self.progress.clone()
    }
}

impl PlaceTrack {
    /// Looks whether the track is there before it is added. If nothing is in the way it has been added as well.
    async fn see_what_is_there(
        ctx: &WorkflowContext<Self>,
        token: &WorkflowCancellationToken,
    ) -> Result<Placing, StepFailure> {
        if ctx.state(|workflow| workflow.input.at_once)
            && let Some(placing) = Self::all_at_once(ctx, token).await?
        {
            return Ok(placing);
        }
        let place = |before| Self::placement(ctx, 0, before);
        let seen = run_step(ctx, LOOK, token, || Activities::look, place).await?;
        Ok(match seen.present {
            true => Placing::AlreadyThere,
            // An add puts the track behind all that were there.
            false => Placing::Absent {
                end: seen.total.unwrap_or(0),
            },
        })
    }

    /// One attempt at all of it; none if it has told nothing that could be gone on from.
    async fn all_at_once(
        ctx: &WorkflowContext<Self>,
        token: &WorkflowCancellationToken,
    ) -> Result<Option<Placing>, StepFailure> {
        let place = Self::placement(ctx, 0, Before::default());
        let attempt = attempt_once(ctx, AT_ONCE, token, Activities::place, place);
        let came_to = match attempt.await {
            Err(Missed::Lost(Some(Noted { end }))) => Ok(Placing::Tried { end }),
            other => other,
        };
        let known = match came_to {
            // The look after the add is made again.
            Ok(added @ Placing::Added { .. }) => Some(added),
            Ok(tried @ Placing::Tried { .. }) => {
                // Time for a request whose answer was lost to arrive; also if the sync is cancelled, or the undo
                // would not see what it did.
                let fresh = WorkflowCancellationToken::new();
                Self::pause(ctx, ADD.first_retry, &fresh).await;
                Some(tried)
            }
            Ok(placing) => return Ok(Some(placing)),
            Err(Missed::Cancelled) => return Err(StepFailure::Cancelled { tried: false }),
            Err(Missed::Failed(_)) if token.is_cancelled() => {
                return Err(StepFailure::Cancelled { tried: false });
            }
            // The look waits it out, and this was no attempt.
            Err(Missed::Failed(failed)) if failed.is_to_wait() => return Ok(None),
            Err(Missed::Failed(failed)) if !failed.error.code.is_retryable() => {
                return Err(StepFailure::Failed(failed.error));
            }
            Err(Missed::Failed(_)) => {
                Self::pause(ctx, LOOK.first_retry, token).await;
                None
            }
            Err(Missed::Lost(_)) => None,
        };
        ctx.state_mut(|workflow| workflow.count_retries(1));
        Ok(known)
    }

    async fn pause(ctx: &WorkflowContext<Self>, time: Duration, token: &WorkflowCancellationToken) {
        let summary = "before the next attempt".to_owned();
        rest(ctx, time, summary, token, |_| false).await;
    }

    /// Adds the track, as far as that has not been done, and verifies that it is there; whether it was this
    /// workflow that added it.
    async fn see_it_added(
        ctx: &WorkflowContext<Self>,
        token: &WorkflowCancellationToken,
        so_far: Placing,
        end: u32,
    ) -> Result<bool, StepFailure> {
        let tried_before = matches!(so_far, Placing::Tried { .. });
        let place = |before: Before| {
            let tried = before.tried || tried_before;
            Self::placement(ctx, end, Before { tried, ..before })
        };
        if tried_before || matches!(so_far, Placing::Absent { .. }) {
            let added = run_step(ctx, ADD, token, || Activities::add, place).await;
            let added = added.map_err(|failure| match failure {
                StepFailure::Cancelled { tried } => StepFailure::Cancelled {
                    tried: tried || tried_before,
                },
                failed => failed,
            })?;
            if added == Added::BySomebodyElse {
                return Ok(false);
            }
        }
        if !matches!(so_far, Placing::Seen { .. }) {
            ctx.state_mut(|workflow| workflow.progress.step = Step::Verify);
            let seen = run_step(ctx, VERIFY, token, || Activities::verify, place).await;
            seen.map_err(|failure| match failure {
                // Also one that waited and was not made: the add was, before it.
                StepFailure::Cancelled { .. } => StepFailure::Cancelled { tried: true },
                failed => failed,
            })?;
        }
        // The last moment at which a cancellation still counts.
        match token.is_cancelled() {
            true => Err(StepFailure::Cancelled { tried: true }),
            false => Ok(true),
        }
    }

    /// Takes out what may have been added, and says what became of it. What is not `done` for sure is waited for a
    /// moment.
    async fn undo(ctx: &WorkflowContext<Self>, end: u32, done: bool) -> String {
        let verifying = ctx.state(|workflow| workflow.progress.step == Step::Verify);
        ctx.state_mut(|workflow| workflow.progress.step = Step::Undo);
        // A token of its own, or the undo would be cancelled with the rest.
        let fresh = WorkflowCancellationToken::new();
        let in_doubt = !done && !verifying;
        let place = |before: Before| {
            let tried = before.tried || in_doubt;
            Placement {
                acknowledged: !in_doubt,
                ..Self::placement(ctx, end, Before { tried, ..before })
            }
        };
        match run_step(ctx, UNDO, &fresh, || Activities::take_out, place).await {
            Ok(taken) if taken.was_there => {
                "The track it had added was taken out again.".to_owned()
            }
            Ok(_) => NOTHING_ADDED.to_owned(),
            Err(failure) => left_behind(&failure),
        }
    }

    fn placement(ctx: &WorkflowContext<Self>, look_from: u32, before: Before) -> Placement {
        ctx.state(|workflow| Placement {
            playlist_id: workflow.input.playlist_id.clone(),
            track_uri: workflow.input.track_uri.clone(),
            look_from,
            tried_before: before.tried,
            waited_before: before.waited,
            acknowledged: false,
        })
    }

    fn already_there(ctx: &WorkflowContext<Self>) -> Placed {
        Placed::AlreadyThere {
            retries: Self::retries(ctx),
        }
    }

    fn nothing_added(ctx: &WorkflowContext<Self>) -> Placed {
        Self::cancelled(ctx, NOTHING_ADDED.to_owned())
    }

    fn retries(ctx: &WorkflowContext<Self>) -> u32 {
        ctx.state(|workflow| workflow.progress.retries)
    }

    fn cancelled(ctx: &WorkflowContext<Self>, undone: String) -> Placed {
        Placed::Cancelled {
            undone,
            retries: Self::retries(ctx),
        }
    }
}

/// What to tell of an undo that did not succeed: the user has to know what is in the playlist.
fn left_behind(failure: &StepFailure) -> String {
    match failure {
        StepFailure::Failed(error) if error.code == ErrorCode::CapabilityMissing => {
            "The track may have been added and was left in the playlist: this upstream server \
             cannot remove tracks. Take it out in Spotify if you do not want it."
                .to_owned()
        }
        StepFailure::Failed(error) => format!(
            "The track may have been added and could not be taken out again ({error}). \
             Take it out in Spotify if you do not want it."
        ),
        StepFailure::Cancelled { .. } => {
            "The track may have been added and was left in the playlist.".to_owned()
        }
    }
}

impl Steps for PlaceTrack {
    fn is_patient(ctx: &WorkflowContext<Self>) -> bool {
        ctx.patched(names::PATIENCE_PATCH)
    }

    /// The wait is shown by the sync that waits for this workflow.
    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
        let Some(parent) = ctx.info().parent() else {
            return;
        };
        let options = SignalWorkflowOptions::builder()
            .cancellation_token(WorkflowCancellationToken::new())
            .build();
        // A sync that was terminated has nobody to show the wait to.
        let parent = ctx.external_workflow(parent.workflow_id(), None);
        let _ = match wait {
            Some(wait) if wait.reason.code != ErrorCode::RateLimited => {
                parent
                    .signal(MusicSync::child_waits_for, Some(wait), options)
                    .await
            }
            // As it was always said, so that a sync on an older worker understands.
            wait => {
                let until = wait.map(|wait| wait.until);
                parent.signal(MusicSync::child_waits, until, options).await
            }
        };
    }

    fn count_retries(&mut self, retries: u32) {
        self.progress.retries += retries;
    }

    fn times_woken(&self) -> u32 {
        self.times_woken
    }
}
