//! "Is my Spotify token in there?" No secret that a run used is in a history, a log, a trace or an
//! answer.

use futures::TryStreamExt;
use segue_workflows::music_sync::MusicSync;
use serde_json::json;
use temporalio_client::{WorkflowFetchHistoryOptions, WorkflowListOptions};

use crate::{
    receiver::Receiver as Traces,
    support::{CLOCKS, World, ended, song, stands, start},
    webhook_receiver::{Receiver, SECRET, SECRET_PATH},
};

#[tokio::test]
async fn no_token_is_in_any_history_log_trace_or_answer() {
    // What is sealed tells nothing by itself: it is what is inside that must not hold a token.
    let world = World::unsealed().await;
    let launch = world.launch().with("SEGUE_LOG", "trace,h2=info,hyper=info");
    // One that runs out of attempts is to become a dead letter, not to wait.
    let launch = launch.with("SEGUE_BREAKER_FAILURES", "1000000");
    // The webhook has two secrets: the one that signs, and the one in its address.
    let receiver = Receiver::default();
    let launch = receiver.beside(launch).await;
    let collector = Traces::start().await;
    let launch = collector.of(launch);
    let server = segue::client::Server::start(&launch).await.unwrap();
    let mut told = String::new();

    // A sync that succeeds, one that is cancelled, one that runs out of attempts, one that is
    // refused for its sign-in: each leaves its traces.
    let id = start(&server, song(CLOCKS, world.empty())).await;
    told += &ended(&server, &id).await.to_string();
    world
        .fault(json!({"endpoint": "search", "count": 1, "latency_ms": 1_000}))
        .await;
    let id = start(&server, song(CLOCKS, world.sim.full_playlist_id())).await;
    told += &server
        .call("cancel_sync", json!({"sync_id": id, "wait_seconds": 20}))
        .await
        .unwrap()
        .to_string();
    world
        .fault(json!({"endpoint": "search", "count": 3, "status": 500}))
        .await;
    let id = start(&server, song(CLOCKS, world.sim.full_playlist_id())).await;
    told += &ended(&server, &id).await.to_string();
    let client = reqwest::Client::new();
    client
        .post(format!("{}/_sim/tokens", world.sim.url()))
        .json(&json!({"expire_access": true, "revoke_refresh": true}))
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .unwrap();
    let id = start(&server, song(CLOCKS, world.sim.full_playlist_id())).await;
    let view = stands(&server, &id, "waiting_for_sign_in").await;
    assert_eq!(view["error_code"], "auth_expired", "{view:#}");
    told += &view.to_string();
    for kind in ["sync.dead_lettered", "sign_in.needed"] {
        told += &receiver.until_told(kind).await.to_string();
    }

    let engine = world.engine().await;
    let all: Vec<_> = engine
        .client()
        .list_workflows("", WorkflowListOptions::default())
        .try_collect()
        .await
        .unwrap();
    assert!(
        all.len() >= 8,
        "four syncs, a placement, a dead letter, two notices: {}",
        all.len()
    );
    for execution in &all {
        let handle = engine
            .client()
            .get_workflow_handle::<MusicSync>(execution.id());
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        told += &String::from_utf8(history.to_json().await.unwrap()).unwrap();
    }
    server.end().await.unwrap();
    let log = std::fs::read_to_string(world.log()).unwrap();
    assert!(log.len() > 1_000, "the log was written");
    told += &log;
    let traces = collector.as_sent();
    assert!(traces.len() > 10_000, "spans were exported");
    told += &String::from_utf8_lossy(&traces);

    let mut secrets = world.sim.issued_tokens();
    assert!(
        secrets.len() >= 2,
        "a refresh token and an access token at least"
    );
    let signing = SECRET.trim_start_matches("whsec_");
    secrets.extend([signing, SECRET_PATH].map(str::to_owned));
    for secret in secrets {
        assert!(secret.len() >= 16, "a token that can be looked for");
        assert!(!told.contains(&secret), "a token was told");
    }
}
