//! "Show me." The demo is the README's first command.

use std::process::Stdio;

use crate::support::{PROGRAM, engine_cache};

#[tokio::test]
async fn the_demo_succeeds_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(PROGRAM)
        .args(["demo", "--plain"])
        .env("SEGUE_HOME", home.path())
        .env("SEGUE_ENGINE_CACHE", engine_cache())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{log}");
    assert!(shown.contains("Each song is there once"), "{shown}");
    assert!(shown.contains("kill -9"), "{shown}");
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
