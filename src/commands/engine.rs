//! `segue engine`: keeps the engine up, and says where it is and how it is.
//!
//! For whoever wants to look into it with Temporal's own tools, and the shortest use of [`Engine`].
//! It writes a line for what it sees (`address …`, `error …`, `health …`) and ends when its stdin
//! is closed.

use std::process::ExitCode;

use tokio::io::AsyncReadExt;

use crate::{
    config::Config,
    engine::{Engine, EngineError},
    home::Home,
    output::line,
    shutdown,
};

pub(super) async fn run(config: &Config, home: &Home) -> anyhow::Result<ExitCode> {
    match watch(config, home).await? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            line(format_args!("error {} {error}", error.code()))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn watch(config: &Config, home: &Home) -> anyhow::Result<Result<(), EngineError>> {
    let stop = shutdown::on_signal();
    let engine = match Engine::connect(&config.engine_options(), home).await {
        Ok(engine) => engine,
        Err(error) => return Ok(Err(error)),
    };
    let (address, kind, version) = (engine.address(), engine.kind(), engine.server_version());
    line(format_args!("address {address} {kind:?} {version}"))?;
    let mut health = engine.health();
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0];
    loop {
        tokio::select! {
            read = stdin.read(&mut ignored) => {
                if !matches!(read, Ok(1..)) {
                    return Ok(Ok(()));
                }
            }
            () = stop.cancelled() => return Ok(Ok(())),
            Ok(()) = health.changed() => {
                let now = health.borrow_and_update().clone();
                line(format_args!("health {now:?}"))?;
            }
        }
    }
}
