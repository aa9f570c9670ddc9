//! "Here is the list that the other program gave me."

use segue::client::Server;
use segue_spotify::sim::catalog::Track;
use serde_json::{Value, json};

use crate::{
    batches::{songs, uri_of},
    support::{World, ended, start_batch},
};

/// A field as CSV has it.
fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

/// The songs as TuneMyMusic exports them, ISRCs in lower case.
fn tunemymusic(songs: &[(&Track, &str)]) -> String {
    let row = |(song, playlist): &(&Track, &str)| {
        let isrc = song.isrc.clone().unwrap_or_default().to_lowercase();
        let fields = [&song.name, &song.artists.join(", "), &song.album];
        let fields: Vec<String> = fields.into_iter().map(|field| quoted(field)).collect();
        format!("{},{playlist},Playlist,{isrc}\r\n", fields.join(","))
    };
    let heading = "\u{feff}Track name,Artist name,Album,Playlist name,Type,ISRC\r\n";
    heading.to_owned() + &songs.iter().map(row).collect::<String>()
}

/// The songs as Exportify exports them, with Spotify's own URIs.
fn exportify(songs: &[Track]) -> String {
    let heading = "\"Track URI\",\"Track Name\",\"Artist URI(s)\",\"Artist Name(s)\",\"Album URI\",\
                   \"Album Name\",\"Track Duration (ms)\",\"ISRC\",\"Added By\",\"Added At\"\n";
    let row = |song: &Track| {
        let (uri, artists) = (uri_of(song), song.artists.join(","));
        let length = song.duration_ms.to_string();
        let isrc = song.isrc.clone().unwrap_or_default();
        let fields = [
            &uri,
            &song.name,
            "",
            &artists,
            "",
            &song.album,
            &length,
            &isrc,
            "",
            "",
        ];
        fields.map(quoted).join(",") + "\n"
    };
    heading.to_owned() + &songs.iter().map(row).collect::<String>()
}

async fn report(server: &Server, sync_id: &str) -> Value {
    let uri = format!("sync://{sync_id}/report.json");
    let report = server.read(&uri).await.expect("the report");
    serde_json::from_str(&report).expect("JSON")
}

async fn refused(server: &Server, call: Value) -> String {
    let answer = server.call("sync_playlist", call).await;
    answer.expect_err("refused").to_string()
}

#[tokio::test]
async fn the_text_of_an_export_is_synced_and_its_broken_rows_are_reported() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let listed: Vec<(&Track, &str)> = songs[..3].iter().map(|song| (song, "Mix")).collect();
    let mut export = tunemymusic(&listed);
    export.push_str(",Nobody,,Mix,Playlist,\r\nRumours,Fleetwood Mac,,Albums,Album,\r\n");
    export.push_str(&tunemymusic(&[(&songs[3], "Mix")])[3..]);

    let call = json!({"export": export, "playlist": world.empty()});
    let started = server.call("sync_playlist", call).await.expect("accepted");
    let import = &started["batch"]["import"];
    assert_eq!(import["format"], "tune_my_music", "{started:#}");
    assert_eq!(import["unreadable"], 2, "{started:#}");
    let first = &import["first_unreadable"][0];
    assert_eq!(
        (&first["line"], &first["reason"]),
        (&json!(5), &json!("It has no title.")),
        "{started:#}"
    );

    let id = started["sync_id"].as_str().expect("an id");
    let view = ended(&server, id).await;
    assert_eq!(view["batch"]["counts"]["added"], 4, "{view:#}");
    assert_eq!(view["batch"]["import"], *import);
    let expected: Vec<String> = songs[..4].iter().map(uri_of).collect();
    assert_eq!(world.in_playlist(world.empty()), expected);
    // The lower-case ISRCs were understood: one search each, and not one by text.
    assert_eq!(world.asked("search").len(), 4);

    let told = report(&server, id).await;
    let lines: Vec<&Value> = told["rows"].as_array().unwrap().iter().collect();
    let lines: Vec<&Value> = lines.into_iter().map(|row| &row["line"]).collect();
    assert_eq!(lines, [2, 3, 4, 8]);
    let unreadable = told["unreadable"].as_array().expect("a list");
    assert_eq!(unreadable.len(), 2, "{told:#}");
    assert_eq!(unreadable[1]["line"], 6);
    assert_eq!(unreadable[1]["playlist"], "Albums");
    assert_eq!(unreadable[1]["reason"], "It is an album, not a track.");
    let table = server.read(&format!("sync://{id}/report.csv")).await;
    let table = table.expect("the table");
    let broken: Vec<&str> = table
        .lines()
        .filter(|l| l.contains(",unreadable,"))
        .collect();
    assert_eq!(broken.len(), 2, "{table}");
    assert!(broken[0].starts_with(",5,"), "{table}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_export_that_names_spotifys_tracks_costs_no_search() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let id = start_batch(
        &server,
        json!({"export": exportify(&songs[..30]), "playlist": world.empty()}),
    )
    .await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    let expected: Vec<String> = songs[..30].iter().map(uri_of).collect();
    assert_eq!(world.in_playlist(world.empty()), expected);
    assert_eq!(world.asked("search").len(), 0);
    let told = report(&server, &id).await;
    let matched = &told["rows"][29]["matched"];
    assert_eq!(matched["match_method"], "given", "{told:#}");
    assert_eq!(matched["spotify_track_uri"], uri_of(&songs[29]));
    assert_eq!(matched["confidence_score"], 1.0);

    // So does a single song whose link the user has.
    let song = &songs[30];
    let link = format!("https://open.spotify.com/track/{}?si=1", song.id);
    let call = json!({"title": song.name, "artist": song.artists[0], "spotify_id": link,
        "playlist": world.empty(), "wait_seconds": 30});
    let view = server.call("sync_track", call).await.expect("accepted");
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(view["match_method"], "given", "{view:#}");
    assert_eq!(world.in_playlist(world.empty()).last(), Some(&uri_of(song)));
    assert_eq!(world.asked("search").len(), 0);
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_song_that_spotify_no_longer_has_fails_and_the_others_do_not() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let mut rows = songs[..4].to_vec();
    rows[2].id = "0000000000000000000000".to_owned();
    let call = json!({"export": exportify(&rows), "playlist": world.empty()});
    let id = start_batch(&server, call).await;
    let view = ended(&server, &id).await;
    let told = report(&server, &id).await;
    let outcomes: Vec<&str> = told["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["added", "added", "failed", "added"], "{view:#}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_long_export_is_still_known_by_its_lines_after_many_pages() {
    let world = World::new().await;
    let server = world.serve().await;
    let any = &songs()[0];
    // More than the pages of one run, so that the batch continues as new on the way.
    let song = |n: usize| Track {
        id: format!("{n:022}"),
        name: format!("Tune of the day {n}"),
        artists: vec!["The Almanac".to_owned()],
        isrc: None,
        ..any.clone()
    };
    let rows: Vec<Track> = (0..5_050).map(song).collect();
    let export = exportify(&rows[..10]) + "broken\n" + &exportify(&rows[10..]);
    let call = json!({"export": export});
    let view = server.call("preview_sync", call).await.expect("accepted");
    let id = view["sync_id"].as_str().expect("an id");
    let view = ended(&server, id).await;
    assert_eq!(view["batch"]["counts"]["would_add"], 5_050, "{view:#}");
    assert_eq!(view["batch"]["import"]["unreadable"], 1, "{view:#}");
    let told = report(&server, id).await;
    let line = |row: usize| told["rows"][row - 1]["line"].as_u64();
    // Behind the broken row stands the heading once more.
    assert_eq!((line(1), line(10), line(11)), (Some(2), Some(11), Some(14)));
    assert_eq!(line(5_050), Some(5_053));
    assert_eq!(told["unreadable"][0]["line"], 12);
    server.end().await.unwrap();
}

#[tokio::test]
async fn of_a_file_with_several_playlists_one_or_all_are_taken() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let export = tunemymusic(&[
        (&songs[0], "Road Trip"),
        (&songs[1], "Sleep"),
        (&songs[2], "Road Trip"),
    ]);
    let call = |playlist: Option<&str>| {
        json!({"export": export, "create_playlist": "From my export",
            "source_playlist": playlist})
    };
    let error = refused(&server, call(None)).await;
    assert!(error.contains("source_playlist"), "{error}");
    assert!(
        error.contains(r#"\"Road Trip\" (2), \"Sleep\" (1)"#)
            || error.contains(r#""Road Trip" (2), "Sleep" (1)"#),
        "{error}"
    );
    for (playlist, expected) in [("Road Trip", vec![0, 2]), ("*", vec![0, 2, 1])] {
        let id = start_batch(&server, call(Some(playlist))).await;
        let view = ended(&server, &id).await;
        assert_eq!(view["success"], true, "{view:#}");
        let expected: Vec<String> = expected.into_iter().map(|n| uri_of(&songs[n])).collect();
        let made = view["playlist"].as_str().unwrap();
        assert_eq!(world.in_playlist(made), expected, "{playlist}");
    }
    // Nothing but these two was started.
    let listed = server.call("list_syncs", json!({})).await.unwrap();
    assert_eq!(listed["syncs"].as_array().unwrap().len(), 2, "{listed:#}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_file_is_read_inside_the_folders_that_are_allowed_and_nowhere_else() {
    let world = World::new().await;
    let root = tempfile::tempdir().unwrap();
    let (allowed, secret) = (root.path().join("music"), root.path().join("secret.m3u8"));
    std::fs::create_dir(&allowed).unwrap();
    let songs = songs();
    let line = |song: &Track| {
        let seconds = song.duration_ms / 1000;
        format!(
            "#EXTINF:{seconds},{} - {}\n/x/1.mp3\n",
            song.artists[0], song.name
        )
    };
    let list = "#EXTM3U\n".to_owned() + &songs[..2].iter().map(line).collect::<String>();
    let list_file = allowed.join("my list.m3u8");
    std::fs::write(&list_file, &list).unwrap();
    std::fs::write(&secret, &list).unwrap();

    let launch = world.launch();
    let launch = launch.with("SEGUE_IMPORT_FOLDERS", allowed.display().to_string());
    let server = Server::start(&launch).await.expect("the server starts");
    let call = |file: &std::path::Path| json!({"file": file, "playlist": world.empty()});
    let preview = json!({"file": list_file, "wait_seconds": 30});
    let view = server.call("preview_sync", preview).await.unwrap();
    assert_eq!(view["batch"]["counts"]["would_add"], 2, "{view:#}");
    let id = start_batch(&server, call(&list_file)).await;
    assert_eq!(ended(&server, &id).await["success"], true);
    assert_eq!(world.in_playlist(world.empty()).len(), 2);

    let mut elsewhere = vec![
        secret.clone(),
        allowed.join("../secret.m3u8"),
        root.path().join("no such file"),
        allowed.clone(),
    ];
    #[cfg(unix)]
    {
        let link = allowed.join("link.m3u8");
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        elsewhere.push(link);
    }
    let mut refusals = Vec::new();
    for path in &elsewhere {
        let error = refused(&server, call(path)).await;
        assert!(error.contains("import_folders"), "{error}");
        refusals.push(error);
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "none tells more than the others");
    server.end().await.unwrap();

    // Without a folder no file is read, and the error says which setting is missing.
    let server = world.serve().await;
    let error = refused(&server, call(&list_file)).await;
    assert!(error.contains("import_folders"), "{error}");
    assert_eq!(world.effective_adds(), 1);
    server.end().await.unwrap();
}
