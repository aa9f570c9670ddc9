//! Segue's cache of the Temporal CLI.
//!
//! The binary is written under another name, flushed to the disk and renamed, so that a file
//! under the final name is whole. A power cut, a full disk or a cleaner can still spoil it
//! later; its length, recorded beside it, and its answer to `--version` tell, and a spoiled one
//! is fetched again.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{CLI_VERSION, executable_name, server_version};
use crate::engine::{error::EngineError, locks::try_exclusive};

/// How often a fetch by another process is looked at.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// Temporary folders start with this; [`Cache::sweep`] removes the ones that were left behind.
const SCRATCH_PREFIX: &str = "fetch-";

/// The record is some fifty bytes.
const RECORD_LIMIT: u64 = 4096;

/// The folder in which fetched binaries are kept.
pub(super) struct Cache {
    folder: PathBuf,
}

/// What is known of the cached binary.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Its length, in bytes.
    length: u64,
}

impl Cache {
    pub(super) fn open(folder: &Path) -> Result<Self, EngineError> {
        let folder = std::path::absolute(folder).map_err(EngineError::file(folder))?;
        fs::create_dir_all(&folder).map_err(EngineError::file(&folder))?;
        Ok(Self { folder })
    }

    fn binary(&self) -> PathBuf {
        self.folder
            .join(format!("temporal-{CLI_VERSION}"))
            .join(executable_name())
    }

    fn record(&self) -> PathBuf {
        self.binary().with_file_name("record.json")
    }

    /// The cached binary, if it is whole and runs.
    pub(super) async fn get(&self) -> Option<PathBuf> {
        let binary = self.binary();
        let length = fs::metadata(&binary).ok()?.len();
        if self
            .read_record()
            .is_none_or(|record| record.length != length)
        {
            tracing::warn!(path = %binary.display(), "the cached Temporal CLI is not whole");
            return None;
        }
        match server_version(&binary).await {
            Ok(_) => Some(binary),
            Err(reason) => {
                tracing::warn!(path = %binary.display(), reason, "the cached Temporal CLI is spoiled");
                None
            }
        }
    }

    /// Waits until no other process fetches, and keeps others from it until the lock is dropped.
    /// There is no deadline: each fetch has its own, and a lock ends with its process.
    pub(super) async fn lock(&self) -> Result<File, EngineError> {
        let path = self.folder.join("fetch.lock");
        let mut said = false;
        loop {
            if let Some(lock) = try_exclusive(&path)? {
                return Ok(lock);
            }
            if !said {
                tracing::info!("another Segue is fetching the Temporal CLI; waiting for it");
                said = true;
            }
            sleep(LOCK_POLL).await;
        }
    }

    /// A new temporary folder, on the same file system as the binary's place.
    pub(super) fn scratch(&self) -> Result<tempfile::TempDir, EngineError> {
        tempfile::Builder::new()
            .prefix(SCRATCH_PREFIX)
            .tempdir_in(&self.folder)
            .map_err(EngineError::file(&self.folder))
    }

    /// Removes what interrupted fetches left. Call it with the lock held.
    pub(super) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(SCRATCH_PREFIX)
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                tracing::debug!(%error, path = %entry.path().display(), "left behind");
            }
        }
    }

    /// Moves a fetched binary to its place. It must be on the cache's file system, and run.
    pub(super) async fn put(&self, fetched: PathBuf) -> Result<PathBuf, String> {
        let (binary, record) = (self.binary(), self.record());
        let place = move || -> io::Result<PathBuf> {
            make_executable(&fetched)?;
            let file = File::open(&fetched)?;
            file.sync_all()?;
            let length = file.metadata()?.len();
            if let Some(folder) = binary.parent() {
                fs::create_dir_all(folder)?;
            }
            // Without its record the old binary is not whole, nor is the new one until the end.
            match fs::remove_file(&record) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::rename(&fetched, &binary)?;
            fs::write(&record, serde_json::to_vec(&Record { length })?)?;
            Ok(binary)
        };
        tokio::task::spawn_blocking(place)
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| {
                format!("it cannot be stored in {}: {error}", self.folder.display())
            })?;
        self.get()
            .await
            .ok_or_else(|| "what was fetched does not run on this machine".to_owned())
    }

    fn read_record(&self) -> Option<Record> {
        let mut text = Vec::new();
        File::open(self.record())
            .ok()?
            .take(RECORD_LIMIT)
            .read_to_end(&mut text)
            .ok()?;
        serde_json::from_slice(&text).ok()
    }
}

fn make_executable(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {

    use super::*;

    const WORKS: &str = "#!/bin/sh\necho 'temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)'\n";

    fn fetched(cache: &Cache, content: &str) -> (tempfile::TempDir, PathBuf) {
        let scratch = cache.scratch().expect("a scratch folder");
        let path = scratch.path().join("x");
        fs::write(&path, content).expect("written");
        (scratch, path)
    }

    #[tokio::test]
    async fn what_is_put_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        assert_eq!(cache.get().await, None);
        let (_scratch, path) = fetched(&cache, WORKS);
        let stored = cache.put(path).await.unwrap();
        assert_eq!(cache.get().await, Some(stored));
    }

    #[tokio::test]
    async fn a_spoiled_binary_is_not_used_and_can_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let (_scratch, path) = fetched(&cache, WORKS);
        let stored = cache.put(path).await.unwrap();

        fs::write(&stored, &WORKS[..20]).unwrap();
        assert_eq!(cache.get().await, None, "cut short");
        fs::write(&stored, "x".repeat(WORKS.len())).unwrap();
        assert_eq!(cache.get().await, None, "overwritten");
        fs::write(&stored, WORKS).unwrap();
        assert!(cache.get().await.is_some());
        fs::remove_file(cache.record()).unwrap();
        assert_eq!(cache.get().await, None, "without a record");

        let (_scratch, path) = fetched(&cache, WORKS);
        assert_eq!(cache.put(path).await.unwrap(), stored);
    }

    #[tokio::test]
    async fn what_does_not_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let (_scratch, path) = fetched(&cache, "#!/bin/sh\nexit 1\n");
        assert!(cache.put(path).await.unwrap_err().contains("does not run"));
    }

    #[tokio::test]
    async fn left_overs_are_swept_and_others_wait_for_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let lock = cache.lock().await.unwrap();
        let (scratch, _) = fetched(&cache, "half");
        let left = scratch.keep();
        cache.sweep();
        assert!(!left.exists());

        let waiting = tokio::time::timeout(LOCK_POLL / 2, cache.lock()).await;
        assert!(waiting.is_err(), "the lock is taken");
        drop(lock);
        cache.lock().await.unwrap();
    }
}
