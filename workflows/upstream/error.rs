//! What an upstream call can fail with, before the durable side decides what to make of it.

use crate::error::ErrorCode;

/// A failed call, in our own codes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct UpstreamError {
    /// The stable name of this kind of failure.
    pub code: ErrorCode,
    /// What happened, in one sentence, without hidden characters.
    pub message: String,
    /// With [`ErrorCode::RateLimited`]: seconds that Spotify asked to wait.
    pub retry_after_seconds: Option<u64>,
}

impl UpstreamError {
    /// A failure of this kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_seconds: None,
        }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::UpstreamUnavailable, message)
    }

    pub(crate) fn bad_answer(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadUpstreamAnswer, message)
    }
}
