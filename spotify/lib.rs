//! Spotify, seen from Segue: the bundled upstream MCP server, and a simulated Web API to run it on.

pub mod auth;
pub mod server;
pub mod sim;
