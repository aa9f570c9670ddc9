//! What can go wrong in a sync, as the user sees it: a stable code, a sentence, the next step.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stable name for each kind of failure. It is also the `type` of the Temporal failure, so that
/// an operator finds it under the same name in the engine's own tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Spotify asked to come back later.
    RateLimited,
    /// The sign-in is missing, expired or revoked.
    AuthExpired,
    /// The sign-in does not cover what was asked.
    InsufficientScope,
    /// No such playlist.
    PlaylistNotFound,
    /// More than one playlist has this name.
    PlaylistAmbiguous,
    /// The playlist belongs to somebody else.
    PlaylistNotWritable,
    /// The request was refused as malformed.
    InvalidRequest,
    /// The upstream server has no tool for this.
    CapabilityMissing,
    /// The upstream server, or Spotify behind it, could not be reached or broke down.
    UpstreamUnavailable,
    /// The upstream server answered something that cannot be read.
    BadUpstreamAnswer,
    /// The upstream said that the track was added, but it is not in the playlist.
    NotVerified,
    /// The file that is to be synced cannot be read.
    SourceUnreadable,
    /// A match is too uncertain to be made alone.
    ReviewNeeded,
    /// No model is configured.
    ModelNotConfigured,
    /// The model's endpoint does not take the key.
    ModelKeyRefused,
    /// The model's endpoint refuses the request, or the model refuses to answer it.
    ModelRefused,
    /// The model's endpoint asked to come back later.
    ModelRateLimited,
    /// The model's endpoint could not be reached or broke down.
    ModelUnavailable,
    /// The model answered something that cannot be used.
    BadModelAnswer,
    /// The tokens that a sync may use are used up.
    ModelBudgetSpent,
    /// The tokens that a user may use in a day are used up.
    ModelDayIsSpent,
    /// The agents came to no end, or to one that cannot be.
    AgentsGaveUp,
    /// The session with the upstream server that agents spoke in is gone.
    McpSessionLost,
    /// A fault of Segue itself.
    Internal,
}

impl ErrorCode {
    /// The code as clients and operators see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::AuthExpired => "auth_expired",
            Self::InsufficientScope => "insufficient_scope",
            Self::PlaylistNotFound => "playlist_not_found",
            Self::PlaylistAmbiguous => "playlist_ambiguous",
            Self::PlaylistNotWritable => "playlist_not_writable",
            Self::InvalidRequest => "invalid_request",
            Self::CapabilityMissing => "capability_missing",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::BadUpstreamAnswer => "bad_upstream_answer",
            Self::NotVerified => "not_verified",
            Self::SourceUnreadable => "source_unreadable",
            Self::ReviewNeeded => "review_needed",
            Self::ModelNotConfigured => "model_not_configured",
            Self::ModelKeyRefused => "model_key_refused",
            Self::ModelRefused => "model_refused",
            Self::ModelRateLimited => "model_rate_limited",
            Self::ModelUnavailable => "model_unavailable",
            Self::BadModelAnswer => "bad_model_answer",
            Self::ModelBudgetSpent => "model_budget_spent",
            Self::ModelDayIsSpent => "model_day_is_spent",
            Self::AgentsGaveUp => "agents_gave_up",
            Self::McpSessionLost => "mcp_session_lost",
            Self::Internal => "internal",
        }
    }

    /// Whether the same call may succeed later without anybody doing anything. A failure that is
    /// not retryable is never retried; one that is becomes a dead letter when attempts run out.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::UpstreamUnavailable
                | Self::BadUpstreamAnswer
                | Self::NotVerified
                | Self::ModelRateLimited
                | Self::ModelUnavailable
                | Self::BadModelAnswer
                | Self::McpSessionLost
        )
    }

    /// What the user can do about it.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::RateLimited => "Wait: the sync goes on by itself when Spotify allows it.",
            Self::AuthExpired => {
                "Sign in with `segue login`; a sync that waits goes on by itself, one that failed with retry_failed."
            }
            Self::InsufficientScope => {
                "Sign in again with `segue login` to grant access to playlists, then call retry_failed."
            }
            Self::PlaylistNotFound => "Call list_playlists and use one of its ids.",
            Self::PlaylistAmbiguous => "Use the id of the playlist you mean.",
            Self::PlaylistNotWritable => "Choose a playlist that you own or that is collaborative.",
            Self::InvalidRequest => "Check the track and the playlist, then start a new sync.",
            Self::CapabilityMissing => {
                "Use an upstream server that has this tool; unset SEGUE_UPSTREAM for the bundled one."
            }
            Self::UpstreamUnavailable => {
                "Check the network and `segue doctor`, then call retry_failed."
            }
            Self::BadUpstreamAnswer => {
                "Check the upstream server and its profile with `segue doctor`, then call retry_failed."
            }
            Self::NotVerified => "Look at the playlist in Spotify, then call retry_failed.",
            Self::SourceUnreadable => {
                "Put the file where the schedule expects it, inside a folder of import_folders; the next run reads it anew."
            }
            Self::ReviewNeeded => "Call list_reviews, and answer with review_match.",
            Self::ModelNotConfigured => {
                "Set OPENAI_API_KEY and SEGUE_MODEL; without a model, use strategy pipeline, and on_ambiguous skip or best."
            }
            Self::ModelKeyRefused => "Check OPENAI_API_KEY and OPENAI_BASE_URL, then start anew.",
            Self::ModelRefused => "Check SEGUE_MODEL and OPENAI_BASE_URL, then start anew.",
            Self::ModelRateLimited => "Wait: the sync goes on by itself when the model allows it.",
            Self::ModelUnavailable => {
                "Check the network and OPENAI_BASE_URL, then call retry_failed."
            }
            Self::BadModelAnswer => "Try another SEGUE_MODEL, then call retry_failed.",
            Self::ModelBudgetSpent => "Raise model_tokens_per_sync, or use strategy pipeline.",
            Self::ModelDayIsSpent => "Wait for the next day, or raise model_tokens_per_day.",
            Self::AgentsGaveUp => "Start the sync again with strategy pipeline.",
            Self::McpSessionLost => {
                "Check the upstream server with `segue doctor`, then call retry_failed."
            }
            Self::Internal => "Report it with the sync id; call retry_failed to try again.",
        }
    }

    pub(crate) fn all() -> &'static [Self] {
        &[
            Self::RateLimited,
            Self::AuthExpired,
            Self::InsufficientScope,
            Self::PlaylistNotFound,
            Self::PlaylistAmbiguous,
            Self::PlaylistNotWritable,
            Self::InvalidRequest,
            Self::CapabilityMissing,
            Self::UpstreamUnavailable,
            Self::BadUpstreamAnswer,
            Self::NotVerified,
            Self::SourceUnreadable,
            Self::ReviewNeeded,
            Self::ModelNotConfigured,
            Self::ModelKeyRefused,
            Self::ModelRefused,
            Self::ModelRateLimited,
            Self::ModelUnavailable,
            Self::BadModelAnswer,
            Self::ModelBudgetSpent,
            Self::ModelDayIsSpent,
            Self::AgentsGaveUp,
            Self::McpSessionLost,
            Self::Internal,
        ]
    }

    /// The code with this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all()
            .iter()
            .copied()
            .find(|code| code.as_str() == name)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a sync failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct SyncError {
    /// The stable name of this kind of failure.
    pub code: ErrorCode,
    /// What happened, in one sentence.
    pub message: String,
    /// What to do next.
    pub next_step: String,
}

impl SyncError {
    /// A failure with the next step that belongs to its code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            next_step: code.next_step().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_the_name_it_serialises_to() {
        for &code in ErrorCode::all() {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(code));
            assert_eq!(
                serde_json::to_value(code).ok(),
                Some(serde_json::Value::from(code.as_str()))
            );
            assert!(code.next_step().ends_with('.'), "{code}");
        }
    }
}
