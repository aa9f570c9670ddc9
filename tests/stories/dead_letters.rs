//! "It gave up while Spotify was down. Try those again."

use serde_json::json;

use crate::support::{CLOCKS, World, ended, song, start, until};

#[tokio::test]
async fn a_sync_out_of_attempts_is_kept_and_brought_home_later() {
    let world = World::new().await;
    let server = world.serve().await;
    world.fault(json!({"endpoint": "search", "count": 0, "status": 503})).await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "dead_lettered", "{view:#}");
    assert_eq!(view["error_code"], "upstream_unavailable");
    assert_eq!(view["retry_count"], 2, "three attempts");
    assert!(view["next_step"].as_str().unwrap().contains("retry_failed"), "{view:#}");
    let listed = async |status: &str| {
        let page = server.call("list_syncs", json!({"status": status})).await.unwrap();
        page["syncs"].as_array().unwrap().iter().map(|row| row["sync_id"].clone()).collect::<Vec<_>>()
    };
    until("the list shows it", async || listed("dead_lettered").await == [json!(id)]).await;

    // A retry that fails as well leaves the letter where it is.
    let retry = server.call("retry_failed", json!({"sync_id": id})).await.unwrap();
    assert_eq!(retry["retry_of"], id.as_str());
    let retry_id = retry["sync_id"].as_str().unwrap();
    assert_eq!(ended(&server, retry_id).await["status"], "failed");
    assert_eq!(ended(&server, &id).await["status"], "dead_lettered");

    world.lift_faults().await;
    until("the letter waits again", async || {
        ended(&server, &id).await["retried_by"].is_null()
    })
    .await;
    let retry = server.call("retry_failed", json!({"sync_id": id, "wait_seconds": 45})).await.unwrap();
    assert_eq!((&retry["status"], &retry["success"]), (&json!("completed"), &json!(true)), "{retry:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    until("the letter is closed", async || ended(&server, &id).await["status"] == "failed").await;
    until("the list is empty", async || listed("dead_lettered").await.is_empty()).await;
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_survives_a_kill_and_is_discarded_on_request() {
    let world = World::new().await;
    let server = world.serve().await;
    world.fault(json!({"endpoint": "search", "count": 0, "drop": "before"})).await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    assert_eq!(ended(&server, &id).await["status"], "dead_lettered");
    server.kill().await.unwrap();

    let server = world.serve().await;
    assert_eq!(ended(&server, &id).await["status"], "dead_lettered");
    let view = server.call("cancel_sync", json!({"sync_id": id})).await.unwrap();
    assert_eq!(view["status"], "failed", "{view:#}");
    let answer = server.call_raw("cancel_sync", json!({"sync_id": id})).await.unwrap();
    assert_eq!(answer.is_error, Some(true), "there is nothing left to discard");
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_error_that_no_retry_mends_is_not_retried_and_keeps_no_letter() {
    let world = World::new().await;
    let server = world.serve().await;
    let nobodys = "0000000000000000000000";
    let id = start(&server, song(CLOCKS, nobodys)).await;
    let view = ended(&server, &id).await;
    assert_eq!((&view["status"], &view["error_code"]), (&json!("failed"), &json!("playlist_not_found")), "{view:#}");
    assert_eq!(view["retry_count"], 0);
    assert_eq!(world.asked("playlist_items").len(), 1, "never retried");

    // It can be tried again all the same, as a sync of its own.
    let retry = server.call("retry_failed", json!({"sync_id": id})).await.unwrap();
    let view = ended(&server, retry["sync_id"].as_str().unwrap()).await;
    assert_eq!(view["error_code"], "playlist_not_found");
    server.end().await.unwrap();
}
