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
    /// Seconds to wait before the next call: with [`ErrorCode::RateLimited`] what Spotify asked
    /// for, with a failure that opened the circuit the time until it is tried again.
    pub retry_after_seconds: Option<u64>,
    /// Whether the upstream was called at all: a call that the gate held back was not.
    pub reached: bool,
    /// Whether the connection broke: then every call that was on it failed together.
    pub broke: bool,
    /// Whether it was a call that only reads.
    pub changes_nothing: bool,
}

impl UpstreamError {
    /// A failure of this kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_seconds: None,
            reached: true,
            broke: false,
            changes_nothing: false,
        }
    }

    /// A call that was not made.
    pub(crate) fn held_back(code: ErrorCode, message: impl Into<String>, seconds: u64) -> Self {
        Self {
            retry_after_seconds: Some(seconds),
            reached: false,
            ..Self::new(code, message)
        }
    }

    /// Whether the call may have taken effect, though it failed.
    pub(crate) fn may_have_happened(&self) -> bool {
        let refused = matches!(self.code, ErrorCode::RateLimited | ErrorCode::AuthExpired);
        self.reached && !self.changes_nothing && !refused
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::UpstreamUnavailable, message)
    }

    pub(crate) fn bad_answer(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadUpstreamAnswer, message)
    }
}
