//! The webhook: whether one is configured, and on request whether a notice arrives. Unasked nothing is sent: its
//! receiver may be a chat that people read.

use jiff::Timestamp;
use segue_workflows::notices::{Answer, Event};

use super::check::Check;
use crate::config::Config;

const PART: &str = "webhook";

/// `try_it` if a notice of type `ping` is to be sent.
pub(super) async fn check(config: &Config, try_it: bool) -> Check {
    let webhook = match config.webhook() {
        Ok(Some(webhook)) => webhook,
        Ok(None) => {
            let finding =
                "not configured; nobody is told of batches, dead letters, reviews and sign-ins";
            return Check::ok(PART, finding);
        }
        Err(error) => {
            let mend = "correct webhook_url, webhook_secret and webhook_form";
            return Check::broken(PART, error.to_string(), mend);
        }
    };
    let there = webhook.host().to_owned();
    if !try_it {
        let finding = format!(
            "configured, at {there}; not tried: `segue doctor --ping-webhook` sends a notice"
        );
        return Check::ok(PART, finding);
    }
    let mend = "check the network, webhook_url and what the receiver expects (webhook_form)";
    match webhook
        .post(&Event::ping(Timestamp::now(), &config.user))
        .await
    {
        Ok(Answer::Taken { status }) => {
            Check::ok(PART, format!("{there} took a notice, with status {status}"))
        }
        Ok(Answer::Refused { status }) => {
            let finding = format!("{there} refused a notice, with status {status}");
            Check::broken(PART, finding, mend)
        }
        Ok(Answer::ComeBack { status, seconds }) => {
            let finding = format!("{there} wants notices later, in {seconds} s (status {status})");
            Check::attention(PART, finding, "try it again then")
        }
        Err(error) => Check::broken(PART, format!("{there}: {error}"), mend),
    }
}
