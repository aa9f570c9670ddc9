//! "Add these songs to my playlist", all of them.

use std::collections::BTreeMap;

use segue::client::Server;
use segue_spotify::sim::catalog::{Catalog, Track};
use segue_workflows::{matching::song_keys, track::Candidate};
use serde_json::{Value, json};

use crate::support::{World, ended, held, stands, start_batch};

/// Songs of the catalogue that it holds only once, so that each has one right track.
pub(crate) fn songs() -> Vec<Track> {
    let catalog = Catalog::builtin();
    let words = |track: &Track| {
        let candidate = Candidate {
            title: track.name.clone(),
            artists: track.artists.clone(),
            ..Candidate::default()
        };
        [
            track.isrc.clone().unwrap_or_default(),
            song_keys(&candidate).own,
        ]
    };
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for word in catalog.tracks().iter().flat_map(words) {
        *times.entry(word).or_default() += 1;
    }
    let only = |track: &&Track| {
        let named = !track.name.is_empty() && track.artists.iter().any(|name| !name.is_empty());
        named && track.isrc.is_some() && words(track).iter().all(|word| times[word] == 1)
    };
    catalog.tracks().iter().filter(only).cloned().collect()
}

pub(crate) fn uri_of(song: &Track) -> String {
    format!("spotify:track:{}", song.id)
}

/// A song as another service exports it: the artists joined its own way, and every other one without
/// an ISRC.
pub(crate) fn exported((place, song): (usize, &Track)) -> Value {
    let mut row = json!({"title": song.name, "artist": song.artists.join(" & ")});
    if place % 2 == 0 {
        row["isrc"] = json!(song.isrc);
    }
    row
}

pub(crate) fn rows(songs: &[Track]) -> Vec<Value> {
    songs.iter().enumerate().map(exported).collect()
}

/// The same with all ISRCs, so that every match is certain.
pub(crate) fn certain(songs: &[Track]) -> Vec<Value> {
    songs.iter().map(|song| exported((0, song))).collect()
}

/// A playlist with these songs in it.
pub(crate) async fn playlist_of(world: &World, songs: &[Track]) -> String {
    let uris: Vec<String> = songs.iter().map(uri_of).collect();
    let made = world
        .order("playlists", json!({"name": "Before", "uris": uris}))
        .await;
    made["id"].as_str().expect("an id").to_owned()
}

pub(crate) async fn report(server: &Server, view: &Value) -> Vec<Value> {
    let uri = view["batch"]["report"].as_str().expect("a report");
    let report = server.read(uri).await.expect("the report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    report["rows"].as_array().expect("rows").clone()
}

fn outcomes(rows: &[Value]) -> Vec<&str> {
    let outcome = |row: &'_ Value| row["outcome"].as_str().map(str::len);
    assert!(rows.iter().all(|row| outcome(row).is_some()));
    rows.iter()
        .map(|row| row["outcome"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_batch_goes_in_in_order_and_every_row_is_accounted_for() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let (there, new) = (&songs[..3], &songs[3..9]);
    let playlist = playlist_of(&world, there).await;
    let mut source = rows(new);
    source.insert(2, exported((0, &there[1])));
    source.insert(4, source[0].clone());
    source.push(json!({"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody Of That Name"}));

    let id = start_batch(&server, json!({"tracks": source, "playlist": playlist})).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "completed", "{view:#}");
    assert_eq!(view["success"], false, "one was not found: {view:#}");
    let counts = &view["batch"]["counts"];
    assert_eq!(
        (&counts["total"], &counts["added"]),
        (&json!(9), &json!(6)),
        "{view:#}"
    );

    let expected: Vec<String> = there.iter().chain(new).map(uri_of).collect();
    assert_eq!(world.in_playlist(&playlist), expected);
    assert_eq!(
        world.asked("add_items").len(),
        1,
        "one call for all of them"
    );

    let report = report(&server, &view).await;
    assert_eq!(
        outcomes(&report),
        [
            "added",
            "added",
            "already_there",
            "added",
            "repeated",
            "added",
            "added",
            "added",
            "not_found"
        ]
    );
    assert_eq!(report[0]["matched"]["spotify_track_uri"], uri_of(&new[0]));
    assert_eq!(report[0]["matched"]["match_method"], "isrc");
    assert_eq!(report[8]["row"], 9);
    // The same, by page and as a table.
    let page = json!({"sync_id": id, "page": 1});
    let page = server.call("get_sync_progress", page).await.unwrap();
    assert_eq!(page["batch"]["rows"], json!(report));
    let table = server
        .read(&format!("sync://{id}/report.csv"))
        .await
        .unwrap();
    assert_eq!(table.lines().count(), 10, "{table}");
    // And the batch is listed like any sync.
    let listed = server.call("list_syncs", json!({})).await.unwrap();
    assert_eq!(listed["syncs"][0]["sync_id"], json!(id));
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_preview_changes_nothing_and_says_what_would_be() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let playlist = playlist_of(&world, &songs[..2]).await;
    let call = json!({"tracks": rows(&songs[1..4]), "playlist": playlist, "wait_seconds": 30});
    let view = server.call("preview_sync", call).await.unwrap();
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(
        outcomes(&report(&server, &view).await),
        ["already_there", "would_add", "would_add"]
    );
    assert_eq!(world.in_playlist(&playlist).len(), 2);
    assert!(
        world
            .sim
            .requests()
            .iter()
            .all(|request| !request.took_effect)
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_new_playlist_is_made_once_and_private_though_the_answer_is_lost() {
    let world = World::new().await;
    let server = world.serve().await;
    world
        .fault(json!({"endpoint": "create_playlist", "count": 1, "drop": "after"}))
        .await;
    let songs = songs();
    let call = json!({"tracks": rows(&songs[..3]), "create_playlist": "From my export",
        "order": "reversed"});
    let id = start_batch(&server, call).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    let made: Vec<_> = world
        .asked("create_playlist")
        .into_iter()
        .filter(|request| request.took_effect)
        .collect();
    assert_eq!(made.len(), 1);
    let expected: Vec<String> = songs[..3].iter().rev().map(uri_of).collect();
    let playlist = view["playlist"].as_str().unwrap();
    assert_eq!(world.in_playlist(playlist), expected);
    server.end().await.unwrap();
}

#[tokio::test]
async fn two_identical_batches_at_once_add_every_song_once() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let call = json!({"tracks": certain(&songs[..150]), "playlist": world.empty()});
    let (one, other) = tokio::join!(
        start_batch(&server, call.clone()),
        start_batch(&server, call.clone())
    );
    let mut added = 0;
    for id in [one, other] {
        let view = ended(&server, &id).await;
        assert_eq!(view["success"], true, "{view:#}");
        added += view["batch"]["counts"]["added"].as_u64().unwrap();
    }
    let there = world.in_playlist(world.empty());
    assert_eq!(there, songs[..150].iter().map(uri_of).collect::<Vec<_>>());
    assert_eq!(added, 150);
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_call_that_spotify_refuses_is_split_until_the_culprit_is_found() {
    let world = World::new().await;
    let server = world.serve().await;
    world
        .fault(json!({"endpoint": "add_items", "count": 3, "status": 400}))
        .await;
    let songs = songs();
    let call = json!({"tracks": rows(&songs[..4]), "playlist": world.empty()});
    let id = start_batch(&server, call).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "completed", "{view:#}");
    // Refused: all four, the first half, and the first.
    let expected: Vec<String> = songs[1..4].iter().map(uri_of).collect();
    assert_eq!(world.in_playlist(world.empty()), expected);
    let report = report(&server, &view).await;
    assert_eq!(outcomes(&report), ["failed", "added", "added", "added"]);
    assert!(report[0]["reason"].is_string(), "{report:#?}");

    // Only that one is tried again.
    let again = json!({"sync_id": id, "wait_seconds": 30});
    let again = server.call("retry_failed", again).await.unwrap();
    assert_eq!(again["batch"]["counts"]["total"], 1, "{again:#}");
    assert_eq!(
        world.in_playlist(world.empty()).last(),
        Some(&uri_of(&songs[0]))
    );
    let nothing_left = server
        .call("retry_failed", json!({"sync_id": again["sync_id"]}))
        .await;
    assert!(
        nothing_left
            .unwrap_err()
            .to_string()
            .contains("No row of this batch")
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_uncertain_match_is_left_out_or_taken_as_was_asked() {
    let world = World::new().await;
    let server = world.serve().await;
    let track = json!({"title": "Clocks", "artist": "Coldplay", "duration_ms": 900_000});
    for (on_ambiguous, added) in [("skip", 0), ("best", 1)] {
        let call = json!({"tracks": [track], "playlist": world.empty(),
            "on_ambiguous": on_ambiguous});
        let id = start_batch(&server, call).await;
        let view = ended(&server, &id).await;
        assert_eq!(view["batch"]["counts"]["added"], added, "{view:#}");
        if added == 0 {
            let report = report(&server, &view).await;
            assert_eq!(outcomes(&report), ["uncertain"], "{report:#?}");
            assert!(
                report[0]["candidates"][0]["title"].is_string(),
                "{report:#?}"
            );
        }
    }
    server.end().await.unwrap();
}

#[tokio::test]
async fn cancelled_half_way_an_atomic_batch_leaves_the_playlist_as_it_was() {
    for atomic in [true, false] {
        let world = World::new().await;
        let server = world.serve().await;
        let songs = songs();
        let before = playlist_of(&world, &songs[..5]).await;
        // The cancellation comes between two adds.
        world.fault(held("add_items", 1, "latency_ms")).await;
        let call = json!({"tracks": certain(&songs[5..305]), "playlist": before, "atomic": atomic});
        let id = start_batch(&server, call).await;
        world.until_asked("add_items", 2).await;
        let _ = server
            .call("cancel_sync", json!({"sync_id": id}))
            .await
            .unwrap();
        world.let_go().await;
        let view = ended(&server, &id).await;
        assert_eq!(view["status"], "cancelled", "{view:#}");
        let there = world.in_playlist(&before);
        let expected: Vec<String> = songs[..5].iter().map(uri_of).collect();
        assert_eq!(there[..5], expected);
        let counts = &view["batch"]["counts"];
        let report = report(&server, &view).await;
        assert_eq!(
            report.len(),
            300,
            "every row, also those whose turn never came"
        );
        let told = report
            .iter()
            .filter(|row| row["outcome"] == "added")
            .count();
        assert_eq!(told, there.len() - 5, "{counts:#}");
        if atomic {
            assert_eq!(there.len(), 5, "{view:#}");
            assert!(counts["taken_out"].as_u64() >= Some(100), "{counts:#}");
        } else {
            assert!((100..300).contains(&told), "{told}");
            let message = view["message"].as_str().unwrap();
            assert!(message.contains("What was added stays"), "{message}");
            // The rest can be had later.
            let rest = json!({"sync_id": id, "wait_seconds": 45});
            let rest = server.call("retry_failed", rest).await.unwrap();
            assert_eq!(rest["success"], true, "{rest:#}");
            let all: Vec<String> = songs[..305].iter().map(uri_of).collect();
            assert_eq!(world.in_playlist(&before), all);
        }
        server.end().await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_that_needs_a_sign_in_says_so_and_can_be_cancelled() {
    let world = World::new().await;
    let server = world.serve().await;
    world
        .tokens(json!({"expire_access": true, "revoke_refresh": true}))
        .await;
    let songs = songs();
    let call = json!({"tracks": certain(&songs[..3]), "playlist": "Fresh Start"});
    let id = start_batch(&server, call).await;
    let view = stands(&server, &id, "waiting_for_sign_in").await;
    assert!(
        view["next_step"].as_str().unwrap().contains("segue login"),
        "{view:#}"
    );
    assert!(view["waiting_until"].is_string(), "{view:#}");
    let cancelled = json!({"sync_id": id, "wait_seconds": 20});
    let view = server.call("cancel_sync", cancelled).await.unwrap();
    assert_eq!(view["status"], "cancelled", "{view:#}");
    assert_eq!(report(&server, &view).await.len(), 3, "no row is forgotten");
    server.end().await.unwrap();
}

#[tokio::test]
async fn all_or_nothing_takes_out_what_was_added_when_a_song_is_not_found() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let mut source = certain(&songs[..150]);
    source.push(json!({"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody Of That Name"}));
    let call = json!({"tracks": source, "playlist": world.empty(), "atomic": true});
    let id = start_batch(&server, call).await;
    let view = ended(&server, &id).await;
    assert_eq!(
        (&view["status"], &view["success"]),
        (&json!("completed"), &json!(false))
    );
    assert!(world.in_playlist(world.empty()).is_empty(), "{view:#}");
    let message = view["message"].as_str().unwrap();
    assert!(message.contains("is as it was before"), "{message}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn all_or_nothing_vouches_for_the_playlist_only_if_it_knows() {
    for (fault, words) in [
        (json!({"status": 403}), "is as it was before"),
        (
            json!({"no_effect": true}),
            "may be in the playlist all the same",
        ),
    ] {
        let world = World::new().await;
        let server = world.serve().await;
        let mut fault = fault;
        (fault["endpoint"], fault["count"]) = (json!("add_items"), json!(0));
        world.fault(fault).await;
        let call =
            json!({"tracks": certain(&songs()[..3]), "playlist": world.empty(), "atomic": true});
        let view = ended(&server, &start_batch(&server, call).await).await;
        let message = view["message"].as_str().unwrap();
        assert!(message.contains(words), "{view:#}");
        server.end().await.unwrap();
    }
}

/// It comes out from the end, page by page, and the second of them is refused.
#[tokio::test]
async fn what_could_not_be_taken_out_again_is_told_row_by_row_and_brought_home_by_a_retry() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let mut source = certain(&songs[..300]);
    source.push(json!({"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody Of That Name"}));
    world
        .fault(json!({"endpoint": "remove_items", "skip": 1, "count": 0, "status": 403}))
        .await;
    let call = json!({"tracks": source, "playlist": world.empty(), "atomic": true});
    let id = start_batch(&server, call).await;
    let view = ended(&server, &id).await;
    let counts = &view["batch"]["counts"];
    assert_eq!(world.in_playlist(world.empty()).len(), 200, "{view:#}");
    let told = ["added", "taken_out", "failed", "not_found"].map(|fate| counts[fate].as_u64());
    assert_eq!(told, [100, 100, 100, 1].map(Some), "{view:#}");
    let rows = report(&server, &view).await;
    assert_eq!(outcomes(&rows[..100]), ["added"; 100]);
    assert_eq!(outcomes(&rows[100..200]), ["failed"; 100]);
    assert_eq!(outcomes(&rows[200..300]), ["taken_out"; 100]);
    assert!(rows[100]["reason"].is_string(), "{:#}", rows[100]);

    world.lift_faults().await;
    let retry = json!({"sync_id": id, "wait_seconds": 45});
    let retry = server.call("retry_failed", retry).await.unwrap();
    assert_eq!(retry["success"], true, "{retry:#}");
    let mut there = world.in_playlist(world.empty());
    there.sort();
    let mut all: Vec<String> = songs[..300].iter().map(uri_of).collect();
    all.sort();
    assert_eq!(there, all);
    server.end().await.unwrap();
}
