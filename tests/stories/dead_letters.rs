//! "It gave up while Spotify was down. Try those again."

use serde_json::json;

use crate::support::{CLOCKS, World, ended, song, start, until};

#[tokio::test]
async fn a_sync_out_of_attempts_is_kept_and_brought_home_later() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    world
        .fault(json!({"endpoint": "search", "count": 0, "status": 503}))
        .await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "dead_lettered", "{view:#}");
    assert_eq!(view["error_code"], "upstream_unavailable");
    assert_eq!(view["retry_count"], 2, "three attempts");
    assert!(
        view["next_step"].as_str().unwrap().contains("retry_failed"),
        "{view:#}"
    );
    let listed = async |status: &str| {
        let page = server
            .call("list_syncs", json!({"status": status}))
            .await
            .unwrap();
        page["syncs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["sync_id"].clone())
            .collect::<Vec<_>>()
    };
    until("the list shows it", async || {
        listed("dead_lettered").await == [json!(id)]
    })
    .await;

    // A retry that fails as well leaves the letter where it is.
    let retry = server
        .call("retry_failed", json!({"sync_id": id}))
        .await
        .unwrap();
    assert_eq!(retry["retry_of"], id.as_str());
    let retry_id = retry["sync_id"].as_str().unwrap();
    assert_eq!(ended(&server, retry_id).await["status"], "failed");
    assert_eq!(ended(&server, &id).await["status"], "dead_lettered");

    world.lift_faults().await;
    until("the letter waits again", async || {
        ended(&server, &id).await["retried_by"].is_null()
    })
    .await;
    let retry = server
        .call("retry_failed", json!({"sync_id": id, "wait_seconds": 45}))
        .await
        .unwrap();
    assert_eq!(
        (&retry["status"], &retry["success"]),
        (&json!("completed"), &json!(true)),
        "{retry:#}"
    );
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    until("the letter is closed", async || {
        ended(&server, &id).await["status"] == "failed"
    })
    .await;
    let closed = ended(&server, &id).await;
    assert_eq!(closed["success"], true, "it is in the playlist: {closed:#}");
    assert_eq!(closed["spotify_track_uri"], CLOCKS.2, "{closed:#}");
    until("the list is empty", async || {
        listed("dead_lettered").await.is_empty()
    })
    .await;
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_survives_a_kill_and_is_discarded_on_request() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    world
        .fault(json!({"endpoint": "search", "count": 0, "drop": "before"}))
        .await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    assert_eq!(ended(&server, &id).await["status"], "dead_lettered");
    server.kill().await.unwrap();

    let server = world.serve_impatiently().await;
    assert_eq!(ended(&server, &id).await["status"], "dead_lettered");
    let view = server
        .call("cancel_sync", json!({"sync_id": id}))
        .await
        .unwrap();
    assert_eq!(view["status"], "failed", "{view:#}");
    let answer = server
        .call_raw("cancel_sync", json!({"sync_id": id}))
        .await
        .unwrap();
    assert_eq!(
        answer.is_error,
        Some(true),
        "there is nothing left to discard"
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_error_that_no_retry_mends_is_not_retried_and_keeps_no_letter() {
    let world = World::new().await;
    let server = world.serve().await;
    let nobodys = "0000000000000000000000";
    let id = start(&server, song(CLOCKS, nobodys)).await;
    let view = ended(&server, &id).await;
    assert_eq!(
        (&view["status"], &view["error_code"]),
        (&json!("failed"), &json!("playlist_not_found")),
        "{view:#}"
    );
    assert_eq!(view["retry_count"], 0);
    assert_eq!(world.asked("playlist_items").len(), 1, "never retried");

    // It can be tried again all the same, as a sync of its own.
    let retry = server
        .call("retry_failed", json!({"sync_id": id}))
        .await
        .unwrap();
    let view = ended(&server, retry["sync_id"].as_str().unwrap()).await;
    assert_eq!(view["error_code"], "playlist_not_found");
    server.end().await.unwrap();
}

#[tokio::test]
async fn what_needs_the_user_fails_at_once_with_its_code_and_its_next_step() {
    let world = World::new().await;
    let server = world.serve().await;
    let spotify = reqwest::Client::new();
    let order = async |path: &str, body: serde_json::Value| -> serde_json::Value {
        let answer = spotify
            .post(format!("{}{path}", world.sim.url()))
            .json(&body)
            .send()
            .await;
        let answer = answer
            .unwrap()
            .error_for_status()
            .unwrap()
            .text()
            .await
            .unwrap();
        serde_json::from_str(&answer).unwrap_or_default()
    };
    let failed = async |playlist: &str| {
        let id = start(&server, song(CLOCKS, playlist)).await;
        let view = ended(&server, &id).await;
        assert_eq!(
            (&view["status"], &view["retry_count"]),
            (&json!("failed"), &json!(0)),
            "{view:#}"
        );
        assert!(
            view["next_step"]
                .as_str()
                .is_some_and(|step| !step.is_empty()),
            "{view:#}"
        );
        view["error_code"].clone()
    };

    let made = order(
        "/_sim/playlists",
        json!({"name": "Theirs", "owner": "somebody", "writable": false}),
    )
    .await;
    let theirs = made["id"]
        .as_str()
        .unwrap_or_else(|| panic!("an id: {made}"));
    assert_eq!(failed(theirs).await, "playlist_not_writable");

    order("/_sim/tokens", json!({"scopes": []})).await;
    assert_eq!(failed(world.empty()).await, "insufficient_scope");
    assert!(world.in_playlist(world.empty()).is_empty());
    server.end().await.unwrap();
}

#[tokio::test]
async fn all_dead_letters_of_a_kind_are_tried_again_by_one_call() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    world
        .fault(json!({"endpoint": "search", "count": 0, "status": 503}))
        .await;
    let kids = ("Kids", "MGMT", "");
    let by_name = start(&server, song(kids, "Fresh Start")).await;
    let by_id = start(&server, song(CLOCKS, world.empty())).await;
    for id in [&by_name, &by_id] {
        assert_eq!(ended(&server, id).await["status"], "dead_lettered");
    }
    world.lift_faults().await;
    let retry = async |call: serde_json::Value| {
        let retried = server.call("retry_failed", call).await.expect("accepted");
        let retries = retried["retries"].as_array().expect("retries").clone();
        let of = |retry: &serde_json::Value| retry["retry_of"].as_str().unwrap().to_owned();
        let ids: Vec<String> = retries.iter().map(of).collect();
        (ids, retries)
    };

    let nothing = server.call("retry_failed", json!({})).await;
    assert!(
        nothing
            .expect_err("refused")
            .to_string()
            .contains("error_code")
    );
    let other = json!({"error_code": "auth_expired"});
    assert!(retry(other).await.0.is_empty());
    let earlier = json!({"all": true, "failed_before": "2026-01-01T00:00:00Z"});
    assert!(retry(earlier).await.0.is_empty());

    until("the list shows them", async || {
        let listed = json!({"status": "dead_lettered"});
        let listed = server.call("list_syncs", listed).await.unwrap();
        listed["syncs"].as_array().unwrap().len() == 2
    })
    .await;
    let (ids, retries) = retry(json!({"playlist": "Fresh Start"})).await;
    assert_eq!(ids, [by_name]);
    let done = ended(&server, retries[0]["sync_id"].as_str().unwrap()).await;
    assert_eq!(done["success"], true, "{done:#}");
    let (ids, retries) = retry(json!({"error_code": "upstream_unavailable"})).await;
    assert_eq!(ids, [by_id], "the other one is at home");
    let done = ended(&server, retries[0]["sync_id"].as_str().unwrap()).await;
    assert_eq!(done["success"], true, "{done:#}");
    assert_eq!(world.in_playlist(world.empty()).len(), 2);
}
