//! Every error code, and that no tool ever tries twice.

use rmcp::model::CallToolRequestParams;
use segue_spotify::sim::{Endpoint, Outcome};
use serde_json::{Value, json};

use super::harness::Stage;

/// Each tool with arguments that work, and the endpoint that it ends at.
fn calls(stage: &Stage) -> Vec<(&'static str, Value, Endpoint)> {
    let (id, song) = (stage.empty(), &stage.songs()[0]);
    vec![
        ("search_track", json!({"query": "love"}), Endpoint::Search),
        (
            "search_by_isrc",
            json!({"isrc": "GBUM71029604"}),
            Endpoint::Search,
        ),
        (
            "add_tracks_to_playlist",
            json!({"playlist_id": id, "track_uris": [song]}),
            Endpoint::AddItems,
        ),
        (
            "remove_tracks_from_playlist",
            json!({"playlist_id": id, "track_uris": [song]}),
            Endpoint::RemoveItems,
        ),
        (
            "get_playlist_items",
            json!({"playlist_id": id}),
            Endpoint::PlaylistItems,
        ),
        (
            "verify_track_added",
            json!({"playlist_id": id, "track_uri": song}),
            Endpoint::PlaylistItems,
        ),
        ("get_user_playlists", json!({}), Endpoint::MyPlaylists),
        (
            "create_playlist",
            json!({"name": "x"}),
            Endpoint::CreatePlaylist,
        ),
    ]
}

#[tokio::test]
async fn a_429_says_how_long_to_wait_and_is_not_retried() {
    let stage = Stage::new().await;
    for (tool, arguments, endpoint) in calls(&stage) {
        let before = stage.requests(endpoint).len();
        stage
            .fault(json!({"endpoint": endpoint, "status": 429, "retry_after": 7}))
            .await;
        let error = stage.error(tool, arguments.clone()).await;
        assert_eq!(
            (
                &error["code"],
                &error["retry_after_seconds"],
                &error["status"]
            ),
            (&json!("rate_limited"), &json!(7), &json!(429)),
            "{tool}"
        );
        assert_eq!(
            stage.requests(endpoint).len(),
            before + 1,
            "{tool} must not retry"
        );
        stage.ok(tool, arguments).await;
    }
    // Without a header there is still a number to go by.
    stage
        .fault(json!({"endpoint": "search", "status": 429}))
        .await;
    let error = stage.error("search_track", json!({"query": "x"})).await;
    assert_eq!(error["retry_after_seconds"], 30);
}

#[tokio::test]
async fn what_spotify_breaks_is_upstream_unavailable_and_is_not_retried() {
    let stage = Stage::new().await;
    for fault in [
        json!({"status": 500}),
        json!({"status": 503}),
        json!({"drop": "before"}),
        json!({"drop": "after"}),
        json!({"body": "malformed"}),
        json!({"body": "truncated"}),
        json!({"body": "empty"}),
        json!({"body": "huge"}),
    ] {
        for (tool, arguments, endpoint) in calls(&stage) {
            let before = stage.requests(endpoint).len();
            let mut order = fault.clone();
            order["endpoint"] = json!(endpoint);
            stage.fault(order).await;
            let error = stage.error(tool, arguments).await;
            assert_eq!(error["code"], "upstream_unavailable", "{tool} {fault}");
            assert_eq!(
                stage.requests(endpoint).len(),
                before + 1,
                "{tool} must not retry after {fault}"
            );
        }
    }
}

#[tokio::test]
async fn an_add_whose_answer_was_lost_took_effect_once() {
    let stage = Stage::new().await;
    let song = stage.songs()[0].clone();
    let arguments = json!({"playlist_id": stage.empty(), "track_uris": [song]});
    // A connection that is already in use is the harder case: clients like to retry on those.
    stage
        .ok("get_playlist_items", json!({"playlist_id": stage.empty()}))
        .await;
    stage
        .fault(json!({"endpoint": "add_items", "drop": "after"}))
        .await;
    let error = stage.error("add_tracks_to_playlist", arguments).await;
    assert_eq!(error["code"], "upstream_unavailable");
    assert_eq!(stage.sim.playlist_uris(stage.empty()).unwrap(), [song]);
    let adds = stage.requests(Endpoint::AddItems);
    assert_eq!(adds.len(), 1);
    assert_eq!(
        (adds[0].outcome, adds[0].took_effect),
        (Outcome::Dropped, true)
    );
}

#[tokio::test]
async fn a_failure_in_the_middle_of_a_list_fails_the_call() {
    let stage = Stage::new().await;
    let song = stage.songs()[0].clone();
    let id = stage
        .playlist(json!({"name": "Long", "uris": vec![&song; 120]}))
        .await;
    let arguments = json!({"playlist_id": id, "track_uri": song});
    for (fault, code) in [
        (json!({"status": 429, "retry_after": 3}), "rate_limited"),
        (json!({"body": "truncated"}), "upstream_unavailable"),
    ] {
        let mut order = fault;
        order["endpoint"] = json!("playlist_items");
        order["skip"] = json!(1);
        stage.fault(order).await;
        let error = stage.error("verify_track_added", arguments.clone()).await;
        assert_eq!(
            error["code"], code,
            "half a list must not pass for the whole"
        );
    }
}

#[tokio::test]
async fn unknown_and_foreign_playlists_are_told_apart() {
    let stage = Stage::new().await;
    let song = stage.songs()[0].clone();
    let foreign = stage
        .playlist(json!({"name": "Theirs", "writable": false}))
        .await;
    for (id, code, status) in [
        ("7GhvK8yMbzWmNqQx2dTf01", "playlist_not_found", 404),
        (foreign.as_str(), "playlist_not_writable", 403),
    ] {
        for (tool, arguments) in [
            (
                "add_tracks_to_playlist",
                json!({"playlist_id": id, "track_uris": [song]}),
            ),
            (
                "remove_tracks_from_playlist",
                json!({"playlist_id": id, "track_uris": [song]}),
            ),
            ("get_playlist_items", json!({"playlist_id": id})),
            (
                "verify_track_added",
                json!({"playlist_id": id, "track_uri": song}),
            ),
        ] {
            let error = stage.error(tool, arguments).await;
            assert_eq!(
                (&error["code"], &error["status"]),
                (&json!(code), &json!(status)),
                "{tool}"
            );
        }
    }
    assert_eq!(stage.sim.playlist_uris(&foreign).unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_missing_permission_is_insufficient_scope() {
    let stage = Stage::new().await;
    stage
        .control("tokens", json!({"scopes": ["playlist-read-private"]}))
        .await;
    for (tool, arguments) in [
        (
            "add_tracks_to_playlist",
            json!({"playlist_id": stage.empty(), "track_uris": [stage.songs()[0]]}),
        ),
        ("create_playlist", json!({"name": "x"})),
    ] {
        let error = stage.error(tool, arguments).await;
        assert_eq!(error["code"], "insufficient_scope", "{tool}");
        assert!(
            error["message"].as_str().unwrap().contains("segue login"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_track_that_spotify_does_not_know_is_an_invalid_request() {
    let stage = Stage::new().await;
    let arguments = json!({
        "playlist_id": stage.empty(), "track_uris": ["spotify:track:0000000000000000000000"]
    });
    let error = stage.error("add_tracks_to_playlist", arguments).await;
    assert_eq!(
        (&error["code"], &error["status"]),
        (&json!("invalid_request"), &json!(400))
    );
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error() {
    let stage = Stage::new().await;
    let request = CallToolRequestParams::new("play_music");
    assert!(stage.client.call_tool(request).await.is_err());
}
