//! What stands between the activities and the upstream: a limiter, and a circuit breaker for each
//! group of capabilities.
//!
//! A call that the gate holds back has not been made: its error says for how long, and the workflow
//! waits that long on a durable timer, without an attempt being burnt (see `step.rs`). Limits are
//! shared by all workers (see [`call_budget`](crate::call_budget)); circuits are each process's own,
//! because each speaks to an upstream server of its own.

// None of this runs in a workflow.
#![expect(clippy::disallowed_methods, reason = "clocks and tasks of the worker")]

mod breaker;
mod keeper;
mod limiter;
mod sign_in;

use std::{fmt, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};

pub(crate) use self::keeper::keep;
pub use self::limiter::WINDOW;
pub(crate) use self::sign_in::SignIn;
use self::{
    breaker::{Breaker, Trial, Verdict},
    limiter::{Held, Limiter},
};
use crate::{
    error::ErrorCode,
    metrics::{Endpoint, Metrics},
    upstream::UpstreamError,
};

/// Calls that all workers together make in 30 s when nobody says another number. Spotify tells no
/// figure; refusals have been seen from about 140 on.
pub const DEFAULT_CALLS_PER_WINDOW: u32 = 100;

/// Failures in a row after which a circuit opens when nobody says another number: as many as a
/// search has attempts, so that an outage makes even a lone sync wait, and not give up.
pub const DEFAULT_FAILURES: u32 = 3;

/// How long a call waits in line before the workflow that asks for it is told to come back: less
/// than any attempt may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// How long a call that met a rate limit waits for the others to be told of it.
const TELLING: Duration = Duration::from_secs(3);

/// What a call is for. An upstream may search well while its playlists are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Searching the catalogue.
    Search,
    /// Reading and changing playlists.
    Playlist,
    /// Asking the model.
    Model,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 3] = [Self::Search, Self::Playlist, Self::Model];

    /// The group as clients and operators see it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Playlist => "playlist",
            Self::Model => "model",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the gate is set.
#[derive(Debug, Clone, Copy)]
pub struct GateSettings {
    /// Calls that all workers of this engine may make together in [`WINDOW`].
    pub calls_per_window: u32,
    /// Failures in a row after which a circuit opens.
    pub failures: u32,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            calls_per_window: DEFAULT_CALLS_PER_WINDOW,
            failures: DEFAULT_FAILURES,
        }
    }
}

/// Whether calls of a group are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// They are.
    Closed,
    /// One is, to see whether the upstream is back.
    HalfOpen,
    /// They are not.
    Open,
}

/// How a circuit stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Circuit {
    /// Which calls go through it.
    pub group: Group,
    /// Whether they do.
    pub state: CircuitState,
    /// Calls that have failed one after the other.
    pub failures_in_a_row: u32,
    /// While open: seconds until one call tries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries_in_seconds: Option<u64>,
    /// How often it has opened since the process started.
    pub times_opened: u64,
}

/// The gate of one process. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: GateSettings,
    metrics: Metrics,
    limiter: Limiter,
    search: Breaker,
    playlist: Breaker,
    model: Breaker,
    sign_in: watch::Sender<SignIn>,
    met: mpsc::UnboundedSender<Met>,
    keeping: tokio::sync::Mutex<Keeping>,
}

/// What the keeper knows. It outlives the worker, which is started anew when the engine moves.
#[derive(Debug)]
struct Keeping {
    meetings: mpsc::UnboundedReceiver<Met>,
    /// A rate limit that was met, until the others have been told.
    untold: Option<Instant>,
    /// How many resets of circuits and of limits this process has carried out.
    resets: Option<(u64, u64)>,
}

/// A rate limit that was met, and who waits for the others to be told.
#[derive(Debug)]
struct Met {
    seconds: u64,
    told: oneshot::Sender<()>,
}

impl Gate {
    /// A gate that lets nothing through before a worker keeps it.
    pub fn new(settings: GateSettings) -> Self {
        Self::counting(settings, Metrics::off())
    }

    /// The same, with what happens at it counted.
    pub fn counting(settings: GateSettings, metrics: Metrics) -> Self {
        let (met, meetings) = mpsc::unbounded_channel();
        let breaker = |group| Breaker::new(group, settings.failures, metrics.clone());
        Self {
            inner: Arc::new(Inner {
                settings,
                metrics: metrics.clone(),
                limiter: Limiter::new(),
                search: breaker(Group::Search),
                playlist: breaker(Group::Playlist),
                model: breaker(Group::Model),
                sign_in: watch::Sender::default(),
                met,
                keeping: tokio::sync::Mutex::new(Keeping {
                    meetings,
                    untold: None,
                    resets: None,
                }),
            }),
        }
    }

    /// Lets one call through, or says why not and for how long. It waits in line for so long.
    pub(crate) async fn pass(
        &self,
        group: Group,
        patience: Duration,
    ) -> Result<Pass, UpstreamError> {
        let breaker = self.breaker(group);
        let trial = breaker.enter().await.map_err(|left| shut(group, left))?;
        let mut pass = Pass {
            gate: self.clone(),
            group,
            trial,
            made: Instant::now(),
            judged: false,
        };
        // The budget is of calls that reach Spotify.
        if group != Group::Model {
            self.inner.limiter.turn(patience).await.map_err(in_words)?;
        }
        // It may have opened while the call stood in line.
        match breaker.open_for() {
            Some(left) => Err(shut(group, left)),
            None => {
                pass.made = Instant::now();
                Ok(pass)
            }
        }
    }

    /// Leave to make one call, if it is to be had within this time: not while the circuit is open, nor while the one
    /// call that tries is under way.
    pub(crate) async fn pass_within(&self, time: Duration, group: Group) -> Option<Pass> {
        if self.breaker(group).look().state != CircuitState::Closed {
            return None;
        }
        timeout(time, self.pass(group, time)).await.ok()?.ok()
    }

    /// What counts in this process.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// How the circuits stand.
    pub fn circuits(&self) -> Vec<Circuit> {
        Group::ALL.map(|group| self.breaker(group).look()).to_vec()
    }

    /// The share of the calls that this process may make in [`WINDOW`]; 0 before it has one.
    pub fn calls_per_window(&self) -> u32 {
        self.inner.limiter.calls_per_window()
    }

    /// For how long Spotify's rate limit lets nothing through.
    pub fn blocked_for(&self) -> Option<Duration> {
        self.inner.limiter.blocked_for()
    }

    /// Whether the share of calls can be renewed in this time. That takes an engine that can write
    /// and a worker that works: no reading of either shows as much.
    pub async fn is_kept(&self, within: Duration) -> bool {
        self.inner.limiter.is_renewed_within(within).await
    }

    /// Lets calls through again before Spotify's time has come.
    pub fn lift_block(&self) {
        self.inner.limiter.lift();
    }

    /// What the calls of the upstream say of its sign-in, from now on.
    pub(crate) fn sign_in(&self) -> watch::Receiver<SignIn> {
        self.inner.sign_in.subscribe()
    }

    /// Learns what a call says of the sign-in: its error, if it failed.
    pub(crate) fn learn_of_sign_in(&self, at: Endpoint, failed: Option<&UpstreamError>) {
        self.inner.sign_in.send_if_modified(|known| {
            let learnt = known.after(at, failed);
            let is_news = learnt.is_some();
            *known = learnt.unwrap_or_else(|| std::mem::take(known));
            is_news
        });
    }

    /// Waits until the upstream, which was down, is back.
    pub(crate) async fn recovered(&self) {
        tokio::select! {
            () = self.inner.search.recovered.notified() => {}
            () = self.inner.playlist.recovered.notified() => {}
        }
    }

    /// Closes the circuit of this group, or every circuit.
    pub fn reset(&self, group: Option<Group>) {
        for each in Group::ALL {
            if group.is_none_or(|only| only == each) {
                self.breaker(each).reset();
            }
        }
    }

    fn breaker(&self, group: Group) -> &Breaker {
        match group {
            Group::Search => &self.inner.search,
            Group::Playlist => &self.inner.playlist,
            Group::Model => &self.inner.model,
        }
    }

    /// Spotify asked to come back later: from now on nobody calls, here at once, and elsewhere as
    /// soon as the engine has told them.
    async fn met_limit(&self, seconds: u64) {
        self.inner.limiter.block(Duration::from_secs(seconds));
        let (told, telling) = oneshot::channel();
        let _ = self.inner.met.send(Met { seconds, told });
        // The workflow that waits keeps its own time; that the others hear of it late does no harm.
        let _ = timeout(TELLING, telling).await;
    }
}

/// Leave to make one call.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Gate,
    group: Group,
    trial: Trial,
    made: Instant,
    judged: bool,
}

impl Pass {
    /// Hands back what the call came to, and lets the gate learn from it. A failure with which the
    /// circuit opened, or stays open, says for how long to wait.
    pub(crate) async fn judge<T>(
        mut self,
        result: Result<T, UpstreamError>,
    ) -> Result<T, UpstreamError> {
        self.judged = true;
        let breaker = self.gate.breaker(self.group);
        let mut error = match result {
            Ok(value) => {
                breaker.record(self.trial, Verdict::Alive);
                return Ok(value);
            }
            Err(error) => error,
        };
        match error.code {
            ErrorCode::UpstreamUnavailable
            | ErrorCode::BadUpstreamAnswer
            | ErrorCode::ModelUnavailable => {
                let verdict = match error.broke {
                    true => Verdict::Broke(self.made),
                    false => Verdict::Down,
                };
                breaker.record(self.trial, verdict);
                error.retry_after_seconds = breaker.open_for().map(whole_seconds);
            }
            ErrorCode::RateLimited => {
                breaker.record(self.trial, Verdict::Alive);
                self.gate
                    .met_limit(error.retry_after_seconds.unwrap_or_default())
                    .await;
            }
            // It answered: what was asked was wrong, or is not allowed.
            _ => breaker.record(self.trial, Verdict::Alive),
        }
        Err(error)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.judged {
            self.gate
                .breaker(self.group)
                .record(self.trial, Verdict::Unknown);
        }
    }
}

fn shut(group: Group, left: Duration) -> UpstreamError {
    let (code, who) = match group {
        Group::Model => (ErrorCode::ModelUnavailable, "the model's endpoint"),
        Group::Search | Group::Playlist => (ErrorCode::UpstreamUnavailable, "the upstream"),
    };
    let message = format!("{who} has failed again and again at {group} calls");
    UpstreamError::held_back(code, message, whole_seconds(left))
}

fn in_words(held: Held) -> UpstreamError {
    let (message, left) = match held {
        Held::Blocked(left) => ("Spotify asked to come back later", left),
        Held::InLine(left) => ("more calls are wanted than Spotify's limit allows", left),
        Held::NotKnown => (
            "how many calls are allowed could not be learnt from the engine",
            Duration::from_secs(1),
        ),
    };
    UpstreamError::held_back(ErrorCode::RateLimited, message, whole_seconds(left))
}

/// Rounded up: a second too late is better than one too early.
fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs_f64().ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn gate() -> Gate {
        let gate = Gate::new(GateSettings::default());
        gate.inner.limiter.renew(100, None, Duration::from_secs(60));
        gate
    }

    async fn answered(gate: &Gate, group: Group, code: Option<ErrorCode>) -> Option<u64> {
        let result = match code {
            None => Ok(()),
            Some(code) => Err(UpstreamError::new(code, "as ordered")),
        };
        let pass = gate.pass(group, PATIENCE).await.expect("let through");
        let judged = pass.judge(result).await;
        judged.err().and_then(|error| error.retry_after_seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn the_failure_that_opens_the_circuit_says_how_long_to_wait() {
        let gate = gate();
        let down = Some(ErrorCode::UpstreamUnavailable);
        assert_eq!(answered(&gate, Group::Search, down).await, None);
        assert_eq!(answered(&gate, Group::Search, down).await, None);
        assert_eq!(answered(&gate, Group::Search, down).await, Some(5));
        let held = gate.pass(Group::Search, PATIENCE).await.expect_err("open");
        assert_eq!(held.code, ErrorCode::UpstreamUnavailable);
        assert!(!held.reached);
        // The other group goes on.
        assert_eq!(answered(&gate, Group::Playlist, None).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_caller_did_wrong_opens_nothing() {
        let gate = gate();
        for code in [
            ErrorCode::PlaylistNotFound,
            ErrorCode::InvalidRequest,
            ErrorCode::AuthExpired,
            ErrorCode::InsufficientScope,
            ErrorCode::CapabilityMissing,
        ] {
            for _ in 0..5 {
                answered(&gate, Group::Playlist, Some(code)).await;
            }
        }
        assert!(gate.circuits().iter().all(|c| c.times_opened == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_while_it_tries_leaves_the_next_to_try() {
        let gate = gate();
        for _ in 0..3 {
            answered(&gate, Group::Search, Some(ErrorCode::BadUpstreamAnswer)).await;
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(
            gate.pass(Group::Search, PATIENCE)
                .await
                .expect("the one that tries"),
        );
        assert!(gate.recovered().now_or_never().is_none());
        assert_eq!(answered(&gate, Group::Search, None).await, None);
        assert_eq!(gate.circuits()[0].state, CircuitState::Closed);
        assert!(gate.recovered().now_or_never().is_some());
    }
}
