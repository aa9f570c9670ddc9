//! Errors as a client sees them: a stable code, a sentence, and how long to wait if that helps.

use std::borrow::Cow;

use rmcp::{
    ErrorData,
    handler::server::tool::IntoCallToolResult,
    model::{CallToolResponse, CallToolResult},
};
use serde::Serialize;
use serde_json::json;

use crate::auth::{AuthError, HttpFailure};

/// What kind of failure it is. Clients decide by this, so the names never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Too many requests; try again after `retry_after_seconds`.
    RateLimited,
    /// Not signed in, or no longer.
    AuthExpired,
    /// Signed in without a permission that this needs.
    InsufficientScope,
    /// There is no such playlist.
    PlaylistNotFound,
    /// The playlist belongs to somebody else.
    PlaylistNotWritable,
    /// The arguments are wrong, or Spotify refuses the request for good.
    InvalidRequest,
    /// Spotify could not be reached or answered nonsense. A change may have taken effect.
    UpstreamUnavailable,
}

/// A failed call: becomes a tool result with `is_error`, and `{"error": ...}` as its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolError {
    /// The kind.
    pub code: ErrorCode,
    /// What failed, and what to do next.
    pub message: Cow<'static, str>,
    /// Seconds to wait before another try; always there with `rate_limited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// The HTTP status, if Spotify answered with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// What a request was about, where that decides what Spotify's 403 and 404 mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The items of one playlist.
    Playlist,
    /// Anything else.
    Other,
}

impl ToolError {
    fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_seconds: None,
            status: None,
        }
    }

    pub(super) fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    pub(super) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::UpstreamUnavailable, message)
    }

    /// The client cancelled the call, or is gone.
    pub(super) fn given_up() -> Self {
        Self::unavailable("the call was given up before Spotify answered")
    }

    /// What Spotify's refusal of a request about `subject` means.
    pub(super) fn of(failure: HttpFailure, subject: Subject) -> Self {
        let HttpFailure::Status {
            status,
            message,
            retry_after_seconds,
            ..
        } = failure
        else {
            return Self::unavailable(failure.to_string());
        };
        let (code, message) = match (status, subject) {
            (429, _) => (
                ErrorCode::RateLimited,
                format!(
                    "Spotify asks for fewer requests; try again in {} s",
                    retry_after_seconds.unwrap_or_default()
                ),
            ),
            (401, _) => (
                ErrorCode::AuthExpired,
                format!("Spotify does not accept the sign-in ({message}); run `segue login`"),
            ),
            (403, _) if message.to_ascii_lowercase().contains("scope") => (
                ErrorCode::InsufficientScope,
                format!(
                    "the sign-in lacks a permission ({message}); run `segue login` and grant \
                     everything it asks for"
                ),
            ),
            (403, Subject::Playlist) => (
                ErrorCode::PlaylistNotWritable,
                format!(
                    "the playlist is neither the user's own nor collaborative ({message}); \
                     choose one with `writable: true` in `get_user_playlists`"
                ),
            ),
            (404, Subject::Playlist) => (
                ErrorCode::PlaylistNotFound,
                format!("there is no such playlist ({message}); look in `get_user_playlists`"),
            ),
            (408, _) | (500.., _) => (
                ErrorCode::UpstreamUnavailable,
                format!("Spotify answered {status} ({message}); try again later"),
            ),
            (400..500, _) => (
                ErrorCode::InvalidRequest,
                format!("Spotify refused the request: {message}"),
            ),
            // A redirect, say: not the Web API at all.
            _ => (
                ErrorCode::UpstreamUnavailable,
                format!("Spotify answered {status}, which the Web API never does"),
            ),
        };
        Self {
            retry_after_seconds,
            status: Some(status),
            ..Self::new(code, message)
        }
    }
}

impl From<AuthError> for ToolError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Http(failure) => Self::of(failure, Subject::Other),
            other => Self::new(ErrorCode::AuthExpired, other.to_string()),
        }
    }
}

impl IntoCallToolResult for ToolError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        tracing::info!(code = ?self.code, status = self.status, "a tool call failed");
        Ok(CallToolResult::structured_error(json!({ "error": self })).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, message: &str) -> HttpFailure {
        HttpFailure::Status {
            status,
            message: message.to_owned(),
            oauth_error: None,
            retry_after_seconds: (status == 429).then_some(7),
        }
    }

    #[test]
    fn every_status_has_its_code() {
        use ErrorCode::*;
        use Subject::*;
        for (status, message, subject, code) in [
            (429, "API rate limit exceeded", Other, RateLimited),
            (401, "The access token expired", Playlist, AuthExpired),
            (
                403,
                "Insufficient client scope",
                Playlist,
                InsufficientScope,
            ),
            (403, "Insufficient client scope", Other, InsufficientScope),
            (403, "Forbidden", Playlist, PlaylistNotWritable),
            (403, "User not registered", Other, InvalidRequest),
            (404, "Resource not found", Playlist, PlaylistNotFound),
            (404, "Service not found", Other, InvalidRequest),
            (400, "Invalid limit", Other, InvalidRequest),
            (408, "Request Timeout", Other, UpstreamUnavailable),
            (500, "Server error", Playlist, UpstreamUnavailable),
            (503, "Service unavailable", Other, UpstreamUnavailable),
            (302, "Found", Other, UpstreamUnavailable),
        ] {
            let error = ToolError::of(failure(status, message), subject);
            assert_eq!(
                (error.code, error.status),
                (code, Some(status)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn the_json_is_the_contracts() {
        let error = ToolError::of(failure(429, "slow down"), Subject::Other);
        assert_eq!(
            json!({ "error": error }),
            json!({"error": {
                "code": "rate_limited",
                "message": "Spotify asks for fewer requests; try again in 7 s",
                "retry_after_seconds": 7,
                "status": 429,
            }})
        );
    }
}
