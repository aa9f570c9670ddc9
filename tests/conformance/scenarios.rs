//! "Is it a task as the protocol means it?" MCP's own conformance suite against tools whose tasks are workflows,
//! also while the server is killed between each two requests.

#![expect(clippy::unwrap_used, reason = "a failed test should panic")]
#![expect(
    clippy::print_stdout,
    reason = "what the suite left out, shown with --nocapture"
)]

#[path = "../npm/mod.rs"]
mod npm;
mod proxy;
mod suite;

use crate::{
    proxy::{Killed, Proxy},
    suite::Found,
};

/// Every scenario about tasks but one: `tasks-status-notifications` checks nothing yet, in the suite itself.
const SCENARIOS: [&str; 9] = [
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
];

fn assert_well(scenario: &str, found: &Found) {
    assert!(found.is_well(), "{scenario}: {found:#?}");
    assert!(found.skipped.is_empty(), "{scenario}: {found:#?}");
    println!("{scenario}: {} checks hold", found.held.len());
}

#[tokio::test]
async fn every_scenario_about_tasks_holds() {
    let proxy = Proxy::start(Killed::Nothing).await;
    for scenario in SCENARIOS {
        assert_well(scenario, &suite::run(proxy.url(), scenario, None).await);
    }
    proxy.end().await;
}

#[tokio::test]
async fn the_suite_itself_still_leaves_status_notifications_out() {
    let proxy = Proxy::start(Killed::Nothing).await;
    let found = suite::run(proxy.url(), "tasks-status-notifications", None).await;
    let said = format!("{found:#?}");
    assert!(found.held.is_empty() && found.wrong.is_empty(), "{said}");
    assert!(found.skipped.concat().contains("rewrite"), "{said}");
    proxy.end().await;
}

#[tokio::test]
async fn a_server_without_sessions_is_as_the_suite_wants_it() {
    let proxy = Proxy::start(Killed::Nothing).await;
    let found = suite::run(proxy.url(), "server-stateless", None).await;
    assert!(found.is_well(), "{found:#?}");
    println!(
        "server-stateless: {} checks hold; left out: {:#?}",
        found.held.len(),
        found.skipped
    );
    proxy.end().await;
}

#[tokio::test]
async fn they_hold_while_the_server_is_killed_between_each_two_requests() {
    let proxy = Proxy::start(Killed::Server).await;
    for scenario in SCENARIOS {
        assert_well(scenario, &suite::run(proxy.url(), scenario, None).await);
    }
    let (kills, _) = proxy.end().await;
    println!("{kills} servers were killed");
    assert!(kills >= 50, "{kills} kills");
}

/// The next server starts another engine, with what the killed one had on the disk.
#[tokio::test]
async fn they_hold_while_the_engine_is_killed_as_well() {
    let proxy = Proxy::start(Killed::Everything).await;
    for scenario in SCENARIOS {
        assert_well(scenario, &suite::run(proxy.url(), scenario, None).await);
    }
    let (kills, engine_kills) = proxy.end().await;
    println!("{kills} servers and {engine_kills} engines were killed");
    assert!(engine_kills >= 15, "{engine_kills} kills");
}
