//! How much one user may ask for: calls in a minute, and calls at once. Nobody honest comes near; one
//! who does cannot take the server from the others.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Reason;

/// Users who are remembered at once.
const MOST_USERS: usize = 10_000;
/// After so long without a call a user's count is full again, so that nothing is lost by forgetting it.
const FORGET_AFTER: Duration = Duration::from_secs(120);
/// When to come again if all places are taken: as soon as one of the user's calls ends.
const NO_PLACE: Duration = Duration::from_secs(1);

type Cells = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>;

/// A place among a user's open calls.
pub(super) type Place = OwnedSemaphorePermit;

/// The users who have called of late.
#[derive(Debug)]
pub(super) struct Users {
    per_minute: NonZeroU32,
    at_once: usize,
    known: Mutex<HashMap<String, User>>,
}

#[derive(Debug)]
struct User {
    cells: Cells,
    places: Arc<Semaphore>,
    last_call: Instant,
}

impl Users {
    /// Nobody has called yet.
    pub(super) fn new(per_minute: u32, at_once: u32) -> anyhow::Result<Self> {
        Ok(Self {
            per_minute: NonZeroU32::new(per_minute).context("user_calls_per_minute is 0")?,
            at_once: at_once as usize,
            known: Mutex::default(),
        })
    }

    /// Takes a place for a call of the user's.
    pub(super) fn enter(&self, user_id: &str) -> Result<Place, Reason> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if !known.contains_key(user_id) {
            if known.len() >= MOST_USERS {
                known.retain(|_, user| !self.is_idle(user, now));
            }
            if known.len() >= MOST_USERS {
                return Err(Reason::TooMany(FORGET_AFTER));
            }
            known.insert(user_id.to_owned(), self.newcomer(now));
        }
        let Some(user) = known.get_mut(user_id) else {
            return Err(Reason::TooMany(NO_PLACE));
        };
        user.last_call = now;
        let place = user.places.clone().try_acquire_owned();
        let place = place.map_err(|_| Reason::TooMany(NO_PLACE))?;
        match user.cells.check() {
            Ok(()) => Ok(place),
            Err(early) => Err(Reason::TooMany(early.wait_time_from(MonotonicClock.now()))),
        }
    }

    fn newcomer(&self, now: Instant) -> User {
        let quota = Quota::per_minute(self.per_minute);
        User {
            cells: RateLimiter::direct_with_clock(quota, MonotonicClock),
            places: Arc::new(Semaphore::new(self.at_once)),
            last_call: now,
        }
    }

    fn is_idle(&self, user: &User, now: Instant) -> bool {
        user.places.available_permits() == self.at_once
            && now.duration_since(user.last_call) >= FORGET_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_at_once_are_counted_for_each_user_and_given_back() {
        let users = Users::new(1_000, 2).unwrap();
        let one = users.enter("ann").unwrap();
        let _two = users.enter("ann").unwrap();
        assert_eq!(users.enter("ann").unwrap_err(), Reason::TooMany(NO_PLACE));
        drop(users.enter("bob").unwrap());
        drop(one);
        drop(users.enter("ann").unwrap());
    }

    #[test]
    fn calls_in_a_minute_are_counted_for_each_user() {
        let users = Users::new(5, 100).unwrap();
        for _ in 0..5 {
            drop(users.enter("ann").unwrap());
        }
        let Err(Reason::TooMany(wait)) = users.enter("ann") else {
            panic!("a sixth call in the minute");
        };
        let twelve = Duration::from_secs(12);
        assert!(wait <= twelve && wait > Duration::from_secs(8), "{wait:?}");
        drop(users.enter("bob").unwrap());
    }

    #[test]
    fn however_many_users_there_are_memory_is_bounded() {
        let users = Users::new(5, 1).unwrap();
        let mut places = Vec::new();
        for user in 0..MOST_USERS {
            places.push(users.enter(&user.to_string()).unwrap());
        }
        users.enter("one too many").unwrap_err();
        assert_eq!(users.known.lock().unwrap().len(), MOST_USERS);
        // Those who are there are served on.
        places.clear();
        drop(users.enter("7").unwrap());
    }
}
