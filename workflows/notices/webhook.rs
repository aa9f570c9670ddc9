//! The receiver: where it is, and how one message is sent to it, once.

// None of this runs in a workflow.
#![expect(clippy::disallowed_methods, reason = "the clock of the sender")]

use std::{fmt, net::IpAddr, time::Duration};

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest_13::{
    Client, Response,
    header::{CONTENT_TYPE, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::{Event, Form, signature::Signer};
use crate::{error::ErrorCode, upstream::UpstreamError};

/// Time to reach the receiver.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for its answer: the specification has senders wait for 15 s at least.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest time to come back that is believed, in seconds: a day.
const LONGEST_WAIT: u64 = 24 * 3600;

/// Who is to take notices.
#[derive(Clone)]
pub struct Receiver {
    // It may hold a secret of its own, as Slack's do.
    url: SecretString,
    host: String,
    form: Form,
    signer: Option<Signer>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("host", &self.host)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl Receiver {
    /// The receiver at this address.
    ///
    /// # Errors
    /// The address or the secret cannot be used, or they do not go together; the sentence says why, without
    /// either.
    pub fn new(
        url: &SecretString,
        secret: Option<&SecretString>,
        form: Form,
    ) -> Result<Self, String> {
        let url = address(url.expose_secret())?;
        let signer = secret.map(Signer::new).transpose()?;
        if signer.is_none() && form == Form::Json {
            return Err(
                "webhook_secret is missing: a receiver could not tell our messages from others. Make one \
                 with: echo \"whsec_$(openssl rand -base64 32)\""
                    .to_owned(),
            );
        }
        Ok(Self {
            host: url.host_str().unwrap_or_default().to_owned(),
            url: SecretString::from(String::from(url)),
            form,
            signer,
        })
    }
}

/// The way to the receiver. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Webhook {
    receiver: Receiver,
    http: Client,
}

/// How the receiver answered, when it is not to be tried again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    /// It took the message.
    Taken {
        /// The HTTP status.
        status: u16,
    },
    /// It will not take it, however often it is sent.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// It asked to come back later.
    ComeBack {
        /// The HTTP status.
        status: u16,
        /// After so many seconds.
        seconds: u64,
    },
}

impl Webhook {
    /// The way to this receiver, not yet gone.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(receiver: Receiver) -> Result<Self, String> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            // What is sent is for this receiver, and for no other that it may name.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| "no HTTP client can be made for the webhook".to_owned())?;
        Ok(Self { receiver, http })
    }

    /// The host of the receiver, which tells no secret.
    pub fn host(&self) -> &str {
        &self.receiver.host
    }

    /// Sends the event once. What the receiver answers beside its status is not read.
    ///
    /// # Errors
    /// It could not be reached, gave no answer in time, or says that something broke: it may be tried again.
    pub async fn post(&self, event: &Event) -> Result<Answer, UpstreamError> {
        let Receiver {
            url, form, signer, ..
        } = &self.receiver;
        let body = form.body(event).map_err(|error| {
            UpstreamError::new(
                ErrorCode::Internal,
                format!("no notice can be made: {error}"),
            )
        })?;
        let now = Timestamp::now();
        let mut request = self
            .http
            .post(url.expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", now.as_second());
        if let Some(signer) = signer {
            let signature = signer.sign(&event.id, now.as_second(), &body);
            request = request.header("webhook-signature", signature);
        }
        let sent = request.body(body).send().await;
        let response = sent.map_err(|error| in_our_words(&error))?;
        let status = response.status().as_u16();
        match status {
            200..=299 => Ok(Answer::Taken { status }),
            408 | 425 | 429 | 500..=599 => match retry_after(&response, now) {
                Some(seconds @ 1..) => Ok(Answer::ComeBack { status, seconds }),
                _ => Err(UpstreamError::unavailable(format!(
                    "the webhook answered with status {status}"
                ))),
            },
            _ => Ok(Answer::Refused { status }),
        }
    }
}

/// The address, if notices may go there.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("webhook_url is no URL: {error}"))?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" if url.host().is_some() => Ok(url),
        "http" if is_here => Ok(url),
        "http" => Err(
            "webhook_url must begin with https: what it tells would be read on the way. Plain http is for \
             receivers on this machine (127.0.0.1, [::1], localhost)"
                .to_owned(),
        ),
        _ => Err("webhook_url must be an http(s) URL".to_owned()),
    }
}

/// When the receiver wants to be asked again, in seconds from now.
fn retry_after(response: &Response, now: Timestamp) -> Option<u64> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    seconds_of(text, now).map(|seconds| seconds.min(LONGEST_WAIT))
}

/// A time to come back: seconds, or a date.
fn seconds_of(text: &str, now: Timestamp) -> Option<u64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(date.as_second() - now.as_second()).ok()
}

/// Why nothing was answered. The client's own words hold the address.
fn in_our_words(error: &reqwest_13::Error) -> UpstreamError {
    UpstreamError::unavailable(if error.is_connect() {
        "the webhook cannot be reached"
    } else if error.is_timeout() {
        "the webhook gave no answer in time"
    } else {
        "the connection to the webhook broke"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for good in [
            "https://hooks.slack.com/services/T0/B0/x",
            "https://user:word@example.com:8443/in?key=1",
            "http://127.0.0.1:8080/in",
            "http://[::1]:9/",
            " http://localhost:9/in ",
        ] {
            assert!(address(good).is_ok(), "{good}");
        }
        for (wrong, why) in [
            ("", "no URL"),
            ("example.com/in", "no URL"),
            ("ftp://example.com/", "http(s)"),
            ("http://example.com/in", "must begin with https"),
            ("http://10.0.0.1/in", "must begin with https"),
            ("http://localhost.example.com/in", "must begin with https"),
            ("file:///etc/passwd", "http(s)"),
        ] {
            let error = address(wrong).expect_err(wrong);
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn neither_the_address_nor_the_secret_is_shown() {
        let url =
            SecretString::from("https://hooks.slack.com/services/T0/B0/verysecret".to_owned());
        let secret = SecretString::from(SECRET.to_owned());
        let receiver = Receiver::new(&url, Some(&secret), Form::Slack).expect("a receiver");
        let shown = format!("{receiver:?}");
        assert!(shown.contains("hooks.slack.com"), "{shown}");
        assert!(
            !shown.contains("verysecret") && !shown.contains("MfKQ9r8"),
            "{shown}"
        );
        assert!(Receiver::new(&url, None, Form::Slack).is_ok());
        let error = Receiver::new(&url, None, Form::Json).expect_err("unsigned");
        assert!(error.contains("webhook_secret is missing"), "{error}");
    }

    #[test]
    fn a_time_to_come_back_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-26T04:00:00Z".parse().expect("a time");
        for (text, seconds) in [
            ("30", Some(30)),
            ("0", Some(0)),
            ("Thu, 26 Nov 2026 04:01:00 GMT", Some(60)),
            ("Thu, 26 Nov 2026 03:59:00 GMT", None),
            ("soon", None),
            ("-5", None),
            ("1e9", None),
        ] {
            assert_eq!(seconds_of(text, now), seconds, "{text}");
        }
    }
}
