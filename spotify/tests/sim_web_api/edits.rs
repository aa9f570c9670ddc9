//! Changing playlists: what is allowed, what it does, and what the snapshot ids say.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Answer, Client, assert_refused};

impl Client {
    async fn add(&self, id: &str, body: Value) -> Answer {
        self.send(Method::POST, &self.items_path(id), body).await
    }

    fn empty(&self) -> &str {
        self.sim.empty_playlist_id()
    }

    #[track_caller]
    fn assert_holds(&self, id: &str, uris: &[&String]) {
        assert_eq!(
            self.sim
                .playlist_uris(id)
                .unwrap()
                .iter()
                .collect::<Vec<_>>(),
            uris
        );
    }
}

#[tokio::test]
async fn songs_are_added_in_order_and_may_repeat() {
    let client = Client::new().await;
    let uris = client.some_uris(3);
    let (status, answer) = client.add(client.empty(), json!({"uris": uris})).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(answer["snapshot_id"].is_string());
    client
        .add(client.empty(), json!({"uris": [uris[0]], "position": 1}))
        .await;
    client.assert_holds(client.empty(), &[&uris[0], &uris[0], &uris[1], &uris[2]]);
}

#[tokio::test]
async fn uris_in_the_query_win_over_the_body() {
    let client = Client::new().await;
    let uris = client.some_uris(3);
    let path = format!(
        "{}?uris={},{}",
        client.items_path(client.empty()),
        uris[1],
        uris[2]
    );
    client
        .send(Method::POST, &path, json!({"uris": [uris[0]]}))
        .await;
    client.assert_holds(client.empty(), &[&uris[1], &uris[2]]);
}

#[tokio::test]
async fn a_hundred_at_once_and_no_more() {
    let client = Client::new().await;
    let refused = client
        .add(client.empty(), json!({"uris": client.some_uris(101)}))
        .await;
    assert_refused(
        &refused,
        400,
        "You can add a maximum of 100 tracks per request.",
    );
    client.assert_holds(client.empty(), &[]);
    let (status, _) = client
        .add(client.empty(), json!({"uris": client.some_uris(100)}))
        .await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn one_bad_uri_adds_none() {
    let client = Client::new().await;
    let good = client.some_uris(1).remove(0);
    for (bad, message) in [
        (
            "spotify:track:0000000000000000000000",
            "Payload contains a non-existing ID",
        ),
        ("spotify:album:1", "Unsupported URL / URI: spotify:album:1"),
    ] {
        let refused = client
            .add(client.empty(), json!({"uris": [good, bad]}))
            .await;
        assert_refused(&refused, 400, message);
    }
    client.assert_holds(client.empty(), &[]);
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused() {
    let client = Client::new().await;
    let uri = client.some_uris(1).remove(0);
    for (body, message) in [
        (json!({}), "No uris provided"),
        (json!({"uris": []}), "No uris provided"),
        (
            json!({"uris": [uri], "position": 1}),
            "Index out of bounds.",
        ),
        (
            json!({"uris": [uri], "position": -1}),
            "Index out of bounds.",
        ),
    ] {
        assert_refused(&client.add(client.empty(), body).await, 400, message);
    }
    let (status, _) = client
        .add(client.empty(), json!({"uris": "not a list"}))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn removing_takes_every_occurrence_whatever_positions_say() {
    let client = Client::new().await;
    let uris = client.some_uris(2);
    client
        .add(client.empty(), json!({"uris": [uris[0], uris[1], uris[0]]}))
        .await;
    let body = json!({"items": [{"uri": uris[0], "positions": [2]}]});
    let path = client.items_path(client.empty());
    let (status, _) = client.send(Method::DELETE, &path, body).await;
    assert_eq!(status, StatusCode::OK);
    client.assert_holds(client.empty(), &[&uris[1]]);
}

#[tokio::test]
async fn a_snapshot_id_names_the_version_to_remove_from() {
    let client = Client::new().await;
    let uri = client.some_uris(1).remove(0);
    let (_, first) = client.add(client.empty(), json!({"uris": [uri]})).await;
    let (_, second) = client.add(client.empty(), json!({"uris": [uri]})).await;
    assert_ne!(first, second);
    let path = client.items_path(client.empty());
    let body = json!({"items": [{"uri": uri}], "snapshot_id": first["snapshot_id"]});
    let (_, third) = client.send(Method::DELETE, &path, body).await;
    client.assert_holds(client.empty(), &[&uri]);
    let (_, playlist) = client
        .get(&format!("/v1/playlists/{}", client.empty()))
        .await;
    assert_eq!(playlist["snapshot_id"], third["snapshot_id"]);
    let body = json!({"items": [{"uri": uri}], "snapshot_id": "c3RyYW5nZQ=="});
    let refused = client.send(Method::DELETE, &path, body).await;
    assert_refused(&refused, 400, "Invalid snapshot id");
}

#[tokio::test]
async fn put_replaces_or_moves_but_not_both() {
    let client = Client::new().await;
    let uris = client.some_uris(3);
    let path = client.items_path(client.sim.full_playlist_id());
    client.send(Method::PUT, &path, json!({"uris": uris})).await;
    client
        .send(
            Method::PUT,
            &path,
            json!({"range_start": 2, "insert_before": 0}),
        )
        .await;
    client.assert_holds(
        client.sim.full_playlist_id(),
        &[&uris[2], &uris[0], &uris[1]],
    );
    let both = json!({"uris": uris, "range_start": 0, "insert_before": 1});
    let refused = client.send(Method::PUT, &path, both).await;
    assert_refused(&refused, 400, "Items are replaced or reordered, not both");
}

#[tokio::test]
async fn somebody_elses_playlist_is_neither_read_nor_changed() {
    let client = Client::new().await;
    let made = json!({"name": "Theirs", "writable": false});
    let made = client.control("/_sim/playlists", made).await;
    assert_eq!(made["writable"], false);
    let id = made["id"].as_str().unwrap();
    assert_refused(&client.get(&client.items_path(id)).await, 403, "Forbidden");
    let refused = client.add(id, json!({"uris": client.some_uris(1)})).await;
    assert_refused(&refused, 403, "You cannot change a playlist you don't own.");
    let (_, details) = client.get(&format!("/v1/playlists/{id}")).await;
    assert_eq!(
        (&details["name"], details.get("items")),
        (&json!("Theirs"), None)
    );
}

#[tokio::test]
async fn a_collaborative_playlist_is_shared() {
    let client = Client::new().await;
    let made = json!({"name": "Ours", "owner": "other", "writable": true});
    let made = client.control("/_sim/playlists", made).await;
    let id = made["id"].as_str().unwrap();
    let uri = client.some_uris(1).remove(0);
    let (status, _) = client.add(id, json!({"uris": [uri]})).await;
    assert_eq!(status, StatusCode::CREATED);
    client.assert_holds(id, &[&uri]);
}

#[tokio::test]
async fn playlists_are_created_public_unless_asked() {
    let client = Client::new().await;
    let (status, made) = client
        .send(Method::POST, "/v1/me/playlists", json!({"name": "P"}))
        .await;
    assert_eq!(
        (status, &made["public"]),
        (StatusCode::CREATED, &json!(true))
    );
    let both = json!({"name": "C", "collaborative": true});
    let refused = client.send(Method::POST, "/v1/me/playlists", both).await;
    assert_refused(&refused, 400, "Collaborative playlists can only be private");
    let refused = client
        .send(Method::POST, "/v1/me/playlists", json!({"name": " "}))
        .await;
    assert_refused(&refused, 400, "Missing required field: name");
}

#[tokio::test]
async fn unknown_and_deprecated_paths() {
    let client = Client::new().await;
    let unknown = client.get("/v1/playlists/0000000000000000000000").await;
    assert_refused(&unknown, 404, "Resource not found");
    assert_refused(
        &client.get("/v1/playlists/short").await,
        400,
        "Invalid base62 id",
    );
    assert_refused(&client.get("/v1/albums/1").await, 404, "Service not found");
    let old = format!("/v1/playlists/{}/tracks", client.sim.full_playlist_id());
    assert_refused(&client.get(&old).await, 403, "Forbidden");
    let old = "/v1/users/segue_listener/playlists";
    let refused = client.send(Method::POST, old, json!({"name": "Old"})).await;
    assert_refused(&refused, 403, "Forbidden");
}
