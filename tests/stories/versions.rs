//! "We rolled out a new build while syncs were running, to a few of them first."

use std::path::Path;

use segue::client::{Launch, Server};
use segue_workflows::{
    names::PATIENCE_PATCH,
    versions::{DEPLOYMENT, is_chosen},
};
use serde_json::json;
use temporalio_client::{NamespacedClient, WorkflowCountOptions, WorkflowDescribeOptions};
use tokio::process::Command;

use crate::support::{CLOCKS, HELD_MS, World, ended, engine_binary, song, stands, start, until};

/// Syncs whose sign-in has ended. On the new path they wait for it; on the old one they failed.
async fn signed_out(world: &World, launch: &Launch, count: usize) -> (Server, Vec<String>) {
    let server = Server::start(launch).await.unwrap();
    world
        .tokens(json!({"expire_access": true, "revoke_refresh": true}))
        .await;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(start(&server, song(CLOCKS, world.empty())).await);
    }
    (server, ids)
}

/// How many workflows the engine knows to have taken the patched path.
async fn patched(world: &World) -> usize {
    let query = format!("TemporalChangeVersion = '{PATIENCE_PATCH}'");
    let engine = world.engine().await;
    let counted = engine
        .client()
        .count_workflows(query, WorkflowCountOptions::default());
    counted.await.unwrap().count()
}

#[tokio::test]
async fn a_canary_of_5_percent_takes_the_new_path_and_the_rest_the_old() {
    const SYNCS: usize = 100;
    let world = World::new().await;
    let launch = world.launch().with("SEGUE_CANARY", "0.05");
    let (server, ids) = signed_out(&world, &launch, SYNCS).await;
    let mut chosen = 0;
    for id in &ids {
        if is_chosen(id, 0.05) {
            chosen += 1;
            stands(&server, id, "waiting_for_sign_in").await;
        } else {
            let view = ended(&server, id).await;
            assert_eq!(view["status"], "failed", "{view:#}");
            assert_eq!(view["error_code"], "auth_expired", "{view:#}");
        }
    }
    until("the engine counts them", async || {
        patched(&world).await == chosen
    })
    .await;
    println!("a canary of 5 %: {chosen} of {SYNCS} syncs took the new path");
    server.end().await.unwrap();
}

#[tokio::test]
async fn with_100_percent_new_syncs_take_the_new_path_and_those_under_way_keep_theirs() {
    let world = World::new().await;
    // The old build: one sync is under way, one has met the end of the sign-in.
    let old = Server::start(&world.launch().with("SEGUE_CANARY", "0"))
        .await
        .unwrap();
    world
        .fault(json!({"endpoint": "search", "count": 2, "latency_after_ms": HELD_MS}))
        .await;
    let under_way = start(&old, song(CLOCKS, world.empty())).await;
    // The first is given up, and made again.
    world.until_asked("search", 2).await;
    world
        .tokens(json!({"expire_access": true, "revoke_refresh": true}))
        .await;
    let before = start(&old, song(("Kids", "MGMT", ""), world.empty())).await;
    let view = ended(&old, &before).await;
    assert_eq!(view["status"], "failed", "{view:#}");
    old.kill().await.unwrap();

    // The new build for all. The one under way has not been asked yet, so it takes the new path;
    // the one that failed of it stays as it is, and its history replays.
    let (server, ids) = signed_out(&world, &world.launch().with("SEGUE_CANARY", "1"), 20).await;
    for id in ids.iter().chain([&under_way]) {
        stands(&server, id, "waiting_for_sign_in").await;
    }
    assert_eq!(ended(&server, &before).await["status"], "failed");
    until("the engine counts them", async || {
        patched(&world).await >= ids.len()
    })
    .await;
    println!(
        "a canary of 100 %: {0} of {0} new syncs took the new path",
        ids.len()
    );
    server.end().await.unwrap();
}

/// `temporal worker deployment set-current-version`, as an operator does it.
async fn make_current(temporal: &Path, address: &str, namespace: &str, version: &str) {
    until("the version is made the current one", async || {
        let done = Command::new(temporal)
            .args(["worker", "deployment", "set-current-version", "--yes"])
            .args(["--deployment-name", DEPLOYMENT, "--build-id", version])
            .args(["--address", address, "--namespace", namespace])
            .arg("--ignore-missing-task-queues")
            .output()
            .await
            .unwrap();
        done.status.success()
    })
    .await;
}

#[tokio::test]
async fn an_operator_moves_running_syncs_to_the_next_version() {
    let temporal = engine_binary().await;
    let theirs = World::new().await;
    let engine = theirs.engine().await;
    let address = engine.address().trim_start_matches("http://").to_owned();
    let namespace = engine.client().namespace();
    let world = World::new().await;
    let version = |name: &str| {
        let launch = world.launch().with("TEMPORAL_ADDRESS", address.clone());
        launch.with("SEGUE_WORKER_VERSION", name)
    };
    let build_of = async |id: &str| {
        let handle = engine
            .client()
            .get_workflow_handle::<segue_workflows::music_sync::MusicSync>(id);
        let described = handle.describe(WorkflowDescribeOptions::default()).await;
        let info = described.unwrap().raw_description.workflow_execution_info;
        let version = info.unwrap().versioning_info.unwrap().deployment_version;
        version.unwrap().build_id
    };

    let one = Server::start(&version("one")).await.unwrap();
    one.call("list_syncs", json!({})).await.unwrap();
    make_current(&temporal, &address, &namespace, "one").await;
    world
        .fault(json!({"endpoint": "search", "count": 1, "status": 429, "retry_after": 12}))
        .await;
    let id = start(&one, song(CLOCKS, world.empty())).await;
    stands(&one, &id, "waiting_for_rate_limit").await;
    assert_eq!(build_of(&id).await, "one");

    let two = Server::start(&version("two")).await.unwrap();
    two.call("list_syncs", json!({})).await.unwrap();
    make_current(&temporal, &address, &namespace, "two").await;
    one.kill().await.unwrap();
    let view = ended(&two, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(build_of(&id).await, "two", "it moved while it waited");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    two.end().await.unwrap();
}
