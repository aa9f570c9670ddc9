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

use std::time::Duration;

use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    SignalWorkflowOptions, SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowResult,
};

use crate::{
    activities::{Activities, Added, Placement},
    error::ErrorCode,
    music_sync::MusicSync,
    names,
    step::{Before, StepFailure, StepPolicy, Steps, run_step},
    sync::{Step, Wait},
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

/// Undoing: as patient as adding, because what it leaves behind is in the user's playlist.
const UNDO: StepPolicy = ADD;

/// What to place, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceInput {
    /// Spotify's id of the playlist.
    pub playlist_id: String,
    /// Spotify's URI of the track.
    pub track_uri: String,
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
        let place = |look_from: u32| {
            let input = ctx.state(|workflow| workflow.input.clone());
            move |before: Before| Placement {
                playlist_id: input.playlist_id.clone(),
                track_uri: input.track_uri.clone(),
                look_from,
                tried_before: before.tried,
                waited_before: before.waited,
            }
        };

        let before = match run_step(ctx, LOOK, &token, || Activities::look, place(0)).await {
            Ok(before) => before,
            Err(StepFailure::Cancelled { .. }) => {
                return Ok(Self::cancelled(ctx, "Nothing had been added.".to_owned()));
            }
            Err(failed) => return Err(failed.into()),
        };
        // The look may have ended before it heard of the cancellation.
        if token.is_cancelled() {
            return Ok(Self::cancelled(ctx, "Nothing had been added.".to_owned()));
        }
        if before.present {
            return Ok(Placed::AlreadyThere {
                retries: Self::retries(ctx),
            });
        }
        // An add puts the track behind all that were there.
        let end = before.total.unwrap_or(0);

        // From here on there may be something to undo: an add that timed out may have happened.
        let added = async {
            let added = run_step(ctx, ADD, &token, || Activities::add, place(end)).await?;
            if added == Added::BySomebodyElse {
                return Ok(false);
            }
            ctx.state_mut(|workflow| workflow.progress.step = Step::Verify);
            run_step(ctx, VERIFY, &token, || Activities::verify, place(end)).await?;
            // The last moment at which a cancellation still counts.
            if token.is_cancelled() {
                Err(StepFailure::Cancelled { tried: true })
            } else {
                Ok(true)
            }
        };
        match added.await {
            Ok(true) => Ok(Placed::Added {
                retries: Self::retries(ctx),
            }),
            Ok(false) => Ok(Placed::AlreadyThere {
                retries: Self::retries(ctx),
            }),
            Err(StepFailure::Cancelled { tried: false }) => {
                Ok(Self::cancelled(ctx, "Nothing had been added.".to_owned()))
            }
            Err(StepFailure::Cancelled { tried: true }) => {
                ctx.state_mut(|workflow| workflow.progress.step = Step::Undo);
                // A token of its own, or the undo would be cancelled with the rest.
                let fresh = WorkflowCancellationToken::new();
                let undo = run_step(ctx, UNDO, &fresh, || Activities::take_out, place(end)).await;
                let undone = match undo {
                    Ok(taken) if taken.was_there => {
                        "The track it had added was taken out again.".to_owned()
                    }
                    Ok(_) => "Nothing had been added.".to_owned(),
                    Err(failure) => left_behind(&failure),
                };
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
