//! The bundled Spotify MCP server and the sign-in, through a real MCP client, against the
//! simulated Spotify. One program, so that it is linked once.

#![expect(clippy::unwrap_used, reason = "a failed test should panic")]

mod definitions;
mod errors;
mod harness;
mod lifecycle;
mod login;
mod playlists;
mod search;
mod sign_in;
