//! Telling syncs that what they wait for may be over.

// None of this runs in a workflow.
#![expect(clippy::disallowed_methods, reason = "clocks of the worker")]

use std::time::Duration;

use futures::TryStreamExt;
use temporalio_client::{Client, WorkflowListOptions, WorkflowSignalOptions};
use tokio_util::sync::CancellationToken;

use crate::{
    gate::Gate,
    music_sync::MusicSync,
    names::{SYNC_STATUS, USER_ID, equals},
    sync::SyncStatus,
};

/// Signals under way at a time.
const AT_ONCE: usize = 16;

/// Time between two times that all are woken: an upstream that comes and goes would keep them all awake.
const PAUSE: Duration = Duration::from_secs(60);

/// Wakes what waits for the upstream whenever that is back after it was down. By itself a sync that has
/// waited in vain for long looks only every 15 minutes.
pub(crate) async fn wake_when_back(client: &Client, gate: &Gate, stop: &CancellationToken) {
    let waking = async {
        loop {
            gate.recovered().await;
            if let Err(error) = wake(client, &[SyncStatus::WaitingForUpstream], None).await {
                tracing::debug!("the waiting syncs could not be woken: {error:#}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    stop.run_until_cancelled(waking).await;
}

/// Lets every sync with one of these statuses look at once, this user's or everybody's, and gives how many there
/// were. One that begins to wait at this very moment may be missed; it looks by itself later.
///
/// # Errors
/// The engine could not be asked.
pub async fn wake(
    client: &Client,
    statuses: &[SyncStatus],
    whose: Option<&str>,
) -> anyhow::Result<usize> {
    let statuses: Vec<String> = statuses
        .iter()
        .map(|status| format!("'{}'", status.as_str()))
        .collect();
    let mut query = format!(
        "WorkflowType IN ('MusicSync', 'BatchSync', 'ScheduledSync', 'StrategyComparison') AND ExecutionStatus = 'Running' AND {} IN ({})",
        SYNC_STATUS.name(),
        statuses.join(", ")
    );
    if let Some(user) = whose {
        query.push_str(&format!(" AND {}", equals(USER_ID.name(), user)));
    }
    let waiting = client.list_workflows(query, WorkflowListOptions::default());
    let woken = waiting
        .map_ok(|execution| async move {
            let sync = client.get_workflow_handle::<MusicSync>(execution.id());
            // One that ended meanwhile has nothing to be woken for.
            let signal = sync.signal(MusicSync::wake, (), WorkflowSignalOptions::default());
            Ok(u32::from(signal.await.is_ok()))
        })
        .try_buffer_unordered(AT_ONCE)
        .try_fold(0, async |sum, one| Ok(sum + one as usize))
        .await?;
    Ok(woken)
}
