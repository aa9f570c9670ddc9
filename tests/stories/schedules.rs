//! "Keep every week's Discover Weekly." Schedules: archives, mirrors, dead letters, and runs that were
//! missed.

use std::time::Duration;

use jiff::Timestamp;
use segue::client::{Conversation, Launch, Server};
use segue_spotify::sim::catalog::Track;
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;

use crate::{
    batches::{playlist_of, songs, uri_of},
    scaling::recorded,
    support::{CLOCKS, World, ended, song, start, until},
};

/// Makes a schedule that does not run by itself while a story is told, and gives its id.
pub(crate) async fn schedule(server: &Conversation, what: Value) -> String {
    let mut call = json!({"name": "A schedule", "cron": "@yearly"});
    for (field, value) in what.as_object().expect("fields") {
        call[field] = value.clone();
    }
    let made = server.call("schedule_sync", call).await.expect("made");
    made["schedule_id"].as_str().expect("an id").to_owned()
}

/// Runs a schedule and waits for the end: the run.
async fn run(server: &Server, schedule_id: &str) -> Value {
    let call = json!({"schedule_id": schedule_id, "wait_seconds": 45});
    let ran = server.call("run_schedule_now", call).await.expect("a run");
    assert_eq!(ran["run"]["status"], "completed", "{ran:#}");
    ran["run"].clone()
}

async fn look(server: &Server, schedule_id: &str) -> Value {
    let call = json!({"schedule_id": schedule_id});
    let listed = server.call("list_schedules", call).await.expect("a list");
    listed["schedules"][0].clone()
}

async fn refused(server: &Server, tool: &'static str, call: Value) -> Value {
    let answer = server.call_raw(tool, call).await.expect("an answer");
    assert_eq!(answer.is_error, Some(true), "{answer:?}");
    answer.structured_content.expect("content")["error"].clone()
}

fn uris(songs: &[Track]) -> Vec<String> {
    songs.iter().map(uri_of).collect()
}

#[tokio::test]
async fn three_weeks_of_discover_weekly_are_kept_in_order_and_nothing_is_searched() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let weekly = playlist_of(&world, &songs[..30]).await;
    let call = json!({
        "name": "Archive of Discover Weekly", "source_playlist": weekly,
        "create_playlist": "Every Discover Weekly", "cron": "30 6 * * MON", "time_zone": "Europe/Berlin",
    });
    let id = schedule(&server, call).await;
    let first = run(&server, &id).await;
    assert_eq!(
        (&first["new_songs"], &first["added"]),
        (&json!(30), &json!(30))
    );
    let sync_id = first["sync_id"].as_str().expect("a sync");
    let view = ended(&server, sync_id).await;
    assert_eq!(view["batch"]["counts"]["added"], 30, "{view:#}");
    let archive = view["playlist"]
        .as_str()
        .expect("the new playlist")
        .to_owned();

    // The same week once more: nothing is new, and Spotify is asked for the source alone.
    let before = world.sim.requests().len();
    let again = run(&server, &id).await;
    assert_eq!(
        (&again["new_songs"], &again["sync_id"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(world.sim.requests().len() - before, 1);

    // Two songs of the first week come back in the second; what the user has taken out of the archive
    // and what is still in the source does not come back to it.
    let mut second = uris(&songs[28..58]);
    world.refill(&weekly, &second).await;
    assert_eq!(run(&server, &id).await["added"], 28);
    let kept = uris(&songs[..57]);
    world.refill(&archive, &kept).await;
    second.rotate_left(10);
    world.refill(&weekly, &second).await;
    assert_eq!(run(&server, &id).await["new_songs"], 0);
    world.refill(&weekly, &uris(&songs[60..90])).await;
    assert_eq!(run(&server, &id).await["added"], 30);

    let expected = [kept, uris(&songs[60..90])].concat();
    assert_eq!(world.in_playlist(&archive), expected, "in order, each once");
    assert!(world.asked("search").is_empty(), "nothing was searched");
    let named = |name: &str| world.asked(name).iter().filter(|r| r.took_effect).count();
    assert_eq!(named("create_playlist"), 1, "one archive");
    let view = look(&server, &id).await;
    assert_eq!((&view["runs"], &view["paused"]), (&json!(5), &json!(false)));
    assert_eq!(
        view["last_runs"].as_array().expect("runs").len(),
        5,
        "{view:#}"
    );
    assert_eq!(view["time_zone"], "Europe/Berlin");
    assert!(view["next_runs"][0].is_string(), "{view:#}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_schedule_that_fires_while_the_worker_is_away_leaves_out_what_would_overlap() {
    let world = World::new().await;
    let engine = world.engine().await;
    let server = world.serve().await;
    let songs = songs();
    let source = playlist_of(&world, &songs[..3]).await;
    let every = |overlap: &str| {
        json!({
            "name": overlap, "source_playlist": source, "create_playlist": overlap,
            "interval_seconds": 10, "jitter_seconds": 0, "overlap": overlap, "paused": true,
        })
    };
    let skip = schedule_every(&server, every("skip")).await;
    let buffer = schedule_every(&server, every("buffer_one")).await;
    for id in [&skip, &buffer] {
        let call = json!({"schedule_id": id});
        let resumed = server.call("resume_schedule", call).await.unwrap();
        assert_eq!(resumed["paused"], false, "{resumed:#}");
    }
    server.kill().await.unwrap();

    // The engine goes on without a worker: their times come, three of them at least.
    let described = async |id: &str| {
        let schedule = engine.client().get_schedule_handle(id);
        schedule.describe(Default::default()).await.unwrap()
    };
    until("three times have come", async || {
        described(&skip).await.overlap_skipped() >= 2
    })
    .await;
    let away = described(&skip).await;
    assert_eq!(away.action_count(), 1, "one run waits for a worker");
    assert!(world.sim.requests().is_empty());

    let back = Timestamp::now();
    let server = world.serve().await;
    let runs = async |id: &str| {
        let view = look(&server, id).await;
        let mut runs = view["last_runs"].as_array().expect("runs").clone();
        runs.reverse();
        runs
    };
    for id in [&skip, &buffer] {
        until("two runs have ended", async || {
            let runs = runs(id).await;
            let ended = |run: &&Value| run["status"] == "completed";
            runs.iter().take(2).filter(ended).count() == 2
        })
        .await;
    }
    let missed = |runs: &[Value]| {
        let time = |run: &Value| run["scheduled_for"].as_str().and_then(|t| t.parse().ok());
        let times = runs.iter().map(|run| time(run).expect("a time"));
        times.filter(|time: &Timestamp| *time < back).count()
    };
    let (skipped, buffered) = (runs(&skip).await, runs(&buffer).await);
    assert_eq!(
        missed(&skipped),
        1,
        "one for all that were missed: {skipped:#?}"
    );
    assert_eq!(
        missed(&buffered),
        2,
        "that one, and one that waited: {buffered:#?}"
    );
    for runs in [&skipped, &buffered] {
        assert_eq!(runs[0]["added"], 3, "{runs:#?}");
        assert!(
            runs[1..].iter().all(|run| run["new_songs"] != 3),
            "{runs:#?}"
        );
    }
    for id in [&skip, &buffer] {
        let call = json!({"schedule_id": id});
        server.call("pause_schedule", call).await.unwrap();
    }
    server.end().await.unwrap();
}

/// Waits until the engine has asked the batch of a run to end.
async fn a_run_is_cancelled(world: &World) {
    let engine = world.engine().await;
    until("a run is cancelled", async || {
        let runs = recorded(&engine, "WorkflowType = 'BatchSync'").await;
        let mut events = runs.iter().flat_map(|run| &run.events);
        events.any(|event| {
            let Some(attributes) = &event.attributes else {
                return false;
            };
            matches!(
                attributes,
                Attributes::WorkflowExecutionCancelRequestedEventAttributes(_)
            )
        })
    })
    .await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_by_the_next_hands_on_what_it_has_done() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let source = playlist_of(&world, &songs[..120]).await;
    let what = json!({
        "source_playlist": source, "playlist": world.empty(), "overlap": "cancel_other",
    });
    let id = schedule(&server, what).await;
    world.hold("add_items", "latency_after_ms").await;
    let call = json!({"schedule_id": id});
    server.call("run_schedule_now", call).await.unwrap();
    world.until_asked("add_items", 1).await;
    let let_go = async {
        a_run_is_cancelled(&world).await;
        world.let_go().await;
    };
    let (second, ()) = tokio::join!(run(&server, &id), let_go);
    assert_eq!(
        (&second["new_songs"], &second["added"]),
        (&json!(20), &json!(20)),
        "{second:#}"
    );
    let first = &look(&server, &id).await["last_runs"][1];
    assert_eq!(
        (&first["added"], &first["success"]),
        (&json!(100), &json!(false)),
        "{first:#}"
    );
    assert_eq!(world.in_playlist(world.empty()), uris(&songs[..120]));
    server.end().await.unwrap();
}

#[tokio::test]
async fn what_the_source_has_and_nobody_can_add_is_told() {
    let world = World::new().await;
    let server = world.serve().await;
    let source = playlist_of(&world, &songs()[..3]).await;
    let call = json!({"source_playlist": source, "playlist": world.empty()});
    let id = schedule(&server, call).await;
    world
        .fault(json!({"endpoint": "playlist_items", "body": "first_gone"}))
        .await;
    let ran = run(&server, &id).await;
    assert_eq!(ran["added"], 2, "{ran:#}");
    let message = ran["message"].as_str().unwrap();
    assert!(
        message.contains("One entry of the source cannot be added"),
        "{message}"
    );
    server.end().await.unwrap();
}

/// Spotify has many a recording under several ids, and its lists change from one to the other.
#[tokio::test]
async fn a_mirror_follows_a_song_whose_id_has_changed() {
    let world = World::new().await;
    let server = world.serve().await;
    let [old, new] = ["02XnQdf7sipaKBBHixz3Zp", "3FF6jZY1wDHXJUUN18qsLx"]
        .map(|id| format!("spotify:track:{id}"));
    let source = playlist_of(&world, &songs()[..1]).await;
    world.refill(&source, std::slice::from_ref(&old)).await;
    let call = json!({
        "source_playlist": source, "playlist": world.empty(), "remove_gone": true,
    });
    let id = schedule(&server, call).await;
    assert_eq!(run(&server, &id).await["added"], 1);
    world.refill(&source, std::slice::from_ref(&new)).await;
    let second = run(&server, &id).await;
    assert_eq!(second["removed"], 1, "{second:#}");
    assert!(
        second["message"].as_str().unwrap().contains("another id"),
        "{second:#}"
    );
    let third = run(&server, &id).await;
    assert_eq!(third["added"], 1, "{third:#}");
    assert_eq!(world.in_playlist(world.empty()), [new]);
    assert_eq!(run(&server, &id).await["new_songs"], 0);
    server.end().await.unwrap();
}

async fn schedule_every(server: &Server, call: Value) -> String {
    let made = server.call("schedule_sync", call).await.expect("made");
    assert_eq!(
        (&made["paused"], &made["next_runs"]),
        (&json!(true), &json!([]))
    );
    made["schedule_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_mirror_takes_out_what_left_its_source_and_nothing_that_it_did_not_add() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let source = playlist_of(&world, &songs[..6]).await;
    // Of these the first is in the source as well, and the user's own all the same.
    let target = playlist_of(&world, &[songs[0].clone(), songs[50].clone()]).await;
    let call = json!({
        "source_playlist": source, "playlist": target, "remove_gone": true, "max_removals": 2,
    });
    let id = schedule(&server, call).await;
    assert_eq!(run(&server, &id).await["added"], 5);

    world.refill(&source, &uris(&songs[2..7])).await;
    let second = run(&server, &id).await;
    assert_eq!(
        (&second["added"], &second["removed"]),
        (&json!(1), &json!(1)),
        "{second:#}"
    );
    let with = |others: &[Track]| {
        let own = [songs[0].clone(), songs[50].clone()];
        [uris(&own), uris(others)].concat()
    };
    assert_eq!(world.in_playlist(&target), with(&songs[2..7]));

    // Three at a time are more than allowed, and an empty source is taken for a mistake.
    for left in [&songs[5..7], &[]] {
        world.refill(&source, &uris(left)).await;
        let held_back = run(&server, &id).await;
        assert_eq!(held_back["success"], false, "{held_back:#}");
        assert_eq!(world.in_playlist(&target), with(&songs[2..7]));
    }
    world.refill(&source, &uris(&songs[5..7])).await;
    let more = json!({"schedule_id": id, "max_removals": 3});
    let changed = server.call("update_schedule", more).await.unwrap();
    assert_eq!(changed["max_removals"], 3);
    assert_eq!(run(&server, &id).await["removed"], 3);
    assert_eq!(world.in_playlist(&target), with(&songs[5..7]));
    server.end().await.unwrap();
}

/// A list of songs, a line each, as a table with a heading.
fn table(songs: &[Track]) -> String {
    let line = |song: &Track| {
        let isrc = song.isrc.as_deref().unwrap_or_default();
        let (title, artists) = (&song.name, song.artists.join(", "));
        format!("\"{title}\",\"{artists}\",{isrc}\n")
    };
    "title,artist,isrc\n".to_owned() + &songs.iter().map(line).collect::<String>()
}

#[tokio::test]
async fn a_file_is_read_anew_by_each_run_and_only_what_is_new_in_it_is_searched() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let launch: Launch = world.launch().with(
        "SEGUE_IMPORT_FOLDERS",
        folder.path().to_str().expect("text"),
    );
    let server = Server::start(&launch).await.unwrap();
    let songs = songs();
    let file = folder.path().join("list.csv");
    std::fs::write(&file, table(&songs[..5])).expect("written");
    let id = schedule(&server, json!({"file": file, "playlist": world.empty()})).await;
    assert_eq!(run(&server, &id).await["added"], 5);
    let searched = world.asked("search").len();

    // Three more, one of them first, and a row that is broken.
    let grown = [&songs[5..6], &songs[..5], &songs[6..8]].concat();
    std::fs::write(&file, table(&grown) + ",Nobody,\n").expect("written");
    let second = run(&server, &id).await;
    assert_eq!(
        (
            &second["new_songs"],
            &second["added"],
            &second["unreadable"]
        ),
        (&json!(3), &json!(3), &json!(1)),
        "{second:#}"
    );
    assert_eq!(world.asked("search").len() - searched, 3, "only the new");
    let message = second["message"].as_str().expect("a message");
    assert!(message.contains("line 10"), "{message}");
    assert_eq!(world.in_playlist(world.empty()), uris(&songs[..8]));
    assert_eq!(run(&server, &id).await["new_songs"], 0);

    // A run without its file fails, and what was known before it is known after it.
    std::fs::remove_file(&file).expect("removed");
    let call = json!({"schedule_id": id, "wait_seconds": 45});
    let failed = server.call("run_schedule_now", call).await.unwrap();
    assert_eq!(failed["run"]["status"], "failed", "{failed:#}");
    let view = look(&server, &id).await;
    let last = &view["last_runs"][0];
    assert_eq!(last["error_code"], "source_unreadable", "{view:#}");
    assert!(last["next_step"].is_string(), "{view:#}");
    let message = last["message"].as_str().expect("a message");
    assert!(message.contains("list.csv"), "{message}");
    std::fs::write(&file, table(&songs[..9])).expect("written");
    assert_eq!(run(&server, &id).await["new_songs"], 1);
    assert_eq!(world.in_playlist(world.empty()), uris(&songs[..9]));

    let outside = json!({
        "name": "Outside", "cron": "@daily", "file": "/etc/passwd", "playlist": world.empty(),
    });
    let error = refused(&server, "schedule_sync", outside).await;
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("invalid_argument"), &json!("file")),
        "{error:#}"
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_run_survives_a_kill_and_adds_everything_once() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let source = playlist_of(&world, &songs[..120]).await;
    let what = json!({"source_playlist": source, "playlist": world.empty()});
    let id = schedule(&server, what).await;
    for (endpoint, asked) in [("playlist_items", 2), ("add_items", 1)] {
        world
            .fault(json!({"endpoint": endpoint, "skip": asked - 1, "count": 1, "latency_after_ms": 2500}))
            .await;
    }
    let call = json!({"schedule_id": id});
    server.call("run_schedule_now", call).await.unwrap();
    world.until_asked("playlist_items", 2).await;
    server.kill().await.unwrap();
    let server = world.serve().await;
    world.until_asked("add_items", 1).await;
    server.kill().await.unwrap();

    let server = world.serve().await;
    until("the run has ended", async || {
        look(&server, &id).await["last_runs"][0]["status"] == "completed"
    })
    .await;
    let view = look(&server, &id).await;
    assert_eq!(view["last_runs"][0]["added"], 120, "{view:#}");
    assert_eq!(world.in_playlist(world.empty()), uris(&songs[..120]));
    assert_eq!(run(&server, &id).await["new_songs"], 0);
    server.end().await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_tried_again_by_schedule() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    world
        .fault(json!({"endpoint": "search", "count": 0, "drop": "before"}))
        .await;
    let dead = start(&server, song(CLOCKS, world.empty())).await;
    assert_eq!(ended(&server, &dead).await["status"], "dead_lettered");
    world.lift_faults().await;

    let id = schedule(&server, json!({"dead_letters": true})).await;
    assert_eq!(run(&server, &id).await["retried"], 1);
    until("the letter is closed", async || {
        ended(&server, &dead).await["status"] == "failed"
    })
    .await;
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(
        run(&server, &id).await["retried"],
        Value::Null,
        "none is left"
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_schedule_is_changed_paused_resumed_and_deleted() {
    let world = World::new().await;
    let server = world.serve().await;
    let source = playlist_of(&world, &songs()[..2]).await;
    let what =
        json!({"source_playlist": source, "playlist": world.empty(), "time_zone": "Asia/Tokyo"});
    let id = schedule(&server, what).await;
    let call = async |tool: &'static str, more: Value| {
        let mut call = json!({"schedule_id": id});
        for (field, value) in more.as_object().expect("fields") {
            call[field] = value.clone();
        }
        server
            .call(tool, call)
            .await
            .unwrap_or_else(|error| panic!("{tool}: {error}"))
    };
    let changed = json!({"name": "Hourly", "cron": "15 * * * *", "overlap": "buffer_one", "jitter_seconds": 0});
    let view = call("update_schedule", changed).await;
    assert_eq!(
        (&view["cron"], &view["time_zone"]),
        (&json!("15 * * * *"), &json!("Asia/Tokyo"))
    );
    assert_eq!(
        (&view["name"], &view["overlap"]),
        (&json!("Hourly"), &json!("buffer_one"))
    );
    let next = view["next_runs"][0].as_str().expect("a next time");
    assert!(next.ends_with(":15:00Z"), "{view:#}");
    let view = call("update_schedule", json!({"interval_seconds": 86_400})).await;
    assert_eq!(
        (&view["interval_seconds"], &view["cron"]),
        (&json!(86_400), &Value::Null)
    );

    let view = call("pause_schedule", json!({})).await;
    assert_eq!(
        (&view["paused"], &view["next_runs"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(
        run(&server, &id).await["added"],
        2,
        "it runs when told to, also while it rests"
    );
    assert_eq!(call("resume_schedule", json!({})).await["paused"], false);
    let listed = || async { server.call("list_schedules", json!({})).await.unwrap() };
    until("it is listed", async || {
        listed().await["schedules"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    })
    .await;

    call("delete_schedule", json!({})).await;
    let gone = refused(&server, "run_schedule_now", json!({"schedule_id": id})).await;
    assert_eq!(gone["code"], "unknown_schedule");
    until("it is listed no more", async || {
        listed().await["schedules"] == json!([])
    })
    .await;
    assert_eq!(
        world.in_playlist(world.empty()).len(),
        2,
        "what was added stays"
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn what_the_engine_refuses_is_an_argument_that_is_named() {
    let world = World::new().await;
    let server = world.serve().await;
    let call = |more: Value| {
        let mut call = json!({
            "name": "Wrong", "cron": "0 6 * * *", "source_playlist": "Fresh Start",
            "create_playlist": "Archive",
        });
        for (field, value) in more.as_object().expect("fields") {
            call[field] = value.clone();
        }
        call
    };
    for (field, wrong) in [
        ("cron", json!({"cron": "61 * * * *"})),
        ("cron", json!({"cron": "0 6 * * FUN"})),
        ("cron", json!({"cron": "soon"})),
        ("time_zone", json!({"time_zone": "Europe/Atlantis"})),
        ("jitter_seconds", json!({"jitter_seconds": 90_000})),
    ] {
        let error = refused(&server, "schedule_sync", call(wrong.clone())).await;
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("invalid_argument"), &json!(field)),
            "{wrong}: {error:#}"
        );
    }
    let id = schedule(&server, call(json!({}))).await;
    let wrong = json!({"schedule_id": id, "cron": "0 25 * * *"});
    let error = refused(&server, "update_schedule", wrong).await;
    assert_eq!(error["field"], "cron", "{error:#}");
    assert_eq!(
        look(&server, &id).await["cron"],
        "0 6 * * *",
        "it is as it was"
    );
    // A source that cannot be read fails its run, and nothing else.
    let what = json!({"source_playlist": "0000000000000000000000", "create_playlist": "Archive"});
    let id = schedule(&server, what).await;
    let call = json!({"schedule_id": id, "wait_seconds": 45});
    let ran = server.call("run_schedule_now", call).await.unwrap();
    assert_eq!(
        (&ran["run"]["status"], &ran["run"]["error_code"]),
        (&json!("failed"), &json!("playlist_not_found")),
        "{ran:#}"
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn another_user_s_schedule_is_as_unknown_as_none() {
    let world = World::new().await;
    let mine = world.serve().await;
    let id = schedule(&mine, json!({"dead_letters": true})).await;
    let launch: Launch = world.launch().with("SEGUE_USER", "somebody");
    let theirs = Server::start(&launch).await.unwrap();
    for tool in [
        "update_schedule",
        "pause_schedule",
        "resume_schedule",
        "run_schedule_now",
        "delete_schedule",
        "list_schedules",
    ] {
        for unknown in [id.as_str(), "schedule-1", "temporal-sys-scheduler"] {
            let error = refused(&theirs, tool, json!({"schedule_id": unknown})).await;
            assert_eq!(
                error["code"], "unknown_schedule",
                "{tool} {unknown}: {error:#}"
            );
        }
    }
    until("mine is listed", async || {
        let listed = mine.call("list_schedules", json!({})).await.unwrap();
        listed["schedules"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    })
    .await;
    let listed = theirs.call("list_schedules", json!({})).await.unwrap();
    assert_eq!(listed["schedules"], json!([]));
    assert_eq!(
        look(&mine, &id).await["paused"],
        false,
        "nobody has touched it"
    );
    tokio::time::timeout(Duration::from_secs(30), theirs.end())
        .await
        .unwrap()
        .unwrap();
    mine.end().await.unwrap();
}
