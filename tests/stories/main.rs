//! Segue from end to end: real processes, a real engine, real MCP, and a simulated Spotify. Each
//! file is a story that a user could tell.

#![expect(clippy::unwrap_used, reason = "a failed test should panic")]

mod support;

mod bad_input;
mod cancelling;
mod dead_letters;
mod demo;
mod doctor;
mod foreign_upstream;
mod history_replay;
mod kills;
mod manifest;
mod matching_quality;
mod one_song;
mod protocol;
mod python_client;
mod rate_limit;
mod secrets;
mod two_assistants;
