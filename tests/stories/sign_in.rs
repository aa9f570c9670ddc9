//! "My sign-in had expired, and I only saw it in the evening."

use std::process::Stdio;

use segue::{
    client::{Launch, Server},
    processes,
};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{CLOCKS, World, ended, song, stands, start};

/// A world whose sign-in is the one that `segue login` keeps.
async fn world() -> (World, Launch) {
    let world = World::new().await;
    let launch = world.launch().with("SPOTIFY_REFRESH_TOKEN", "");
    (world, launch)
}

/// `segue login`, and the user who agrees in the browser. Gives what it said.
pub(crate) async fn login(launch: &Launch) -> String {
    let mut login = launch
        .command(&["login", "--no-browser"])
        .unwrap()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(login.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.trim().starts_with("http") {
            let page = reqwest::get(line.trim()).await.unwrap();
            assert!(page.status().is_success(), "{page:?}");
        }
        said += &line;
    }
    assert!(login.wait().await.unwrap().success(), "{said}");
    said
}

/// The same, beside a server that stands still meanwhile: its syncs look by themselves every 5 s, and one that looks
/// just then is none that waits.
async fn login_beside(server: &Server, launch: &Launch) -> String {
    let process = server.pid().unwrap();
    assert!(processes::freeze(process));
    let said = login(launch).await;
    assert!(processes::thaw(process));
    said
}

#[tokio::test]
async fn syncs_wait_for_the_sign_in_and_go_on_by_themselves_after_it() {
    let (world, launch) = world().await;
    let server = Server::start(&launch).await.unwrap();
    let titles = [
        CLOCKS,
        ("Kids", "MGMT", ""),
        ("Poker Face", "Lady Gaga", ""),
    ];
    let mut ids = Vec::new();
    for title in titles {
        ids.push(start(&server, song(title, world.empty())).await);
    }
    for id in &ids {
        let view = stands(&server, id, "waiting_for_sign_in").await;
        assert_eq!(view["error_code"], "auth_expired", "{view:#}");
        assert!(view.to_string().contains("segue login"), "{view:#}");
    }
    let health = server.call("get_health", json!({})).await.unwrap();
    assert!(
        health["problems"].to_string().contains("segue login"),
        "{health:#}"
    );

    let said = login_beside(&server, &launch).await;
    assert!(
        said.contains("3 sync(s) that waited for it go on"),
        "{said}"
    );
    for id in &ids {
        let view = ended(&server, id).await;
        assert_eq!(view["success"], true, "{view:#}");
        assert_eq!(view["retry_count"], 0, "waiting is no retry: {view:#}");
    }
    assert_eq!(world.in_playlist(world.empty()).len(), 3);
    server.end().await.unwrap();
}

/// In the middle of the work: between the search and the add.
#[tokio::test]
async fn a_sign_in_that_is_revoked_on_the_way_is_waited_for_where_it_was_missed() {
    let (world, launch) = world().await;
    login(&launch).await;
    let server = Server::start(&launch).await.unwrap();
    world.hold("playlist_items", "latency_after_ms").await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    world.until_asked("playlist_items", 1).await;
    world
        .tokens(json!({"expire_access": true, "revoke_refresh": true}))
        .await;
    world.let_go().await;
    let view = stands(&server, &id, "waiting_for_sign_in").await;
    assert_eq!(view["current_step"], "add", "{view:#}");

    let said = login_beside(&server, &launch).await;
    assert!(
        said.contains("1 sync(s) that waited for it go on"),
        "{said}"
    );
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(world.effective_adds(), 1);
    let dead = json!({"status": "dead_lettered"});
    let dead = server.call("list_syncs", dead).await.unwrap();
    assert_eq!(dead["syncs"], json!([]));
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_access_token_that_expires_on_the_way_is_renewed_unseen() {
    let world = World::new().await;
    let server = world.serve().await;
    for endpoint in ["playlist_items", "add_items"] {
        world
            .fault(json!({"endpoint": endpoint, "count": 1, "latency_ms": 700}))
            .await;
    }
    let id = start(&server, song(CLOCKS, world.empty())).await;
    for endpoint in ["playlist_items", "add_items"] {
        world.until_asked(endpoint, 1).await;
        world.tokens(json!({"expire_access": true})).await;
    }
    let view = ended(&server, &id).await;
    assert_eq!(
        (&view["success"], &view["retry_count"]),
        (&json!(true), &json!(0)),
        "{view:#}"
    );
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert!(world.asked("token").len() >= 2, "it was renewed");
    server.end().await.unwrap();
}
