//! The activity that tells the user's webhook. It runs on a task queue of its own, in processes that have one.

use std::sync::Arc;

use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;

use super::attempt::reading;
use crate::{
    metrics::{Delivery, Metrics},
    notices::{Answer, Event, Webhook},
};

/// The activity, on one webhook.
pub struct NoticeActivities {
    webhook: Webhook,
    metrics: Metrics,
    stopping: CancellationToken,
}

impl NoticeActivities {
    /// The activity on this webhook, of a worker that ends when `stopping` is cancelled.
    pub fn new(webhook: Webhook, metrics: Metrics, stopping: CancellationToken) -> Self {
        Self {
            webhook,
            metrics,
            stopping,
        }
    }
}

#[activities]
impl NoticeActivities {
    /// Sends an event once, and tells how that was answered. A worker that stops gives up a receiver that hangs:
    /// another sends it again, under the same id.
    #[activity(name = "deliver_notice")]
    pub async fn deliver(
        self: Arc<Self>,
        ctx: ActivityContext,
        event: Event,
    ) -> Result<Answer, ActivityError> {
        let (id, what) = (&event.id, event.what.as_str());
        let sending = async {
            let answer = self.webhook.post(&event).await;
            self.metrics.notice_sent(match &answer {
                Ok(Answer::Taken { .. }) => Delivery::Taken,
                Ok(Answer::Refused { .. }) => Delivery::Refused,
                Ok(Answer::ComeBack { .. }) => Delivery::Delayed,
                Err(_) => Delivery::Failed,
            });
            match &answer {
                Ok(Answer::Taken { status }) => tracing::info!(id, what, status, "notice taken"),
                Ok(Answer::Refused { status }) => {
                    tracing::warn!(id, what, status, "the webhook refused a notice");
                }
                Ok(Answer::ComeBack { status, seconds }) => {
                    tracing::info!(id, what, status, seconds, "the webhook wants it later");
                }
                Err(error) => tracing::warn!(id, what, "a notice was not taken: {error}"),
            }
            answer
        };
        Ok(reading(&ctx, &self.stopping, sending).await?.value)
    }
}
