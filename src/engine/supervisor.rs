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

use super::{error::EngineError, files::EngineFiles, keeper::Keeper, process};

/// How long the supervisor asks for its lock before it leaves the place to another.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How often the supervisor asks whether there are users.
const USERS_POLL: Duration = Duration::from_millis(250);

/// How long the engine stays when nobody uses it: an assistant that restarts its servers comes
/// back within this, and finds the engine warm.
const LINGER: Duration = Duration::from_secs(1);

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
    let mut keeper = Keeper::adopting(files.clone(), arguments.temporal).await;
    // Futures that lose are dropped here, so that the server is free to be stopped below.
    let end = tokio::select! {
        lock = no_users(&files) => lock.map_or_else(End::Failed, End::Unused),
        () = told_to_end() => End::Told,
        error = keeper.keep_running() => End::Failed(error),
    };
    keeper.stop().await;
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
    /// The engine does not stay up, or its files cannot be used.
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
