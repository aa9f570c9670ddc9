//! What a serving process holds together: the engine, and a worker on it.

use std::{thread, time::Duration};

use anyhow::Context;
use segue_tools::EngineState;
use segue_workflows::{
    gate::Gate,
    model::Model,
    sync::SyncStatus,
    upstream::Upstream,
    waking,
    worker::{self, WorkerSettings},
};
use temporalio_client::Client;
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    engine::{Engine, EngineOptions, Health},
    home::Home,
};

/// Time before the engine is tried again after it failed.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Time for the worker to end when the process is to. It gives 3 s of that to what is under way. A
/// call that takes longer ends with the process, and is looked for when the engine has noticed.
const LAST_WORK: Duration = Duration::from_millis(4_500);

/// Connects to the engine and runs a worker on it until `stop` is cancelled. An engine that fails
/// or moves is connected to again; where it stands is told through `state`.
pub async fn run(
    config: &Config,
    home: &Home,
    gate: &Gate,
    state: &watch::Sender<EngineState>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    run_on(config.upstream(home)?, config, home, gate, state, stop).await
}

/// The same, on this upstream and not the configured one.
pub async fn run_on(
    upstream: Upstream,
    config: &Config,
    home: &Home,
    gate: &Gate,
    state: &watch::Sender<EngineState>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let (model, settings) = (config.model()?, config.worker_settings()?);
    let options = EngineOptions {
        meter: gate.metrics().of_connection(),
        ..config.engine_options()
    };
    let mut wakes = true;
    while !stop.is_cancelled() {
        let engine = tokio::select! {
            engine = Engine::connect(&options, home) => engine,
            () = stop.cancelled() => return Ok(()),
        };
        let ended = match engine {
            Ok(engine) => {
                let parts = Parts {
                    upstream: upstream.clone(),
                    model: model.clone(),
                    gate: gate.clone(),
                    settings: settings.clone(),
                };
                let wakes = std::mem::take(&mut wakes);
                work_on(&engine, parts, wakes, state, stop).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            tracing::error!("the engine or the worker failed: {error:#}");
            state.send_replace(EngineState::Failed(format!("{error:#}")));
            tokio::select! {
                () = tokio::time::sleep(TRY_AGAIN) => {}
                () = stop.cancelled() => {}
            }
        }
    }
    Ok(())
}

/// What a worker is made of.
struct Parts {
    upstream: Upstream,
    model: Model,
    gate: Gate,
    settings: WorkerSettings,
}

/// Works until told to stop, or until the engine has moved elsewhere.
async fn work_on(
    engine: &Engine,
    parts: Parts,
    wakes: bool,
    state: &watch::Sender<EngineState>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!(address = engine.address(), kind = ?engine.kind(), "engine connected");
    let client = engine.client().clone();
    let stop_worker = stop.child_token();
    let mut worker = spawn_worker(client.clone(), parts, stop_worker.clone());
    state.send_replace(EngineState::Ready(client.clone()));
    if wakes {
        wake_those_who_wait(client);
    }
    let mut health = engine.health();
    tokio::select! {
        ended = &mut worker => ended.context("the worker's thread broke")?,
        () = told_to_end(stop) => {
            tracing::warn!("what is under way takes too long: it is left to the next worker");
            Ok(())
        }
        () = moved(&mut health) => {
            state.send_replace(EngineState::Starting("it moves to another port".to_owned()));
            stop_worker.cancel();
            worker.await.context("the worker's thread broke")?
        }
    }
}

/// Waits until the process has been told to stop, and the time for that is over.
async fn told_to_end(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_WORK).await;
}

/// Lets syncs that wait for a sign-in or for the upstream look at once: whoever starts a process
/// has often just mended what was wrong.
fn wake_those_who_wait(client: Client) {
    tokio::spawn(async move {
        let waits = [SyncStatus::WaitingForSignIn, SyncStatus::WaitingForUpstream];
        match waking::wake(&client, &waits, None).await {
            Ok(0) => {}
            Ok(woken) => tracing::info!(woken, "waiting syncs look again"),
            // They look by themselves as well, only later.
            Err(error) => tracing::info!("waiting syncs could not be woken: {error:#}"),
        }
    });
}

/// Waits until the engine has moved. An engine that nobody watches, such as an external one, never
/// does.
async fn moved(health: &mut watch::Receiver<Health>) {
    let moved = health.wait_for(|health| matches!(health, Health::Moved(_)));
    if moved.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Runs the worker on a thread of its own: workflow code is not `Send`, and must not be held up
/// by what else the process does.
fn spawn_worker(
    client: Client,
    parts: Parts,
    stop: CancellationToken,
) -> tokio::sync::oneshot::Receiver<anyhow::Result<()>> {
    let (ended, end) = tokio::sync::oneshot::channel();
    let runtime = Handle::current();
    thread::spawn(move || {
        let Parts {
            upstream,
            model,
            gate,
            settings,
        } = parts;
        let result = runtime.block_on(worker::run(client, upstream, model, gate, settings, stop));
        // Whoever started the worker may be gone by now.
        let _ = ended.send(result);
    });
    end
}
