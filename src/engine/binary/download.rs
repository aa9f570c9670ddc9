//! The Temporal CLI by the SDK's own cached download, from temporal.download.
//!
//! The SDK downloads only as part of starting a dev server, so this starts one in memory on a
//! free port, which also shows that the binary runs, and ends it at once.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use temporalio_sdk::testing::{
    DevServerLogLevel, EphemeralExe, EphemeralExeVersion, LocalWorkflowEnvironmentOptions,
    WorkflowEnvironment,
};
use tokio::time::{Instant, sleep};

use super::CLI_VERSION;

/// The SDK sets no time limit of its own, so the growth of its file is watched: when nothing
/// has been written for this long, the network does not let the download through.
const STALLED: Duration = Duration::from_secs(15);

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Fetches the CLI into `scratch`, and says where it is, or why there is none.
pub(super) async fn fetch(scratch: &Path) -> Result<PathBuf, String> {
    let options = LocalWorkflowEnvironmentOptions::builder()
        .server_executable(EphemeralExe::CachedDownload {
            version: EphemeralExeVersion::Fixed(format!("v{CLI_VERSION}")),
            dest_dir: Some(scratch.to_string_lossy().into_owned()),
            ttl: None,
        })
        .log_level(DevServerLogLevel::Error)
        .build();
    let download = async {
        let server = WorkflowEnvironment::start_local(options)
            .await
            .map_err(|error| chain(&error))?;
        server.shutdown().await.map_err(|error| chain(&error))?;
        the_file_in(scratch).ok_or_else(|| "the download left no file".to_owned())
    };
    tokio::select! {
        result = download => result,
        () = stalls(scratch) => Err(format!("the download made no progress for {STALLED:?}")),
    }
}

/// Returns when what is in `folder` has not grown for [`STALLED`].
async fn stalls(folder: &Path) {
    let mut progress = Progress::new(Instant::now());
    while !progress.has_stalled(bytes_in(folder), Instant::now()) {
        sleep(LOOK).await;
    }
}

/// When the download last grew, and to what length in bytes.
struct Progress {
    bytes: u64,
    at: Instant,
}

impl Progress {
    fn new(at: Instant) -> Self {
        Self { bytes: 0, at }
    }

    fn has_stalled(&mut self, bytes: u64, now: Instant) -> bool {
        if bytes != self.bytes {
            *self = Self { bytes, at: now };
        }
        now.duration_since(self.at) >= STALLED
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let lengths = fs::read_dir(folder).into_iter().flatten().flatten();
    lengths
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

fn the_file_in(folder: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    entries.next().map(|entry| entry.path())
}

/// An error with its causes: the SDK's own sentence does not say why.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut sentences: Vec<String> = causes.map(ToString::to_string).collect();
    sentences.dedup();
    sentences.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_download_goes_on_and_a_stalled_one_is_given_up() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        let step = STALLED * 2 / 3;
        for (bytes, steps) in [(1, 1), (2, 2), (3, 3)] {
            assert!(!progress.has_stalled(bytes, start + step * steps));
        }
        assert!(!progress.has_stalled(3, start + step * 4));
        assert!(progress.has_stalled(3, start + step * 5));
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let cause = std::io::Error::other("connection refused");
        let error = super::super::EngineError::File {
            path: "x".into(),
            source: cause,
        };
        assert!(chain(&error).ends_with(": connection refused"));
    }
}
