//! The paths of a sync that goes quickly, and of one that something keeps from it: for `history_replay`.

use serde_json::json;

use crate::{
    batches::{songs, uri_of},
    support::{HELD_ON, World, ended, start},
};

/// Each way in which a search within the workflow's own task can end, and how it goes on from there.
pub(crate) async fn walk_the_searches(world: &World) -> Vec<(&'static str, String)> {
    let server = world.serve().await;
    let all = songs();
    let call = |number: usize| {
        let song = &all[440 + number];
        json!({"title": song.name, "artist": song.artists[0], "playlist": world.empty()})
    };
    let faults = [
        ("search_at_once", json!(null)),
        ("search_at_once_failed", json!({"status": 500})),
        (
            "search_at_once_limited",
            json!({"status": 429, "retry_after": 2}),
        ),
        ("search_at_once_slow", json!({"latency_ms": 2_500})),
    ];
    let mut paths = Vec::new();
    for (number, (path, mut fault)) in faults.into_iter().enumerate() {
        let asked = world.asked("search").len();
        if fault.is_object() {
            fault["endpoint"] = json!("search");
            fault["count"] = json!(1);
            world.fault(fault).await;
        }
        let id = start(&server, call(number)).await;
        if path == "search_at_once_limited" {
            // Now nobody may ask.
            world.until_asked("search", asked + 1).await;
            let held_back = start(&server, call(10)).await;
            ended(&server, &held_back).await;
            paths.push(("search_at_once_held_back", held_back));
        }
        let view = ended(&server, &id).await;
        assert_eq!(view["success"], true, "{path}: {view:#}");
        world.lift_faults().await;
        paths.push((path, id));
    }
    let nothing =
        json!({"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody", "playlist": world.empty()});
    let in_vain = start(&server, nothing).await;
    assert_eq!(ended(&server, &in_vain).await["success"], false);
    paths.push(("search_at_once_in_vain", in_vain));
    server.end().await.unwrap();
    paths
}

/// Each way in which placing a track in one attempt can end, and how it goes on from there.
pub(crate) async fn walk_the_placings(world: &World) -> Vec<(&'static str, String)> {
    let mut server = world.serve().await;
    let all = songs();
    let call = |number: usize| {
        json!({"title": "Given", "artist": "By its id", "playlist": world.empty(),
            "spotify_id": uri_of(&all[420 + number])})
    };
    let (look, add) = ("playlist_items", "add_items");
    let faults = [
        ("at_once", json!(null)),
        (
            "at_once_slow",
            json!({"endpoint": look, "latency_ms": 1_200}),
        ),
        (
            "at_once_look_failed",
            json!({"endpoint": look, "status": 500}),
        ),
        (
            "at_once_limited",
            json!({"endpoint": add, "status": 429, "retry_after": 1}),
        ),
        (
            "at_once_answer_lost",
            json!({"endpoint": add, "drop": "after"}),
        ),
        (
            "at_once_unseen",
            json!({"endpoint": look, "skip": 1, "status": 500}),
        ),
    ];
    let mut paths = Vec::new();
    for (number, (path, mut fault)) in faults.into_iter().enumerate() {
        if fault.is_object() {
            fault["count"] = json!(1);
            world.fault(fault).await;
        }
        let id = start(&server, call(number)).await;
        let view = ended(&server, &id).await;
        assert_eq!(view["success"], true, "{path}: {view:#}");
        world.lift_faults().await;
        paths.push((path, id));
    }
    let again = start(&server, call(0)).await;
    assert_eq!(ended(&server, &again).await["already_present"], true);
    paths.push(("at_once_already_there", again));

    let held = [
        ("at_once_lost_looking", look, true, false),
        ("at_once_lost_adding", add, true, false),
        ("at_once_lost_and_cancelled", add, true, true),
        ("at_once_cancelled", add, false, true),
    ];
    for (number, (path, endpoint, killed, cancelled)) in held.into_iter().enumerate() {
        let asked = world.asked(endpoint).len();
        world.hold(endpoint, "latency_after_ms").await;
        let id = start(&server, call(100 + number)).await;
        world.until_asked(endpoint, asked + 1).await;
        if cancelled {
            let cancel = json!({"sync_id": id});
            server.call("cancel_sync", cancel).await.unwrap();
        }
        if killed {
            server.kill().await.unwrap();
            server = world.serve().await;
        }
        tokio::time::sleep(HELD_ON).await;
        world.let_go().await;
        let status = ended(&server, &id).await["status"].clone();
        assert_eq!(status == "cancelled", cancelled, "{path}: {status}");
        paths.push((path, id));
    }
    server.end().await.unwrap();
    paths
}
