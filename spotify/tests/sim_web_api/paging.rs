//! Long lists come in pages, and every page is reached by following links.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, assert_refused};

/// Follows `next` from `path` to the end; returns all items and the number of pages.
async fn walk(client: &Client, path: &str) -> (Vec<Value>, usize) {
    let (_, mut page) = client.get(path).await;
    let (mut all, mut pages) = (Vec::new(), 1);
    loop {
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        if page["next"].is_null() {
            assert_eq!(page["total"], all.len());
            return (all, pages);
        }
        page = client.follow(&page["next"]).await.1;
        pages += 1;
    }
}

#[tokio::test]
async fn a_playlist_of_1001_songs_has_21_pages_in_order() {
    let client = Client::new().await;
    let id = client.playlist_of(1_001).await;
    let (items, pages) = walk(&client, &format!("{}?limit=50", client.items_path(&id))).await;
    let uris: Vec<&str> = items
        .iter()
        .map(|item| item["item"]["uri"].as_str().unwrap())
        .collect();
    assert_eq!(
        (uris, pages),
        (
            client.some_uris(1_001).iter().map(String::as_str).collect(),
            21
        )
    );
}

#[tokio::test]
async fn pages_have_20_items_unless_asked() {
    let client = Client::new().await;
    let id = client.playlist_of(45).await;
    let (_, page) = client
        .get(&format!("{}?offset=20", client.items_path(&id)))
        .await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(20));
    let (_, back) = client.follow(&page["previous"]).await;
    assert_eq!(
        (&back["offset"], &back["previous"]),
        (&json!(0), &Value::Null)
    );
}

#[tokio::test]
async fn every_playlist_of_the_user_is_listed_newest_first() {
    let client = Client::new().await;
    for number in 0..120 {
        let body = json!({"name": format!("List {number}"), "public": false});
        client.send(Method::POST, "/v1/me/playlists", body).await;
    }
    let (lists, pages) = walk(&client, "/v1/me/playlists?limit=50").await;
    assert_eq!((lists.len(), pages), (122, 3));
    assert_eq!(lists[0]["name"], "List 119");
}

#[tokio::test]
async fn limits_and_offsets_out_of_range_are_refused() {
    let client = Client::new().await;
    let items = client.items_path(client.sim.full_playlist_id());
    let search = "/v1/search?q=a&type=track";
    for (path, message) in [
        (format!("{items}?limit=51"), "Invalid limit"),
        (format!("{items}?limit=-1"), "Invalid limit"),
        (format!("{items}?offset=x"), "Invalid offset"),
        ("/v1/me/playlists?limit=51".to_owned(), "Invalid limit"),
        (format!("{search}&limit=11"), "Invalid limit"),
        (format!("{search}&offset=1001"), "Invalid offset"),
    ] {
        assert_refused(&client.get(&path).await, 400, message);
    }
}

#[tokio::test]
async fn a_client_can_ask_for_some_fields_only() {
    let client = Client::new().await;
    let items = client.items_path(client.sim.full_playlist_id());
    let (_, page) = client
        .get(&format!("{items}?limit=1&fields=total,items(item.uri)"))
        .await;
    assert_eq!(
        page,
        json!({"total": 12, "items": [{"item": {"uri": client.some_uris(1)[0]}}]})
    );
    let playlist = format!("/v1/playlists/{}?fields", client.sim.full_playlist_id());
    let (_, page) = client.get(&format!("{playlist}=items.total")).await;
    assert_eq!(page, json!({"items": {"total": 12}}));
    assert_refused(
        &client.get(&format!("{playlist}=items(")).await,
        400,
        "Invalid fields",
    );
}
