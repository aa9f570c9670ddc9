//! The files of the managed engine: where they are, what `engine.json` says, the end of the log.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::EngineError;

/// `engine.json` is a few hundred bytes and at most one log excerpt; a longer one is not ours.
const STATE_LIMIT: u64 = 64 * 1024;

/// How much of the log's end an error quotes, in bytes.
const LOG_EXCERPT: u64 = 2 * 1024;

/// The log starts anew at a start of the supervisor when it has grown past this, in bytes.
const LOG_LIMIT: u64 = 4 * 1024 * 1024;

/// The paths of one managed engine.
#[derive(Debug, Clone)]
pub(super) struct EngineFiles {
    folder: PathBuf,
}

/// What `engine.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EngineState {
    /// What the supervisor is doing.
    pub(super) phase: Phase,
    /// The port of the gRPC frontend on 127.0.0.1. Kept over restarts while it is free.
    pub(super) port: u16,
    /// The process of the engine, for people; nothing is decided by it.
    pub(super) engine_pid: Option<u32>,
    /// The process of the supervisor, for people; nothing is decided by it.
    pub(super) supervisor_pid: u32,
    /// The Temporal CLI in use.
    pub(super) temporal: PathBuf,
    /// When this was written, in milliseconds since 1970.
    pub(super) written_unix_ms: u64,
}

/// What the supervisor is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// The engine is being started, or started again.
    Starting,
    /// The engine answered.
    Ready,
    /// The supervisor gave up, for this reason.
    Failed(String),
}

impl EngineFiles {
    /// The files in `folder`, which exists.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("engine.db")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("engine.log")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("engine.json")
    }

    pub(super) fn users_lock(&self) -> PathBuf {
        self.folder.join("users.lock")
    }

    pub(super) fn supervisor_lock(&self) -> PathBuf {
        self.folder.join("supervisor.lock")
    }

    /// A namespace that exists only in this engine's database, named after the database's path.
    /// A server that has it is ours: another engine that took our port would not.
    pub(super) fn marker(&self) -> String {
        let hash = Sha256::digest(self.database().as_os_str().as_encoded_bytes());
        let short: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
        format!("segue-engine-{short}")
    }

    /// The last news of the supervisor; `None` if there is none, or it is damaged.
    pub(super) fn read_state(&self) -> Option<EngineState> {
        let mut text = Vec::new();
        File::open(self.state())
            .ok()?
            .take(STATE_LIMIT)
            .read_to_end(&mut text)
            .ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Replaces `engine.json` in one step: a reader sees the old or the new, never a half.
    pub(super) fn write_state(&self, state: &EngineState) -> Result<(), EngineError> {
        let path = self.state();
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&serde_json::to_vec_pretty(state)?)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(EngineError::file(&path))
    }

    /// Removes `engine.json`, if it is there.
    pub(super) fn remove_state(&self) -> Result<(), EngineError> {
        match fs::remove_file(self.state()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EngineError::file(self.state())(error))
            }
            _ => Ok(()),
        }
    }

    /// Opens the log to append to, anew if it has grown too long.
    pub(super) fn open_log(&self) -> Result<File, EngineError> {
        let path = self.log();
        let open = || -> io::Result<File> {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            if file.metadata()?.len() > LOG_LIMIT {
                file.set_len(0)?;
            }
            Ok(file)
        };
        open().map_err(EngineError::file(&path))
    }

    /// The length of the log, in bytes: where the next line will be.
    pub(super) fn log_end(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |meta| meta.len())
    }

    /// The end of what the log says after byte `from`, short enough for an error message.
    pub(super) fn log_since(&self, from: u64) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(self.log())?;
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(from.max(end.saturating_sub(LOG_EXCERPT))))?;
            let mut text = Vec::new();
            file.take(LOG_EXCERPT).read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).trim().to_owned())
        };
        read().unwrap_or_default()
    }
}

/// Now, as `engine.json` says it.
pub(super) fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn files() -> (tempfile::TempDir, EngineFiles) {
        let folder = tempfile::tempdir().unwrap();
        let files = EngineFiles::new(folder.path().to_owned());
        (folder, files)
    }

    fn state() -> EngineState {
        EngineState {
            phase: Phase::Ready,
            port: 20_001,
            engine_pid: Some(1),
            supervisor_pid: 2,
            temporal: PathBuf::from("/bin/temporal"),
            written_unix_ms: 3,
        }
    }

    #[test]
    fn state_survives_a_round_trip_and_garbage_is_no_state() {
        let (_folder, files) = files();
        assert_eq!(files.read_state(), None);
        files.write_state(&state()).unwrap();
        assert_eq!(files.read_state(), Some(state()));
        for garbage in ["", "{", "{\"phase\":\"ready\",\"port\":99999999}"] {
            fs::write(files.state(), garbage).unwrap();
            assert_eq!(files.read_state(), None, "{garbage}");
        }
        fs::write(files.state(), vec![b' '; 1 << 20]).unwrap();
        assert_eq!(files.read_state(), None);
        files.remove_state().unwrap();
        files.remove_state().unwrap();
    }

    #[test]
    fn a_log_excerpt_is_short_and_from_the_end() {
        let (_folder, files) = files();
        assert_eq!(files.log_since(0), "");
        let mut log = files.open_log().unwrap();
        writeln!(log, "{}", "x".repeat(10_000)).unwrap();
        let end = files.log_end();
        writeln!(log, "the reason").unwrap();
        assert_eq!(files.log_since(end), "the reason");
        assert!(files.log_since(0).len() <= 2048 && files.log_since(0).ends_with("the reason"));
    }

    #[test]
    fn each_home_has_its_own_marker() {
        let marker = |path: &str| EngineFiles::new(path.into()).marker();
        assert_eq!(marker("/a"), marker("/a"));
        assert_ne!(marker("/a"), marker("/b"));
    }
}
