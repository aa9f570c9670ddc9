//! The Temporal service in use: *managed*, which Segue starts and owns, or *external*, which
//! Temporal's settings name.
//!
//! The managed engine is a Temporal dev server on a SQLite file. All Segue processes of one user
//! share it: the first starts it, the others join, and any may end or be killed in any order. It
//! belongs to none of them but to a process of its own, the [`supervisor`], which ends when the
//! last user is gone. How they know of each other is told in `locks.rs`.

mod binary;
mod error;
mod external;
mod files;
mod keeper;
mod locks;
mod managed;
mod namespace;
mod process;
mod server;
pub mod stock;
pub mod supervisor;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use temporalio_client::{Client, ConnectionOptions, GrpcCompression, NamespacedClient};
use temporalio_common::{data_converters::DataConverter, telemetry::metrics::TemporalMeter};
use tokio::sync::watch;
use url::Host;

pub use self::{
    binary::{CLI_VERSION, Source},
    error::EngineError,
    managed::SupervisorCommand,
    supervisor::SupervisorArgs,
};
use crate::{home::Home, sealing::Sealing};

/// How long a server gets to accept a connection and answer.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// What the engine is to be.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The Temporal CLI to run. Unset: it is searched in `path` and the cache, else fetched.
    pub temporal: Option<PathBuf>,
    /// The folders in which the Temporal CLI is searched, as in the variable `PATH`.
    pub path: Option<OsString>,
    /// Where a fetched Temporal CLI is kept. Unset: the home's cache.
    pub cache_dir: Option<PathBuf>,
    /// Where the Temporal CLI may be fetched from, in order.
    pub sources: Vec<Source>,
    /// The search attributes, all of type Keyword. A dev server has room for ten.
    pub search_attributes: Vec<String>,
    /// How this process shows up in Temporal's histories and lists.
    pub identity: String,
    /// How the managed engine's supervisor is started.
    pub supervisor: SupervisorCommand,
    /// What counts the calls of the engine.
    pub meter: Option<TemporalMeter>,
    /// How what the engine keeps is encrypted.
    pub sealing: Sealing,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let host = sysinfo::System::host_name().unwrap_or_else(|| "localhost".to_owned());
        Self {
            temporal: None,
            path: std::env::var_os("PATH"),
            cache_dir: None,
            sources: Source::ALL.into(),
            search_attributes: Vec::new(),
            identity: format!("segue-{}@{host}", std::process::id()),
            supervisor: SupervisorCommand::default(),
            meter: None,
            sealing: Sealing::default(),
        }
    }
}

/// Who runs the Temporal service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Segue does.
    Managed,
    /// Somebody else does.
    External,
}

/// How the engine is, as far as this process knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It works. An external engine is always said to: its clients see for themselves.
    Up,
    /// It is being started again. Clients and workers reconnect by themselves.
    Healing,
    /// It works, but had to move to this address, because another program took its port while
    /// it restarted. Clients and workers of this process are to be made anew, by another
    /// [`Engine::connect`].
    Moved(String),
    /// It does not start, for this reason. Attempts go on.
    Down(String),
}

/// Turns gzip off towards a server on this machine. The SDK asks for it unless it is told otherwise, and there it
/// takes a tenth of Segue's time a sync, or more, to spare a wire that there is not (see docs/performance.md).
fn plain_on_loopback(connection: &mut ConnectionOptions) {
    let is_loopback = match connection.target.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    };
    if is_loopback {
        connection.grpc_compression = GrpcCompression::None;
    }
}

/// What turns values into what this kind of engine keeps.
fn converter(
    options: &EngineOptions,
    home: &Home,
    kind: EngineKind,
) -> Result<DataConverter, EngineError> {
    home.data()?;
    let converter = options.sealing.converter(home, kind);
    converter.map_err(|error| EngineError::Keys {
        reason: format!("{error:#}"),
    })
}

/// The Temporal service, connected. A managed engine stays up while this value lives.
#[derive(Debug)]
pub struct Engine {
    client: Client,
    kind: EngineKind,
    address: String,
    server_version: String,
    health: watch::Receiver<Health>,
    _lease: Option<managed::Lease>,
}

/// What both kinds of engine are made of.
struct Parts {
    client: Client,
    address: String,
    server_version: String,
}

impl Engine {
    /// Connects to the external server, if Temporal's settings name one, else to the managed
    /// engine of `home`, which is started if it does not run.
    ///
    /// A start takes about half a second, and the first one ever as long as fetching 45 MB does;
    /// what is being done is told through `tracing`.
    ///
    /// # Errors
    /// See [`EngineError`]: each says the next step.
    pub async fn connect(options: &EngineOptions, home: &Home) -> Result<Self, EngineError> {
        if let Some(settings) = external::settings(None)? {
            let converter = converter(options, home, EngineKind::External)?;
            let parts = external::connect(settings, options, converter).await?;
            let (_, health) = watch::channel(Health::Up);
            return Ok(Self::new(EngineKind::External, parts, health, None));
        }
        let converter = converter(options, home, EngineKind::Managed)?;
        let (parts, lease, health) = managed::connect(options, home, converter).await?;
        Ok(Self::new(EngineKind::Managed, parts, health, Some(lease)))
    }

    /// Whether Temporal's settings name an external server.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn is_external() -> Result<bool, EngineError> {
        Ok(external::settings(None)?.is_some())
    }

    /// Whether there may be syncs under way: an external server is configured, or the managed engine
    /// has run before. Nothing is started to find out.
    ///
    /// # Errors
    /// Temporal's settings cannot be read, or the home is not usable.
    pub fn has_work(home: &Home) -> Result<bool, EngineError> {
        let external = external::settings(None)?.is_some();
        Ok(external
            || files::EngineFiles::new(home.engine_dir()?)
                .database()
                .exists())
    }

    fn new(
        kind: EngineKind,
        parts: Parts,
        health: watch::Receiver<Health>,
        lease: Option<managed::Lease>,
    ) -> Self {
        Self {
            client: parts.client,
            kind,
            address: parts.address,
            server_version: parts.server_version,
            health,
            _lease: lease,
        }
    }

    /// The client, bound to the namespace. Clones share one connection.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Who runs it.
    #[must_use]
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// The URL of its gRPC frontend.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The namespace in use.
    #[must_use]
    pub fn namespace(&self) -> String {
        self.client.namespace()
    }

    /// The version of the Temporal server, such as `1.32.0`; empty if it does not tell.
    #[must_use]
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// How it is, now and as it changes.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }
}

#[cfg(test)]
mod tests {
    use temporalio_client::Url;

    use super::*;

    #[test]
    fn only_a_wire_is_worth_compressing_for() {
        for (address, compression) in [
            ("http://127.0.0.1:7233", GrpcCompression::None),
            ("http://localhost:7233", GrpcCompression::None),
            ("http://[::1]:7233", GrpcCompression::None),
            ("http://temporal.example.com:7233", GrpcCompression::Gzip),
            ("http://10.0.0.1:7233", GrpcCompression::Gzip),
        ] {
            let target = Url::parse(address).unwrap();
            let mut connection = ConnectionOptions::new(target).build();
            plain_on_loopback(&mut connection);
            assert_eq!(connection.grpc_compression, compression, "{address}");
        }
    }
}
