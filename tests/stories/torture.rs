//! "Prove it." A short run of the torture bench; the long ones are in `docs/reliability.md`.

use std::process::Stdio;

use crate::support::{PROGRAM, engine_cache};

#[tokio::test]
async fn a_short_run_under_torture_keeps_every_promise() {
    let home = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(PROGRAM)
        .args(["torture", "--seed", "7", "--syncs", "40", "--kills", "10"])
        .env("SEGUE_HOME", home.path())
        .env("SEGUE_ENGINE_CACHE", engine_cache())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{log}");
    for promise in ["lost", "missing", "doubled", "out of order"] {
        assert!(
            shown.contains(&format!("| **{promise}** | **0** |")),
            "{shown}"
        );
    }
    assert!(
        shown.contains("| 3 / 6 / 1 |"),
        "every kill was one: {shown}"
    );
}
