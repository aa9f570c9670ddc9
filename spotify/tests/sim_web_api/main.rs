//! The simulated Spotify, met as any client meets it: over HTTP.
//!
//! One binary, so that the crate is linked once for all of them.

#![expect(clippy::unwrap_used, reason = "a failed test should panic")]

mod border;
mod client;
mod document;
mod edits;
mod faults;
mod oauth;
mod paging;
mod rspotify;
mod scopes;
mod search;
