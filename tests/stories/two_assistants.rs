//! "I have Claude Desktop and my editor open at once."

use serde_json::json;

use crate::support::{World, ended, song, start, until};

/// Songs of the catalogue, in pairs of title and artist.
const SONGS: [(&str, &str, &str); 6] = [
    ("Clocks", "Coldplay", "spotify:track:0BCPKOYdS2jbQ8iyB56Zns"),
    (
        "No Surprises",
        "Radiohead",
        "spotify:track:10nyNJ6zNy2YVYLrcwLccB",
    ),
    (
        "Poker Face",
        "Lady Gaga",
        "spotify:track:1QV6tiMFM6fSOKOGLMHYYg",
    ),
    (
        "Ain't No Sunshine",
        "Bill Withers",
        "spotify:track:1k1Bqnv2R0uJXQN4u6LKYt",
    ),
    ("Kids", "MGMT", "spotify:track:1jJci4qxiYcOHhQR247rEU"),
    ("Mask Off", "Future", "spotify:track:0VgkVdmE4gld66l8iyGjgx"),
];

#[tokio::test]
async fn the_first_is_killed_while_both_have_syncs_running() {
    let world = World::new().await;
    world
        .fault(json!({"endpoint": "any", "count": 0, "latency_ms": 400}))
        .await;
    let first = world.serve().await;
    let second = world.serve().await;
    let mut ids = Vec::new();
    for (at, which) in SONGS.into_iter().enumerate() {
        let server = if at % 2 == 0 { &first } else { &second };
        ids.push(start(server, song(which, world.empty())).await);
    }
    world.until_asked("search", 2).await;
    first.kill().await.unwrap();

    for id in &ids {
        let view = ended(&second, id).await;
        assert_eq!(
            (&view["status"], &view["success"]),
            (&json!("completed"), &json!(true)),
            "{view:#}"
        );
    }
    let mut there = world.in_playlist(world.empty());
    there.sort();
    let mut expected: Vec<_> = SONGS.iter().map(|song| song.2.to_owned()).collect();
    expected.sort();
    assert_eq!(there, expected);
    assert_eq!(world.effective_adds(), SONGS.len());

    // The engine outlives the one that started it, and ends with the last.
    let home = world.home.path().display().to_string();
    second.end().await.unwrap();
    until("the engine ends", async || {
        crate::support::processes(None, &home).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_worker_alone_carries_on_when_the_assistant_is_gone() {
    let world = World::new().await;
    world
        .fault(json!({"endpoint": "any", "count": 0, "latency_ms": 500}))
        .await;
    let server = world.serve().await;
    server.call("list_syncs", json!({})).await.unwrap();
    let mut worker = world
        .launch()
        .command(&["worker"])
        .unwrap()
        .spawn()
        .unwrap();
    start(&server, song(SONGS[0], world.empty())).await;
    world.until_asked("search", 1).await;
    server.kill().await.unwrap();
    until("the worker brings it home", async || {
        world.in_playlist(world.empty()) == [SONGS[0].2]
    })
    .await;
    worker.kill().await.unwrap();
    assert_eq!(world.effective_adds(), 1);
}

#[tokio::test]
async fn an_engine_that_somebody_else_runs_serves_as_well() {
    let theirs = World::new().await;
    let engine = theirs.engine().await;
    let host = engine.address().trim_start_matches("http://").to_owned();

    let world = World::new().await;
    let launch = world.launch().with("TEMPORAL_ADDRESS", host);
    let server = segue::client::Server::start(&launch).await.unwrap();
    let id = start(&server, song(SONGS[0], world.empty())).await;
    let view = ended(&server, &id).await;
    assert_eq!(
        (&view["status"], &view["success"]),
        (&json!("completed"), &json!(true)),
        "{view:#}"
    );
    assert!(
        !world.home.path().join("engine").exists(),
        "none of its own was started"
    );
    let log = std::fs::read_to_string(world.log()).unwrap();
    assert_eq!(
        log.matches("engine connected").count(),
        1,
        "the worker stays: {log}"
    );
    server.end().await.unwrap();
}
