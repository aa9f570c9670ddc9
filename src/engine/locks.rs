//! The locks that say who uses the managed engine, and who owns it.
//!
//! Liveness is a lock, never a file's existence or a process id: the system drops a lock when
//! its holder ends, `kill -9` and power cut included, so nothing here can go stale.
//!
//! - `users.lock` is held *shared* by every Segue process that uses the engine. The supervisor
//!   asks for it *exclusively*: when it gets it, nobody is left.
//! - `supervisor.lock` is held exclusively by the supervisor while it lives.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{error::EngineError, files::EngineFiles};

/// How often a lock that is not free is asked for again.
const LOCK_POLL: Duration = Duration::from_millis(25);

impl EngineFiles {
    /// Joins the users of the engine, waiting while a supervisor that saw no users shuts it down.
    pub(super) async fn join(&self, patience: Duration) -> Result<File, EngineError> {
        let path = self.users_lock();
        let file = open_lock(&path)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock_shared() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    sleep(LOCK_POLL).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(EngineError::StartTimeout {
                        waited: patience,
                        state: "an engine without users is still shutting down".into(),
                        log: self.log(),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(EngineError::File { path, source }),
            }
        }
    }

    /// Takes the users' lock for the supervisor, if there are no users. While it is held, a new
    /// user waits.
    pub(super) fn try_lock_out_users(&self) -> Result<Option<File>, EngineError> {
        try_exclusive(&self.users_lock())
    }

    /// Takes the supervisor's lock, if nobody has it. It is asked for until `patience` ends,
    /// because [`Self::is_supervised`] holds it for an instant.
    pub(super) async fn become_supervisor(
        &self,
        patience: Duration,
    ) -> Result<Option<File>, EngineError> {
        let deadline = Instant::now() + patience;
        loop {
            match try_exclusive(&self.supervisor_lock())? {
                Some(lock) => return Ok(Some(lock)),
                None if Instant::now() >= deadline => return Ok(None),
                None => sleep(LOCK_POLL).await,
            }
        }
    }

    /// Whether a supervisor is alive.
    pub(super) fn is_supervised(&self) -> Result<bool, EngineError> {
        let path = self.supervisor_lock();
        match open_lock(&path)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(EngineError::File { path, source }),
        }
    }
}

/// Takes the lock at `path` exclusively, or says that somebody has it.
pub(super) fn try_exclusive(path: &Path) -> Result<Option<File>, EngineError> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(EngineError::file(path)(source)),
    }
}

/// A lock file is never removed: removing one that another process is about to lock would let
/// two hold "the" lock.
fn open_lock(path: &Path) -> Result<File, EngineError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(EngineError::file(path))
}

#[cfg(test)]
mod tests {

    use super::*;

    fn files() -> (tempfile::TempDir, EngineFiles) {
        let folder = tempfile::tempdir().unwrap();
        let files = EngineFiles::new(folder.path().to_owned());
        (folder, files)
    }

    /// A lock is free a moment after it was dropped, if another test starts a process just then: until that process
    /// runs its own program it holds whatever files we had open.
    async fn soon<T>(mut taken: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(taken) = taken() {
                return taken;
            }
            assert!(Instant::now() < deadline, "still locked");
            sleep(LOCK_POLL).await;
        }
    }

    #[tokio::test]
    async fn users_share_and_the_supervisor_waits_for_the_last() {
        let (_folder, files) = files();
        let one = files.join(Duration::ZERO).await.unwrap();
        let two = files.join(Duration::ZERO).await.unwrap();
        assert!(files.try_lock_out_users().unwrap().is_none());
        drop(one);
        assert!(files.try_lock_out_users().unwrap().is_none());
        drop(two);
        let alone = soon(|| files.try_lock_out_users().unwrap()).await;
        let late = files.join(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(late.code(), "engine_start_timeout");
        drop(alone);
        files.join(Duration::from_secs(30)).await.unwrap();
    }

    #[tokio::test]
    async fn there_is_one_supervisor() {
        let (_folder, files) = files();
        assert!(!files.is_supervised().unwrap());
        let lock = files.become_supervisor(Duration::ZERO).await.unwrap();
        assert!(lock.is_some() && files.is_supervised().unwrap());
        assert!(
            files
                .become_supervisor(Duration::from_millis(50))
                .await
                .unwrap()
                .is_none()
        );
        drop(lock);
        soon(|| (!files.is_supervised().unwrap()).then_some(())).await;
    }
}
