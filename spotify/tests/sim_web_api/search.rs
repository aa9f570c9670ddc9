//! Searching, as far as HTTP goes. What is found is the business of the index's own tests.

use serde_json::json;

use super::client::{Client, assert_refused};

#[tokio::test]
async fn a_song_is_found_by_its_isrc() {
    let client = Client::new().await;
    let (_, page) = client
        .get(&client.items_path(client.sim.full_playlist_id()))
        .await;
    let song = &page["items"][0]["item"];
    let isrc = song["external_ids"]["isrc"].as_str().unwrap();
    let (_, found) = client
        .get(&format!("/v1/search?q=isrc:{isrc}&type=track"))
        .await;
    let ids = found["tracks"]["items"].as_array().unwrap();
    assert!(
        ids.iter().any(|found| found["id"] == song["id"]),
        "{found:#}"
    );
    assert!(
        ids.iter()
            .all(|found| found["external_ids"]["isrc"] == isrc),
        "{found:#}"
    );
}

#[tokio::test]
async fn a_page_has_5_songs_unless_asked_and_its_link_leads_on() {
    let client = Client::new().await;
    let (_, first) = client.get("/v1/search?q=love&type=track").await;
    assert_eq!(first["tracks"]["items"].as_array().map(Vec::len), Some(5));
    let (_, second) = client.follow(&first["tracks"]["next"]).await;
    assert_eq!(second["tracks"]["offset"], 5);
    assert_ne!(first["tracks"]["items"], second["tracks"]["items"]);
    assert_eq!(first["tracks"]["total"], second["tracks"]["total"]);
}

#[tokio::test]
async fn a_limit_of_zero_only_counts() {
    let client = Client::new().await;
    let (_, found) = client.get("/v1/search?q=love&type=track&limit=0").await;
    assert_eq!(found["tracks"]["items"], json!([]));
    assert!(found["tracks"]["total"].as_u64().unwrap() > 10);
}

#[tokio::test]
async fn a_search_without_sense_is_refused() {
    let client = Client::new().await;
    for (query, message) in [
        ("type=track", "No search query"),
        ("q=a", "Missing parameter type"),
        ("q=a&type=song", "Bad search type field song"),
        ("q=a&type=album", "The simulator searches tracks only"),
    ] {
        assert_refused(
            &client.get(&format!("/v1/search?{query}")).await,
            400,
            message,
        );
    }
}
