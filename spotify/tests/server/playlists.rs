//! The tools that read and change playlists.

use segue_spotify::sim::Endpoint;
use serde_json::{Value, json};

use super::harness::{Stage, refuses};

#[tokio::test]
async fn tracks_are_added_in_order_at_the_end_or_at_a_place() {
    let stage = Stage::new().await;
    let songs = stage.songs();
    let answer = stage
        .ok(
            "add_tracks_to_playlist",
            json!({"playlist_id": stage.empty(), "track_uris": songs[..2]}),
        )
        .await;
    assert_eq!(answer["added"], 2);
    assert!(!answer["snapshot_id"].as_str().unwrap().is_empty());

    // The playlist by its link, a track twice, before the others.
    let link = format!("https://open.spotify.com/playlist/{}?si=x", stage.empty());
    let answer = stage
        .ok(
            "add_tracks_to_playlist",
            json!({"playlist_id": link, "track_uris": [songs[2], songs[2]], "position": 0}),
        )
        .await;
    assert_eq!(answer["added"], 2);
    assert_eq!(
        stage.sim.playlist_uris(stage.empty()).unwrap(),
        [&songs[2], &songs[2], &songs[0], &songs[1]].map(Clone::clone)
    );
    assert_eq!(stage.requests(Endpoint::AddItems).len(), 2);
}

#[tokio::test]
async fn removal_takes_every_occurrence_and_repeats_harmlessly() {
    let stage = Stage::new().await;
    let songs = stage.songs();
    let id = stage
        .playlist(json!({"name": "Twice", "uris": [songs[0], songs[1], songs[0], songs[2]]}))
        .await;
    let order = json!({"playlist_id": id, "track_uris": [songs[0], songs[0], songs[2]]});
    let answer = stage.ok("remove_tracks_from_playlist", order.clone()).await;
    assert_eq!(answer["removed"], 2);
    assert_eq!(stage.sim.playlist_uris(&id).unwrap(), [songs[1].clone()]);

    let mut again = order;
    again["snapshot_id"] = answer["snapshot_id"].clone();
    stage.ok("remove_tracks_from_playlist", again).await;
    assert_eq!(stage.sim.playlist_uris(&id).unwrap(), [songs[1].clone()]);
}

#[tokio::test]
async fn a_playlist_is_read_page_by_page() {
    let stage = Stage::new().await;
    let songs = stage.songs();
    let uris: Vec<String> = songs.iter().cycle().take(120).cloned().collect();
    let id = stage.playlist(json!({"name": "Long", "uris": uris})).await;

    let (mut read, mut offset, mut pages) = (Vec::new(), json!(0), 0);
    while !offset.is_null() {
        let page = stage
            .ok(
                "get_playlist_items",
                json!({"playlist_id": id, "offset": offset}),
            )
            .await;
        assert_eq!((&page["total"], &page["limit"]), (&json!(120), &json!(50)));
        assert_eq!(page["offset"], offset);
        for item in page["items"].as_array().unwrap() {
            assert!(
                item["added_at"].is_string() && item["name"].is_string(),
                "{item}"
            );
            read.push(item["uri"].as_str().unwrap().to_owned());
        }
        offset = page["next_offset"].clone();
        pages += 1;
    }
    assert_eq!(read, uris);
    assert_eq!(pages, 3);

    let beyond = stage
        .ok(
            "get_playlist_items",
            json!({"playlist_id": id, "offset": 500, "limit": 1}),
        )
        .await;
    assert_eq!(beyond["items"], json!([]));
    assert!(beyond.get("next_offset").is_none(), "{beyond}");
}

#[tokio::test]
async fn a_track_is_looked_for_on_every_page() {
    let stage = Stage::new().await;
    let songs = stage.songs();
    let mut uris = vec![songs[0].clone(); 130];
    for place in [3, 55, 129] {
        uris[place].clone_from(&songs[1]);
    }
    let id = stage.playlist(json!({"name": "Hay", "uris": uris})).await;
    let found = stage
        .ok(
            "verify_track_added",
            json!({"playlist_id": id, "track_uri": songs[1]}),
        )
        .await;
    assert_eq!(
        found,
        json!({"present": true, "positions": [3, 55, 129], "total": 130})
    );
    assert_eq!(stage.requests(Endpoint::PlaylistItems).len(), 3);

    let absent = stage
        .ok(
            "verify_track_added",
            json!({"playlist_id": id, "track_uri": songs[2]}),
        )
        .await;
    assert_eq!(
        absent,
        json!({"present": false, "positions": [], "total": 130})
    );
    let empty = stage
        .ok(
            "verify_track_added",
            json!({"playlist_id": stage.empty(), "track_uri": songs[2]}),
        )
        .await;
    assert_eq!(
        empty,
        json!({"present": false, "positions": [], "total": 0})
    );
}

#[tokio::test]
async fn all_playlists_are_listed_and_say_which_are_writable() {
    let stage = Stage::new().await;
    let other = stage
        .playlist(json!({"name": "Theirs", "writable": false, "uris": stage.songs()}))
        .await;
    let shared = stage
        .playlist(json!({"name": "Ours", "owner": "a_friend", "writable": true}))
        .await;
    for number in 0..110 {
        stage
            .playlist(json!({"name": format!("Mix {number}")}))
            .await;
    }
    let answer = stage.ok("get_user_playlists", json!({})).await;
    let playlists = answer["playlists"].as_array().unwrap();
    assert_eq!(playlists.len(), 114);
    assert_eq!(stage.requests(Endpoint::MyPlaylists).len(), 3);

    let by_id = |id: &str| -> &Value { playlists.iter().find(|one| one["id"] == id).unwrap() };
    let theirs = by_id(&other);
    assert_eq!(
        (
            &theirs["writable"],
            &theirs["collaborative"],
            &theirs["total_tracks"]
        ),
        (&json!(false), &json!(false), &json!(stage.songs().len()))
    );
    let ours = by_id(&shared);
    assert_eq!(
        (&ours["writable"], &ours["collaborative"], &ours["owner_id"]),
        (&json!(true), &json!(true), &json!("a_friend"))
    );
    let own = by_id(stage.full());
    assert_eq!(
        (&own["writable"], &own["public"]),
        (&json!(true), &json!(false))
    );
    assert!(
        own["owner_id"].is_string() && own.get("description").is_none(),
        "{own}"
    );
}

#[tokio::test]
async fn a_new_playlist_is_private_unless_asked() {
    let stage = Stage::new().await;
    let made = stage
        .ok(
            "create_playlist",
            json!({"name": " Täglich ", "description": "für \"immer\""}),
        )
        .await["playlist"]
        .clone();
    assert_eq!(made["name"], "Täglich");
    assert_eq!(made["description"], "für \"immer\"");
    assert_eq!(
        (&made["public"], &made["writable"], &made["total_tracks"]),
        (&json!(false), &json!(true), &json!(0))
    );
    assert_eq!(
        stage.sim.playlist_uris(made["id"].as_str().unwrap()),
        Some(Vec::new())
    );

    let public = stage
        .ok("create_playlist", json!({"name": "Open", "public": true}))
        .await;
    assert_eq!(public["playlist"]["public"], true);
    assert_eq!(stage.requests(Endpoint::CreatePlaylist).len(), 2);
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_spotify_sees_them() {
    let stage = Stage::new().await;
    let song = stage.songs()[0].clone();
    let (id, many) = (stage.empty().to_owned(), vec![song.clone(); 101]);
    for (tool, arguments) in [
        ("add_tracks_to_playlist", json!({"playlist_id": id})),
        (
            "add_tracks_to_playlist",
            json!({"playlist_id": id, "track_uris": []}),
        ),
        (
            "add_tracks_to_playlist",
            json!({"playlist_id": id, "track_uris": many}),
        ),
        (
            "add_tracks_to_playlist",
            json!({"playlist_id": id, "track_uris": ["spotify:album:1"]}),
        ),
        (
            "add_tracks_to_playlist",
            json!({"playlist_id": "a/../b", "track_uris": [song]}),
        ),
        (
            "add_tracks_to_playlist",
            json!({"playlist_id": id, "track_uris": [song], "position": -1}),
        ),
        (
            "remove_tracks_from_playlist",
            json!({"playlist_id": "", "track_uris": [song]}),
        ),
        (
            "remove_tracks_from_playlist",
            json!({"playlist_id": id, "track_uris": [song], "snapshot_id": ""}),
        ),
        (
            "get_playlist_items",
            json!({"playlist_id": id, "limit": 51}),
        ),
        ("get_playlist_items", json!({"playlist_id": id, "limit": 0})),
        (
            "get_playlist_items",
            json!({"playlist_id": id, "offset": "3"}),
        ),
        (
            "verify_track_added",
            json!({"playlist_id": id, "track_uri": "spotify:artist:1"}),
        ),
        ("create_playlist", json!({"name": "  "})),
        ("create_playlist", json!({"name": "x".repeat(501)})),
        (
            "create_playlist",
            json!({"name": "x", "description": "x".repeat(1001)}),
        ),
        (
            "create_playlist",
            json!({"name": "x", "collaborative": true}),
        ),
    ] {
        refuses(&stage, tool, arguments).await;
    }
}
