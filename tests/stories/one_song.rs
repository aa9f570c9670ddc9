//! "Add this song to my playlist."

use std::time::Duration;

use serde_json::json;

use crate::support::{CLOCKS, World, ended, song, start};

#[tokio::test]
async fn a_song_is_added_once_and_a_second_time_is_reported_as_there() {
    let world = World::new().await;
    let server = world.serve().await;

    let first = start(&server, song(CLOCKS, world.empty())).await;
    let view = ended(&server, &first).await;
    assert_eq!(view["status"], "completed", "{view:#}");
    assert_eq!(view["success"], true);
    assert_eq!(view["already_present"], false);
    assert_eq!(view["spotify_track_uri"], CLOCKS.2);
    assert_eq!(view["match_method"], "fuzzy");
    assert_eq!(view["steps_completed"], view["steps_total"]);
    assert!(view["execution_time_seconds"].as_f64().unwrap() > 0.0);

    let again = start(&server, song(CLOCKS, world.empty())).await;
    let view = ended(&server, &again).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(view["already_present"], true);
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(world.effective_adds(), 1);
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_playlist_is_given_by_name_and_the_wait_brings_the_result() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut call = song(CLOCKS, "Fresh Start");
    call["wait_seconds"] = json!(45);
    let view = server.call("sync_track", call).await.unwrap();
    assert_eq!(view["status"], "completed", "{view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);

    let lists = server.call("list_playlists", json!({})).await.unwrap();
    let names: Vec<_> = lists["playlists"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["name"])
        .collect();
    assert!(names.contains(&&json!("Fresh Start")), "{lists:#}");

    let missing = start(&server, song(CLOCKS, "No Such List")).await;
    let view = ended(&server, &missing).await;
    assert_eq!(
        (&view["status"], &view["error_code"]),
        (&json!("failed"), &json!("playlist_not_found"))
    );
    assert!(
        view["next_step"]
            .as_str()
            .unwrap()
            .contains("list_playlists"),
        "{view:#}"
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_song_that_is_not_there_is_a_result_with_the_best_candidate() {
    let world = World::new().await;
    let server = world.serve().await;
    let call = json!({"title": "Clocks of a Killed Process", "artist": "Coldplay", "playlist": world.empty()});
    let id = start(&server, call).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "completed", "{view:#}");
    assert_eq!(view["success"], false);
    assert!(
        view["confidence_score"]
            .as_f64()
            .is_none_or(|score| score < 0.85)
    );
    assert!(world.in_playlist(world.empty()).is_empty());
    assert!(world.asked("add_items").is_empty());
    server.end().await.unwrap();
}

#[tokio::test]
async fn two_identical_syncs_at_once_add_one_track() {
    let world = World::new().await;
    let server = world.serve().await;
    // Slow enough that both have looked before either has added.
    world
        .fault(json!({"endpoint": "any", "count": 0, "latency_ms": 300}))
        .await;
    let ids =
        futures::future::join_all((0..4).map(|_| start(&server, song(CLOCKS, world.empty()))))
            .await;
    let views = futures::future::join_all(ids.iter().map(|id| ended(&server, id))).await;
    assert!(
        views.iter().all(|view| view["success"] == true),
        "{views:#?}"
    );
    let added = views
        .iter()
        .filter(|view| view["already_present"] == false)
        .count();
    assert_eq!(added, 1, "one sync added it, the others found it there");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(world.effective_adds(), 1);
    server.end().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn tools_are_listed_while_the_engine_starts_and_a_call_waits_and_says_so() {
    use std::os::unix::fs::PermissionsExt;

    // An engine that takes its time: the real one, behind a script.
    let world = World::new().await;
    let real = crate::support::engine_binary().await;
    let slow = world.home.path().join("slow-temporal");
    let go = world.home.path().join("go");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = server ] && while [ ! -e '{}' ]; do sleep 0.1; done\nexec {} \"$@\"\n",
        go.display(),
        real.display()
    );
    std::fs::write(&slow, script).unwrap();
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o755)).unwrap();
    let launch = world
        .launch()
        .with("SEGUE_TEMPORAL_CLI", slow.display().to_string());
    let server = segue::client::Server::start(&launch).await.unwrap();

    let tools = server.peer().list_all_tools().await.unwrap();
    assert_eq!(tools.len(), segue_tools::Segue::router().list_all().len());
    let log = std::fs::read_to_string(world.log()).unwrap_or_default();
    assert!(
        !log.contains("engine connected"),
        "the list did not wait: {log}"
    );

    let starts = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        std::fs::write(&go, "").unwrap();
    };
    let call = server.call_raw("list_syncs", json!({}));
    let answer = tokio::join!(call, starts).0.unwrap();
    let sentence = &answer.content[0].as_text().unwrap().text;
    assert!(
        sentence.contains("The engine was still starting: this call waited"),
        "{sentence}"
    );
    let again = server.call_raw("list_syncs", json!({})).await.unwrap();
    assert!(!again.content[0].as_text().unwrap().text.contains("waited"));
    server.end().await.unwrap();
}
