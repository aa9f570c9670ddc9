//! What a serving process holds together: the engine, and a worker on it.

use std::{thread, time::Duration};

use anyhow::Context;
use segue_tools::EngineState;
use segue_workflows::{upstream::Upstream, worker};
use temporalio_client::Client;
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    engine::{Engine, Health},
    home::Home,
};

/// Time before the engine is tried again after it failed.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Connects to the engine and runs a worker on it until `stop` is cancelled. An engine that fails
/// or moves is connected to again; where it stands is told through `state`.
pub async fn run(
    config: &Config,
    home: &Home,
    state: &watch::Sender<EngineState>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let upstream = config.upstream(home)?;
    let options = config.engine_options();
    while !stop.is_cancelled() {
        let engine = tokio::select! {
            engine = Engine::connect(&options, home) => engine,
            () = stop.cancelled() => return Ok(()),
        };
        let ended = match engine {
            Ok(engine) => work_on(&engine, upstream.clone(), state, stop).await,
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

/// Works until told to stop, or until the engine has moved elsewhere.
async fn work_on(
    engine: &Engine,
    upstream: Upstream,
    state: &watch::Sender<EngineState>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!(address = engine.address(), kind = ?engine.kind(), "engine connected");
    let client = engine.client().clone();
    let stop_worker = stop.child_token();
    let mut worker = spawn_worker(client.clone(), upstream, stop_worker.clone());
    state.send_replace(EngineState::Ready(client));
    let mut health = engine.health();
    tokio::select! {
        ended = &mut worker => ended.context("the worker's thread broke")?,
        () = moved(&mut health) => {
            state.send_replace(EngineState::Starting("it moves to another port".to_owned()));
            stop_worker.cancel();
            worker.await.context("the worker's thread broke")?
        }
    }
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
    upstream: Upstream,
    stop: CancellationToken,
) -> tokio::sync::oneshot::Receiver<anyhow::Result<()>> {
    let (ended, end) = tokio::sync::oneshot::channel();
    let runtime = Handle::current();
    thread::spawn(move || {
        let result = runtime.block_on(worker::run(client, upstream, stop));
        // Whoever started the worker may be gone by now.
        let _ = ended.send(result);
    });
    end
}
