//! One add of a track into a playlist at a time in this process.
//!
//! A worker that is cut off from the engine while its add is on the wire is taken for lost, and
//! gets the next attempt itself when it is back. That attempt waits here until the first has its
//! answer, and so finds what it did.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The places at which an add is under way.
#[derive(Default)]
pub(super) struct InFlight {
    places: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
}

impl InFlight {
    /// Waits until no other add is under way at this place, and keeps others out until the guard
    /// is dropped.
    pub(super) async fn alone_at(&self, place: String) -> OwnedMutexGuard<()> {
        let turn = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.retain(|_, turn| turn.strong_count() > 0);
            let known = places.get(&place).and_then(Weak::upgrade);
            let turn = known.unwrap_or_default();
            places.insert(place, Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_second_add_at_the_same_place_waits_and_another_does_not() {
        let adds = InFlight::default();
        let first = adds.alone_at("a".into()).await;
        assert!(adds.alone_at("b".into()).now_or_never().is_some());
        assert!(adds.alone_at("a".into()).now_or_never().is_none());
        drop(first);
        assert!(adds.alone_at("a".into()).now_or_never().is_some());
    }
}
