//! The program: command line, configuration, the engine, and what each command does.
//!
//! A library under a thin `main`, so that the tests in `tests/` can use its parts.

pub mod access;
// For the fuzz targets alone, which stand outside this crate.
#[doc(hidden)]
pub mod border;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod engine;
pub mod home;
pub mod host;
mod http;
pub mod metrics;
mod output;
mod private_file;
pub mod processes;
pub mod sealing;
mod shutdown;
mod telemetry;
