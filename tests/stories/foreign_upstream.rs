//! "I already have a Spotify MCP server." A stand-in with the tool names and the answers of
//! hunarjain09/spotify-mcp-integration, reached over HTTP: it answers errors as JSON text without
//! `isError`, and can neither list a playlist nor remove from one.

use serde_json::json;

use crate::{
    stand_in::{PLAYLIST, StandIn, URI},
    support::{World, ended, start_batch, until},
};

#[tokio::test]
async fn a_song_is_synced_through_it_and_its_errors_are_understood() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let launch = world
        .launch()
        .with("SEGUE_UPSTREAM", stand_in.serve().await);
    let server = segue::client::Server::start(&launch).await.unwrap();

    let call = json!({"title": "Clocks", "artist": "Coldplay", "playlist": "Mix"});
    let id = crate::support::start(&server, call.clone()).await;
    let view = ended(&server, &id).await;
    assert_eq!(
        (&view["status"], &view["success"]),
        (&json!("completed"), &json!(true)),
        "{view:#}"
    );
    let id = crate::support::start(&server, call.clone()).await;
    assert_eq!(ended(&server, &id).await["already_present"], true);
    assert_eq!(stand_in.shelf().playlist, [URI]);

    for failure in [
        "http status: 401, code: -1 - The access token expired",
        "Connection aborted.",
    ] {
        stand_in.shelf().fail_search = Some(failure);
        let id = crate::support::start(&server, call.clone()).await;
        if failure.contains("401") {
            crate::support::stands(&server, &id, "waiting_for_sign_in").await;
        }
        let view = ended(&server, &id).await;
        assert_eq!(view["status"], "completed", "{failure}: {view:#}");
    }
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_cancellation_says_that_nothing_can_be_removed() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let launch = world
        .launch()
        .with("SEGUE_UPSTREAM", stand_in.serve().await);
    let server = segue::client::Server::start(&launch).await.unwrap();

    // The add takes effect, but its answer comes after the cancellation.
    stand_in.shelf().hold = true;
    let call = json!({"title": "Clocks", "artist": "Coldplay", "playlist": PLAYLIST});
    let id = crate::support::start(&server, call).await;
    until("the add has taken effect", async || {
        !stand_in.shelf().playlist.is_empty()
    })
    .await;
    server
        .call("cancel_sync", json!({"sync_id": id}))
        .await
        .unwrap();
    stand_in.shelf().hold = false;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "cancelled", "{view:#}");
    let undone = view["undone"].as_str().unwrap();
    assert!(undone.contains("cannot remove tracks"), "{view:#}");
    assert_eq!(
        stand_in.shelf().playlist,
        [URI],
        "it was left, and the user told so"
    );
    server.end().await.unwrap();
}

/// It takes one track a call. What it has taken before a call fails is known, added once, and taken for the batch's
/// own: also where the user wants songs again that are there, so that nothing is looked for.
#[tokio::test]
async fn a_batch_goes_on_where_a_call_failed_and_adds_nothing_twice() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let launch = world
        .launch()
        .with("SEGUE_UPSTREAM", stand_in.serve().await);
    let server = segue::client::Server::start(&launch).await.unwrap();
    let id_of = |song: usize| format!("4uLU6hMCjMI75M1A2tKU{song:02}");
    let tracks: Vec<_> = (10..18)
        .map(|song| json!({"title": format!("Given {song}"), "artist": "By its id", "spotify_id": id_of(song)}))
        .collect();
    let all: Vec<String> = (10..18)
        .map(|song| format!("spotify:track:{}", id_of(song)))
        .collect();
    for (failure, add_duplicates, missing) in [
        ("http status: 429, code: -1 - too many requests", true, None),
        (
            "http status: 429, code: -1 - too many requests",
            false,
            None,
        ),
        ("http status: 502, code: -1 - bad gateway", false, None),
        ("http status: 400, code: -1 - no such track", true, Some(3)),
    ] {
        stand_in.shelf().playlist.clear();
        match missing {
            None => stand_in.shelf().fail_add_after = Some((3, failure)),
            Some(missing) => stand_in.shelf().fail_add_for = Some(all[missing].clone()),
        }
        let call =
            json!({"tracks": tracks, "playlist": PLAYLIST, "add_duplicates": add_duplicates});
        let id = start_batch(&server, call).await;
        let view = ended(&server, &id).await;
        let mut expected = all.clone();
        if let Some(missing) = missing {
            expected.remove(missing);
        }
        let counts = &view["batch"]["counts"];
        let added = expected.len();
        assert_eq!(counts["added"], added, "{failure}: {view:#}");
        assert_eq!(stand_in.shelf().playlist, expected, "{failure}");
        stand_in.shelf().fail_add_for = None;
    }
    server.end().await.unwrap();
}
