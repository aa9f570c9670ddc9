//! "Does it keep to the protocol?" MCP's own conformance suite against `segue serve --http`: every scenario that
//! needs no tools of the suite's own, in both eras of the protocol. Those about tasks need such tools, and have a
//! server of their own in `tests/conformance/`.

use tokio::process::Child;

use crate::{
    suite,
    support::{World, until},
};

/// The last revision with sessions, and the first without.
const STATEFUL: &str = "2025-11-25";
const STATELESS: &str = "2026-07-28";

/// A server that is reached over HTTP. It ends when it is dropped.
pub(crate) struct Http {
    process: Child,
    url: String,
}

impl Http {
    /// Starts one, beside any others of this world.
    pub(crate) async fn serve(world: &World) -> Self {
        let log = tempfile::Builder::new()
            .suffix(".log")
            .tempfile_in(world.home.path());
        let log = log.unwrap().into_temp_path().keep().unwrap();
        let launch = world.launch().logging_to(&log);
        let mut command = launch.command(&["serve", "--http", "127.0.0.1:0"]).unwrap();
        let process = command.spawn().unwrap();
        let mut url = None;
        until("it listens", async || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let told = log.split("listening at ").nth(1);
            url = told.and_then(|told| told.split_whitespace().next().map(str::to_owned));
            url.is_some()
        })
        .await;
        Self {
            process,
            url: url.expect("it listens"),
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}

/// Runs these scenarios, and tells all that do not hold.
async fn hold(revision: &str, scenarios: &[&str]) {
    let world = World::new().await;
    let server = Http::serve(&world).await;
    let mut wrong = Vec::new();
    for scenario in scenarios {
        let found = suite::run(server.url(), scenario, Some(revision)).await;
        println!(
            "{revision} {scenario}: {} checks hold, left out: {:?}",
            found.held.len(),
            found.skipped
        );
        if !found.is_well() {
            wrong.push(format!("{scenario}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_scenario_of_2025_that_needs_no_tool_of_the_suites() {
    let scenarios = [
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "logging-set-level",
        "tools-list",
        "resources-list",
        "prompts-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
    ];
    hold(STATEFUL, &scenarios).await;
}

#[tokio::test]
async fn every_scenario_of_2026_that_needs_no_tool_of_the_suites() {
    let scenarios = [
        "tools-list",
        "resources-list",
        "prompts-list",
        "caching",
        "http-header-validation",
        "server-sse-multiple-streams",
        "sep-2164-resource-not-found",
        "dns-rebinding-protection",
    ];
    hold(STATELESS, &scenarios).await;
}

/// Of a server without sessions the suite checks a few things by three tools of its own. They are all that is
/// missing here; `tests/conformance/` has them.
#[tokio::test]
async fn without_sessions_only_what_needs_the_suites_tools_is_missing() {
    let world = World::new().await;
    let server = Http::serve(&world).await;
    let found = suite::run(server.url(), "server-stateless", Some(STATELESS)).await;
    println!("{found:#?}");
    let needs_its_tool = |wrong: &&String| {
        let mut tools = [
            "test_missing_capability",
            "test_streaming_elicitation",
            "test_logging_tool",
        ]
        .iter();
        tools.any(|tool| wrong.contains(&format!("does not list the diagnostic tool '{tool}'")))
    };
    let wrong: Vec<_> = found
        .wrong
        .iter()
        .filter(|wrong| !needs_its_tool(wrong))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(found.held.len() >= 15, "{found:#?}");
}
