//! A circuit breaker: after some failures in a row nobody calls for a while, then one call tries.
//!
//! Written here: failsafe and recloser let every call through when half open, and cannot be looked
//! into; tower-resilience-circuitbreaker can, but only wraps a tower service.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Circuit, CircuitState, Group};
use crate::metrics::Metrics;

/// The first time without calls. A server that is only being restarted is back by then.
const FIRST_COOL_DOWN: Duration = Duration::from_secs(5);
/// The longest: it doubles while the upstream stays away, so that one call a minute is all it gets.
const LONGEST_COOL_DOWN: Duration = Duration::from_secs(60);
/// How long a call waits for the verdict of the one that was let through.
const VERDICT: Duration = Duration::from_secs(5);

/// What a call says of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It answered, if only to refuse.
    Alive,
    /// It could not be reached, broke down, or answered nonsense.
    Down,
    /// The connection broke under this call, which was made then. All calls on a connection fail
    /// together: that is one failure, not many.
    Broke(Instant),
    /// The call was given up: it says nothing.
    Unknown,
}

/// One circuit.
#[derive(Debug)]
pub(super) struct Breaker {
    group: Group,
    threshold: u32,
    metrics: Metrics,
    state: Mutex<Inside>,
    settled: Notify,
    /// The upstream was down, and is back.
    pub(super) recovered: Notify,
}

#[derive(Debug)]
struct Inside {
    state: State,
    times_opened: u64,
    trials: u64,
    last_failure: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        cool_down: Duration,
    },
    /// The trial of this number is under way.
    HalfOpen {
        cool_down: Duration,
        trial: u64,
    },
}

impl State {
    /// As it is seen from outside.
    fn seen(self) -> CircuitState {
        match self {
            Self::Closed { .. } => CircuitState::Closed,
            Self::HalfOpen { .. } => CircuitState::HalfOpen,
            Self::Open { .. } => CircuitState::Open,
        }
    }
}

impl Breaker {
    /// A closed circuit that opens after this many failures in a row.
    pub(super) fn new(group: Group, threshold: u32, metrics: Metrics) -> Self {
        Self {
            group,
            threshold: threshold.max(1),
            metrics,
            state: Mutex::new(Inside {
                state: State::Closed { failures: 0 },
                times_opened: 0,
                trials: 0,
                last_failure: None,
            }),
            settled: Notify::new(),
            recovered: Notify::new(),
        }
    }

    /// Lets a call through, or says for how long none is. Whether it is the one that tries is told
    /// with it. While that one is under way the others wait for its verdict.
    pub(super) async fn enter(&self) -> Result<Trial, Duration> {
        let end = Instant::now() + VERDICT;
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            // Registered before the look, so that no verdict is missed in between.
            settled.as_mut().enable();
            if let Some(entered) = self.try_enter() {
                return entered;
            }
            let left = end.saturating_duration_since(Instant::now());
            if timeout(left, settled).await.is_err() {
                return Err(FIRST_COOL_DOWN);
            }
        }
    }

    fn try_enter(&self) -> Option<Result<Trial, Duration>> {
        let mut inside = self.inside();
        match inside.state {
            State::Closed { .. } => Some(Ok(Trial(None))),
            State::HalfOpen { .. } => None,
            State::Open { until, cool_down } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Some(Err(left));
                }
                inside.trials += 1;
                let trial = inside.trials;
                self.come_to(&mut inside, State::HalfOpen { cool_down, trial });
                drop(inside);
                tracing::info!(circuit = %self.group, "circuit half open: one call tries");
                Some(Ok(Trial(Some(trial))))
            }
        }
    }

    /// For how long the circuit is open yet; nothing if it is not.
    pub(super) fn open_for(&self) -> Option<Duration> {
        match self.inside().state {
            State::Open { until, .. } => Some(until.saturating_duration_since(Instant::now())),
            _ => None,
        }
    }

    /// Takes the verdict of a call that was let through.
    pub(super) fn record(&self, trial: Trial, verdict: Verdict) {
        let mut inside = self.inside();
        let verdict = match verdict {
            Verdict::Broke(made) if inside.last_failure.is_some_and(|last| made < last) => {
                Verdict::Unknown
            }
            Verdict::Broke(_) => Verdict::Down,
            told => told,
        };
        if verdict == Verdict::Down {
            inside.last_failure = Some(Instant::now());
            self.metrics.circuit_failure(self.group);
        }
        let (next, opened) = match (inside.state, verdict) {
            (State::HalfOpen { trial: own, .. }, Verdict::Alive) if trial.0 == Some(own) => {
                (State::Closed { failures: 0 }, false)
            }
            (
                State::HalfOpen {
                    cool_down,
                    trial: own,
                },
                Verdict::Down,
            ) if trial.0 == Some(own) => (open((cool_down * 2).min(LONGEST_COOL_DOWN)), true),
            // The next call may try at once.
            (
                State::HalfOpen {
                    cool_down,
                    trial: own,
                },
                Verdict::Unknown,
            ) if trial.0 == Some(own) => {
                let until = Instant::now();
                (State::Open { until, cool_down }, false)
            }
            (State::Closed { .. }, Verdict::Alive) => (State::Closed { failures: 0 }, false),
            (State::Closed { failures }, Verdict::Down) if failures + 1 < self.threshold => {
                let failures = failures + 1;
                (State::Closed { failures }, false)
            }
            (State::Closed { .. }, Verdict::Down) => (open(FIRST_COOL_DOWN), true),
            // A call from before the circuit opened says nothing new.
            (unchanged, _) => (unchanged, false),
        };
        let closed = trial.0.is_some() && matches!(next, State::Closed { .. });
        self.come_to(&mut inside, next);
        inside.times_opened += u64::from(opened);
        let times_opened = inside.times_opened;
        drop(inside);
        self.settled.notify_waiters();
        if opened {
            tracing::warn!(circuit = %self.group, times_opened, "circuit open: the upstream fails");
        } else if closed {
            tracing::warn!(circuit = %self.group, "circuit closed: the upstream is back");
            self.recovered.notify_one();
        }
    }

    /// Closes the circuit, whatever was before.
    pub(super) fn reset(&self) {
        self.come_to(&mut self.inside(), State::Closed { failures: 0 });
        self.settled.notify_waiters();
        tracing::warn!(circuit = %self.group, "circuit reset");
    }

    /// How the circuit stands.
    pub(super) fn look(&self) -> Circuit {
        let inside = self.inside();
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let (failures_in_a_row, tries_in_seconds) = match inside.state {
            State::Closed { failures } => (failures, None),
            State::HalfOpen { .. } => (self.threshold, None),
            State::Open { until, .. } => (
                self.threshold,
                Some(left(until).as_secs_f64().ceil() as u64),
            ),
        };
        Circuit {
            group: self.group,
            state: inside.state.seen(),
            failures_in_a_row,
            tries_in_seconds,
            times_opened: inside.times_opened,
        }
    }

    fn come_to(&self, inside: &mut Inside, next: State) {
        if inside.state.seen() != next.seen() {
            self.metrics.circuit(self.group, next.seen());
        }
        inside.state = next;
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(cool_down: Duration) -> State {
    State::Open {
        until: Instant::now() + cool_down,
        cool_down,
    }
}

/// Whether a call is one that tries a circuit that was open, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trial(Option<u64>);

#[cfg(test)]
mod tests {
    use super::*;

    async fn fail(breaker: &Breaker) {
        let trial = breaker.enter().await.expect("let through");
        breaker.record(trial, Verdict::Down);
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_not_before() {
        let breaker = Breaker::new(Group::Search, 3, Metrics::off());
        for verdict in [Verdict::Down, Verdict::Down, Verdict::Alive, Verdict::Down] {
            let trial = breaker.enter().await.expect("closed");
            breaker.record(trial, verdict);
        }
        fail(&breaker).await;
        assert_eq!(breaker.open_for(), None, "two in a row are not three");
        fail(&breaker).await;
        assert_eq!(breaker.enter().await, Err(FIRST_COOL_DOWN));
        assert_eq!(breaker.look().times_opened, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_tries_and_the_others_wait_for_its_verdict() {
        let breaker = Breaker::new(Group::Search, 1, Metrics::off());
        fail(&breaker).await;
        tokio::time::advance(FIRST_COOL_DOWN).await;
        let trial = breaker.enter().await.expect("the one that tries");
        assert_eq!(trial, Trial(Some(1)));
        let (other, ()) = tokio::join!(breaker.enter(), async {
            tokio::time::advance(Duration::from_millis(300)).await;
            breaker.record(trial, Verdict::Alive);
        });
        assert_eq!(other, Ok(Trial(None)));
        assert_eq!(breaker.look().state, CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn the_cool_down_doubles_up_to_a_minute() {
        let breaker = Breaker::new(Group::Playlist, 1, Metrics::off());
        fail(&breaker).await;
        for expected in [5, 10, 20, 40, 60, 60] {
            let left = breaker.enter().await.expect_err("open");
            assert_eq!(left, Duration::from_secs(expected));
            tokio::time::advance(left).await;
            fail(&breaker).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_is_given_up_leaves_the_next_call_to_try() {
        let breaker = Breaker::new(Group::Search, 1, Metrics::off());
        fail(&breaker).await;
        tokio::time::advance(FIRST_COOL_DOWN).await;
        let trial = breaker.enter().await.expect("the one that tries");
        breaker.record(trial, Verdict::Unknown);
        assert_eq!(breaker.enter().await, Ok(Trial(Some(2))));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_fail_with_their_connection_are_one_failure() {
        let breaker = Breaker::new(Group::Search, 3, Metrics::off());
        let made = Instant::now();
        for _ in 0..10 {
            let trial = breaker.enter().await.expect("closed");
            tokio::time::advance(Duration::from_millis(1)).await;
            breaker.record(trial, Verdict::Broke(made));
        }
        assert_eq!(breaker.look().failures_in_a_row, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_from_before_it_opened_does_not_close_it() {
        let breaker = Breaker::new(Group::Search, 1, Metrics::off());
        let early = breaker.enter().await.expect("closed");
        fail(&breaker).await;
        breaker.record(early, Verdict::Alive);
        assert!(breaker.open_for().is_some());
        breaker.reset();
        assert_eq!(breaker.enter().await, Ok(Trial(None)));
    }
}
