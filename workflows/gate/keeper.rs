//! Keeps a gate in step with the other workers, through the engine.

use std::time::Duration;

use temporalio_client::{Client, WorkflowIdConflictPolicy, WorkflowUpdateWithStartOptions};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Gate, Met, whole_seconds};
use crate::{
    call_budget::{CallBudget, Facts, Renewal, Share},
    names,
};

/// Time for one renewal; a worker that is there answers in some milliseconds.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Time before a renewal that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// After this long without a call the share is left to itself, and renewed when it is wanted.
const IDLE: Duration = Duration::from_secs(10);

/// Keeps the gate until `stop` is cancelled. `member` names this process among the workers.
pub(crate) async fn keep(gate: &Gate, client: &Client, member: &str, stop: &CancellationToken) {
    let limiter = &gate.inner.limiter;
    let mut keeping = gate.inner.keeping.lock().await;
    let mut due = Instant::now();
    loop {
        let idle = limiter.idle_for() > IDLE;
        let has_news = keeping.resets.is_none() || keeping.untold.is_some();
        let met = tokio::select! {
            () = stop.cancelled() => return,
            met = keeping.meetings.recv() => met,
            () = limiter.wanted.notified() => None,
            () = sleep_until(due), if !idle || has_news => None,
        };
        if let Some(met) = &met {
            let until = Instant::now() + Duration::from_secs(met.seconds);
            keeping.untold = keeping.untold.max(Some(until));
        }
        let left = |until: Instant| whole_seconds(until.saturating_duration_since(Instant::now()));
        let renewal = Renewal {
            member: member.to_owned(),
            calls_per_window: gate.inner.settings.calls_per_window,
            limited_for_seconds: keeping.untold.map(left),
            circuits: gate.circuits(),
        };
        let renewed = tokio::select! {
            () = stop.cancelled() => return,
            renewed = timeout(RENEWAL_TIMEOUT, renew(client, renewal)) => renewed,
        };
        match renewed.map_err(anyhow::Error::from).flatten() {
            Ok(share) => {
                keeping.untold = None;
                take(gate, &share, &mut keeping.resets);
                due = Instant::now() + Duration::from_secs(share.renew_in_seconds.into());
            }
            Err(error) => {
                tracing::debug!("the share of calls could not be renewed: {error:#}");
                due = Instant::now() + TRY_AGAIN;
            }
        }
        if let Some(Met { told, .. }) = met {
            // Whoever waited for it may have gone on.
            let _ = told.send(());
        }
    }
}

async fn renew(client: &Client, renewal: Renewal) -> anyhow::Result<Share> {
    let options = WorkflowUpdateWithStartOptions::new(
        names::BUDGET_QUEUE,
        names::BUDGET_ID,
        WorkflowIdConflictPolicy::UseExisting,
    )
    .build();
    let share = client
        .execute_update_with_start_workflow(
            CallBudget::run,
            Facts::default(),
            CallBudget::renew,
            renewal,
            options,
        )
        .await?;
    Ok(share)
}

fn take(gate: &Gate, share: &Share, resets: &mut Option<(u64, u64)>) {
    let limiter = &gate.inner.limiter;
    let (circuits, limits) = *resets.get_or_insert((share.circuits_reset, share.limit_lifted));
    if circuits != share.circuits_reset {
        gate.reset(share.reset_group);
    }
    if limits != share.limit_lifted {
        limiter.lift();
    }
    *resets = Some((share.circuits_reset, share.limit_lifted));
    limiter.renew(
        share.calls_per_window,
        share.blocked_for_seconds.map(Duration::from_secs),
        share.lifetime(),
    );
}
