//! `segue serve`: MCP over stdio, and a worker, until the client closes stdin.

use rmcp::{ServiceExt, service::ServerInitializeError};
use segue_tools::{Engine, EngineState, Segue};
use segue_workflows::gate::Gate;
use tokio::sync::watch;

use crate::{config::Config, home::Home, host, metrics, shutdown};

pub(super) async fn run(config: &Config, home: &Home) -> anyhow::Result<()> {
    let stop = shutdown::on_signal();
    let (state, engine) = watch::channel(EngineState::Starting(
        "the managed engine is being started".to_owned(),
    ));
    let metrics = metrics::start(config, &stop).await?;
    let gate = Gate::counting(config.gate_settings(), metrics.clone());
    let server = Segue::new(
        Engine::new(engine),
        gate.clone(),
        config.user.clone(),
        config.tool_settings(),
    )
    .with_model(config.model()?.standing())
    .with_agents(config.agent_settings());

    // The client is answered while the engine still starts; a tool call waits for it.
    let serving = async {
        let session = tokio::select! {
            session = server.serve(rmcp::transport::stdio_pipes()) => session,
            () = stop.cancelled() => return Ok(()),
        };
        let ended = match session {
            Ok(session) => {
                let _open = metrics.open_session();
                tokio::select! {
                    ended = session.waiting() => ended.map(|_| ()).map_err(anyhow::Error::from),
                    () = stop.cancelled() => Ok(()),
                }
            }
            // The client left before it said anything.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(error.into()),
        };
        // Syncs go on in the engine; the next worker takes them up.
        stop.cancel();
        ended
    };
    tokio::try_join!(serving, host::run(config, home, &gate, &state, &stop))?;
    Ok(())
}
