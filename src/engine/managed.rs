//! A user's side of the managed engine: join it, start its supervisor if there is none, and
//! keep an eye on both.

use std::{env, ffi::OsString, fs::File, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use segue_workflows::traces::client_options;
use temporalio_client::{Client, Connection, ConnectionOptions, Url};
use temporalio_common::data_converters::DataConverter;
use tokio::{
    process::Command,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    CONNECT_PATIENCE, EngineOptions, Health, Parts,
    binary::{self, Search},
    error::EngineError,
    files::{EngineFiles, Phase, unix_ms},
    namespace::Namespace,
    plain_on_loopback, process, server,
};
use crate::home::Home;

/// The dev server's own namespace.
const NAMESPACE: &str = "default";

/// How long a user waits for an engine without users to end, so that it can start another.
const JOIN_PATIENCE: Duration = Duration::from_secs(30);

/// How long a user waits for the engine, from the start of a supervisor.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A supervisor shows its lock within milliseconds; one that has not by now was killed.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(5);

/// Time for the first process of a supervisor to leave the second behind.
const LEAVING_PATIENCE: Duration = Duration::from_secs(20);

/// How often a user looks whether the engine is ready.
const READY_POLL: Duration = Duration::from_millis(20);

/// How often a user looks whether the supervisor lives. With it dead the engine still works, so
/// this is not urgent.
const WATCH: Duration = Duration::from_secs(1);

/// The longest wait between two attempts to heal.
const HEAL_LIMIT: Duration = Duration::from_secs(30);

/// How to run [`super::supervisor::run`] as a process of its own.
#[derive(Debug, Clone)]
pub struct SupervisorCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, before those of [`super::SupervisorArgs`].
    pub arguments: Vec<OsString>,
}

impl Default for SupervisorCommand {
    /// This program's hidden command `engine-supervisor`.
    fn default() -> Self {
        Self {
            // If the system does not know the path, the one it was called by is as good.
            program: env::current_exe()
                .unwrap_or_else(|_| env::args_os().next().unwrap_or_default().into()),
            arguments: vec!["engine-supervisor".into()],
        }
    }
}

/// What keeps the engine alive for this process. The lock is let go when this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    watcher: JoinHandle<()>,
    _users: Arc<File>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Joins the managed engine of `home`, which is started if need be.
pub(super) async fn connect(
    options: &EngineOptions,
    home: &Home,
    converter: DataConverter,
) -> Result<(Parts, Lease, watch::Receiver<Health>), EngineError> {
    let member = Member::join(options, home).await?;
    let port = member.ensure().await?;
    let parts = open(options, port, converter).await?;
    let (tell, health) = watch::channel(Health::Up);
    let lease = Lease {
        _users: Arc::clone(&member.users),
        watcher: tokio::spawn(member.watch(port, tell)),
    };
    Ok((parts, lease, health))
}

/// Connects to the engine at `port` and makes its namespace ready.
async fn open(
    options: &EngineOptions,
    port: u16,
    converter: DataConverter,
) -> Result<Parts, EngineError> {
    let address = format!("http://127.0.0.1:{port}");
    let unreachable = |reason: String| EngineError::Unreachable {
        address: address.clone(),
        reason,
    };
    let target = Url::parse(&address).map_err(|error| unreachable(error.to_string()))?;
    let mut connection = ConnectionOptions::new(target)
        .identity(options.identity.clone())
        .connect_timeout(CONNECT_PATIENCE)
        .maybe_metrics_meter(options.meter.clone())
        .build();
    plain_on_loopback(&mut connection);
    let connection = Connection::connect(connection)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let place = Namespace {
        connection: &connection,
        address: &address,
        name: NAMESPACE,
    };
    // Each user does both: the engine may have been started by an older Segue.
    place.remember_for_long().await?;
    place
        .ensure_search_attributes(&options.search_attributes)
        .await?;
    let server_version = place.server_version().await;
    let client = client_options(NAMESPACE, converter);
    let client = Client::new(connection, client).map_err(|error| unreachable(error.to_string()))?;
    Ok(Parts {
        client,
        address,
        server_version,
    })
}

/// A process that uses the engine.
struct Member {
    files: EngineFiles,
    options: EngineOptions,
    cache: PathBuf,
    users: Arc<File>,
}

impl Member {
    async fn join(options: &EngineOptions, home: &Home) -> Result<Self, EngineError> {
        let folder = home.engine_dir()?;
        // One folder has one name, so that each process derives the same marker from it.
        #[cfg(unix)]
        let folder = folder.canonicalize().map_err(EngineError::file(&folder))?;
        let files = EngineFiles::new(folder);
        let users = Arc::new(files.join(JOIN_PATIENCE).await?);
        let cache = match &options.cache_dir {
            Some(cache) => cache.clone(),
            None => home.cache()?,
        };
        Ok(Self {
            files,
            options: options.clone(),
            cache,
            users,
        })
    }

    /// The port of the engine, once it answers. Starts a supervisor if there is none.
    async fn ensure(&self) -> Result<u16, EngineError> {
        let begun = unix_ms();
        let marker = self.files.marker();
        let mut deadline = Instant::now() + START_PATIENCE;
        let mut started: Option<Instant> = None;
        loop {
            let state = self.files.read_state();
            if self.files.is_supervised()? {
                if let Some(state) = &state
                    && state.phase == Phase::Ready
                    && server::answers(state.port, &marker).await.is_ok()
                {
                    return Ok(state.port);
                }
            } else {
                if let Some(state) = &state
                    && let Phase::Failed(reason) = &state.phase
                    && state.written_unix_ms >= begun
                {
                    return Err(EngineError::Crashed {
                        reason: reason.clone(),
                        log: self.files.log(),
                    });
                }
                if started.is_none_or(|at| at.elapsed() > SUPERVISOR_PATIENCE) {
                    let temporal = self.temporal().await?;
                    // A fetch may have taken minutes; the start begins now.
                    deadline = Instant::now() + START_PATIENCE;
                    self.start_supervisor(temporal).await?;
                    started = Some(Instant::now());
                }
            }
            if Instant::now() >= deadline {
                return Err(EngineError::StartTimeout {
                    waited: START_PATIENCE,
                    state: state.map_or("no news".to_owned(), |s| format!("{:?}", s.phase)),
                    log: self.files.log(),
                });
            }
            sleep(READY_POLL).await;
        }
    }

    async fn temporal(&self) -> Result<PathBuf, EngineError> {
        binary::find_or_fetch(&Search {
            configured: self.options.temporal.as_deref(),
            path: self.options.path.clone(),
            cache: &self.cache,
            sources: &self.options.sources,
        })
        .await
    }

    /// Starts a supervisor, and returns when it has left this process behind.
    async fn start_supervisor(&self, temporal: PathBuf) -> Result<(), EngineError> {
        let SupervisorCommand { program, arguments } = &self.options.supervisor;
        let failed = |source| EngineError::Supervisor {
            program: program.clone(),
            source,
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg("--engine-dir")
            .arg(self.files.folder())
            .arg("--temporal")
            .arg(temporal)
            .current_dir(self.files.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.files.open_log()?);
        process::only_plain_environment(command.as_std_mut());
        let log_end = self.files.log_end();
        let mut child = command.spawn().map_err(failed)?;
        let status = timeout(LEAVING_PATIENCE, child.wait())
            .await
            .map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?
            .map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let said = self.files.log_since(log_end);
        Err(failed(std::io::Error::other(format!("{status} {said}"))))
    }

    /// Starts a new supervisor when the old one was killed, and tells what becomes of the engine.
    async fn watch(self, mut port: u16, tell: watch::Sender<Health>) {
        let mut pause = WATCH;
        loop {
            sleep(pause).await;
            let health = match self.look(&mut port).await {
                Ok(health) => {
                    pause = WATCH;
                    health
                }
                Err(error) => {
                    tracing::error!(%error, "the engine is down");
                    pause = (pause * 2).min(HEAL_LIMIT);
                    Health::Down(error.to_string())
                }
            };
            tell.send_if_modified(|last| {
                // Once it has moved, this process's client is at the wrong place for good.
                let changed = *last != health && !matches!(last, Health::Moved(_));
                if changed {
                    *last = health;
                }
                changed
            });
        }
    }

    async fn look(&self, port: &mut u16) -> Result<Health, EngineError> {
        let now = if self.files.is_supervised()? {
            match self.files.read_state() {
                Some(state) if state.phase == Phase::Ready => state.port,
                // It is being started again. The worker keeps trying the old port meanwhile.
                _ => return Ok(Health::Healing),
            }
        } else {
            tracing::warn!("the engine's supervisor is gone; another is started");
            self.ensure().await?
        };
        if now == *port {
            return Ok(Health::Up);
        }
        tracing::warn!(
            from = *port,
            to = now,
            "the engine had to move to another port"
        );
        *port = now;
        Ok(Health::Moved(format!("http://127.0.0.1:{now}")))
    }
}
