//! One step of a workflow: an activity under its policy, waiting out rate limits on the way.
//!
//! A 429 is not left to the engine's retries. The activity fails at once, the workflow sleeps on a
//! durable timer until Spotify's time has come, and the step goes on with the attempts it had
//! left: the wait survives everything, is seen from outside, and burns no attempt.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use temporalio_common::{
    ActivityDefinition, RetryPolicy,
    error::{ActivityExecutionError, ApplicationFailure, IncomingError},
};
use temporalio_sdk::{
    ActivityCancellationType, ActivityOptions, TimerOptions, TimerResult,
    WorkflowCancellationToken, WorkflowContext, WorkflowTermination,
};

use crate::{
    activities::{Attempted, FailedAttempt},
    error::{ErrorCode, SyncError},
};

/// How a step is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepPolicy {
    /// Time for one attempt.
    pub(crate) attempt: Duration,
    /// Time without a heartbeat after which an attempt counts as lost: its process was killed.
    pub(crate) heartbeat: Duration,
    /// Attempts at most; waits for a rate limit do not count.
    pub(crate) attempts: u32,
    /// Time before the second attempt; it doubles from attempt to attempt.
    pub(crate) first_retry: Duration,
    /// The longest time between two attempts.
    pub(crate) longest_retry: Duration,
}

/// Why a step did not succeed.
#[derive(Debug)]
pub(crate) enum StepFailure {
    /// The workflow was cancelled.
    Cancelled {
        /// Whether an attempt was made that may have taken effect: one that was refused for the
        /// rate limit has not.
        tried: bool,
    },
    /// The step failed for good.
    Failed(SyncError),
}

impl From<StepFailure> for WorkflowTermination {
    fn from(failure: StepFailure) -> Self {
        match failure {
            StepFailure::Cancelled { .. } => Self::cancelled(),
            StepFailure::Failed(error) => failed_with(error.clone(), error).into(),
        }
    }
}

/// The failure with which a workflow ends: its type is the error's code, its details what the
/// reader of the failure needs.
pub(crate) fn failed_with<T>(error: SyncError, details: T) -> ApplicationFailure
where
    T: Serialize + Send + Sync + 'static,
{
    let code = error.code.as_str().to_owned();
    ApplicationFailure::builder(error)
        .type_name(code)
        .non_retryable(true)
        .details(details)
        .build()
}

/// A workflow that shows how far it is.
pub(crate) trait Steps: Sized + 'static {
    /// Notes that the workflow waits until then, or is at work again, where it can be seen.
    async fn show_wait(ctx: &WorkflowContext<Self>, until: Option<Timestamp>);

    /// Notes that attempts had to be repeated.
    fn count_retries(&mut self, retries: u32);
}

/// What an attempt is told of those before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    /// One was made that may have taken effect.
    pub(crate) tried: bool,
    /// Time has passed in a wait for the rate limit.
    pub(crate) waited: bool,
}

/// Runs a step to its end. `activity` names it, and `input` is told what was before.
pub(crate) async fn run_step<W, A, T>(
    ctx: &WorkflowContext<W>,
    policy: StepPolicy,
    token: &WorkflowCancellationToken,
    activity: impl Fn() -> A,
    input: impl Fn(Before) -> A::Input,
) -> Result<T, StepFailure>
where
    W: Steps,
    A: ActivityDefinition<Output = Attempted<T>>,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    let (mut used, mut waits) = (0, 0);
    loop {
        let before = Before {
            tried: used > 0,
            waited: waits > 0,
        };
        let options = policy.options(policy.attempts - used, token.clone());
        let failure = match ctx
            .execute_activity(activity(), input(before), options)
            .await
        {
            Ok(done) => {
                ctx.state_mut(|workflow| workflow.count_retries(done.attempt - 1));
                return Ok(done.value);
            }
            Err(failure) => failure,
        };
        let failed = match ActivityFailure::from(&failure) {
            ActivityFailure::Cancelled => return Err(StepFailure::Cancelled { tried: true }),
            ActivityFailure::Failed(failed) => failed,
        };
        ctx.state_mut(|workflow| workflow.count_retries(failed.attempt - 1));
        let Some(seconds) = failed.retry_after_seconds else {
            // An attempt that fails while it is being cancelled is not repeated by the engine: it
            // is the cancellation that ended the step.
            return Err(match token.is_cancelled() {
                true => StepFailure::Cancelled { tried: true },
                false => StepFailure::Failed(failed.error),
            });
        };
        // The attempt that met the limit does not count; those before it were real failures.
        used = (used + failed.attempt - 1).min(policy.attempts - 1);
        let wait = Duration::from_secs(seconds).max(shortest_wait(waits));
        waits += 1;
        if !wait_out(ctx, wait, token).await {
            return Err(StepFailure::Cancelled { tried: used > 0 });
        }
    }
}

/// The least that is waited after so many waits in a row: an upstream that keeps asking for a
/// second would fill the history of its workflow, which the engine ends at 51,200 events.
fn shortest_wait(waits_before: u32) -> Duration {
    const LONGEST: u64 = 15 * 60;
    Duration::from_secs((1 << waits_before.min(10)).min(LONGEST))
}

/// Whether the wait came to its end; it did not if the step was cancelled.
async fn wait_out<W: Steps>(
    ctx: &WorkflowContext<W>,
    wait: Duration,
    token: &WorkflowCancellationToken,
) -> bool {
    let until = now(ctx).saturating_add(SignedDuration::try_from(wait).unwrap_or_default());
    W::show_wait(ctx, Some(until.unwrap_or(Timestamp::MAX))).await;
    let timer = TimerOptions::builder(wait)
        .cancellation_token(token.clone())
        .summary("rate limit".to_owned())
        .build();
    let ended = ctx.timer(timer).await;
    W::show_wait(ctx, None).await;
    ended == TimerResult::Fired
}

/// The workflow's own, deterministic time.
pub(crate) fn now<W>(ctx: &WorkflowContext<W>) -> Timestamp {
    ctx.workflow_time()
        .and_then(|time| Timestamp::try_from(time).ok())
        .unwrap_or_default()
}

impl StepPolicy {
    fn options(self, attempts: u32, token: WorkflowCancellationToken) -> ActivityOptions {
        let retries = RetryPolicy::builder()
            .initial_interval(self.first_retry)
            .backoff_coefficient(2.0)
            .maximum_interval(self.longest_retry)
            .maximum_attempts(attempts)
            .build();
        ActivityOptions::with_start_to_close_timeout(self.attempt)
            .heartbeat_timeout(self.heartbeat)
            .retry_policy(retries)
            .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
            .cancellation_token(token)
            .build()
    }
}

/// What the engine says of a failed activity, in our words.
enum ActivityFailure {
    Cancelled,
    Failed(FailedAttempt),
}

impl From<&ActivityExecutionError> for ActivityFailure {
    fn from(failure: &ActivityExecutionError) -> Self {
        if failure.as_cancelled().is_some() {
            return Self::Cancelled;
        }
        let known = match failure.cause() {
            Some(IncomingError::Application(failure)) => {
                failure.details::<FailedAttempt>().ok().flatten()
            }
            _ => None,
        };
        Self::Failed(known.unwrap_or_else(|| {
            let error = match failure.as_timeout() {
                Some(_) => SyncError::new(
                    ErrorCode::UpstreamUnavailable,
                    "the upstream gave no answer in time, attempt after attempt",
                ),
                None => SyncError::new(ErrorCode::Internal, failure.to_string()),
            };
            FailedAttempt {
                error,
                retry_after_seconds: None,
                attempt: 1,
            }
        }))
    }
}
