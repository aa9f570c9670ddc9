//! How a conversation ends, and what is in the log afterwards.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use segue_spotify::{
    auth::{Session, StorePolicy, TokenStore},
    server::{SpotifyServer, run},
    sim::{Endpoint, Outcome, Sim, SimOptions},
};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use super::harness::{PATIENCE, Stage, call, environment, eventually};

/// Whether the only add so far was broken off by the client's hanging up.
fn add_was_dropped(stage: &Stage) -> bool {
    let adds = stage.requests(Endpoint::AddItems);
    matches!(&adds[..], [add] if add.outcome == Outcome::Dropped && !add.took_effect)
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_server_and_its_requests_at_once() {
    let stage = Stage::new().await;
    let arguments = json!({"playlist_id": stage.empty(), "track_uris": [stage.songs()[0]]});
    stage
        .fault(json!({"endpoint": "add_items", "latency_ms": 600_000}))
        .await;
    let peer = stage.client.peer().clone();
    let pending = tokio::spawn(async move {
        let request = rmcp::model::CallToolRequestParams::new("add_tracks_to_playlist")
            .with_arguments(arguments.as_object().unwrap().clone());
        peer.call_tool(request).await
    });
    eventually("the add", || stage.requests(Endpoint::AddItems).len() == 1).await;

    let left = Instant::now();
    let Stage {
        client,
        serving,
        sim,
        ..
    } = stage;
    client.cancel().await.unwrap();
    tokio::time::timeout(PATIENCE, serving)
        .await
        .unwrap()
        .unwrap();
    let took = left.elapsed();
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    drop(pending.await);
    eventually("the end of the add", || {
        let adds: Vec<_> = sim
            .requests()
            .into_iter()
            .filter(|request| request.endpoint == Endpoint::AddItems)
            .collect();
        matches!(&adds[..], [add] if add.outcome == Outcome::Dropped && !add.took_effect)
    })
    .await;
}

#[tokio::test]
async fn a_call_that_the_client_cancels_is_dropped_and_the_server_goes_on() {
    let stage = Stage::new().await;
    let song = stage.songs()[0].clone();
    stage
        .fault(json!({"endpoint": "add_items", "latency_ms": 600_000}))
        .await;
    let arguments = json!({"playlist_id": stage.empty(), "track_uris": [song]});
    // rmcp's client tells the server when a call is let go of.
    tokio::select! {
        result = stage.call("add_tracks_to_playlist", arguments) => panic!("{result:?}"),
        () = eventually("the add", || stage.requests(Endpoint::AddItems).len() == 1) => {}
    }
    eventually("the end of the add", || add_was_dropped(&stage)).await;
    stage.ok("search_track", json!({"query": "love"})).await;
}

#[tokio::test]
async fn a_request_just_before_the_end_of_input_is_still_answered() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let store = TokenStore::new(StorePolicy::FileOnly, "/nonexistent/spotify.json");
    let server = SpotifyServer::new(Session::new(environment(&sim), store).unwrap());
    let (mut to_server, input) = tokio::io::duplex(64 * 1024);
    let (output, mut from_server) = tokio::io::duplex(256 * 1024);
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "a shell", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
    ] {
        let line = format!("{message}\n");
        to_server.write_all(line.as_bytes()).await.unwrap();
    }
    drop(to_server);
    let serving = run(server, input, output, std::future::pending());
    tokio::time::timeout(PATIENCE, serving)
        .await
        .unwrap()
        .unwrap();
    let mut answers = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut from_server, &mut answers)
        .await
        .unwrap();
    assert!(answers.contains("verify_track_added"), "{answers}");
}

#[tokio::test]
async fn the_caller_can_end_the_server() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let store = TokenStore::new(StorePolicy::FileOnly, "/nonexistent/spotify.json");
    let server = SpotifyServer::new(Session::new(environment(&sim), store).unwrap());
    let (_open, theirs) = tokio::io::duplex(1024);
    let (input, output) = tokio::io::split(theirs);
    let serving = run(server, input, output, std::future::ready(()));
    tokio::time::timeout(PATIENCE, serving)
        .await
        .unwrap()
        .unwrap();
}

/// A log that the test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, whose log is then that of client, server and simulator together.
#[tokio::test(flavor = "current_thread")]
async fn no_token_is_in_the_log_whatever_its_level() {
    let log = Log::default();
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    // Takes in what comes through the `log` crate too, as rspotify's lines do.
    let _until_the_end = tracing_subscriber::registry().with(layer).set_default();
    let stage = Stage::new().await;
    let song = stage.songs()[0].clone();
    stage.ok("search_track", json!({"query": "love"})).await;
    stage
        .ok(
            "add_tracks_to_playlist",
            json!({"playlist_id": stage.empty(), "track_uris": [song]}),
        )
        .await;
    stage
        .control(
            "tokens",
            json!({"revoke_refresh": true, "expire_access": true}),
        )
        .await;
    let failed = call(&stage.client, "search_track", json!({"query": "x"})).await;
    assert_eq!(failed.is_error, Some(true));

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("Making request"),
        "rspotify's own log lines are captured"
    );
    assert!(!text.contains(stage.sim.refresh_token()));
    // The simulator's access tokens begin with `BQ`, and go into the header after `Bearer`.
    let leak = text
        .lines()
        .find(|line| line.contains("Bearer BQ") || line.contains("\"BQ"));
    assert_eq!(leak, None);
}
