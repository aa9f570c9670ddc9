//! "I already have a Spotify MCP server." A stand-in with the tool names and the answers of
//! hunarjain09/spotify-mcp-integration, reached over HTTP: it answers errors as JSON text without
//! `isError`, and can neither list a playlist nor remove from one.

use serde_json::json;

use crate::{
    stand_in::{PLAYLIST, StandIn, URI},
    support::{World, ended, until},
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
