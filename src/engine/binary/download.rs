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
    let mut last = (bytes_in(folder), Instant::now());
    while last.1.elapsed() < STALLED {
        sleep(LOOK).await;
        let now = bytes_in(folder);
        if now != last.0 {
            last = (now, Instant::now());
        }
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

    #[tokio::test(start_paused = true)]
    async fn a_download_without_progress_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let started = Instant::now();
        stalls(folder.path()).await;
        assert!(started.elapsed() >= STALLED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_download_is_not_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("temporal.downloading");
        let growing = async {
            for length in 1..10 {
                sleep(STALLED * 2 / 3).await;
                fs::write(&file, vec![0; length]).expect("written");
            }
        };
        tokio::select! {
            () = growing => {}
            () = stalls(folder.path()) => panic!("it was growing"),
        }
    }
}
