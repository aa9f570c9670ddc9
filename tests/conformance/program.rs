//! The tools that MCP's conformance suite wants of a server with tasks, each as a workflow: a second user of
//! `segue_tools::tasks`, which has nothing to do with music.

mod job;
mod jobs;
mod tools;

use std::{io::Write, net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use segue::{
    engine::{Engine, EngineOptions, SupervisorArgs, supervisor},
    home::Home,
};
use temporalio_sdk::{Runtime, Worker, WorkerOptions, runtime::RuntimeOptions};
use tokio::net::TcpListener;

use crate::{job::Job, jobs::QUEUE, tools::Tools};

/// A killed process's cached workflows wait this long before another may take them. The suite looks five times
/// a second, and gives a task five seconds to ask.
const STICKY_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Parser)]
enum Command {
    /// Serves the tools at `/mcp`, and does their work. The first line of stdout is the URL.
    Serve {
        /// The folder of the managed engine
        #[arg(long)]
        home: PathBuf,
        /// Where the engine's binary is kept
        #[arg(long)]
        engine_cache: PathBuf,
    },
    /// The managed engine's supervisor, which is started by the first process that finds none
    #[command(hide = true)]
    EngineSupervisor(SupervisorArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Serve { home, engine_cache } => serve(home, engine_cache).await,
        Command::EngineSupervisor(arguments) => Ok(supervisor::run(arguments).await?),
    }
}

async fn serve(home: PathBuf, engine_cache: PathBuf) -> anyhow::Result<()> {
    // TLS, for the fetch of the engine's binary.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = EngineOptions {
        cache_dir: Some(engine_cache),
        ..EngineOptions::default()
    };
    let engine = Engine::connect(&options, &Home::at(home)?).await?;
    let runtime = RuntimeOptions::builder().build();
    let runtime = Runtime::from_current_tokio(runtime.map_err(anyhow::Error::msg)?)?;
    let work = WorkerOptions::new(QUEUE)
        .register_workflow::<Job>()?
        .sticky_queue_schedule_to_start_timeout(STICKY_TIMEOUT)
        .build();
    let mut worker = Worker::new(&runtime, engine.client().clone(), work)?;

    let tools = Tools::on(engine.client().clone());
    let service: StreamableHttpService<Tools, LocalSessionManager> = StreamableHttpService::new(
        move || Ok(tools.clone()),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    let router = axum::Router::new().nest_service("/mcp", service);
    writeln!(std::io::stdout(), "{url}")?;
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        worked = worker.run() => Ok(worked?),
    }
}
