//! One attempt of an activity: heartbeats while it runs, cancellation, and the one mapping from an
//! upstream's error to a failure that the engine understands.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use temporalio_common::{data_converters::TemporalSerializable, error::ApplicationFailure};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{ErrorCode, SyncError},
    upstream::UpstreamError,
};

/// Time between heartbeats that only say that the attempt is alive. By them it learns as well that it is
/// cancelled.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// Time between heartbeats that keep what was done so far, while there is more of it each time: so much is done
/// again after a kill.
pub(crate) const KEEPING: Duration = Duration::from_millis(100);

/// Time before another worker gets what one that stops has handed back.
const HAND_OVER: Duration = Duration::from_millis(200);

/// What an activity answers, and the attempt that it took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempted<T> {
    /// The answer.
    pub value: T,
    /// The attempt that succeeded, from 1.
    pub attempt: u32,
}

/// The details of a failed attempt, for the workflow to decide upon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Why.
    pub error: SyncError,
    /// Seconds to wait before the next attempt, when the wait is not the engine's: Spotify asked
    /// for it, or the circuit is open. Such an attempt does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// Whether it may have taken effect, though it failed.
    #[serde(default)]
    pub may_have_happened: bool,
    /// Its worker was lost on the way, or stopped: the upstream itself has said nothing.
    #[serde(default)]
    pub lost: bool,
    /// The attempt that failed, from 1.
    pub attempt: u32,
}

impl FailedAttempt {
    /// Whether it is for time to mend: a rate limit, a circuit that is open, a sign-in that has ended. Such an
    /// attempt does not count.
    pub(crate) fn is_to_wait(&self) -> bool {
        let codes = [ErrorCode::RateLimited, ErrorCode::AuthExpired];
        self.retry_after_seconds.is_some() || codes.contains(&self.error.code)
    }
}

/// Runs a call that changes nothing: a cancelled workflow drops it, and a worker that stops hands it
/// back, once the time it gives to what is under way is over.
pub(super) async fn reading<T>(
    ctx: &ActivityContext,
    stopping: &CancellationToken,
    call: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<Attempted<T>, ActivityError> {
    reading_on(ctx, stopping, (HEARTBEAT, || ()), call).await
}

/// The same, of a call that is worth keeping half done: from time to time the engine is given what
/// `so_far` says, and the next attempt finds it in its heartbeat details.
pub(super) async fn reading_on<T, D: TemporalSerializable + Clone + PartialEq + 'static>(
    ctx: &ActivityContext,
    stopping: &CancellationToken,
    so_far: (Duration, impl Fn() -> D),
    call: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<Attempted<T>, ActivityError> {
    let call = async {
        call.await.map_err(|error| UpstreamError {
            changes_nothing: true,
            ..error
        })
    };
    tokio::select! {
        result = heartbeating(ctx, so_far, call) => result,
        () = ctx.cancelled() => Err(match stopping.is_cancelled() {
            true => handed_back(ctx.info().attempt),
            false => ActivityError::cancelled(),
        }),
    }
}

/// The failure by which the engine gives the activity to another worker at once.
fn handed_back(attempt: u32) -> ActivityError {
    let error = SyncError::new(
        ErrorCode::UpstreamUnavailable,
        "the worker that was at it stopped",
    );
    let details = FailedAttempt {
        error: error.clone(),
        retry_after_seconds: None,
        may_have_happened: false,
        lost: true,
        attempt,
    };
    ActivityError::application(
        ApplicationFailure::builder(error)
            .type_name("worker_stopping".to_owned())
            .next_retry_delay(HAND_OVER)
            .details(details)
            .build(),
    )
}

/// Runs a call that may change the playlist. It is never dropped half way: a cancelled workflow
/// has to know what became of it, or it could not undo it.
pub(super) async fn writing<T>(
    ctx: &ActivityContext,
    call: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<Attempted<T>, ActivityError> {
    writing_on(ctx, || (), call).await
}

/// The same, of a call whose heartbeats carry what the workflow has to know if it is lost.
pub(super) async fn writing_on<T, D: TemporalSerializable + Clone + PartialEq + 'static>(
    ctx: &ActivityContext,
    known: impl Fn() -> D,
    call: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<Attempted<T>, ActivityError> {
    heartbeating(ctx, (HEARTBEAT, known), call).await
}

/// Waits. An activity may: it is not replayed.
#[expect(clippy::disallowed_methods, reason = "in an activity")]
pub(super) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The time of day: unlike the time that passes in a process it goes on while the machine sleeps.
#[expect(clippy::disallowed_methods, reason = "in an activity")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// Time since then; none if the clock was put back.
pub(super) fn since(then: SystemTime) -> Duration {
    now().duration_since(then).unwrap_or_default()
}

/// What is left of the time for this attempt.
pub(super) fn time_left(ctx: &ActivityContext) -> Duration {
    match ctx.info().deadline {
        Some(deadline) => deadline.duration_since(now()).unwrap_or_default(),
        None => Duration::MAX,
    }
}

async fn heartbeating<T, D: TemporalSerializable + Clone + PartialEq + 'static>(
    ctx: &ActivityContext,
    (time, so_far): (Duration, impl Fn() -> D),
    call: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<Attempted<T>, ActivityError> {
    let attempt = ctx.info().attempt;
    // A heartbeat is a transaction of the engine's, which has to be on its disk before it is answered. So what is
    // not new is told only to say that the attempt is alive: at the pace of Spotify's budget a group of rows has
    // something new about once a second.
    let (mut told, mut silent) = (None, Duration::ZERO);
    tokio::pin!(call);
    loop {
        tokio::select! {
            result = &mut call => {
                return result
                    .map(|value| Attempted { value, attempt })
                    .map_err(|error| failure(error, attempt));
            }
            () = pause(time) => {
                silent += time;
                let now = so_far();
                if silent >= HEARTBEAT || told.as_ref() != Some(&now) {
                    (told, silent) = (Some(now.clone()), Duration::ZERO);
                    // That it may not arrive is what the heartbeat timeout is for.
                    let _ = ctx.record_heartbeat(now).await;
                }
            }
        }
    }
}

/// The failure that the engine records. Its type is the stable code; it is retried by the engine
/// unless the code says that no retry can help. A rate limit and an open circuit are not retried by
/// the engine either: the workflow waits for them, so that the wait is seen and burns no attempt.
fn failure(error: UpstreamError, attempt: u32) -> ActivityError {
    let waited_out = error.code == ErrorCode::RateLimited || error.retry_after_seconds.is_some();
    // A session that is lost is lost for its worker: it is the workflow that can open another.
    let lost_session = error.code == ErrorCode::McpSessionLost;
    let retried = error.code.is_retryable() && !waited_out && !lost_session;
    let details = FailedAttempt {
        error: SyncError::new(error.code, error.message.clone()),
        retry_after_seconds: error.retry_after_seconds,
        may_have_happened: error.may_have_happened(),
        lost: false,
        attempt,
    };
    let code = error.code.as_str().to_owned();
    ActivityError::application(
        ApplicationFailure::builder(error)
            .type_name(code)
            .non_retryable(!retried)
            .details(details)
            .build(),
    )
}
