//! The process that owns the managed engine, so that no Segue process has to.
//!
//! It is started by whichever Segue process finds none, leaves that process's session at once,
//! and lives as long as anybody uses the engine:
//!
//! 1. It takes the supervisor's lock. Who doesn't get it ends: there is one already.
//! 2. It takes over the dev server that a killed supervisor left, or starts one.
//! 3. It starts the dev server again when that ends, on the same port, and gives up only when
//!    it ends again and again.
//! 4. When nobody holds the users' lock any more it holds that lock itself, stops the dev
//!    server, and ends.

use std::{env, path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use super::{
    error::EngineError,
    files::{EngineFiles, EngineState, Phase, unix_ms},
    process,
    server::{self, Server},
};

/// How long the supervisor asks for its lock before it leaves the place to another.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How often the supervisor asks whether there are users.
const USERS_POLL: Duration = Duration::from_millis(250);

/// How long the engine stays when nobody uses it: an assistant that restarts its servers comes
/// back within this, and finds the engine warm.
const LINGER: Duration = Duration::from_secs(1);

/// How long a dev server gets to answer after it is started. It takes 0.35 s on a laptop; the
/// rest is for a machine that is busy or waking up.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// A dev server that ran this long before it ended counts as sound: it is started again at once.
const SOUND_RUN: Duration = Duration::from_secs(30);

/// How many starts in a row may fail before the supervisor gives up.
const START_LIMIT: u32 = 6;

/// The wait before the second start in a row; it doubles up to [`BACKOFF_LIMIT`].
const BACKOFF: Duration = Duration::from_millis(100);

/// How often `engine.json` is looked for, and written again if somebody removed it.
const NEWS_CHECK: Duration = Duration::from_secs(1);

/// The longest wait between two starts.
const BACKOFF_LIMIT: Duration = Duration::from_secs(2);

/// The arguments of the hidden command `segue engine-supervisor`.
#[derive(Debug, Clone, clap::Args)]
pub struct SupervisorArgs {
    /// The folder of the engine's database, locks and log
    #[arg(long)]
    pub engine_dir: PathBuf,
    /// The Temporal CLI to run
    #[arg(long)]
    pub temporal: PathBuf,
    /// Set by the supervisor itself when it has left its parent's session
    #[arg(long, hide = true)]
    pub detached: bool,
}

/// Runs the supervisor: leaves the caller's session, and returns there at once; in the new
/// session, returns when the engine is no longer used, or does not stay up.
///
/// # Errors
/// The engine's files cannot be used, or the engine ended again and again.
pub async fn run(arguments: SupervisorArgs) -> Result<(), EngineError> {
    if !arguments.detached {
        return detach().await;
    }
    keep_files_private();
    let files = EngineFiles::new(arguments.engine_dir);
    let Some(_lock) = files.become_supervisor(LOCK_PATIENCE).await? else {
        tracing::debug!("another supervisor is at work");
        return Ok(());
    };
    let mut keeper = Keeper {
        news: News {
            files: files.clone(),
            temporal: arguments.temporal,
        },
        server: None,
    };
    // Futures that lose are dropped here, so that the server is free to be stopped below.
    let end = tokio::select! {
        lock = no_users(&files) => End::Unused(lock?),
        () = told_to_end() => End::Told,
        error = keeper.keep_running() => End::Failed(error),
    };
    if let Some(server) = &mut keeper.server {
        server.stop().await;
    }
    match end {
        End::Unused(_users_wait_for_this) => files.remove_state(),
        End::Told => files.remove_state(),
        End::Failed(error) => Err(error),
    }
}

/// Why the supervisor ends.
enum End {
    /// Nobody uses the engine; new users wait until this lock is dropped.
    Unused(std::fs::File),
    /// The system, or somebody, asked it to.
    Told,
    /// The engine does not stay up.
    Failed(EngineError),
}

/// Starts this command again in a session of its own. The process in between ends at once, so
/// that nobody's tree of processes contains the supervisor: an assistant that kills its
/// server's tree would end the engine for everybody.
async fn detach() -> Result<(), EngineError> {
    let program = env::current_exe().map_err(EngineError::file("the program itself"))?;
    #[cfg(unix)]
    if let Err(error) = rustix::process::setsid() {
        // Only the leader of a process group is refused, and that has left its group already.
        tracing::debug!(%error, "no new session");
    }
    let mut command = Command::new(&program);
    command
        .args(env::args_os().skip(1))
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(windows)]
    {
        const DETACHED_PROCESS: u32 = 0x0000_0008;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
        command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    }
    process::only_plain_environment(command.as_std_mut());
    command
        .spawn()
        .map(drop)
        .map_err(|source| EngineError::Supervisor { program, source })
}

/// Files that the supervisor and the dev server create are for the user alone.
fn keep_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Waits until there have been no users for [`LINGER`], and keeps new ones waiting by the lock.
async fn no_users(files: &EngineFiles) -> Result<std::fs::File, EngineError> {
    let mut alone_since = None;
    loop {
        match files.try_lock_out_users()? {
            None => alone_since = None,
            Some(lock) => {
                let since = *alone_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LINGER {
                    return Ok(lock);
                }
            }
        }
        sleep(USERS_POLL).await;
    }
}

/// Waits for the signal that ends a background process: at a logout or shutdown, or by hand.
async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be received");
                std::future::pending::<()>().await;
            }
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Keeps one dev server running.
struct Keeper {
    news: News,
    server: Option<Server>,
}

/// What the supervisor tells through `engine.json`.
struct News {
    files: EngineFiles,
    temporal: PathBuf,
}

/// How one life of the server ended.
struct Ended {
    reason: String,
    /// Whether it had answered before.
    was_ready: bool,
}

impl Keeper {
    /// Starts the server again whenever it ends; returns when that is hopeless.
    async fn keep_running(&mut self) -> EngineError {
        let log = self.news.files.log();
        // The last port comes first, even if its engine is gone: workers may be waiting there.
        let mut port = self.news.files.read_state().map(|state| state.port);
        self.server = Server::adopt(&self.news.files).await;
        let mut failures = 0;
        loop {
            let log_end = self.news.files.log_end();
            let started = Instant::now();
            let ended = match self.run_once(&mut port).await {
                Ok(ended) => ended,
                Err(error) => return error,
            };
            self.server = None;
            let was_sound = ended.was_ready && started.elapsed() >= SOUND_RUN;
            failures = if was_sound { 0 } else { failures + 1 };
            tracing::warn!(ended.reason, failures, "the engine ended");
            if failures >= START_LIMIT {
                let reason = format!("{}\n{}", ended.reason, self.news.files.log_since(log_end));
                let reason = reason.trim().to_owned();
                return match self.news.tell(Phase::Failed(reason.clone()), None, port) {
                    Ok(()) => EngineError::Crashed { reason, log },
                    Err(error) => error,
                };
            }
            if failures > 1 {
                sleep((BACKOFF * 2_u32.pow(failures - 2)).min(BACKOFF_LIMIT)).await;
            }
        }
    }

    /// One life of the server, which is started unless it was adopted.
    async fn run_once(&mut self, port: &mut Option<u16>) -> Result<Ended, EngineError> {
        let News { files, temporal } = &self.news;
        let not_ready = |reason| {
            Ok(Ended {
                reason,
                was_ready: false,
            })
        };
        let server = match &mut self.server {
            Some(adopted) => adopted,
            none => {
                let started =
                    server::free_port(*port).and_then(|free| Server::start(temporal, files, free));
                match started {
                    Ok(started) => none.insert(started),
                    Err(error) => {
                        return not_ready(format!("{} cannot be run: {error}", temporal.display()));
                    }
                }
            }
        };
        *port = Some(server.port);
        self.news.tell(Phase::Starting, Some(server), *port)?;
        let (at, marker) = (server.port, files.marker());
        tokio::select! {
            reason = server.exited() => return not_ready(reason),
            answer = server::answers_within(at, &marker, READY_PATIENCE) => {
                if let Err(refusal) = answer {
                    server.stop().await;
                    return not_ready(format!("the engine does not answer: {refusal}"));
                }
            }
        }
        self.news.tell(Phase::Ready, Some(server), *port)?;
        tracing::info!(port = at, "the engine is ready");
        loop {
            tokio::select! {
                reason = server.exited() => return Ok(Ended { reason, was_ready: true }),
                () = sleep(NEWS_CHECK) => {}
            }
            if files.read_state().is_none() {
                self.news.tell(Phase::Ready, Some(server), *port)?;
            }
        }
    }
}

impl News {
    fn tell(
        &self,
        phase: Phase,
        server: Option<&Server>,
        port: Option<u16>,
    ) -> Result<(), EngineError> {
        self.files.write_state(&EngineState {
            phase,
            port: port.unwrap_or_default(),
            engine_pid: server.and_then(Server::pid),
            supervisor_pid: std::process::id(),
            temporal: self.temporal.clone(),
            written_unix_ms: unix_ms(),
        })
    }
}
