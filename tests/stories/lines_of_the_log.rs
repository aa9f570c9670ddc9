//! "What happened to that one sync?" Every line of a JSON log is JSON, and those of a sync say which and
//! whose it is.

use segue::client::Server;
use serde_json::{Value, json};

use crate::support::{CLOCKS, World, ended, song, start};

#[tokio::test]
async fn every_line_is_json_and_those_of_a_sync_say_which_and_whose() {
    let world = World::new().await;
    let launch = world
        .launch()
        .with("SEGUE_LOG", "debug,h2=info,hyper=info")
        .with("SEGUE_LOG_FORMAT", "json")
        .with("SEGUE_USER", "ada");
    let server = Server::start(&launch).await.unwrap();
    world
        .fault(json!({"endpoint": "search", "count": 1, "status": 500}))
        .await;
    let playlists = [world.empty(), world.sim.full_playlist_id()];
    let mut ids = Vec::new();
    for playlist in playlists {
        ids.push(start(&server, song(CLOCKS, playlist)).await);
    }
    for id in &ids {
        let view = ended(&server, id).await;
        assert_eq!(view["success"], true, "{view:#}");
    }
    server.end().await.unwrap();

    let log = std::fs::read_to_string(world.log()).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
    for (activity, message) in [
        ("search_at_once", "begun"),
        ("search_at_once", "the attempt failed"),
        ("search", "begun"),
        ("search", "done"),
        ("place", "begun"),
        ("place", "done"),
    ] {
        let is_it = |line: &&Value| line["activity"] == activity && line["message"] == message;
        assert!(
            lines.iter().any(|line| is_it(&line)),
            "{activity}: {message}"
        );
    }
    // Each sync has its own lines, and no activity has any of nobody's.
    let of_activities = lines.iter().filter(|line| line["activity"].is_string());
    let mut seen = [0, 0];
    for line in of_activities {
        assert_eq!(line["user"], "ada", "{line}");
        let place = ids.iter().position(|id| line["sync_id"] == **id);
        seen[place.unwrap_or_else(|| panic!("whose is {line}?"))] += 1;
    }
    assert!(seen.iter().all(|&lines| lines >= 4), "{seen:?}");
    let calls = lines.iter().filter(|line| line["request"] == "sync_track");
    let calls: Vec<&Value> = calls.filter(|line| line["message"] == "answered").collect();
    assert_eq!(calls.len(), 2, "{calls:#?}");
    for (call, id) in calls.iter().zip(&ids) {
        assert_eq!(
            (&call["sync_id"], &call["user"]),
            (&json!(id), &json!("ada"))
        );
    }
}
