//! Requests to Spotify that did not succeed, by name and without a secret.

use http::{HeaderMap, header::RETRY_AFTER};
use reqwest::Response;
use rspotify::{ClientError, http::HttpError};
use serde::Deserialize;

use super::transport::AnswerTooLarge;

/// Used when Spotify says 429 without a readable `Retry-After`: its rate limit counts the last 30 s.
const DEFAULT_RETRY_AFTER_SECONDS: u64 = 30;

/// Waits of up to a day are on record; a week is a slip of the pen.
const MAX_RETRY_AFTER_SECONDS: u64 = 7 * 24 * 60 * 60;

/// How much of Spotify's own words an error repeats, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// A request that did not succeed. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// Spotify answered with an error status.
    #[error("Spotify answered {status}: {message}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// Spotify's own words, cut and cleaned, or the status' usual name.
        message: String,
        /// The accounts service's error name, such as `invalid_grant`.
        oauth_error: Option<String>,
        /// How long Spotify asks to wait, in seconds; always there on a 429.
        retry_after_seconds: Option<u64>,
    },
    /// No answer, or none that can be read. The request may have taken effect.
    #[error("{0}")]
    Unavailable(String),
}

impl HttpFailure {
    /// What went wrong in an rspotify call.
    pub(crate) async fn of(error: ClientError) -> Self {
        match error {
            ClientError::Http(error) => match *error {
                HttpError::StatusCode(response) => Self::of_response(response).await,
                HttpError::Client(error) => Self::Unavailable(describe(&error).to_owned()),
            },
            // serde's message is not repeated: it may quote the answer.
            ClientError::ParseJson(_) => Self::unreadable(),
            _ => Self::Unavailable("the request to Spotify could not be made".to_owned()),
        }
    }

    pub(crate) fn unreadable() -> Self {
        Self::Unavailable("Spotify's answer can't be read".to_owned())
    }

    /// The HTTP status, if there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Unavailable(_) => None,
        }
    }

    /// What an answer that is an error says.
    pub async fn of_response(response: Response) -> Self {
        let status = response.status();
        let retry_after_seconds = retry_after(response.headers())
            .or_else(|| (status.as_u16() == 429).then_some(DEFAULT_RETRY_AFTER_SECONDS));
        let body: ErrorBody = match response.bytes().await {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(_) => ErrorBody::default(),
        };
        let (message, oauth_error) = match body.error {
            Some(ErrorField::WebApi { message }) => (message, None),
            Some(ErrorField::Accounts(name)) => {
                let name = cleaned(&name);
                (body.error_description.or(Some(name.clone())), Some(name))
            }
            None => (None, None),
        };
        Self::Status {
            status: status.as_u16(),
            message: message
                .map(|message| cleaned(&message))
                .filter(|message| !message.is_empty())
                .unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason").to_owned()),
            oauth_error,
            retry_after_seconds,
        }
    }
}

/// An error body of the Web API (`{"error":{"status","message"}}`) or of the accounts service
/// (`{"error","error_description"}`).
#[derive(Default, Deserialize)]
struct ErrorBody {
    error: Option<ErrorField>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorField {
    WebApi { message: Option<String> },
    Accounts(String),
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(seconds.min(MAX_RETRY_AFTER_SECONDS))
}

fn cleaned(text: &str) -> String {
    text.chars()
        .filter(|char| !char.is_control())
        .take(MAX_MESSAGE_CHARS)
        .collect()
}

/// A fixed sentence for each way a connection fails: reqwest's own names addresses and queries.
fn describe(error: &reqwest_middleware::Error) -> &'static str {
    match error {
        reqwest_middleware::Error::Middleware(error) if error.is::<AnswerTooLarge>() => {
            "Spotify's answer is too large to be right"
        }
        error if error.is_connect() => "Spotify can't be reached",
        error if error.is_timeout() => "Spotify did not answer in time",
        _ => "the connection to Spotify broke before it answered",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn response(status: u16, retry_after: Option<&str>, body: &str) -> Response {
        let mut response = http::Response::new(body.to_owned());
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a valid status");
        if let Some(value) = retry_after {
            let value = HeaderValue::from_str(value).expect("a valid header");
            response.headers_mut().insert(RETRY_AFTER, value);
        }
        response.into()
    }

    fn wait(failure: &HttpFailure) -> Option<u64> {
        match failure {
            HttpFailure::Status {
                retry_after_seconds,
                ..
            } => *retry_after_seconds,
            HttpFailure::Unavailable(_) => None,
        }
    }

    #[tokio::test]
    async fn a_429_always_says_how_long_to_wait() {
        for (header, expected) in [
            (Some("7"), 7),
            (None, DEFAULT_RETRY_AFTER_SECONDS),
            (
                Some("Wed, 21 Oct 2026 07:28:00 GMT"),
                DEFAULT_RETRY_AFTER_SECONDS,
            ),
            (Some("-1"), DEFAULT_RETRY_AFTER_SECONDS),
            (Some("999999999999"), MAX_RETRY_AFTER_SECONDS),
        ] {
            let failure = HttpFailure::of_response(response(429, header, "")).await;
            assert_eq!(wait(&failure), Some(expected), "{header:?}");
        }
        assert_eq!(
            wait(&HttpFailure::of_response(response(503, None, "")).await),
            None
        );
    }

    #[tokio::test]
    async fn both_services_errors_are_understood() {
        let body = r#"{"error":{"status":403,"message":"Insufficient\u0007 client scope"}}"#;
        let failure = HttpFailure::of_response(response(403, None, body)).await;
        assert_eq!(
            failure.to_string(),
            "Spotify answered 403: Insufficient client scope"
        );

        let body = r#"{"error":"invalid_grant","error_description":"Refresh token revoked"}"#;
        let failure = HttpFailure::of_response(response(400, None, body)).await;
        assert!(
            matches!(&failure, HttpFailure::Status { oauth_error: Some(name), message, .. }
                if name == "invalid_grant" && message == "Refresh token revoked"),
            "{failure:?}"
        );

        let failure = HttpFailure::of_response(response(502, None, "<html>")).await;
        assert_eq!(failure.to_string(), "Spotify answered 502: Bad Gateway");
    }
}
