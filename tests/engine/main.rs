//! The engine, with real processes on a real Temporal dev server.
//!
//! The tests send and expect Unix signals.
#![cfg(unix)]

mod sandbox;
mod sharing;
mod starting;
