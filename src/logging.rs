//! Logs, to stderr: stdout belongs to the protocol.

use std::io;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::{cli::LogFormat, config::Config};

/// Starts logging.
///
/// # Errors
/// The filter cannot be read.
pub(crate) fn start(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log)
        .with_context(|| format!("log: {:?} is not a filter", config.log))?;
    let subscriber = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(filter)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    // Only a second start in one process fails, and there the first one serves.
    let _ = match config.log_format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    Ok(())
}
