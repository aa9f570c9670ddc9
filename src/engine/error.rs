//! What can go wrong with the engine, and what to do about each.

use std::{io, path::PathBuf, time::Duration};

use crate::home::HomeError;

/// A failure to find, start or reach the Temporal service. Every message ends in the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Segue's folders cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),

    /// A file of the managed engine cannot be read, written or locked.
    #[error("cannot use {path}: {source}; check that the folder is writable and the disk not full")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The Temporal CLI that the configuration names cannot be used.
    #[error(
        "the configured Temporal CLI {path} cannot be used: {reason}; correct the path, or remove \
         the setting so that Segue finds or fetches the CLI itself"
    )]
    ConfiguredCli {
        /// The configured path.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },

    /// No Temporal CLI on this machine, and none could be fetched.
    #[error(
        "no usable Temporal CLI was found, and none could be fetched ({tried}); install it \
         (https://docs.temporal.io/cli), or set TEMPORAL_ADDRESS to use a Temporal server"
    )]
    NoCli {
        /// Each source that was tried, with the reason it failed.
        tried: String,
    },

    /// The process that keeps the engine running could not be started.
    #[error("cannot start the engine's supervisor {program}: {source}; reinstall Segue")]
    Supervisor {
        /// The program that was to be run.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The managed engine ended again and again.
    #[error("the engine does not stay up: {reason}; the whole log is in {log}")]
    Crashed {
        /// The last reason, with the end of the engine's log.
        reason: String,
        /// The log file.
        log: PathBuf,
    },

    /// The managed engine was not ready in time.
    #[error("the engine was not ready after {waited:?} ({state}); the log is in {log}; try again")]
    StartTimeout {
        /// How long was waited.
        waited: Duration,
        /// What it was doing.
        state: String,
        /// The log file.
        log: PathBuf,
    },

    /// Temporal's settings name a server, but cannot be used.
    #[error("Temporal's settings cannot be used: {reason}; correct TEMPORAL_* or temporal.toml")]
    Settings {
        /// What is wrong with them.
        reason: String,
    },

    /// The keys by which payloads are encrypted cannot be had.
    #[error("what the engine keeps cannot be encrypted or read: {reason}")]
    Keys {
        /// Why, and what to do.
        reason: String,
    },

    /// The server does not answer.
    #[error(
        "no connection to the Temporal server at {address}: {reason}; check the address, the \
         network, TLS and the API key"
    )]
    Unreachable {
        /// Where the server should be.
        address: String,
        /// What the connection said.
        reason: String,
    },

    /// The server has no such namespace, or does not show it to this user.
    #[error(
        "the Temporal server at {address} has no namespace '{namespace}' for this user; create it \
         with `temporal operator namespace create --namespace {namespace}`, or correct \
         TEMPORAL_NAMESPACE"
    )]
    NoNamespace {
        /// The server.
        address: String,
        /// The namespace.
        namespace: String,
    },

    /// Search attributes are missing, and this user may not create them.
    #[error(
        "the namespace '{namespace}' lacks search attributes, and creating them was refused \
         ({reason}); have an operator run: {command}"
    )]
    SearchAttributes {
        /// The namespace.
        namespace: String,
        /// What the server said.
        reason: String,
        /// The command that creates exactly what is missing.
        command: String,
    },

    /// The server refused a request that the start needs.
    #[error("the Temporal server at {address} refused to {action}: {reason}; check permissions")]
    Refused {
        /// The server.
        address: String,
        /// What was asked, as a verb phrase.
        action: &'static str,
        /// What the server said.
        reason: String,
    },
}

impl EngineError {
    /// A stable code for this kind of failure, for clients and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Home(_) => "engine_home",
            Self::File { .. } => "engine_file",
            Self::ConfiguredCli { .. } => "engine_configured_cli",
            Self::NoCli { .. } => "engine_no_cli",
            Self::Supervisor { .. } => "engine_supervisor",
            Self::Crashed { .. } => "engine_crashed",
            Self::StartTimeout { .. } => "engine_start_timeout",
            Self::Settings { .. } => "engine_settings",
            Self::Keys { .. } => "engine_keys",
            Self::Unreachable { .. } => "engine_unreachable",
            Self::NoNamespace { .. } => "engine_no_namespace",
            Self::SearchAttributes { .. } => "engine_search_attributes",
            Self::Refused { .. } => "engine_refused",
        }
    }

    /// For `map_err` after an operation on `path`.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
