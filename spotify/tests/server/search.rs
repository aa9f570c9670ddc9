//! `search_track` and `search_by_isrc`.

use segue_spotify::sim::Endpoint;
use serde_json::json;

use super::harness::{Stage, refuses};

#[tokio::test]
async fn a_search_finds_tracks_with_all_that_spotify_says() {
    let stage = Stage::new().await;
    let uri = &stage.songs()[0];
    let items = stage
        .ok("get_playlist_items", json!({"playlist_id": stage.full()}))
        .await;
    let song = items["items"][0].clone();
    assert_eq!(&song["uri"], uri);

    let query = format!(
        "track:{} artist:{}",
        song["name"].as_str().unwrap(),
        song["artists"][0].as_str().unwrap()
    );
    let found = stage.ok("search_track", json!({"query": query})).await;
    let tracks = found["tracks"].as_array().unwrap();
    let same = tracks.iter().find(|track| &track["uri"] == uri).unwrap();
    for field in [
        "id",
        "name",
        "artists",
        "album",
        "duration_ms",
        "release_date",
        "explicit",
    ] {
        assert_eq!(same[field], song[field], "{field}");
        assert!(!same[field].is_null(), "{field}");
    }
    assert_eq!(
        same["uri"],
        format!("spotify:track:{}", same["id"].as_str().unwrap())
    );
    assert!(found["total"].as_u64().unwrap() >= tracks.len() as u64);
}

#[tokio::test]
async fn the_query_goes_to_spotify_unaltered_and_pages_follow() {
    let stage = Stage::new().await;
    let query = "love & +\"más\" isrc:x %20";
    stage
        .ok(
            "search_track",
            json!({"query": query, "limit": 3, "offset": 7}),
        )
        .await;
    let request = &stage.requests(Endpoint::Search)[0];
    let sent: std::collections::HashMap<String, String> =
        reqwest::Url::parse(&format!("http://x/?{}", request.query))
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect();
    assert_eq!(sent["q"], query);
    assert_eq!(
        (&*sent["type"], &*sent["limit"], &*sent["offset"]),
        ("track", "3", "7")
    );

    let first = stage
        .ok("search_track", json!({"query": "love", "limit": 2}))
        .await;
    let second = stage
        .ok(
            "search_track",
            json!({"query": "love", "limit": 1, "offset": 1}),
        )
        .await;
    assert_eq!(first["tracks"].as_array().unwrap().len(), 2);
    assert_eq!(first["tracks"][1], second["tracks"][0]);
    // Ten are asked for unless the caller says otherwise; Spotify's own default would be five.
    let ten = stage.ok("search_track", json!({"query": "love"})).await;
    assert_eq!(ten["tracks"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn a_recording_is_found_by_its_isrc() {
    let stage = Stage::new().await;
    let items = stage
        .ok("get_playlist_items", json!({"playlist_id": stage.full()}))
        .await;
    let song = items["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["isrc"].is_string())
        .unwrap();
    let isrc = song["isrc"].as_str().unwrap();
    let written = format!("{}-{}", isrc[..2].to_lowercase(), &isrc[2..]);
    let found = stage.ok("search_by_isrc", json!({"isrc": written})).await;
    let tracks = found["tracks"].as_array().unwrap();
    assert!(
        tracks.iter().any(|track| track["uri"] == song["uri"]),
        "{found}"
    );
    assert!(tracks.iter().all(|track| track["isrc"] == isrc), "{found}");

    let none = stage
        .ok("search_by_isrc", json!({"isrc": "ZZZZZ9999999"}))
        .await;
    assert_eq!(none, json!({"tracks": [], "total": 0}));
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_spotify_sees_them() {
    let stage = Stage::new().await;
    for arguments in [
        json!({}),
        json!({"query": ""}),
        json!({"query": 7}),
        json!({"query": "x".repeat(1001)}),
        json!({"query": "x", "limit": 0}),
        json!({"query": "x", "limit": 11}),
        json!({"query": "x", "limit": -1}),
        json!({"query": "x", "offset": 1001}),
        json!({"query": "x", "type": "album"}),
    ] {
        refuses(&stage, "search_track", arguments).await;
    }
    for isrc in ["", "GBUM7102960", "isrc:GBUM71029604", "GBUM71029604 OR x"] {
        refuses(&stage, "search_by_isrc", json!({"isrc": isrc})).await;
    }
}
