//! What waits for somebody, counted in the engine's visibility.

use std::time::Duration;

use temporalio_client::{Client, WorkflowCountOptions};
use tokio_util::sync::CancellationToken;

use super::Metrics;

/// Time between two counts.
const EVERY: Duration = Duration::from_secs(15);

/// Counts the open reviews and dead letters of the whole engine, until `stop`; nothing while metrics
/// are off.
pub(crate) async fn count_backlog(client: &Client, metrics: &Metrics, stop: &CancellationToken) {
    if !metrics.is_on() {
        return;
    }
    loop {
        let (reviews, letters) = tokio::join!(open(client, "Review"), open(client, "DeadLetter"));
        metrics.with(|on| {
            let none = on.attributes(&[]);
            if let Some(reviews) = reviews {
                on.instruments.reviews_waiting.record(reviews, &none);
            }
            if let Some(letters) = letters {
                on.instruments.dead_letters_open.record(letters, &none);
            }
        });
        tokio::select! {
            () = pause() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// How many workflows of this type are open. One count that fails leaves the last number standing.
async fn open(client: &Client, workflow_type: &str) -> Option<u64> {
    let query = format!("WorkflowType = '{workflow_type}' AND ExecutionStatus = 'Running'");
    let counted = client.count_workflows(query, WorkflowCountOptions::default());
    match counted.await {
        Ok(counted) => u64::try_from(counted.count()).ok(),
        Err(error) => {
            tracing::debug!(workflow_type, %error, "open workflows could not be counted");
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "not in a workflow")]
async fn pause() {
    tokio::time::sleep(EVERY).await;
}
