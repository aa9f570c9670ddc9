//! Keeps one dev server running: starts it, waits for it to answer, starts it again when it ends,
//! and gives up when it ends again and again.

use std::{path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    error::EngineError,
    files::{EngineFiles, EngineState, Phase, unix_ms},
    server::{self, Server},
};

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

/// Keeps one dev server running.
pub(super) struct Keeper {
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
    /// Takes over the server that a killed supervisor left. If there is none, none is started
    /// yet.
    pub(super) async fn adopting(files: EngineFiles, temporal: PathBuf) -> Self {
        Self {
            server: Server::adopt(&files).await,
            news: News { files, temporal },
        }
    }

    /// Ends the server, if there is one, and returns when it is gone.
    pub(super) async fn stop(&mut self) {
        if let Some(server) = &mut self.server {
            server.stop().await;
        }
    }

    /// Starts the server, and starts it again whenever it ends; returns when that is hopeless.
    /// May be dropped: the server is kept, and [`Self::stop`] ends it.
    pub(super) async fn keep_running(&mut self) -> EngineError {
        let log = self.news.files.log();
        // The last port comes first, even if its engine is gone: workers may be waiting there.
        let mut port = self.news.files.read_state().map(|state| state.port);
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
