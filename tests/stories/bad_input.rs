//! "I mistyped." Each mistake gets an answer that names the field and what is allowed.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn a_wrong_argument_is_named_and_starts_nothing() {
    let world = World::new().await;
    let server = world.serve().await;
    let good = json!({"title": "Clocks", "artist": "Coldplay", "playlist": world.empty()});
    for (field, value) in [
        ("title", json!("")),
        ("title", json!(7)),
        ("artist", json!("x".repeat(2_000))),
        ("playlist", json!("spotify:album:0BCPKOYdS2jbQ8iyB56Zns")),
        ("isrc", json!("12345")),
        ("duration_ms", json!(-1)),
        ("match_threshold", json!(1.5)),
        ("wait_seconds", json!(46)),
        ("wait", json!(3)),
    ] {
        let mut call = good.clone();
        call[field] = value;
        let answer = server.call_raw("sync_track", call).await.unwrap();
        assert_eq!(answer.is_error, Some(true), "{field}");
        let text = &answer.content[0].as_text().unwrap().text;
        assert!(text.contains(field), "{field}: {text}");
    }
    let empty = server.call_raw("sync_track", json!({})).await.unwrap();
    assert_eq!(empty.is_error, Some(true));
    let listed = server.call("list_syncs", json!({})).await.unwrap();
    assert_eq!(listed["syncs"], json!([]));
    server.end().await.unwrap();
}

#[tokio::test]
async fn syncs_are_listed_by_filter_and_by_page() {
    let world = World::new().await;
    let server = world.serve().await;
    for artist in ["One's", "Two", "Three"] {
        let call = json!({"title": "Nothing Like It \u{2603}", "artist": artist, "playlist": world.empty()});
        let id = crate::support::start(&server, call).await;
        crate::support::ended(&server, &id).await;
    }
    let list = async |filter: serde_json::Value| server.call("list_syncs", filter).await.unwrap();
    crate::support::until("all three are listed as completed", async || {
        list(json!({"status": "completed"})).await["syncs"]
            .as_array()
            .unwrap()
            .len()
            == 3
    })
    .await;
    let first = list(json!({"limit": 2})).await;
    assert_eq!(first["syncs"].as_array().unwrap().len(), 2);
    let second = list(json!({"limit": 2, "cursor": first["next_cursor"]})).await;
    assert_eq!(second["syncs"].as_array().unwrap().len(), 1);
    assert_eq!(
        second["syncs"][0]["artist"], "One's",
        "the oldest comes last"
    );
    for (filter, count) in [
        (json!({"artist": "One's"}), 1),
        (json!({"artist": "one"}), 0),
        (
            json!({"track": "Nothing Like It \u{2603}", "playlist": world.empty()}),
            3,
        ),
        (json!({"started_after": "2100-01-01T00:00:00Z"}), 0),
        (json!({"started_before": "2100-01-01T00:00:00Z"}), 3),
        (json!({"status": "running"}), 0),
    ] {
        let page = list(filter.clone()).await;
        assert_eq!(page["syncs"].as_array().unwrap().len(), count, "{filter}");
    }
    server.end().await.unwrap();
}
