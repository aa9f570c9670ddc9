//! What an endpoint refuses, in our codes.

use super::client::Without;
use crate::{
    error::ErrorCode,
    upstream::{LONGEST_RETRY_AFTER_SECONDS, UpstreamError, clean},
};

/// An answer that is none: a status other than success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the endpoint answered {status}")]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// Seconds to wait, where it says.
    pub(super) retry_after: Option<u64>,
    /// What it says, as it stands in the body.
    pub(super) body: String,
}

impl Refusal {
    /// The part of the request that the endpoint does not know, if that is why it refuses: it can do
    /// without.
    pub(super) fn unknown_part(&self) -> Option<Without> {
        if !matches!(self.status, 400 | 422) {
            return None;
        }
        let names = [
            ("response_format", Without::Form),
            ("json_schema", Without::Form),
            ("stream_options", Without::UsageInStream),
            ("max_completion_tokens", Without::CompletionTokens),
            ("parallel_tool_calls", Without::ParallelCalls),
        ];
        let named = names.iter().find(|(name, _)| self.body.contains(name));
        named.map(|(_, part)| *part)
    }

    /// The failure that it is.
    pub(super) fn into_error(self) -> UpstreamError {
        let (code, what) = match self.status {
            // Its words may repeat the key.
            401 | 403 => {
                return UpstreamError::new(
                    ErrorCode::ModelKeyRefused,
                    format!(
                        "the model's endpoint does not take the key ({})",
                        self.status
                    ),
                );
            }
            429 if is_about_money(&self.body) => (ErrorCode::ModelRefused, "has no credit left"),
            429 => (ErrorCode::ModelRateLimited, "asked to come back later"),
            408 | 409 | 425 => (ErrorCode::ModelUnavailable, "could not answer now"),
            400..=499 => (ErrorCode::ModelRefused, "refused the request"),
            _ => (ErrorCode::ModelUnavailable, "broke down"),
        };
        let words = words_of(&self.body);
        let told = match words.is_empty() {
            true => String::new(),
            false => format!(": {words}"),
        };
        let message = format!("the model's endpoint {what} ({}){told}", self.status);
        let mut error = UpstreamError::new(code, message);
        if code == ErrorCode::ModelRateLimited {
            // Without a time a moment is waited, and ever longer.
            let seconds = self.retry_after.unwrap_or(1);
            error.retry_after_seconds = Some(seconds.clamp(1, LONGEST_RETRY_AFTER_SECONDS));
        }
        error
    }
}

/// OpenAI says 429 as well to an account without credit, and no wait helps that.
fn is_about_money(body: &str) -> bool {
    body.contains("insufficient_quota")
}

/// What the endpoint says, for people: a message where it has one.
fn words_of(body: &str) -> String {
    let read: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let message = read.as_ref().and_then(|body| {
        let places = [
            "/error/message",
            "/message",
            "/error",
            "/detail",
            "/0/error/message",
        ];
        places
            .iter()
            .find_map(|place| body.pointer(place)?.as_str())
    });
    let words: String = clean(message.unwrap_or_default())
        .chars()
        .take(200)
        .collect();
    words.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, retry_after: Option<u64>, body: &str) -> Refusal {
        Refusal {
            status,
            retry_after,
            body: body.to_owned(),
        }
    }

    #[test]
    fn each_status_has_its_code() {
        for (status, code) in [
            (400, ErrorCode::ModelRefused),
            (401, ErrorCode::ModelKeyRefused),
            (403, ErrorCode::ModelKeyRefused),
            (404, ErrorCode::ModelRefused),
            (408, ErrorCode::ModelUnavailable),
            (429, ErrorCode::ModelRateLimited),
            (500, ErrorCode::ModelUnavailable),
            (503, ErrorCode::ModelUnavailable),
            (529, ErrorCode::ModelUnavailable),
        ] {
            let error = refusal(status, None, "{}").into_error();
            assert_eq!(error.code, code, "{status}");
        }
    }

    #[test]
    fn a_refused_key_is_not_repeated_and_other_words_are_cut() {
        let body = r#"{"error":{"message":"Incorrect API key provided: sk-abcdef"}}"#;
        let told = refusal(401, None, body).into_error().message;
        assert!(!told.contains("sk-"), "{told}");
        let body = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(5000));
        assert!(refusal(400, None, &body).into_error().message.len() < 300);
    }

    #[test]
    fn a_wait_is_believed_within_reason_and_no_credit_is_no_wait() {
        let waits = |seconds| refusal(429, seconds, "").into_error().retry_after_seconds;
        assert_eq!((waits(Some(7)), waits(None)), (Some(7), Some(1)));
        assert_eq!(waits(Some(u64::MAX)), Some(LONGEST_RETRY_AFTER_SECONDS));
        let broke = refusal(429, Some(1), r#"{"error":{"code":"insufficient_quota"}}"#);
        assert_eq!(broke.into_error().code, ErrorCode::ModelRefused);
    }

    #[test]
    fn a_part_that_is_not_known_is_named() {
        let body = r#"{"error":{"message":"Unrecognized request argument: stream_options"}}"#;
        assert_eq!(
            refusal(400, None, body).unknown_part(),
            Some(Without::UsageInStream)
        );
        assert_eq!(refusal(500, None, body).unknown_part(), None);
        assert_eq!(refusal(400, None, "no").unknown_part(), None);
    }
}
