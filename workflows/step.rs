//! One step of a workflow: an activity under its policy, waiting out what only time can mend.
//!
//! Three things are not left to the engine's retries: a rate limit, an upstream that is down (its
//! circuit is open), a sign-in that has ended. The activity fails at once, the workflow sleeps on a
//! durable timer, and the step goes on with the attempts it had left: the wait survives everything,
//! is seen from outside, burns no attempt, and is cut short when somebody says that it can be.

use std::{pin::pin, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use temporalio_common::{
    ActivityDefinition, RetryPolicy,
    error::{ActivityExecutionError, ApplicationFailure, IncomingError},
    protos::temporal::api::failure::v1::failure::FailureInfo,
};
use temporalio_sdk::{
    ActivityCancellationType, ActivityOptions, LocalActivityOptions, TimerOptions,
    WaitConditionOptions, WorkflowCancellationToken, WorkflowContext, WorkflowTermination,
};

use crate::{
    activities::{Attempted, FailedAttempt},
    error::{ErrorCode, SyncError},
    sync::Wait,
};

/// How a step is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepPolicy {
    /// Time for one attempt.
    pub(crate) attempt: Duration,
    /// Time without a heartbeat after which an attempt counts as lost: its process was killed.
    pub(crate) heartbeat: Duration,
    /// Attempts at most; those that have to wait do not count.
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
    /// Whether it waits for a new sign-in and for lost workers, or fails of them as it used to.
    fn is_patient(ctx: &WorkflowContext<Self>) -> bool;

    /// Notes what the workflow waits for, or that it is at work again, where it can be seen.
    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>);

    /// Notes that attempts had to be repeated.
    fn count_retries(&mut self, retries: u32);

    /// How often somebody said that a wait may be over.
    fn times_woken(&self) -> u32;
}

/// What an attempt is told of those before it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Before {
    /// One was made that may have taken effect.
    pub(crate) tried: bool,
    /// Time has passed in a wait.
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
    run_step_as(ctx, policy, Manner::default(), token, activity, input).await
}

/// What is particular about a step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manner {
    /// There is another way around it: no wait of it goes beyond this.
    pub(crate) patience: Option<SignedDuration>,
    /// An attempt was made before in another way, and failed like this: the step begins with the wait for it.
    pub(crate) to_wait_for: Option<FailedAttempt>,
    /// Only the worker on this task queue can do it, because it holds a session. If that worker is gone the
    /// step fails at once with [`ErrorCode::McpSessionLost`].
    pub(crate) pinned_to: Option<String>,
}

/// The same, in this manner.
pub(crate) async fn run_step_as<W, A, T>(
    ctx: &WorkflowContext<W>,
    policy: StepPolicy,
    manner: Manner,
    token: &WorkflowCancellationToken,
    activity: impl Fn() -> A,
    input: impl Fn(Before) -> A::Input,
) -> Result<T, StepFailure>
where
    W: Steps,
    A: ActivityDefinition<Output = Attempted<T>>,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    let Manner {
        patience,
        mut to_wait_for,
        pinned_to,
    } = manner;
    let mut used = 0;
    let mut tried = false;
    let mut waits = Waits {
        patience,
        ..Waits::default()
    };
    loop {
        let failed = match to_wait_for.take() {
            Some(failed) => failed,
            None => {
                let before = Before {
                    tried,
                    waited: waits.count > 0,
                };
                let attempts = policy.attempts - used;
                let options = policy.options(attempts, token.clone(), pinned_to.clone());
                let activity = ctx.execute_activity(activity(), input(before), options);
                let failure = match activity.await {
                    Ok(done) => {
                        ctx.state_mut(|workflow| workflow.count_retries(done.attempt - 1));
                        return Ok(done.value);
                    }
                    Err(failure) => failure,
                };
                match ActivityFailure::from(&failure) {
                    ActivityFailure::Cancelled => {
                        return Err(StepFailure::Cancelled { tried: true });
                    }
                    ActivityFailure::Failed(failed) => failed,
                }
            }
        };
        if failed.lost && pinned_to.is_some() {
            return Err(StepFailure::Failed(SyncError::new(
                ErrorCode::McpSessionLost,
                "the worker that held the session has gone",
            )));
        }
        ctx.state_mut(|workflow| workflow.count_retries(failed.attempt - 1));
        // The attempt that has to wait does not count; those before it were real failures.
        used = (used + failed.attempt - 1).min(policy.attempts - 1);
        tried |= failed.attempt > 1 || failed.may_have_happened;
        let Some(wait) = waits.after(ctx, &failed) else {
            // An attempt that fails while it is being cancelled is not repeated by the engine: it
            // is the cancellation that ended the step.
            return Err(match token.is_cancelled() {
                true => StepFailure::Cancelled { tried: true },
                false => StepFailure::Failed(failed.error),
            });
        };
        if !wait_out(ctx, wait, token).await {
            return Err(StepFailure::Cancelled { tried });
        }
    }
}

/// What became of a single attempt that did not succeed.
pub(crate) enum Missed<N> {
    /// The workflow was cancelled, before the attempt could take effect.
    Cancelled,
    /// It failed, and told how.
    Failed(FailedAttempt),
    /// It was lost with its worker; what it had told the engine by then.
    Lost(Option<N>),
}

/// Makes a single attempt, which is not repeated: the workflow has another way to go on.
pub(crate) async fn attempt_once<W, A, T, N>(
    ctx: &WorkflowContext<W>,
    policy: StepPolicy,
    token: &WorkflowCancellationToken,
    activity: A,
    input: A::Input,
) -> Result<T, Missed<N>>
where
    W: Steps,
    A: ActivityDefinition<Output = Attempted<T>>,
    T: Serialize + DeserializeOwned + Send + 'static,
    N: DeserializeOwned + 'static,
{
    let options = policy.options(1, token.clone(), None);
    let attempt = ctx.execute_activity(activity, input, options).await;
    attempt.map(|done| done.value).map_err(|e| Missed::from(&e))
}

/// Time for an attempt within a workflow's own task, which has 10 s. The attempt keeps to less by itself: this is for
/// one that stands still. After 8 s of a task the SDK asks the engine for more time.
const WITHIN_TASK: Duration = Duration::from_millis(7_500);

/// Makes a single attempt within the workflow's own task: no task of its own to be kept, handed over and waited
/// for. Until it has ended the workflow hears of nothing, so its time is short.
pub(crate) async fn attempt_within_task<W, A, T>(
    ctx: &WorkflowContext<W>,
    token: &WorkflowCancellationToken,
    activity: A,
    input: A::Input,
) -> Result<T, Missed<()>>
where
    W: Steps,
    A: ActivityDefinition<Output = Attempted<T>>,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    if token.is_cancelled() {
        return Err(Missed::Cancelled);
    }
    let options = LocalActivityOptions::builder()
        .retry_policy(RetryPolicy::builder().maximum_attempts(1).build())
        .start_to_close_timeout(WITHIN_TASK)
        .schedule_to_close_timeout(WITHIN_TASK)
        // A cancellation is heard of in the next task, and then it is over.
        .cancellation_token(WorkflowCancellationToken::new())
        .build();
    let attempt = ctx.execute_local_activity(activity, input, options).await;
    match (attempt, token.is_cancelled()) {
        (_, true) => Err(Missed::Cancelled),
        (Ok(done), false) => Ok(done.value),
        (Err(failure), false) => Err(match told_within_task(&failure) {
            Some(failed) => Missed::Failed(failed),
            None => Missed::Lost(None),
        }),
    }
}

/// What a local activity told of its failure; nothing if it ran out of time. SDK 1.1.1 leaves its details as they
/// came, and takes a timeout for the failure of an activity when it happens and for one of its own when it is replayed.
fn told_within_task(failure: &ActivityExecutionError) -> Option<FailedAttempt> {
    match &failure.failure()?.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(told)) => {
            let details = told.details.as_ref()?.payloads.first()?;
            serde_json::from_slice(&details.data).ok()
        }
        _ => None,
    }
}

impl<N: DeserializeOwned + 'static> From<&ActivityExecutionError> for Missed<N> {
    fn from(failure: &ActivityExecutionError) -> Self {
        match (ActivityFailure::from(failure), failure.as_timeout()) {
            (ActivityFailure::Cancelled, _) => Self::Cancelled,
            (ActivityFailure::Failed(_), Some(lost)) => {
                Self::Lost(lost.last_heartbeat_details().ok().flatten())
            }
            // A worker of an older build has begun nothing of what it does not know.
            (ActivityFailure::Failed(_), None) if is_unknown_there(failure) => Self::Lost(None),
            (ActivityFailure::Failed(failed), None) => Self::Failed(failed),
        }
    }
}

/// Whether the worker that got the activity has none of this name; that is the SDK's own failure.
fn is_unknown_there(failure: &ActivityExecutionError) -> bool {
    match failure.cause() {
        Some(IncomingError::Application(failure)) => failure.type_name() == Some("NotFoundError"),
        _ => false,
    }
}

/// How long a step waits for an upstream that is down, from the first wait on, before it gives up.
const OUTAGE_PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// Time for a worker that holds a session to begin with a call in it; one that is there begins at once.
const PINNED_STARTS_WITHIN: Duration = Duration::from_secs(10);
/// The first wait for a sign-in, and for a worker that was lost.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The waits of one step.
#[derive(Default)]
struct Waits {
    count: u32,
    down_since: Option<Timestamp>,
    patience: Option<SignedDuration>,
}

impl Waits {
    /// The wait that this failure asks for; none if it is one that ends the step.
    fn after<W: Steps>(
        &mut self,
        ctx: &WorkflowContext<W>,
        failed: &FailedAttempt,
    ) -> Option<Wait> {
        let now = now(ctx);
        let asked = failed.retry_after_seconds.map(Duration::from_secs);
        let waits_for_people = matches!(
            failed.error.code,
            ErrorCode::RateLimited | ErrorCode::AuthExpired
        );
        if waits_for_people {
            self.down_since = None;
        } else if now.duration_since(*self.down_since.get_or_insert(now)) >= OUTAGE_PATIENCE {
            return None;
        }
        let time = match failed.error.code {
            ErrorCode::AuthExpired if W::is_patient(ctx) => FIRST_WAIT,
            // Attempts that were lost with their workers: the upstream itself has said nothing.
            _ if failed.lost && W::is_patient(ctx) => FIRST_WAIT,
            _ => asked?,
        };
        let time = time.max(shortest_wait(self.count));
        let wait = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        if let Some(patience) = self.patience {
            let waited = self
                .down_since
                .map_or(SignedDuration::ZERO, |since| now.duration_since(since));
            if waited.saturating_add(wait) > patience {
                return None;
            }
        }
        self.count += 1;
        let until = now.saturating_add(wait);
        Some(Wait {
            until: until.unwrap_or(Timestamp::MAX),
            reason: failed.error.clone(),
        })
    }
}

/// The least that is waited after so many waits in a row: an upstream that keeps asking for a
/// second would fill the history of its workflow, which the engine ends at 51,200 events.
pub(crate) fn shortest_wait(waits_before: u32) -> Duration {
    const LONGEST: u64 = 15 * 60;
    Duration::from_secs((1 << waits_before.min(10)).min(LONGEST))
}

/// Whether the wait came to its end; it did not if the step was cancelled.
async fn wait_out<W: Steps>(
    ctx: &WorkflowContext<W>,
    wait: Wait,
    token: &WorkflowCancellationToken,
) -> bool {
    let left = wait.until.duration_since(now(ctx)).unsigned_abs();
    let summary = wait.reason.code.to_string();
    let woken = ctx.state(Steps::times_woken);
    W::show_wait(ctx, Some(wait)).await;
    rest(ctx, left, summary, token, |workflow: &W| {
        workflow.times_woken() != woken
    })
    .await;
    W::show_wait(ctx, None).await;
    !token.is_cancelled()
}

/// Sleeps until the time is over, or the token is cancelled, or the condition holds.
///
/// The timer itself is never cancelled: with SDK 1.1.1 one that fires in the very activation in which
/// it is cancelled breaks the workflow for good ("resolution must have a registered unblocker"). One
/// that nobody waits for any more does no harm, and ends with the workflow.
pub(crate) async fn rest<W>(
    ctx: &WorkflowContext<W>,
    time: Duration,
    summary: String,
    token: &WorkflowCancellationToken,
    is_over: impl FnMut(&W) -> bool,
) {
    let timer = TimerOptions::builder(time)
        .cancellation_token(WorkflowCancellationToken::new())
        .summary(summary)
        .build();
    let over = WaitConditionOptions::builder()
        .cancellation_token(token.clone())
        .build();
    temporalio_sdk::workflows::select! {
        _ = ctx.timer(timer) => {}
        _ = pin!(ctx.wait_condition_with_options(is_over, over)) => {}
    }
}

/// The workflow's own, deterministic time.
pub(crate) fn now<W>(ctx: &WorkflowContext<W>) -> Timestamp {
    ctx.workflow_time()
        .and_then(|time| Timestamp::try_from(time).ok())
        .unwrap_or_default()
}

impl StepPolicy {
    fn options(
        self,
        attempts: u32,
        token: WorkflowCancellationToken,
        pinned_to: Option<String>,
    ) -> ActivityOptions {
        let retries = RetryPolicy::builder()
            .initial_interval(self.first_retry)
            .backoff_coefficient(2.0)
            .maximum_interval(self.longest_retry)
            .maximum_attempts(attempts)
            .build();
        ActivityOptions::with_start_to_close_timeout(self.attempt)
            .heartbeat_timeout(self.heartbeat)
            .retry_policy(retries)
            .maybe_schedule_to_start_timeout(pinned_to.as_ref().map(|_| PINNED_STARTS_WITHIN))
            .maybe_task_queue(pinned_to)
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
                may_have_happened: true,
                lost: failure.as_timeout().is_some(),
                attempt: 1,
            }
        }))
    }
}
