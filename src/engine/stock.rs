//! An untuned dev server, as `temporal server start-dev` gives it: what `segue bench` measures the managed
//! engine against. Nothing else uses it.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    EngineOptions,
    binary::{self, Search},
    error::EngineError,
    process::{self, Pid},
    server,
};

/// The namespace that every dev server has.
const NAMESPACE: &str = "default";

/// How long the server gets to answer after it is started.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// What the server gets to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// What the managed engine sets and an untuned dev server leaves out, in words for people.
pub const LEFT_OUT: &str = "history.transferProcessorMaxPollRPS=2000, system.enableActivityEagerExecution=true, \
    system.forceSearchAttributesCacheRefreshOnRead=false, the SQLite log in WAL mode, and a retention of 30 days; \
    Segue itself is the same and asks for eager starts of either";

/// A running one. It is killed when it is dropped.
#[derive(Debug)]
pub struct StockServer {
    process: Child,
    port: u16,
}

impl StockServer {
    /// Starts one with its database in `folder`, which exists, or in memory, and waits until it answers.
    /// The CLI is the one that a managed engine of these options would run.
    ///
    /// # Errors
    /// No CLI is to be had, or the server does not come up; each says the next step.
    pub async fn start(
        options: &EngineOptions,
        cache: &Path,
        folder: &Path,
        in_memory: bool,
    ) -> Result<Self, EngineError> {
        let temporal = binary::find_or_fetch(&Search {
            configured: options.temporal.as_deref(),
            path: options.path.clone(),
            cache,
            sources: &options.sources,
        })
        .await?;
        let log = folder.join("stock.log");
        let failed = |reason: String, log: &Path| EngineError::Crashed {
            reason,
            log: log.to_owned(),
        };
        let port = server::free_port(None).map_err(|error| failed(error.to_string(), &log))?;
        let process = spawn(&temporal, folder, &log, port, in_memory)
            .map_err(|error| failed(error.to_string(), &log))?;
        let stock = Self { process, port };
        server::answers_within(port, NAMESPACE, READY_PATIENCE)
            .await
            .map_err(|reason| failed(reason, &log))?;
        Ok(stock)
    }

    /// Where it is, as `TEMPORAL_ADDRESS` has it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process id, while it lives.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Ends it: politely, then by force.
    pub async fn end(mut self) {
        if let Some(pid) = self.pid().map(Pid::from_u32) {
            process::terminate(pid);
        }
        if timeout(STOP_PATIENCE, self.process.wait()).await.is_err() {
            // It is killed as it is dropped.
            tracing::warn!("the untuned dev server did not end when asked");
        }
    }
}

fn spawn(
    temporal: &Path,
    folder: &Path,
    log: &PathBuf,
    port: u16,
    in_memory: bool,
) -> io::Result<Child> {
    let log = std::fs::File::create(log)?;
    let mut command = Command::new(temporal);
    // What has to be said to run it beside others; nothing that changes how it works.
    command
        .args(["server", "start-dev", "--headless", "--ip", "127.0.0.1"])
        .args(["--port", &port.to_string()]);
    if !in_memory {
        command.arg("--db-filename").arg(folder.join("stock.db"));
    }
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true);
    process::only_plain_environment(command.as_std_mut());
    command.spawn()
}
