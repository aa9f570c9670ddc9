//! What npm brings for a test: pinned with its digests in a `package-lock.json` of the project, and installed
//! once under `target/`.

use std::path::{Path, PathBuf};

use tokio::process::Command;

/// The Node that npm brought, where it brings one; else the one on `PATH`.
pub(crate) fn node(folder: &Path) -> PathBuf {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let brought = folder.join(format!("node_modules/node-linux-{architecture}/bin/node"));
    match brought.is_file() {
        true => brought,
        false => "node".into(),
    }
}

/// The folder of this name in which npm has installed what the lockfile pins. npm compares the digests; no
/// package runs a script of its own.
pub(crate) async fn installed(name: &str, package: &str, lock: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.join(name);
    let is_there = || {
        let installed = std::fs::read_to_string(folder.join("package-lock.json"));
        installed.is_ok_and(|installed| installed == lock)
    };
    if is_there() {
        return folder;
    }
    // Only a finished folder gets its name, so an installation that was cut short is begun anew.
    let scratch = tempfile::tempdir_in(target).expect("a temporary folder");
    std::fs::write(scratch.path().join("package.json"), package).expect("it is written");
    std::fs::write(scratch.path().join("package-lock.json"), lock).expect("it is written");
    let npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(scratch.path())
        .output();
    let npm = npm.await.expect("npm, to fetch what the test needs");
    let said = String::from_utf8_lossy(&npm.stderr);
    assert!(npm.status.success(), "npm ci: {said}");
    let _ = std::fs::remove_dir_all(&folder);
    let renamed = std::fs::rename(scratch.path(), &folder);
    // Another test may have been faster.
    assert!(renamed.is_ok() || is_there(), "{renamed:?}");
    folder
}
