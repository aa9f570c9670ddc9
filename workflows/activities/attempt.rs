//! One attempt of an activity: heartbeats while it runs, cancellation, and the one mapping from an
//! upstream's error to a failure that the engine understands.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    error::{ErrorCode, SyncError},
    upstream::UpstreamError,
};

/// Time between heartbeats. The SDK sends no more of them than the heartbeat timeout needs.
const HEARTBEAT: Duration = Duration::from_secs(1);

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
    /// With `rate_limited`: seconds that Spotify asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// The attempt that failed, from 1.
    pub attempt: u32,
}

/// Runs a call that changes nothing: a cancelled workflow drops it.
pub(super) async fn reading<T>(
    ctx: &ActivityContext,
    call: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<Attempted<T>, ActivityError> {
    tokio::select! {
        result = heartbeating(ctx, call) => result,
        () = ctx.cancelled() => Err(ActivityError::cancelled()),
    }
}

/// Runs a call that may change the playlist. It is never dropped half way: a cancelled workflow
/// has to know what became of it, or it could not undo it.
pub(super) async fn writing<T>(
    ctx: &ActivityContext,
    call: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<Attempted<T>, ActivityError> {
    heartbeating(ctx, call).await
}

/// Waits. An activity may: it is not replayed.
#[expect(clippy::disallowed_methods, reason = "in an activity")]
pub(super) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// What is left of the time for this attempt.
#[expect(clippy::disallowed_methods, reason = "in an activity")]
pub(super) fn time_left(ctx: &ActivityContext) -> Duration {
    match ctx.info().deadline {
        Some(deadline) => deadline
            .duration_since(SystemTime::now())
            .unwrap_or_default(),
        None => Duration::MAX,
    }
}

async fn heartbeating<T>(
    ctx: &ActivityContext,
    call: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<Attempted<T>, ActivityError> {
    let attempt = ctx.info().attempt;
    tokio::pin!(call);
    loop {
        tokio::select! {
            result = &mut call => {
                return result
                    .map(|value| Attempted { value, attempt })
                    .map_err(|error| failure(error, attempt));
            }
            () = pause(HEARTBEAT) => {
                // A heartbeat without details cannot fail to be written down; that it may not
                // arrive is what the heartbeat timeout is for.
                let _ = ctx.record_heartbeat(()).await;
            }
        }
    }
}

/// The failure that the engine records. Its type is the stable code; it is retried by the engine
/// unless the code says that no retry can help. A rate limit is not retried by the engine either:
/// the workflow waits for it, so that the wait is seen and burns no attempt.
fn failure(error: UpstreamError, attempt: u32) -> ActivityError {
    let retried = error.code.is_retryable() && error.code != ErrorCode::RateLimited;
    let details = FailedAttempt {
        error: SyncError::new(error.code, error.message.clone()),
        retry_after_seconds: error.retry_after_seconds,
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
