//! "Stop, I did not mean that one." After a cancellation the playlist is as it was before.

use serde_json::{Value, json};

use crate::support::{
    CLOCKS, HELD_MS, HELD_ON, World, all, ended, held, song, stands, start, until,
};

/// Where the sync is held when the cancellation comes: at which of the requests to this endpoint,
/// and whether that request takes effect first.
const HOLDS: [(&str, usize, &str); 6] = [
    ("search", 1, "latency_ms"),
    // The first was held for so long that it is made again.
    ("search", 2, "latency_ms"),
    ("playlist_items", 1, "latency_ms"),
    ("add_items", 1, "latency_ms"),
    ("add_items", 1, "latency_after_ms"),
    ("playlist_items", 2, "latency_ms"),
];

async fn cancelled_at((endpoint, number, hold): (&str, usize, &str), there_before: bool) {
    let world = World::new().await;
    let server = world.serve().await;
    if there_before {
        let id = start(&server, song(CLOCKS, world.empty())).await;
        assert_eq!(ended(&server, &id).await["success"], true);
    }
    let before = world.in_playlist(world.empty());
    let asked = world.asked(endpoint).len();

    let skip = match (endpoint, number) {
        ("search", 2) => 0,
        _ => number - 1,
    };
    world.fault(held(endpoint, skip, hold)).await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    world.until_asked(endpoint, asked + number).await;
    if (endpoint, hold) == ("add_items", "latency_after_ms") {
        until("the add takes effect", async || world.effective_adds() == 1).await;
    }
    let answer = server
        .call("cancel_sync", json!({"sync_id": id}))
        .await
        .unwrap();
    assert_eq!(answer["sync_id"], id.as_str());
    tokio::time::sleep(HELD_ON).await;
    world.let_go().await;
    let view = ended(&server, &id).await;

    let told = format!("{endpoint} {number} {hold}, there before: {there_before}: {view:#}");
    assert_eq!(view["status"], "cancelled", "{told}");
    assert_eq!(world.in_playlist(world.empty()), before, "{told}");
    let undone = view["undone"].as_str().expect("what was undone");
    let added = world.effective_adds() > usize::from(there_before);
    assert_eq!(undone.contains("taken out again"), added, "{told}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn before_during_and_after_the_add_of_a_new_track() {
    all(HOLDS.map(|hold| cancelled_at(hold, false))).await;
}

/// Between the add and its verification there may be a wait, in which nothing is tried.
#[tokio::test]
async fn while_the_verification_waits() {
    let world = World::new().await;
    let server = world.serve().await;
    let limit = json!({"endpoint": "playlist_items", "skip": 1, "count": 0, "status": 429, "retry_after": 8});
    world.fault(limit).await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    stands(&server, &id, "waiting_for_rate_limit").await;
    assert_eq!(world.effective_adds(), 1);
    world.lift_faults().await;
    let call = json!({"sync_id": id});
    server.call("cancel_sync", call).await.unwrap();
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "cancelled", "{view:#}");
    assert!(world.in_playlist(world.empty()).is_empty(), "{view:#}");
    let undone = view["undone"].as_str().unwrap();
    assert!(undone.contains("taken out again"), "{view:#}");
    server.end().await.unwrap();
}

/// Spotify may show an add a moment late. What it has acknowledged is taken out all the same.
#[tokio::test]
async fn an_add_that_is_not_shown_yet_is_taken_out_too() {
    let world = World::new().await;
    let server = world.serve().await;
    world.fault(held("playlist_items", 1, "latency_ms")).await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    world.until_asked("playlist_items", 2).await;
    let call = json!({"sync_id": id});
    server.call("cancel_sync", call).await.unwrap();
    world.lift_faults().await;
    world
        .fault(json!({"endpoint": "playlist_items", "count": 0, "body": "first_gone"}))
        .await;
    world.order("release", Value::Null).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "cancelled", "{view:#}");
    let undone = view["undone"].as_str().unwrap();
    assert!(undone.contains("taken out again"), "{view:#}");
    assert!(world.in_playlist(world.empty()).is_empty(), "{view:#}");
    server.end().await.unwrap();
}

/// The answer of the add is lost, or the process is killed, when the cancellation has been asked
/// for: the engine does not repeat such an attempt, and the undo must come all the same.
#[tokio::test]
async fn during_an_add_that_then_fails() {
    let ways = [
        (false, "latency_after_ms"),
        (true, "latency_after_ms"),
        (true, "latency_ms"),
    ];
    all(ways.map(|(killed, hold)| async move {
        let world = World::new().await;
        let mut server = world.serve().await;
        let mut fault = json!({"endpoint": "add_items", "count": 1});
        fault[hold] = json!(HELD_MS);
        if !killed {
            fault["drop"] = json!("after");
        }
        world.fault(fault).await;
        let id = start(&server, song(CLOCKS, world.empty())).await;
        match hold {
            "latency_ms" => world.until_asked("add_items", 1).await,
            _ => until("the add takes effect", async || world.effective_adds() == 1).await,
        }
        server
            .call("cancel_sync", json!({"sync_id": id}))
            .await
            .unwrap();
        if killed {
            server.kill().await.unwrap();
            server = world.serve().await;
        }
        tokio::time::sleep(HELD_ON).await;
        world.let_go().await;
        let view = ended(&server, &id).await;
        assert_eq!(
            view["status"], "cancelled",
            "killed: {killed}, {hold}: {view:#}"
        );
        assert!(
            world.in_playlist(world.empty()).is_empty(),
            "killed: {killed}, {hold}: {view:#}"
        );
        server.end().await.unwrap();
    }))
    .await;
}

#[tokio::test]
async fn a_track_that_was_there_before_stays() {
    all(HOLDS[..3].iter().map(|&hold| cancelled_at(hold, true))).await;
}

#[tokio::test]
async fn a_finished_sync_cannot_be_cancelled_and_an_unknown_one_says_so() {
    let world = World::new().await;
    let server = world.serve().await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    ended(&server, &id).await;
    let code = async |sync_id: &str| -> Value {
        let answer = server
            .call_raw("cancel_sync", json!({"sync_id": sync_id}))
            .await
            .unwrap();
        assert_eq!(answer.is_error, Some(true));
        answer.structured_content.unwrap()["error"]["code"].clone()
    };
    assert_eq!(code(&id).await, "wrong_state");
    assert_eq!(
        code("sync-00000000000000000000000000000000").await,
        "unknown_sync"
    );
    assert_eq!(code("../../etc/passwd").await, "unknown_sync");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    server.end().await.unwrap();
}
