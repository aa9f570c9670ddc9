//! `Notice`: one event, told to the user's webhook.
//!
//! 1. Send it, again and again, until the receiver takes it, refuses it for good, or a day is over; or until what
//!    it tells of is over.
//! 2. Of a sign-in that is needed: stay open until it is there. While this is open no other is started.
//!
//! Its id is that of the event, so that an event is told once, whoever starts it how often.

use std::{pin::pin, time::Duration};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use temporalio_client::{Client, WorkflowSignalOptions, errors::WorkflowInteractionError};
use temporalio_common::{RetryPolicy, error::ApplicationFailure};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityCloseTimeouts, ActivityOptions, SyncWorkflowContext, WaitConditionOptions,
    WorkflowCancellationToken, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination,
};

use crate::{
    activities::NoticeActivities,
    names,
    notices::{Answer, Event, What},
    step::{now, rest, shortest_wait},
};

/// How long an event is tried to be told, from the moment in which it happened.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// How long an outage is one event, at most: what ended unseen is not to hide the next.
const OUTAGE: SignedDuration = SignedDuration::from_hours(24);
/// When the engine ends a notice that nobody takes, because no worker has a webhook any more.
pub(crate) const LONGEST_LIFE: Duration = Duration::from_secs(3 * 24 * 3600);

/// Time for one attempt: longer than the receiver has to answer.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Time without a heartbeat after which an attempt counts as lost.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Time before the second attempt; it doubles from attempt to attempt.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest time between two attempts.
const LONGEST_RETRY: Duration = Duration::from_secs(5 * 60);

/// The type of the failure of a notice that nobody took.
pub(crate) const NOT_DELIVERED: &str = "not_delivered";

/// A notice that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The HTTP status with which the receiver took it.
    pub status: u16,
}

/// A notice that nobody took.
#[derive(Debug, thiserror::Error)]
enum NotDelivered {
    #[error("the webhook refused it with status {status}")]
    Refused { status: u16 },
    #[error("the webhook did not take it within a day")]
    GivenUp,
    #[error("it was over before the webhook took it")]
    Over,
}

/// See the module.
#[workflow]
pub struct Notice {
    event: Event,
    over: bool,
}

#[workflow_methods]
impl Notice {
    #[init]
    fn new(_ctx: &WorkflowContextView, event: Event) -> Self {
        Self { event, over: false }
    }

    /// The story.
    #[run(name = "Notice")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Delivered> {
        let delivered = Self::deliver(ctx).await;
        if let What::SignInNeeded { .. } = ctx.state(|notice| notice.event.what.clone()) {
            Self::last(ctx).await;
        }
        delivered
    }

    /// What it tells of is over.
    #[signal(name = "over")]
    pub fn over(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _nothing: ()) {
        self.over = true;
    }
}

impl Notice {
    async fn deliver(ctx: &WorkflowContext<Self>) -> WorkflowResult<Delivered> {
        let event = ctx.state(|notice| notice.event.clone());
        let token = ctx.cancellation_token();
        let ends_early =
            matches!(event.what, What::SignInNeeded { .. }) && ctx.patched(names::OVER_PATCH);
        // Whoever is told now would be misled, and the next outage is to have a notice of its own.
        let is_in_vain = move |notice: &Self| ends_early && notice.over;
        let mut waits = 0;
        loop {
            if ctx.state(is_in_vain) {
                return Err(not_delivered(NotDelivered::Over));
            }
            let left = Self::left(ctx, PATIENCE);
            if left.is_zero() {
                return Err(not_delivered(NotDelivered::GivenUp));
            }
            let deliver = NoticeActivities::deliver;
            let answer = ctx.execute_activity(deliver, event.clone(), within(left));
            // The engine repeats the attempts. One that is left to itself ends with the workflow. A cancellation
            // is the activity's to tell.
            let over = WaitConditionOptions::builder()
                .cancellation_token(WorkflowCancellationToken::new())
                .build();
            let answer = temporalio_sdk::workflows::select! {
                answer = pin!(answer) => answer,
                _ = pin!(ctx.wait_condition_with_options(is_in_vain, over)) => continue,
            };
            match answer {
                Ok(Answer::Taken { status }) => return Ok(Delivered { status }),
                Ok(Answer::Refused { status }) => {
                    return Err(not_delivered(NotDelivered::Refused { status }));
                }
                Ok(Answer::ComeBack { seconds, .. }) => {
                    // One that asks for a second again and again would fill the history.
                    let time = Duration::from_secs(seconds).max(shortest_wait(waits));
                    waits += 1;
                    let why = "the webhook asked to come back later".to_owned();
                    rest(ctx, time.min(left), why, &token, is_in_vain).await;
                }
                Err(error) if error.as_cancelled().is_some() => {}
                Err(_) => return Err(not_delivered(NotDelivered::GivenUp)),
            }
            if token.is_cancelled() {
                return Err(WorkflowTermination::cancelled());
            }
        }
    }

    /// Stays open as long as what it tells of lasts.
    async fn last(ctx: &WorkflowContext<Self>) {
        let (left, token) = (Self::left(ctx, OUTAGE), ctx.cancellation_token());
        let why = "until the sign-in is there".to_owned();
        rest(ctx, left, why, &token, |notice: &Self| notice.over).await;
    }

    /// What is left of this time since the event.
    fn left(ctx: &WorkflowContext<Self>, time: SignedDuration) -> Duration {
        let since = ctx.state(|notice| now(ctx).duration_since(notice.event.time));
        Duration::try_from(time - since).unwrap_or_default()
    }
}

/// Tells the open notice of this id, if there is one, that what it tells of is over.
pub(crate) async fn end(client: &Client, id: &str) -> anyhow::Result<()> {
    let notice = client.get_workflow_handle::<Notice>(id);
    let over = notice.signal(Notice::over, (), WorkflowSignalOptions::default());
    match over.await {
        // There was no outage.
        Ok(()) | Err(WorkflowInteractionError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Ends the outage of this user's sign-in at the upstream that is called so, if there is one.
///
/// # Errors
/// The engine could not be asked.
pub async fn sign_in_is_there(
    client: &Client,
    user_id: &str,
    upstream: &str,
) -> anyhow::Result<()> {
    end(client, &names::sign_in_notice_id(user_id, upstream)).await
}

fn within(time: Duration) -> ActivityOptions {
    let retries = RetryPolicy::builder()
        .initial_interval(FIRST_RETRY)
        .backoff_coefficient(2.0)
        .maximum_interval(LONGEST_RETRY)
        .build();
    let timeouts = ActivityCloseTimeouts::ScheduleAndStartToClose {
        schedule_to_close: time,
        start_to_close: ATTEMPT,
    };
    ActivityOptions::with_close_timeouts(timeouts)
        .heartbeat_timeout(HEARTBEAT)
        .retry_policy(retries)
        .build()
}

fn not_delivered(why: NotDelivered) -> WorkflowTermination {
    ApplicationFailure::builder(why)
        .type_name(NOT_DELIVERED.to_owned())
        .non_retryable(true)
        .build()
        .into()
}
