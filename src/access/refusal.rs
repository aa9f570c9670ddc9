//! A call that is not let in, and what its client is told: enough to mend it, and nothing that helps
//! somebody who guesses.

use std::{fmt::Write, time::Duration};

use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;

use super::oauth::OAuth;

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// There is no token.
    Missing,
    /// It is not one of ours, or not good, for whatever reason.
    Invalid,
    /// It is good, and not for this.
    Scope,
    /// Its user makes too many calls; after this time there is room for one.
    TooMany(Duration),
    /// The authorization server's keys cannot be had.
    Unavailable,
}

/// A call that is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    challenge: Option<String>,
}

impl Refusal {
    pub(super) fn new(reason: Reason, oauth: Option<&OAuth>) -> Self {
        let challenge = match reason {
            Reason::Missing | Reason::Invalid | Reason::Scope => Some(challenge(reason, oauth)),
            Reason::TooMany(_) | Reason::Unavailable => None,
        };
        Self { reason, challenge }
    }

    /// The stable name of this kind of refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.reason {
            Reason::Missing => "token_missing",
            Reason::Invalid => "invalid_token",
            Reason::Scope => "insufficient_scope",
            Reason::TooMany(_) => "too_many_calls",
            Reason::Unavailable => "authorization_unavailable",
        }
    }

    /// The answer: 401 or 403 with `WWW-Authenticate`, or 429 or 503 with `Retry-After`.
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let (status, message, next_step) = self.words();
        // A refusal in the form in which MCP's clients expect an error: -32600 is "invalid request".
        let data = json!({"code": self.code(), "next_step": next_step});
        let error = json!({"code": -32600, "message": message, "data": data});
        let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
        let mut response = Response::new(body.to_string());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let wait = match self.reason {
            Reason::TooMany(wait) => Some(wait),
            Reason::Unavailable => Some(super::keys::PAUSE),
            _ => None,
        };
        if let Some(wait) = wait {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, seconds.max(1).into());
        }
        if let Some(challenge) = &self.challenge
            && let Ok(value) = HeaderValue::from_str(challenge)
        {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        response
    }

    fn words(&self) -> (StatusCode, &'static str, &'static str) {
        match self.reason {
            Reason::Missing => (
                StatusCode::UNAUTHORIZED,
                "This server needs a token.",
                "Send it as \"Authorization: Bearer TOKEN\". The operator makes one by: segue token create",
            ),
            Reason::Invalid => (
                StatusCode::UNAUTHORIZED,
                "The token is not valid.",
                "Get another one; it may have ended, or been revoked.",
            ),
            Reason::Scope => (
                StatusCode::FORBIDDEN,
                "The token is good, but not for this server's tools.",
                "Ask the authorization server for the scope that WWW-Authenticate names.",
            ),
            Reason::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "This user makes more calls than one user may.",
                "Wait as long as Retry-After says. The operator's limits are user_calls_per_minute and \
                 user_calls_at_once.",
            ),
            Reason::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The authorization server does not tell its keys, so no token of it can be checked.",
                "Try again later; the operator finds the reason in the log.",
            ),
        }
    }
}

/// What `WWW-Authenticate` says, as RFC 6750 and RFC 9728 have it: to whom there was no token, no error.
fn challenge(reason: Reason, oauth: Option<&OAuth>) -> String {
    let mut text = "Bearer realm=\"segue\"".to_owned();
    // Writing into a text cannot fail.
    let mut add = |name: &str, value: &str| _ = write!(text, ", {name}=\"{value}\"");
    if let Some(oauth) = oauth {
        add("resource_metadata", oauth.metadata_url().as_str());
        if let Some(scope) = oauth.scope() {
            add("scope", scope);
        }
    }
    match reason {
        Reason::Invalid => add("error", "invalid_token"),
        Reason::Scope => add("error", "insufficient_scope"),
        _ => {}
    }
    text
}
