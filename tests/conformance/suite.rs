//! MCP's conformance suite and the Node that runs it, as npm brings them by the lockfile beside this file. For
//! `scenarios.rs` here and for `tests/stories/conformance.rs`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tokio::{process::Command, sync::OnceCell};

use crate::npm;

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");

/// Time for one scenario, in milliseconds: the suite's own 30 s are too short where servers are killed.
const TIME: &str = "240000";

/// Time for the suite to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a scenario found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The ids of the checks that it made and that hold.
    pub(crate) held: Vec<String>,
    /// Those that it did not make, with its reason.
    pub(crate) skipped: Vec<String>,
    /// What it finds wrong, or worth a warning, in its own words.
    pub(crate) wrong: Vec<String>,
}

impl Found {
    /// Whether all that was checked holds, and something was.
    pub(crate) fn is_well(&self) -> bool {
        self.wrong.is_empty() && !self.held.is_empty()
    }
}

/// Runs a scenario against this server, as this revision of the protocol has it; without one as the suite
/// itself chooses.
pub(crate) async fn run(url: &str, scenario: &str, revision: Option<&str>) -> Found {
    let folder = installed().await;
    let output = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(npm::node(&folder));
    command
        .arg(folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .args([
            "server",
            "--url",
            url,
            "--scenario",
            scenario,
            "--timeout",
            TIME,
            "--output-dir",
        ])
        .arg(output.path())
        .kill_on_drop(true);
    if let Some(revision) = revision {
        command.args(["--spec-version", revision]);
    }
    let ran = tokio::time::timeout(PATIENCE, command.output()).await;
    let ran = ran.expect("the scenario ends").expect("it starts");
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let checks = checks(output.path());
    let checks = checks.unwrap_or_else(|| panic!("{scenario} told no checks: {said}"));
    let mut found = Found {
        held: Vec::new(),
        skipped: Vec::new(),
        wrong: Vec::new(),
    };
    for check in &checks {
        let id = check["id"].as_str().expect("an id").to_owned();
        let message = check["errorMessage"].as_str().unwrap_or_default();
        match check["status"].as_str() {
            Some("SUCCESS" | "INFO") => found.held.push(id),
            Some("SKIPPED") => found.skipped.push(format!("{id}: {message}")),
            _ => found.wrong.push(format!("{id}: {message}")),
        }
    }
    if !ran.status.success() && found.wrong.is_empty() {
        found.wrong.push(said.into_owned());
    }
    found
}

/// What the suite wrote down, in whichever folder.
fn checks(folder: &Path) -> Option<Vec<Value>> {
    for entry in std::fs::read_dir(folder).ok()? {
        let path = entry.ok()?.path();
        if path.is_dir() {
            if let Some(found) = checks(&path) {
                return Some(found);
            }
        } else if path.file_name()? == "checks.json" {
            return serde_json::from_slice(&std::fs::read(path).ok()?).ok();
        }
    }
    None
}

/// The folder in which the suite is installed.
async fn installed() -> PathBuf {
    static ONCE: OnceCell<PathBuf> = OnceCell::const_new();
    let installed = ONCE.get_or_init(async || {
        let package: Value = serde_json::from_str(PACKAGE).expect("JSON");
        let version = &package["dependencies"]["@modelcontextprotocol/conformance"];
        let name = format!("conformance-{}", version.as_str().expect("a pin"));
        npm::installed(&name, PACKAGE, LOCK).await
    });
    installed.await.clone()
}
