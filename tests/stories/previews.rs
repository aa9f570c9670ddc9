//! "Show me first what you would do, and then do it."

use serde_json::{Value, json};

use crate::{
    batches::{exported, playlist_of, rows, songs, uri_of},
    support::{World, ended, start, start_batch},
};

#[tokio::test]
async fn a_preview_is_done_without_searching_again() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = &songs()[..130];
    let playlist = playlist_of(&world, &songs[..3]).await;
    let mut source: Vec<Value> = songs.iter().map(|song| exported((0, song))).collect();
    source.insert(5, source[4].clone());
    source.push(json!({"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody Of That Name"}));
    let preview = json!({"tracks": source, "playlist": playlist});
    let preview = server.call("preview_sync", preview).await.unwrap();
    let preview_id = preview["sync_id"].as_str().unwrap();
    let preview = ended(&server, preview_id).await;
    let counts = &preview["batch"]["counts"];
    assert_eq!(
        (
            &counts["would_add"],
            &counts["already_there"],
            &counts["not_found"]
        ),
        (&json!(127), &json!(3), &json!(1)),
        "{preview:#}"
    );
    assert_eq!(world.in_playlist(&playlist).len(), 3, "nothing was changed");

    let searched = world.asked("search").len();
    let id = start_batch(&server, json!({"from_preview": preview_id})).await;
    let done = ended(&server, &id).await;
    assert_eq!(done["batch"]["counts"]["added"], 127, "{done:#}");
    assert_eq!(
        world.asked("search").len(),
        searched,
        "nothing is searched again"
    );
    let expected: Vec<String> = songs.iter().map(uri_of).collect();
    assert_eq!(world.in_playlist(&playlist), expected);

    // What it was matched to is in the report of the batch itself.
    let rows = json!({"sync_id": id, "page": 2});
    let rows = server.call("get_sync_progress", rows).await.unwrap();
    let row = &rows["batch"]["rows"][0];
    assert_eq!(
        (
            &row["row"],
            &row["outcome"],
            &row["matched"]["spotify_track_uri"]
        ),
        (&json!(101), &json!("added"), &json!(uri_of(&songs[99]))),
        "{row:#}"
    );
}

#[tokio::test]
async fn what_contradicts_a_preview_or_is_none_is_refused() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = &songs()[..2];
    let preview = server
        .call("preview_sync", json!({"tracks": rows(songs)}))
        .await
        .unwrap();
    let preview = preview["sync_id"].clone();
    ended(&server, preview.as_str().unwrap()).await;
    let refused = async |call: Value| {
        let refused = server.call("sync_playlist", call).await;
        refused.expect_err("refused").to_string()
    };
    let tracks = json!([exported((0, &songs[0]))]);
    for (field, call) in [
        (
            "tracks",
            json!({"from_preview": preview, "tracks": tracks, "playlist": world.empty()}),
        ),
        (
            "match_threshold",
            json!({"from_preview": preview, "match_threshold": 0.5}),
        ),
        (
            "order",
            json!({"from_preview": preview, "order": "reversed"}),
        ),
        // It was for a new playlist, which has no name yet.
        ("playlist", json!({"from_preview": preview})),
        ("unknown_sync", json!({"from_preview": "sync-1"})),
    ] {
        let told = refused(call).await;
        assert!(told.contains(field), "{field}: {told}");
    }
    let single = start(
        &server,
        crate::support::song(crate::support::CLOCKS, world.empty()),
    )
    .await;
    ended(&server, &single).await;
    let told = refused(json!({"from_preview": single})).await;
    assert!(told.contains("no preview"), "{told}");
    let new = json!({"from_preview": preview, "create_playlist": "From a preview"});
    let id = start_batch(&server, new).await;
    let done = ended(&server, &id).await;
    assert_eq!(done["batch"]["counts"]["added"], 2, "{done:#}");
    assert_eq!(world.asked("create_playlist").len(), 1);
}
