//! "We updated Segue while syncs were running." The histories of every path of every workflow, as
//! an earlier build wrote them, replay on today's code.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use futures::TryStreamExt;
use segue::client::Server;
use segue_workflows::{
    agent_sync::AgentSync, batch_page::BatchPage, batch_sync::BatchSync, call_budget::CallBudget,
    client_session::ClientSession, dead_letter::DeadLetter, music_sync::MusicSync, notice::Notice,
    place_page::PlacePage, place_track::PlaceTrack, playlist_reading::PlaylistReading,
    remembered_answer::RememberedAnswer, review::Review, scheduled_sync::ScheduledSync,
    simple_agent_sync::SimpleAgentSync, strategy_comparison::StrategyComparison,
    token_budget::TokenBudget,
};
use serde_json::{Value, json};
use temporalio_client::{
    WorkflowExecution, WorkflowFetchHistoryOptions, WorkflowHistory, WorkflowListOptions,
};
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

use crate::{
    batches::{playlist_of, rows, songs, uri_of},
    reviews::{batch as unsure_batch, choose, reviews_open, the_review, unsure},
    schedules::schedule,
    scripted_model::{Order, ScriptedModel},
    sign_in::login,
    support::{CLOCKS, NEVER_OPENS, World, ended, song, stands, start, start_batch, until},
    walks_at_once::{walk_the_placings, walk_the_searches},
    webhook_receiver::{self, Receiver},
};

fn folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories").into()
}

fn replayer() -> WorkflowReplayer {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<MusicSync>()
        .and_then(|options| options.register_workflow::<PlaceTrack>())
        .and_then(|options| options.register_workflow::<DeadLetter>())
        .and_then(|options| options.register_workflow::<PlaylistReading>())
        .and_then(|options| options.register_workflow::<CallBudget>())
        .and_then(|options| options.register_workflow::<BatchSync>())
        .and_then(|options| options.register_workflow::<BatchPage>())
        .and_then(|options| options.register_workflow::<PlacePage>())
        .and_then(|options| options.register_workflow::<Review>())
        .and_then(|options| options.register_workflow::<RememberedAnswer>())
        .and_then(|options| options.register_workflow::<TokenBudget>())
        .and_then(|options| options.register_workflow::<ScheduledSync>())
        .and_then(|options| options.register_workflow::<AgentSync>())
        .and_then(|options| options.register_workflow::<SimpleAgentSync>())
        .and_then(|options| options.register_workflow::<StrategyComparison>())
        .and_then(|options| options.register_workflow::<Notice>())
        .and_then(|options| options.register_workflow::<ClientSession>())
        .unwrap()
        .build();
    WorkflowReplayer::new(options).unwrap()
}

/// Walks every path, and gives the histories under names that say which.
async fn walk_every_path() -> BTreeMap<String, Vec<u8>> {
    // A history that is kept must be readable without the key of its home.
    let world = World::unsealed().await;
    let server = world.serve_impatiently().await;
    let playlist = world.empty();
    let mut paths: Vec<(&str, String)> = Vec::new();

    paths.push(("added", start(&server, song(CLOCKS, playlist)).await));
    ended(&server, &paths[0].1).await;
    paths.push((
        "already_there",
        start(&server, song(CLOCKS, playlist)).await,
    ));
    ended(&server, &paths[1].1).await;
    let nothing =
        json!({"title": "Lullaby for a Killed Process", "artist": "Nobody", "playlist": playlist});
    paths.push(("no_match", start(&server, nothing).await));
    let by_name = json!({"title": "Kids", "artist": "MGMT", "playlist": "Fresh Start", "isrc": "USSM10703562"});
    paths.push(("by_name_and_isrc", start(&server, by_name).await));
    ended(&server, &paths[3].1).await;
    paths.push((
        "unknown_playlist",
        start(&server, song(CLOCKS, "0000000000000000000000")).await,
    ));
    ended(&server, &paths[4].1).await;
    paths.push((
        "search_at_once_cancelled",
        held_and_cancelled(&world, &server, "search").await,
    ));
    paths.push((
        "cancelled_add",
        held_and_cancelled(&world, &server, "add_items").await,
    ));

    world
        .fault(json!({"endpoint": "search", "count": 1, "status": 429, "retry_after": 1}))
        .await;
    world
        .fault(json!({"endpoint": "add_items", "count": 1, "status": 429, "retry_after": 1}))
        .await;
    world
        .fault(json!({"endpoint": "add_items", "skip": 1, "count": 1, "drop": "after"}))
        .await;
    let slow = json!({"title": "No Surprises", "artist": "Radiohead", "playlist": playlist});
    paths.push(("rate_limited_and_answer_lost", start(&server, slow).await));
    ended(&server, &paths[7].1).await;

    world
        .fault(json!({"endpoint": "any", "count": 0, "latency_ms": 200}))
        .await;
    let twice = json!({"title": "Poker Face", "artist": "Lady Gaga", "playlist": playlist});
    let (one, other) = (
        start(&server, twice.clone()).await,
        start(&server, twice).await,
    );
    ended(&server, &one).await;
    ended(&server, &other).await;
    paths.push(("turn_first", one));
    paths.push(("turn_second", other));
    world.lift_faults().await;

    world
        .fault(json!({"endpoint": "search", "count": 0, "status": 500}))
        .await;
    let dead = start(
        &server,
        json!({"title": "Mask Off", "artist": "Future", "playlist": playlist}),
    )
    .await;
    ended(&server, &dead).await;
    let failed = server
        .call("retry_failed", json!({"sync_id": dead}))
        .await
        .unwrap();
    let failed = failed["sync_id"].as_str().unwrap().to_owned();
    ended(&server, &failed).await;
    world.lift_faults().await;
    until("the letter waits again", async || {
        ended(&server, &dead).await["retried_by"].is_null()
    })
    .await;
    server
        .call("retry_failed", json!({"sync_id": dead, "wait_seconds": 45}))
        .await
        .unwrap();
    until("the letter is closed", async || {
        ended(&server, &dead).await["status"] == "failed"
    })
    .await;
    paths.push(("search_at_once_dead_lettered", dead));
    paths.push(("retry_that_failed", failed));

    world
        .fault(json!({"endpoint": "search", "count": 3, "status": 500}))
        .await;
    let given_up = start(
        &server,
        json!({"title": "Up", "artist": "Cardi B", "playlist": playlist}),
    )
    .await;
    ended(&server, &given_up).await;
    server
        .call("cancel_sync", json!({"sync_id": given_up}))
        .await
        .unwrap();
    paths.push(("discarded", given_up));
    let named = json!({"title": "Up", "artist": "Cardi B", "playlist": playlist,
        "spotify_id": uri_of(&songs()[400])});
    let given = start(&server, named).await;
    ended(&server, &given).await;
    paths.push(("given", given));
    server.call("list_playlists", json!({})).await.unwrap();
    server.end().await.unwrap();

    paths.extend(walk_the_placings(&world).await);
    paths.extend(walk_the_searches(&world).await);
    paths.extend(walk_the_batches(&world).await);
    paths.extend(walk_the_reviews(&world).await);
    paths.extend(walk_the_doubts(&world).await);
    paths.extend(walk_the_schedules(&world).await);
    paths.extend(walk_the_waits(&world).await);
    paths.extend(walk_the_notices(&world).await);
    let server = world.serve().await;
    let histories = export(&world, &paths).await;
    server.end().await.unwrap();
    histories
}

/// The paths of a sync that waits for an upstream that is down, or for a sign-in, before it searches
/// and before it adds; one of them until its circuit is reset.
async fn walk_the_waits(world: &World) -> Vec<(&'static str, String)> {
    let launch = world.launch().with("SEGUE_BREAKER_FAILURES", "1");
    let server = Server::start(&launch).await.unwrap();
    let playlist = world.empty();
    let call =
        |title: &str, artist: &str| json!({"title": title, "artist": artist, "playlist": playlist});
    for endpoint in ["search", "add_items"] {
        world
            .fault(json!({"endpoint": endpoint, "count": 1, "status": 503}))
            .await;
    }
    let down = start(&server, call("Karma Police", "Radiohead")).await;
    ended(&server, &down).await;

    world
        .fault(json!({"endpoint": "playlist_items", "count": 1, "status": 503}))
        .await;
    let woken = start(&server, call("Toxic", "Kehlani")).await;
    stands(&server, &woken, "waiting_for_upstream").await;
    server.call("reset_circuit", json!({})).await.unwrap();
    ended(&server, &woken).await;

    world
        .tokens(json!({"expire_access": true, "revoke_refresh": true}))
        .await;
    let signed_out = start(&server, call("Roxanne", "The Police")).await;
    stands(&server, &signed_out, "waiting_for_sign_in").await;
    let cancel = json!({"sync_id": signed_out, "wait_seconds": 20});
    server.call("cancel_sync", cancel).await.unwrap();
    server.end().await.unwrap();
    vec![
        ("search_at_once_down", down),
        ("woken", woken),
        ("search_at_once_signed_out", signed_out),
    ]
}

/// Notices of a batch, of a song that is asked about, of a dead letter and of an outage; one that is taken after
/// a wait, and one that is refused.
async fn walk_the_notices(world: &World) -> Vec<(&'static str, String)> {
    let receiver = Receiver::default();
    let launch = receiver.beside(world.launch()).await;
    let launch = launch
        .with("SEGUE_BREAKER_FAILURES", NEVER_OPENS)
        .with("SPOTIFY_REFRESH_TOKEN", "");
    let server = Server::start(&launch).await.unwrap();
    let signed_out = start(&server, song(CLOCKS, world.empty())).await;
    receiver.until_told("sign_in.needed").await;
    login(&launch).await;
    ended(&server, &signed_out).await;

    let told = start(&server, unsure(world.empty())).await;
    receiver.until_told("review.waiting").await;
    let cancel = json!({"sync_id": told, "wait_seconds": 20});
    server.call("cancel_sync", cancel).await.unwrap();
    let songs = songs();
    receiver.order([webhook_receiver::Order::Status(429, Some(1))]);
    let told_batch = unsure_batch(&songs[530..532], world.empty());
    let told_batch = start_batch(&server, told_batch).await;
    for review in reviews_open(&server, &told_batch, 2).await {
        choose(&server, &review, "none").await.unwrap();
    }
    ended(&server, &told_batch).await;
    receiver.until_told("batch.ended").await;
    receiver.order([webhook_receiver::Order::Status(410, None)]);
    let refused = start_batch(
        &server,
        json!({"tracks": rows(&songs[..1]), "playlist": world.empty()}),
    )
    .await;
    ended(&server, &refused).await;

    world
        .fault(json!({"endpoint": "search", "count": 3, "status": 500}))
        .await;
    let told_letter = start(&server, song(CLOCKS, world.empty())).await;
    ended(&server, &told_letter).await;
    receiver.until_told("sync.dead_lettered").await;
    let discard = json!({"sync_id": told_letter});
    server.call("cancel_sync", discard).await.unwrap();
    server.end().await.unwrap();
    vec![
        ("after_an_outage", signed_out),
        ("told_batch", told_batch),
        ("refused", refused),
        ("told", told),
        ("told_letter", told_letter),
    ]
}

/// A batch of two pages that meets a rate limit and a lost answer, one that is taken back because a song
/// is not found, and one that only looks.
async fn walk_the_batches(world: &World) -> Vec<(&'static str, String)> {
    let server = world.serve().await;
    let songs = songs();
    world
        .fault(json!({"endpoint": "search", "count": 1, "status": 429, "retry_after": 1}))
        .await;
    world
        .fault(json!({"endpoint": "add_items", "count": 1, "drop": "after"}))
        .await;
    let call = json!({"tracks": rows(&songs[..120]), "create_playlist": "A batch"});
    let added = start_batch(&server, call).await;
    ended(&server, &added).await;

    let mut tracks = rows(&songs[..3]);
    tracks.push(json!({"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody Of That Name"}));
    let mut call = json!({"tracks": tracks, "playlist": world.empty(), "dry_run": true});
    let looked = start_batch(&server, call.clone()).await;
    ended(&server, &looked).await;
    call = json!({"tracks": rows(&songs[200..320]), "playlist": world.empty(), "atomic": true});
    call["tracks"]
        .as_array_mut()
        .unwrap()
        .push(tracks[3].clone());
    let taken_back = start_batch(&server, call).await;
    ended(&server, &taken_back).await;
    server.end().await.unwrap();
    vec![
        ("two_pages_looked", added),
        ("dry_run", looked),
        ("taken_back_looked", taken_back),
    ]
}

/// Forgets all answers, of which there are to be so many.
async fn forget_answers(server: &Server, many: usize) {
    let known = async || {
        let known = server.call("list_answers", json!({})).await.unwrap();
        known["answers"].as_array().unwrap().clone()
    };
    until("they are listed", async || known().await.len() == many).await;
    for answer in known().await {
        let answer = json!({"answer_id": answer["answer_id"]});
        server.call("forget_answer", answer).await.unwrap();
    }
}

/// A song and a batch about which the user is asked, an answer that is forgotten, a question that is
/// taken back, and a batch that takes over what a preview found.
async fn walk_the_reviews(world: &World) -> Vec<(&'static str, String)> {
    let server = world.serve().await;
    let playlist = world.empty();
    let asked = start(&server, unsure(playlist)).await;
    choose(&server, &the_review(&server, &asked).await, "1")
        .await
        .unwrap();
    ended(&server, &asked).await;
    let remembered = start(&server, unsure(playlist)).await;
    ended(&server, &remembered).await;
    forget_answers(&server, 1).await;

    let songs = songs();
    let unsure_rows = unsure_batch(&songs[500..502], playlist);
    let asked_batch = start_batch(&server, unsure_rows.clone()).await;
    for review in reviews_open(&server, &asked_batch, 2).await {
        choose(&server, &review, "none").await.unwrap();
    }
    ended(&server, &asked_batch).await;
    forget_answers(&server, 2).await;
    let withdrawn = start_batch(&server, unsure_rows).await;
    reviews_open(&server, &withdrawn, 2).await;
    let cancel = json!({"sync_id": withdrawn, "wait_seconds": 20});
    server.call("cancel_sync", cancel).await.unwrap();
    reviews_open(&server, &withdrawn, 0).await;

    let preview = json!({"tracks": rows(&songs[510..520]), "playlist": playlist});
    let preview = server.call("preview_sync", preview).await.unwrap();
    let preview = preview["sync_id"].as_str().unwrap().to_owned();
    ended(&server, &preview).await;
    let previewed = start_batch(&server, json!({"from_preview": preview})).await;
    ended(&server, &previewed).await;
    server.end().await.unwrap();
    vec![
        ("asked", asked),
        ("remembered", remembered),
        ("asked_batch", asked_batch),
        ("withdrawn", withdrawn),
        ("preview", preview),
        ("previewed", previewed),
    ]
}

/// A song and a batch that a model decides on, and a song on which it could not be asked after a wait.
async fn walk_the_doubts(world: &World) -> Vec<(&'static str, String)> {
    let model = ScriptedModel::default();
    let launch = model.beside(world.launch()).await;
    let server = Server::start(&launch).await.unwrap();
    let unsure = |title: &str, artist: &str| {
        json!({"title": title, "artist": artist,
        "duration_ms": 900_000, "playlist": world.empty(), "on_ambiguous": "ai"})
    };
    let chosen = start(&server, unsure("Yellow", "Coldplay")).await;
    ended(&server, &chosen).await;
    model.order([
        Order::Status(429, Some(1), json!({})),
        Order::Status(401, None, json!({})),
    ]);
    let refused = start(&server, unsure("Clocks", "Coldplay")).await;
    ended(&server, &refused).await;
    let tracks: Vec<_> = songs()[400..403]
        .iter()
        .map(
            |song| json!({"title": song.name, "artist": song.artists[0], "duration_ms": 3_000_000}),
        )
        .collect();
    let call = json!({"tracks": tracks, "playlist": world.empty(), "on_ambiguous": "ai"});
    let batch = start_batch(&server, call).await;
    ended(&server, &batch).await;

    // By agents: one that errs on its way, one that finds nothing, and one that comes to no end.
    let by_agents = |title: &str, artist: &str| {
        json!({"title": title, "artist": artist,
        "playlist": world.empty(), "strategy": "agents"})
    };
    model.order([
        Order::Call(vec![("search", "{"), ("delete_playlist", "{}")]),
        Order::AsTheRule,
        Order::Status(429, Some(1), json!({})),
    ]);
    let added = start(&server, by_agents("Fix You", "Coldplay")).await;
    ended(&server, &added).await;
    let nothing = start(&server, by_agents("Zzyzx Nonesuch Qwv", "Nobody")).await;
    ended(&server, &nothing).await;
    model.order(vec![
        Order::Call(vec![(
            "search",
            "{\"query\": \"fix you\"}"
        )]);
        20
    ]);
    let endless = start(&server, by_agents("Paradise", "Coldplay")).await;
    ended(&server, &endless).await;
    // And the two compared.
    let compared = json!({"tracks": rows(&songs()[600..602])});
    let compared = server.call("compare_strategies", compared).await.unwrap();
    let compared = compared["sync_id"].as_str().unwrap().to_owned();
    ended(&server, &compared).await;
    // By one agent, with the server's own tools: without a session, and in one.
    let mut by_one = by_agents("Viva La Vida", "Coldplay");
    by_one["strategy"] = json!("simple_agent");
    let stateless = start(&server, by_one.clone()).await;
    ended(&server, &stateless).await;
    server.end().await.unwrap();
    let launch = launch.with("SEGUE_AGENT_CONNECTION", "stateful");
    let server = Server::start(&launch).await.unwrap();
    let stateful = start(&server, by_one).await;
    ended(&server, &stateful).await;
    server.end().await.unwrap();
    vec![
        ("model_chose", chosen),
        ("model_refused", refused),
        ("model_decided", batch),
        ("agents_added", added),
        ("agents_found_nothing", nothing),
        ("agents_endless", endless),
        ("compared", compared),
        ("stateless", stateless),
        ("stateful", stateful),
    ]
}

/// Runs of schedules: with something new, with nothing new, with removals, of dead letters, and of a
/// source by name that there is not.
async fn walk_the_schedules(world: &World) -> Vec<(&'static str, String)> {
    let server = world.serve().await;
    let songs = songs();
    let source = playlist_of(world, &songs[400..403]).await;
    let mirror =
        json!({"source_playlist": source, "create_playlist": "Mirror", "remove_gone": true});
    let mirror = schedule(&server, mirror).await;
    let synced = run_now(&server, &mirror).await["sync_id"].clone();
    run_now(&server, &mirror).await;
    let left: Vec<String> = songs[401..403].iter().map(uri_of).collect();
    world.refill(&source, &left).await;
    run_now(&server, &mirror).await;
    let cancelled = json!({"source_playlist": source, "create_playlist": "Cancelled"});
    let cancelled = schedule(&server, cancelled).await;
    world.hold("create_playlist", "latency_after_ms").await;
    let made = world.asked("create_playlist").len();
    let call = json!({"schedule_id": cancelled});
    server.call("run_schedule_now", call).await.unwrap();
    world.until_asked("create_playlist", made + 1).await;
    let call = json!({"schedule_id": cancelled});
    let listed = server.call("list_schedules", call).await.unwrap();
    let sync_id = listed["schedules"][0]["last_runs"][0]["sync_id"].clone();
    server
        .call("cancel_sync", json!({"sync_id": sync_id}))
        .await
        .unwrap();
    tokio::time::sleep(HELD_BRIEFLY).await;
    world.let_go().await;
    until("the run has ended", async || {
        let call = json!({"schedule_id": cancelled});
        let listed = server.call("list_schedules", call).await.unwrap();
        listed["schedules"][0]["last_runs"][0]["status"] == "completed"
    })
    .await;
    let letters = schedule(&server, json!({"dead_letters": true})).await;
    run_now(&server, &letters).await;
    let nowhere = json!({"source_playlist": "No such playlist", "playlist": world.empty()});
    let nowhere = schedule(&server, nowhere).await;
    run_now(&server, &nowhere).await;

    let engine = world.engine().await;
    let runs = async |schedule_id: &str| -> Vec<String> {
        let schedule = engine.client().get_schedule_handle(schedule_id);
        let described = schedule.describe(Default::default()).await.unwrap();
        let actions = described.recent_actions().into_iter();
        actions.map(|action| action.run_id).collect()
    };
    let names = [
        "mirrored",
        "nothing_new",
        "taken_out",
        "batch_cancelled",
        "letters",
        "no_source",
    ];
    let runs = [
        runs(&mirror).await,
        runs(&cancelled).await,
        runs(&letters).await,
        runs(&nowhere).await,
    ]
    .concat();
    assert_eq!(runs.len(), names.len());
    let mut paths: Vec<(&str, String)> = names.into_iter().zip(runs).collect();
    paths.push(("mirrored", synced.as_str().unwrap().to_owned()));
    let sync_id = sync_id.as_str().unwrap().to_owned();
    paths.push(("by_schedule_and_cancelled", sync_id));
    server.end().await.unwrap();
    paths
}

async fn run_now(server: &Server, schedule_id: &str) -> Value {
    let call = json!({"schedule_id": schedule_id, "wait_seconds": 45});
    let ran = server.call("run_schedule_now", call).await.unwrap();
    assert_ne!(ran["run"]["status"], "running", "{ran:#}");
    ran["run"].clone()
}

/// A call is held on after its cancellation for less than it takes to hear of that, so that it ends well.
const HELD_BRIEFLY: Duration = Duration::from_millis(500);

async fn held_and_cancelled(world: &World, server: &Server, endpoint: &str) -> String {
    let asked = world.asked(endpoint).len();
    world.hold(endpoint, "latency_after_ms").await;
    let call = json!({"title": "Every Breath You Take", "artist": "The Police", "playlist": world.empty()});
    let id = start(server, call).await;
    world.until_asked(endpoint, asked + 1).await;
    server
        .call("cancel_sync", json!({"sync_id": id}))
        .await
        .unwrap();
    tokio::time::sleep(HELD_BRIEFLY).await;
    world.let_go().await;
    ended(server, &id).await;
    id
}

/// The history of every closed workflow: the named ones and what belongs to them.
async fn export(world: &World, paths: &[(&str, String)]) -> BTreeMap<String, Vec<u8>> {
    let engine = world.engine().await;
    let closed: Vec<WorkflowExecution> = engine
        .client()
        .list_workflows(
            "ExecutionStatus != 'Running' OR WorkflowType IN ('CallBudget', 'TokenBudget')",
            WorkflowListOptions::default(),
        )
        .try_collect()
        .await
        .unwrap();
    let mut histories = BTreeMap::new();
    for execution in closed {
        let mut handle = engine
            .client()
            .get_workflow_handle::<MusicSync>(execution.id());
        let mut info = handle.info().clone();
        info.run_id = Some(execution.run_id().to_owned());
        handle = temporalio_client::WorkflowHandle::new(engine.client().clone(), info);
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        let of = |id: Option<&str>| {
            paths
                .iter()
                .find(|(_, sync)| id.is_some_and(|id| id.contains(sync.as_str())))
        };
        // Runs of a schedule that begin in the same second have one workflow id.
        let itself = of(Some(execution.id())).or_else(|| of(Some(execution.run_id())));
        let name = match itself.or_else(|| of(execution.parent_id())) {
            Some((path, _)) => format!("{}.{path}", execution.workflow_type()),
            None => format!("{}.alone", execution.workflow_type()),
        };
        histories.insert(name, history.to_json().await.unwrap());
    }
    histories
}

/// `RECORD_HISTORIES=1 cargo test --test stories history_replay` writes those that are not there
/// yet. The old ones stay: they are what running syncs out there look like.
#[tokio::test]
async fn today_s_histories_replay_and_every_path_has_been_recorded() {
    let histories = walk_every_path().await;
    if std::env::var_os("RECORD_HISTORIES").is_some() {
        for (name, history) in &histories {
            let file = folder().join(format!("{name}.json"));
            if !file.exists() {
                std::fs::write(file, history).unwrap();
            }
        }
    }
    for (name, history) in &histories {
        let history = WorkflowHistory::from_json(history).unwrap();
        replayer()
            .replay_workflow(history)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            folder().join(format!("{name}.json")).exists(),
            "{name} was never recorded"
        );
    }
    for workflow in [
        "MusicSync",
        "PlaceTrack",
        "DeadLetter",
        "PlaylistReading",
        "CallBudget",
        "BatchSync",
        "BatchPage",
        "PlacePage",
        "Review",
        "RememberedAnswer",
        "TokenBudget",
        "AgentSync",
        "ScheduledSync",
        "Notice",
    ] {
        assert!(
            histories.keys().any(|name| name.starts_with(workflow)),
            "{workflow}"
        );
    }
}

#[tokio::test]
async fn recorded_histories_replay_on_today_s_code() {
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let history = WorkflowHistory::from_json(&std::fs::read(&path).unwrap()).unwrap();
        replayer()
            .replay_workflow(history)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        replayed += 1;
    }
    assert!(replayed >= 100, "only {replayed} histories are there");
}
