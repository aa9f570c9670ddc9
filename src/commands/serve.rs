//! `segue serve`: MCP over stdio, until the client closes stdin, or over HTTP, until it is told to stop; and
//! a worker.

use std::{net::SocketAddr, path::PathBuf, pin::pin};

use anyhow::Context;
use rmcp::{ServiceExt, service::ServerInitializeError};
use segue_spotify::server::Watched;
use segue_tools::{Engine, EngineState, Segue};
use segue_workflows::{gate::Gate, metrics::Metrics};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    access::Access,
    cli::ServeArgs,
    config::Config,
    home::Home,
    host,
    http::{self, Site},
    metrics, shutdown,
};

pub(super) async fn run(config: &Config, home: &Home, flags: ServeArgs) -> anyhow::Result<()> {
    let config = config.clone().serving(&flags)?;
    let stop = shutdown::on_signal();
    match config.http_address()? {
        Some(address) => over_http(&config, home, address, &stop).await,
        None => over_stdio(&config, home, &stop).await,
    }
}

/// What a server is made of, beside what its transport brings.
struct Parts {
    server: Segue,
    gate: Gate,
    state: watch::Sender<EngineState>,
    engine: watch::Receiver<EngineState>,
}

fn parts(
    config: &Config,
    import_folders: Vec<PathBuf>,
    metrics: Metrics,
    stop: &CancellationToken,
    told: impl FnOnce(watch::Receiver<EngineState>) -> watch::Receiver<EngineState>,
) -> anyhow::Result<Parts> {
    let (state, engine) = watch::channel(EngineState::Starting(
        "the managed engine is being started".to_owned(),
    ));
    let gate = Gate::counting(config.gate_settings(), metrics);
    let settings = segue_tools::Settings {
        import_folders,
        ..config.tool_settings()
    };
    let server = Segue::new(
        Engine::new(told(engine.clone())),
        gate.clone(),
        config.user.clone(),
        settings,
    )
    .with_model(config.model()?.standing())
    .with_agents(config.agent_settings())
    .until(stop.clone());
    Ok(Parts {
        server,
        gate,
        state,
        engine,
    })
}

async fn over_stdio(config: &Config, home: &Home, stop: &CancellationToken) -> anyhow::Result<()> {
    let metrics = metrics::start(config, stop).await?;
    let Parts {
        server,
        gate,
        state,
        ..
    } = parts(
        config,
        config.import_folders.clone(),
        metrics.clone(),
        stop,
        |engine| engine,
    )?;

    // Open calls are still answered when the client has closed stdin; nobody listens any more.
    let gone = stop.child_token();
    let server = server.until(gone.clone());
    let (stdin, stdout) = rmcp::transport::stdio_pipes();
    let pipes = (Watched::new(stdin, gone), stdout);

    // The client is answered while the engine still starts; a tool call waits for it.
    let serving = async {
        let session = tokio::select! {
            session = server.serve(pipes) => session,
            () = stop.cancelled() => return Ok(()),
        };
        let ended = match session {
            Ok(session) => {
                let _open = metrics.open_session();
                let close = session.cancellation_token();
                let mut open = pin!(session.waiting());
                let ended = tokio::select! {
                    ended = &mut open => ended,
                    () = stop.cancelled() => {
                        // Calls are answered and streams are ended in order, for 2 s at most.
                        close.cancel();
                        open.await
                    }
                };
                ended.map(|_| ()).map_err(anyhow::Error::from)
            }
            // The client left before it said anything.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(error.into()),
        };
        // Syncs go on in the engine; the next worker takes them up.
        stop.cancel();
        ended
    };
    tokio::try_join!(serving, host::run(config, home, &gate, &state, stop))?;
    Ok(())
}

/// The engine as users are told of it who do not run it: why it fails names paths and addresses, which are
/// for the log.
fn without_reasons(mut engine: watch::Receiver<EngineState>) -> watch::Receiver<EngineState> {
    let (told, heard) = watch::channel(engine.borrow().clone());
    tokio::spawn(async move {
        loop {
            let state = match engine.borrow_and_update().clone() {
                EngineState::Failed(_) => EngineState::Failed(
                    "The engine is not there; whoever runs this server finds the reason in its log."
                        .to_owned(),
                ),
                state => state,
            };
            // Nobody may listen any more, and nothing more may come.
            if told.send(state).is_err() || engine.changed().await.is_err() {
                return;
            }
        }
    });
    heard
}

async fn over_http(
    config: &Config,
    home: &Home,
    address: SocketAddr,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let access = Access::open(config, home)?;
    access.may_listen(address)?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened at; choose another with --http"))?;
    let (page, metrics) = metrics::start_with_page(config, stop).await?;
    // Whoever comes over a network names no files of this machine.
    let told = |engine| match access.is_required() {
        true => without_reasons(engine),
        false => engine,
    };
    let parts = parts(config, Vec::new(), metrics.clone(), stop, told)?;
    let site = Site {
        server: parts.server,
        access,
        engine: parts.engine,
        metrics,
        page,
        names: config.http_names()?,
    };
    // The worker and the engine stay until the last call has its answer.
    let answered = CancellationToken::new();
    let serving = async {
        let served = http::serve(listener, site, stop.clone()).await;
        answered.cancel();
        served
    };
    tokio::try_join!(
        serving,
        host::run(config, home, &parts.gate, &parts.state, &answered)
    )?;
    Ok(())
}
