//! "Spotify told us to slow down."

use serde_json::json;

use crate::support::{CLOCKS, World, ended, song, start, until};

#[tokio::test]
async fn a_rate_limit_is_waited_out_in_sight_and_burns_no_attempt() {
    let world = World::new().await;
    let server = world.serve().await;
    // More refusals than a search has attempts: they must not count.
    world
        .fault(json!({"endpoint": "search", "count": 4, "status": 429, "retry_after": 2}))
        .await;
    world
        .fault(json!({"endpoint": "add_items", "count": 1, "status": 429, "retry_after": 3}))
        .await;
    let id = start(&server, song(CLOCKS, world.empty())).await;

    let view = async || {
        server
            .call("get_sync_progress", json!({"sync_id": id}))
            .await
            .unwrap()
    };
    let listed = async || {
        let page = server
            .call("list_syncs", json!({"status": "waiting_for_rate_limit"}))
            .await
            .unwrap();
        page["syncs"].as_array().unwrap().len()
    };
    until("the wait of the search is shown", async || {
        view().await["waiting_until"].is_string()
    })
    .await;
    until("and listed", async || listed().await == 1).await;
    world.until_asked("add_items", 1).await;
    until("the wait of the add is shown", async || {
        let view = view().await;
        view["status"] == "waiting_for_rate_limit" && view["current_step"] == "add"
    })
    .await;

    let view = ended(&server, &id).await;
    assert_eq!(
        (&view["status"], &view["success"]),
        (&json!("completed"), &json!(true)),
        "{view:#}"
    );
    assert_eq!(view["retry_count"], 0, "waiting is no retry: {view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(listed().await, 0);
    // Nobody asked before the time was up.
    let times: Vec<u64> = world
        .asked("search")
        .iter()
        .map(|request| request.at_ms)
        .collect();
    for pair in times[..5].windows(2) {
        assert!(pair[1] - pair[0] >= 2_000, "{times:?}");
    }
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_long_wait_survives_a_kill() {
    let world = World::new().await;
    let server = world.serve().await;
    world
        .fault(json!({"endpoint": "search", "count": 1, "status": 429, "retry_after": 79_200}))
        .await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    let until_when = async |server: &segue::client::Server| {
        let view = server
            .call("get_sync_progress", json!({"sync_id": id}))
            .await
            .unwrap();
        view["waiting_until"].as_str().map(str::to_owned)
    };
    until("the wait is shown", async || {
        until_when(&server).await.is_some()
    })
    .await;
    let before = until_when(&server).await;
    server.kill().await.unwrap();

    let server = world.serve().await;
    assert_eq!(
        until_when(&server).await,
        before,
        "22 hours are not forgotten"
    );
    assert_eq!(world.asked("search").len(), 1, "and nobody asked meanwhile");
    let cancel = json!({"sync_id": id, "wait_seconds": 20});
    let view = server.call("cancel_sync", cancel).await.unwrap();
    assert_eq!(view["status"], "cancelled", "{view:#}");
    server.end().await.unwrap();
}
