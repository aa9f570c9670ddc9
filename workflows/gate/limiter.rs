//! How often this process may call the upstream, and until when not at all.
//!
//! Both are shares of what all workers may do together; the keeper brings them from the engine and
//! renews them. A share that is old is not used: the facts may have changed.

use std::{
    num::NonZeroU32,
    ops::Add,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    time::{Instant, sleep, timeout},
};

/// Spotify counts calls over a rolling window of this length.
pub const WINDOW: Duration = Duration::from_secs(30);

/// Why a call has to wait, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Spotify asked everybody to stay away.
    Blocked(Duration),
    /// More calls are wanted than the budget has.
    InLine(Duration),
    /// What the workers may do together could not be learnt in time.
    NotKnown,
}

/// The limiter of this process.
#[derive(Debug)]
pub(super) struct Limiter {
    state: Mutex<State>,
    /// First come, first served.
    line: AsyncMutex<()>,
    waiting: AtomicU32,
    /// A share is wanted.
    pub(super) wanted: Notify,
    /// One has come.
    renewed: Notify,
}

#[derive(Debug, Default)]
struct State {
    calls_per_window: u32,
    cells: Option<Arc<Cells>>,
    good_until: Option<Instant>,
    blocked_until: Option<Instant>,
    last_call: Option<Instant>,
}

type Cells = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>;

impl Limiter {
    /// A limiter that lets nothing through before it has got a share.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            line: AsyncMutex::default(),
            waiting: AtomicU32::new(0),
            wanted: Notify::new(),
            renewed: Notify::new(),
        }
    }

    /// Waits for this call's turn, so long at most.
    pub(super) async fn turn(&self, patience: Duration) -> Result<(), Held> {
        let _in_line = InLine::stand(&self.waiting);
        match timeout(patience, self.be_served()).await {
            Ok(served) => served,
            Err(_) => Err(self.too_long()),
        }
    }

    async fn be_served(&self) -> Result<(), Held> {
        let _first = self.line.lock().await;
        loop {
            let renewed = self.renewed.notified();
            tokio::pin!(renewed);
            // Registered before the look, so that no share is missed in between.
            renewed.as_mut().enable();
            match self.try_now() {
                Now::Go => return Ok(()),
                Now::Blocked(left) => return Err(Held::Blocked(left)),
                Now::Wait(time) => sleep(time).await,
                Now::Stale => {
                    self.wanted.notify_one();
                    renewed.await;
                }
            }
        }
    }

    fn try_now(&self) -> Now {
        let mut state = self.state();
        let now = Instant::now();
        state.last_call = Some(now);
        let fresh = state.good_until.is_some_and(|until| now < until);
        match state.cells.as_ref().filter(|_| fresh) {
            None => Now::Stale,
            Some(_) if state.blocked_for(now).is_some() => {
                Now::Blocked(state.blocked_for(now).unwrap_or_default())
            }
            Some(cells) => match cells.check() {
                Ok(()) => Now::Go,
                Err(full) => Now::Wait(full.wait_time_from(Moment(now))),
            },
        }
    }

    fn too_long(&self) -> Held {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let (state, now) = (self.state(), Instant::now());
        if let Some(left) = state.blocked_for(now) {
            return Held::Blocked(left);
        }
        match state.calls_per_window {
            calls @ 1.. if state.good_until.is_some_and(|until| now < until) => {
                Held::InLine(WINDOW * waiting / calls)
            }
            _ => Held::NotKnown,
        }
    }

    /// Takes a renewed share, good for so long. A block that this process met itself stands until
    /// its time, even if the others have not heard of it yet.
    pub(super) fn renew(
        &self,
        calls_per_window: u32,
        blocked_for: Option<Duration>,
        good_for: Duration,
    ) {
        let mut state = self.state();
        let now = Instant::now();
        let calls = NonZeroU32::new(calls_per_window).unwrap_or(NonZeroU32::MIN);
        if state.cells.is_none() || state.calls_per_window != calls.get() {
            let (quota, burst) = quota(calls);
            let cells = RateLimiter::direct_with_clock(quota, TokioClock);
            if state.cells.is_some() {
                // Or every change of the share would be worth a burst.
                let _ = cells.check_n(burst);
            }
            state.cells = Some(Arc::new(cells));
            state.calls_per_window = calls.get();
        }
        state.good_until = Some(now + good_for);
        state.block(blocked_for.map(|time| now + time));
        drop(state);
        self.renewed.notify_waiters();
    }

    /// Asks for a renewed share; whether it comes in time.
    pub(super) async fn is_renewed_within(&self, time: Duration) -> bool {
        let renewed = self.renewed.notified();
        self.wanted.notify_one();
        timeout(time, renewed).await.is_ok()
    }

    /// Lets nothing through for this long.
    pub(super) fn block(&self, time: Duration) {
        self.state().block(Some(Instant::now() + time));
    }

    /// Lets calls through again.
    pub(super) fn lift(&self) {
        self.state().blocked_until = None;
    }

    /// The share, 0 before there is one.
    pub(super) fn calls_per_window(&self) -> u32 {
        self.state().calls_per_window
    }

    /// For how long nothing is let through.
    pub(super) fn blocked_for(&self) -> Option<Duration> {
        self.state().blocked_for(Instant::now())
    }

    /// Time since the last call that was wanted.
    pub(super) fn idle_for(&self) -> Duration {
        self.state()
            .last_call
            .map_or(Duration::MAX, |at| at.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Now {
    Go,
    Wait(Duration),
    Blocked(Duration),
    Stale,
}

impl State {
    fn block(&mut self, until: Option<Instant>) {
        self.blocked_until = self.blocked_until.max(until);
    }

    fn blocked_for(&self, now: Instant) -> Option<Duration> {
        self.blocked_until
            .map(|until| until.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }
}

/// A quota that never lets more than `calls` through in any window, and its burst: a quarter at
/// once, the rest evenly over the window.
fn quota(calls: NonZeroU32) -> (Quota, NonZeroU32) {
    let burst = NonZeroU32::new(calls.get() / 4).unwrap_or(NonZeroU32::MIN);
    let rest = (calls.get() - burst.get()).max(1);
    let quota = Quota::with_period(WINDOW / rest)
        .unwrap_or(Quota::per_second(NonZeroU32::MIN))
        .allow_burst(burst);
    (quota, burst)
}

/// Someone who waits in line, for as long as they live.
struct InLine<'a>(&'a AtomicU32);

impl<'a> InLine<'a> {
    fn stand(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tokio's clock: monotonic, so that a jump of the wall clock changes nothing, and tests can wind
/// it on.
#[derive(Debug, Clone, Copy)]
struct TokioClock;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Clock for TokioClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        self.0.checked_sub(duration.into()).map_or(*self, Self)
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, time: Nanos) -> Self {
        Self(self.0 + Duration::from(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(8);
    const GOOD_FOR: Duration = Duration::from_secs(15);

    fn with_share(calls: u32) -> Limiter {
        let limiter = Limiter::new();
        limiter.renew(calls, None, GOOD_FOR);
        limiter
    }

    /// Calls as fast as it is let, for two windows, and gives when each was let through.
    async fn rush(limiter: &Limiter) -> Vec<Instant> {
        let end = Instant::now() + 2 * WINDOW;
        let mut times = Vec::new();
        while Instant::now() < end {
            limiter.renew(limiter.calls_per_window(), None, GOOD_FOR);
            if limiter.turn(PATIENCE).await.is_ok() {
                times.push(Instant::now());
            }
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_has_more_calls_than_the_share() {
        for calls in [1, 2, 5, 40, 100] {
            let times = rush(&with_share(calls)).await;
            let most = times
                .iter()
                .map(|&from| {
                    let within = |&&at: &&Instant| at >= from && at < from + WINDOW;
                    times.iter().filter(within).count()
                })
                .max();
            let most = most.unwrap_or_default() as u32;
            assert!(most <= calls.max(2), "{most} calls of {calls}");
            assert!(most >= calls * 9 / 10, "only {most} calls of {calls}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_before_the_time_and_then_it_does() {
        let limiter = with_share(100);
        let hours = Duration::from_secs(79_200);
        limiter.block(hours);
        assert_eq!(limiter.turn(PATIENCE).await, Err(Held::Blocked(hours)));
        // Somebody who has not heard of it does not lift it.
        tokio::time::advance(hours - Duration::from_secs(1)).await;
        limiter.renew(100, None, GOOD_FOR);
        assert!(matches!(
            limiter.turn(PATIENCE).await,
            Err(Held::Blocked(_))
        ));
        tokio::time::advance(Duration::from_secs(1)).await;
        limiter.renew(100, None, GOOD_FOR);
        assert_eq!(limiter.turn(PATIENCE).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_share_is_renewed_before_it_is_used() {
        let limiter = with_share(100);
        assert_eq!(limiter.turn(PATIENCE).await, Ok(()));
        tokio::time::advance(GOOD_FOR).await;
        let (turn, ()) = tokio::join!(limiter.turn(PATIENCE), async {
            limiter.wanted.notified().await;
            limiter.renew(100, Some(Duration::from_secs(7)), GOOD_FOR);
        });
        assert_eq!(turn, Err(Held::Blocked(Duration::from_secs(7))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_that_never_comes_lets_nothing_through() {
        assert_eq!(Limiter::new().turn(PATIENCE).await, Err(Held::NotKnown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_share_is_not_worth_a_burst() {
        let limiter = with_share(40);
        for calls in [41, 40, 41, 40] {
            while matches!(limiter.try_now(), Now::Go) {}
            limiter.renew(calls, None, GOOD_FOR);
            assert!(matches!(limiter.try_now(), Now::Wait(_)));
        }
    }
}
