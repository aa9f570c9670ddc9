//! What the calls of the upstream say of its sign-in.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    error::{ErrorCode, SyncError},
    metrics::Endpoint,
    upstream::UpstreamError,
};

/// How often it is news that a sign-in is still needed: thousands of syncs may wait for it, and each finds out
/// again and again.
const STILL_NEEDED: Duration = Duration::from_secs(10 * 60);

/// What the calls of the upstream say of its sign-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum SignIn {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It is good.
    Works,
    /// It is missing, expired or revoked.
    Needed {
        /// The call that said so first. Another may succeed without a sign-in, such as a search.
        at: Endpoint,
        /// What it said.
        error: SyncError,
        /// When that was news for the last time.
        news: Instant,
    },
}

impl SignIn {
    /// What is known of it after this call: its error, if it failed. Nothing if that is no news.
    pub(super) fn after(&self, at: Endpoint, failed: Option<&UpstreamError>) -> Option<Self> {
        Some(match (self, failed) {
            (Self::Unknown, None) => Self::Works,
            (Self::Needed { at: first, .. }, None) if *first == at || takes_a_sign_in(at) => {
                Self::Works
            }
            (Self::Unknown | Self::Works, Some(error)) if error.code == ErrorCode::AuthExpired => {
                let error = SyncError::new(error.code, error.message.clone());
                let news = Instant::now();
                Self::Needed { at, error, news }
            }
            // The notice of it may have ended meanwhile, and then there is to be another.
            (Self::Needed { at, error, news }, Some(failed))
                if failed.code == ErrorCode::AuthExpired && news.elapsed() >= STILL_NEEDED =>
            {
                Self::Needed {
                    at: *at,
                    error: error.clone(),
                    news: Instant::now(),
                }
            }
            _ => return None,
        })
    }
}

/// Whether a call of this kind that succeeds shows that there is a sign-in. A search or a public playlist may be had
/// without one, and an upstream that cannot list says so without a call.
fn takes_a_sign_in(at: Endpoint) -> bool {
    !matches!(at, Endpoint::Search | Endpoint::ListItems)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Gate, GateSettings},
        *,
    };

    fn gate() -> Gate {
        Gate::new(GateSettings::default())
    }

    #[tokio::test]
    async fn a_sign_in_is_needed_until_a_call_succeeds_that_takes_one() {
        let gate = gate();
        let needed = UpstreamError::new(ErrorCode::AuthExpired, "revoked");
        let seen = gate.sign_in();
        let now = || seen.borrow().clone();
        gate.learn_of_sign_in(Endpoint::Search, Some(&UpstreamError::unavailable("down")));
        assert_eq!(now(), SignIn::Unknown);
        gate.learn_of_sign_in(Endpoint::Search, None);
        assert_eq!(now(), SignIn::Works);
        gate.learn_of_sign_in(Endpoint::AddItems, Some(&needed));
        let missed = now();
        assert!(matches!(missed, SignIn::Needed { .. }));
        // Somebody may search without a sign-in.
        gate.learn_of_sign_in(Endpoint::Search, None);
        gate.learn_of_sign_in(Endpoint::ListItems, None);
        gate.learn_of_sign_in(Endpoint::ListItems, Some(&needed));
        assert_eq!(now(), missed);
        gate.learn_of_sign_in(Endpoint::AddItems, None);
        assert_eq!(now(), SignIn::Works);
        // The call that missed it may not come again.
        gate.learn_of_sign_in(Endpoint::RemoveItems, Some(&needed));
        gate.learn_of_sign_in(Endpoint::ListPlaylists, None);
        assert_eq!(now(), SignIn::Works);
        // The call that missed it has taken one.
        gate.learn_of_sign_in(Endpoint::Search, Some(&needed));
        gate.learn_of_sign_in(Endpoint::Search, None);
        assert_eq!(now(), SignIn::Works);
    }

    #[tokio::test(start_paused = true)]
    async fn that_a_sign_in_is_still_needed_is_news_from_time_to_time_however_many_calls_miss_it() {
        let gate = gate();
        let needed = UpstreamError::new(ErrorCode::AuthExpired, "revoked");
        let other = UpstreamError::new(ErrorCode::AuthExpired, "expired");
        let mut seen = gate.sign_in();
        gate.learn_of_sign_in(Endpoint::AddItems, Some(&needed));
        assert!(matches!(&*seen.borrow_and_update(), SignIn::Needed { .. }));
        let mut news = 0;
        for _ in 0..60 {
            tokio::time::advance(Duration::from_secs(60)).await;
            for _ in 0..100 {
                gate.learn_of_sign_in(Endpoint::ListItems, Some(&other));
            }
            if seen.has_changed().expect("there is a gate") {
                news += 1;
                let known = seen.borrow_and_update().clone();
                let SignIn::Needed { at, error, .. } = &known else {
                    panic!("{known:?}");
                };
                // What was said first stays.
                assert_eq!(
                    (*at, error.message.as_str()),
                    (Endpoint::AddItems, "revoked")
                );
            }
        }
        assert_eq!(news, 6, "once in ten minutes");
    }
}
