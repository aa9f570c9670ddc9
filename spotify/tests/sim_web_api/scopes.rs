//! A token opens what its scopes allow.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::client::{Client, assert_refused};

const MISSING: &str = "Insufficient client scope";

#[tokio::test]
async fn reading_playlists_asks_for_a_scope() {
    let client = Client::new().await;
    client
        .control(
            "/_sim/tokens",
            json!({"scopes": ["playlist-modify-private"]}),
        )
        .await;
    let items = client.items_path(client.sim.full_playlist_id());
    let playlist = format!("/v1/playlists/{}", client.sim.full_playlist_id());
    for path in ["/v1/me/playlists", &items, &playlist] {
        assert_refused(&client.get(path).await, 403, MISSING);
    }
    for path in ["/v1/me", "/v1/search?q=a&type=track"] {
        assert_eq!(client.get(path).await.0, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn public_and_private_playlists_have_a_scope_each() {
    let client = Client::new().await;
    client
        .control(
            "/_sim/tokens",
            json!({"scopes": ["playlist-modify-public"]}),
        )
        .await;
    let create = |public| {
        client.send(
            Method::POST,
            "/v1/me/playlists",
            json!({"name": "P", "public": public}),
        )
    };
    assert_eq!(create(true).await.0, StatusCode::CREATED);
    assert_refused(&create(false).await, 403, MISSING);
    let private = client.items_path(client.sim.empty_playlist_id());
    let add = client
        .send(Method::POST, &private, json!({"uris": client.some_uris(1)}))
        .await;
    assert_refused(&add, 403, MISSING);
    assert_eq!(
        client.sim.playlist_uris(client.sim.empty_playlist_id()),
        Some(Vec::new())
    );
}

#[tokio::test]
async fn collaborative_playlists_are_listed_with_a_scope_of_their_own() {
    let client = Client::new().await;
    let shared = json!({"name": "Ours", "owner": "other", "writable": true});
    client.control("/_sim/playlists", shared).await;
    assert_eq!(client.get("/v1/me/playlists").await.1["total"], 3);
    client
        .control("/_sim/tokens", json!({"scopes": ["playlist-read-private"]}))
        .await;
    assert_eq!(client.get("/v1/me/playlists").await.1["total"], 2);
}

#[tokio::test]
async fn a_scope_that_spotify_does_not_have_is_refused() {
    let client = Client::new().await;
    let order = json!({"scopes": ["playlist-modify"]});
    let refused = client.send(Method::POST, "/_sim/tokens", order).await;
    assert_refused(&refused, 400, "Spotify has no scope `playlist-modify`");
}
