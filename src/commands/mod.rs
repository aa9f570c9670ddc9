//! What each command does, one file each.

mod bench;
mod compare;
mod demo;
mod doctor;
mod engine;
pub(crate) mod eval;
mod key;
mod login;
mod serve;
mod sim;
mod spotify;
mod stage;
mod token;
mod torture;
mod worker;

use std::process::ExitCode;

use crate::{
    cli::{Cli, Command},
    config::Config,
    engine::supervisor,
    home::Home,
    telemetry,
};

/// Runs the command.
///
/// # Errors
/// Whatever kept the command from its work, with the next step.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // Every crate that speaks TLS takes its cryptography from here. It fails only where some was
    // installed before, and then that serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(Command::EngineSupervisor(arguments)) = cli.command {
        supervisor::run(arguments).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let (home, config) = Config::load(&cli.settings)?;
    let command = cli.command.unwrap_or_default();
    let telemetry = telemetry::start(&config, command.service())?;
    let ended = command_of(command, &config, &home).await;
    telemetry.end().await;
    ended
}

async fn command_of(command: Command, config: &Config, home: &Home) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(arguments) => serve::run(config, home, arguments).await?,
        Command::Worker => worker::run(config, home).await?,
        Command::Login(arguments) => login::run(config, home, arguments).await?,
        Command::Key(command) => key::run(config, home, command)?,
        Command::Token(command) => token::run(config, home, command)?,
        Command::Bench(arguments) => return bench::run(config, home, arguments).await,
        Command::Demo(arguments) => return demo::run(config, home, arguments).await,
        Command::Doctor(arguments) => return doctor::run(config, home, arguments).await,
        Command::Engine => return engine::run(config, home).await,
        Command::Spotify => spotify::run(config, home).await?,
        Command::Sim(arguments) => sim::run(arguments).await?,
        Command::Eval(arguments) => eval::run(config, arguments).await?,
        Command::Compare(arguments) => return compare::run(config, home, arguments).await,
        Command::Torture(arguments) => return torture::run(config, home, arguments).await,
        Command::EngineSupervisor(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}
