//! The workers: what polls the engine for our work and does it.

use std::{path::PathBuf, time::Duration};

use temporalio_client::{Client, NamespacedClient};
use temporalio_sdk::{
    Runtime, Worker, WorkerOptions,
    runtime::{
        PollerBehavior, RuntimeOptions,
        worker_tuner::{FixedSizeSlotSupplier, TunerHolder},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    activities::{
        Activities, BatchActivities, EngineActivities, KEEPING, McpActivities, ModelActivities,
        NoticeActivities, ScheduleActivities, SessionActivities, Sessions,
    },
    agent_sync::AgentSync,
    batch_page::BatchPage,
    batch_sync::BatchSync,
    call_budget::CallBudget,
    client_session::ClientSession,
    dead_letter::DeadLetter,
    gate::{self, Gate},
    metrics::{Attempts, Ends, Metrics, count_backlog},
    model::Model,
    music_sync::MusicSync,
    names::{self, BUDGET_QUEUE, DEAD_LETTER_QUEUE, NOTICE_QUEUE, SYNC_QUEUE},
    notice::Notice,
    notices::{Account, Webhook, tell_of_sign_in},
    place_page::PlacePage,
    place_track::PlaceTrack,
    playlist_reading::PlaylistReading,
    remembered_answer::RememberedAnswer,
    review::Review,
    scheduled_sync::ScheduledSync,
    simple_agent_sync::SimpleAgentSync,
    strategy_comparison::StrategyComparison,
    token_budget::TokenBudget,
    traces,
    upstream::{GatedUpstream, Upstream},
    versions, waking,
};

/// Time for activities to finish when the worker is told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// After the kill of a process the workflows it had cached wait this long on its sticky queue
/// before another process may take them. The SDK's 10 s is what a user would wait after a restart.
const STICKY_TIMEOUT: Duration = Duration::from_secs(3);

/// Workflows that stay in memory between their steps; beyond that the one idle for longest is
/// replayed when its next step comes. About 20 kB each.
const CACHED_WORKFLOWS: usize = 1000;

/// Activities that run at a time, beside those within steps of workflows. The limiter lets fewer calls through
/// a second than that; those in line take a slot, and the rest wait in the engine, where waiting costs nothing.
const ACTIVITIES: usize = 40;

/// Steps of workflows that are taken at a time: the SDK's own number.
const WORKFLOW_TASKS: usize = 100;

/// Notices that are being delivered at a time: a receiver that hangs holds each for 20 s.
const DELIVERIES: usize = 10;

/// How this process works.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// How it is called among the workers of the engine.
    pub member: String,
    /// The share of new syncs that take a path which is new in this build, 0.0 to 1.0.
    pub canary: f64,
    /// The build by which the engine's operator knows this worker, if syncs are to be routed by it.
    pub version: Option<String>,
    /// The folders whose files a schedule may read, as absolute paths.
    pub import_folders: Vec<PathBuf>,
    /// Where notices go; without one nobody is told of anything.
    pub webhook: Option<Webhook>,
    /// Whose sign-in the upstream has: the user for whom this process is configured.
    pub user: String,
    /// How the upstream is called, without a secret.
    pub upstream: String,
}

/// Runs the workers of all task queues until `stop` is cancelled, or one of them fails.
///
/// # Errors
/// The engine refused the worker, or the connection is broken for good.
pub async fn run(
    client: Client,
    upstream: Upstream,
    model: Model,
    gate: Gate,
    settings: WorkerSettings,
    stop: CancellationToken,
) -> Result<(), anyhow::Error> {
    let metrics = gate.metrics().clone();
    let options = RuntimeOptions::builder().telemetry_options(metrics.telemetry());
    let runtime = Runtime::from_current_tokio(options.build().map_err(anyhow::Error::msg)?)?;
    let upstream = GatedUpstream::new(upstream, gate.clone());
    let activities = Activities::new(upstream.clone(), stop.clone());
    let batch_activities = BatchActivities::new(upstream.clone(), stop.clone());
    let schedule_activities =
        ScheduleActivities::new(upstream.clone(), settings.import_folders, stop.clone())
            .that_notify(settings.webhook.is_some());
    let (sessions, session_queue) = (Sessions::default(), names::new_session_queue());
    let mcp_activities = McpActivities::new(
        upstream.clone(),
        sessions.clone(),
        session_queue.clone(),
        stop.clone(),
    );
    let session_activities =
        SessionActivities::new(upstream.clone(), sessions.clone(), stop.clone());
    let held_sessions = sessions;
    let model_activities = ModelActivities::new(model, gate.clone(), client.clone(), stop.clone());
    let version = settings.version.as_deref();
    let slots = TunerHolder::builder()
        .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(WORKFLOW_TASKS))
        .activity_task_slot_supplier(FixedSizeSlotSupplier::new(ACTIVITIES))
        // Each belongs to a task of a workflow, and keeps itself to a share of these.
        .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(WORKFLOW_TASKS))
        .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
        .build();
    let mut syncs = WorkerOptions::new(SYNC_QUEUE)
        .register_workflow::<MusicSync>()?
        .register_workflow::<PlaceTrack>()?
        .register_workflow::<PlaylistReading>()?
        .register_workflow::<BatchSync>()?
        .register_workflow::<BatchPage>()?
        .register_workflow::<PlacePage>()?
        .register_workflow::<AgentSync>()?
        .register_workflow::<SimpleAgentSync>()?
        .register_workflow::<StrategyComparison>()?
        .register_workflow::<Review>()?
        .register_workflow::<RememberedAnswer>()?
        .register_workflow::<ScheduledSync>()?
        .register_workflow::<ClientSession>()?
        .register_activities(activities)
        .register_activities(batch_activities)
        .register_activities(EngineActivities)
        .register_activities(model_activities)
        .register_activities(schedule_activities)
        .register_activities(mcp_activities)
        // Or a heartbeat would be held back until shortly before its timeout, and what a search has
        // found would be kept only then.
        .max_heartbeat_throttle_interval(KEEPING)
        .sticky_queue_schedule_to_start_timeout(STICKY_TIMEOUT)
        .max_cached_workflows(CACHED_WORKFLOWS)
        .tuner(slots)
        .patch_activation_callback(versions::canary(settings.canary))
        .graceful_shutdown_period(GRACE)
        .deployment_options(versions::deployment(version))
        .build();
    let mut letters = WorkerOptions::new(DEAD_LETTER_QUEUE)
        .register_workflow::<DeadLetter>()?
        .sticky_queue_schedule_to_start_timeout(STICKY_TIMEOUT)
        .deployment_options(versions::deployment(version))
        .build();
    let mut budget = WorkerOptions::new(BUDGET_QUEUE)
        .register_workflow::<CallBudget>()?
        .register_workflow::<TokenBudget>()?
        .sticky_queue_schedule_to_start_timeout(STICKY_TIMEOUT)
        .deployment_options(versions::deployment(version))
        .build();
    // Calls in the sessions that this process holds, and in no other's.
    let mut sessions = WorkerOptions::new(&session_queue)
        .register_activities(session_activities)
        .deployment_options(versions::unversioned())
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(1))
        .graceful_shutdown_period(GRACE)
        .build();
    let mut notices = match settings.webhook {
        Some(webhook) => Some(notices_options(webhook, &metrics, version, &stop)?),
        None => None,
    };
    for options in [&mut syncs, &mut sessions].into_iter().chain(&mut notices) {
        options.activity_inbound_interceptor(traces::Attempts);
    }
    let ours = [&mut syncs, &mut letters, &mut budget].into_iter();
    for options in ours.chain(&mut notices) {
        options.register_workflow_interceptors(traces::carried());
        if traces::are_on() {
            options.worker_interceptor(traces::Runs::new(client.data_converter().clone()));
        }
    }
    if metrics.is_on() {
        for options in [&mut syncs, &mut sessions].into_iter().chain(&mut notices) {
            options.activity_inbound_interceptor(Attempts::new(metrics.clone()));
        }
        let ours = [&mut syncs, &mut letters, &mut budget].into_iter();
        for options in ours.chain(&mut notices) {
            options.worker_interceptor(Ends::new(metrics.clone(), client.data_converter().clone()));
        }
    }
    let mut syncs = Worker::new(&runtime, client.clone(), syncs)?;
    let mut letters = Worker::new(&runtime, client.clone(), letters)?;
    let mut budget = Worker::new(&runtime, client.clone(), budget)?;
    let mut sessions = Worker::new(&runtime, client.clone(), sessions)?;
    let notices = notices.map(|notices| Worker::new(&runtime, client.clone(), notices));
    let mut notices = notices.transpose()?;

    let stop_syncs = syncs.shutdown_handle();
    let stop_letters = letters.shutdown_handle();
    let stop_budget = budget.shutdown_handle();
    let stop_sessions = sessions.shutdown_handle();
    let stop_notices = notices.as_ref().map(Worker::shutdown_handle);
    let stopping = async {
        stop.cancelled().await;
        stop_syncs();
        stop_letters();
        stop_budget();
        stop_sessions();
        if let Some(stop_notices) = stop_notices {
            stop_notices();
        }
        Ok::<(), anyhow::Error>(())
    };
    let keeping = async {
        gate::keep(&gate, &client, &settings.member, &stop).await;
        Ok(())
    };
    let counting = async {
        count_backlog(&client, &metrics, &stop).await;
        Ok(())
    };
    let sweeping = async {
        held_sessions.sweep(&stop).await;
        Ok(())
    };
    let waking = async {
        waking::wake_when_back(&client, &gate, &stop).await;
        Ok(())
    };
    let account = Account::new(settings.user, &settings.upstream);
    let telling = async {
        let Some(notices) = &mut notices else {
            return Ok(());
        };
        let of_sign_in = async {
            tell_of_sign_in(&client, &gate, &account, &stop).await;
            Ok(())
        };
        let notices = async { notices.run().await.map_err(anyhow::Error::from) };
        tokio::try_join!(of_sign_in, notices).map(|((), ())| ())
    };
    tokio::try_join!(
        async { syncs.run().await.map_err(anyhow::Error::from) },
        async { letters.run().await.map_err(anyhow::Error::from) },
        async { budget.run().await.map_err(anyhow::Error::from) },
        async { sessions.run().await.map_err(anyhow::Error::from) },
        stopping,
        keeping,
        sweeping,
        counting,
        waking,
        telling,
    )?;
    Ok(())
}

/// What tells a webhook: on a queue of its own, with few hands.
fn notices_options(
    webhook: Webhook,
    metrics: &Metrics,
    version: Option<&str>,
    stop: &CancellationToken,
) -> Result<WorkerOptions, anyhow::Error> {
    let slots = TunerHolder::builder()
        .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(WORKFLOW_TASKS))
        .activity_task_slot_supplier(FixedSizeSlotSupplier::new(DELIVERIES))
        .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(1))
        .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
        .build();
    Ok(WorkerOptions::new(NOTICE_QUEUE)
        .register_workflow::<Notice>()?
        .register_activities(NoticeActivities::new(
            webhook,
            metrics.clone(),
            stop.clone(),
        ))
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(1))
        .sticky_queue_schedule_to_start_timeout(STICKY_TIMEOUT)
        .tuner(slots)
        .graceful_shutdown_period(GRACE)
        .deployment_options(versions::deployment(version))
        .build())
}
