//! "Can somebody else on this machine see what I listen to?" Whoever reaches the engine's port, or gets hold of
//! its database, reads names of workflows and what is searched by, and nothing else.

use std::fs;

use futures::TryStreamExt;
use prost::Message;
use segue::{client::Server, home::Home};
use segue_workflows::music_sync::MusicSync;
use serde_json::{Value, json};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, NamespacedClient, Url,
    WorkflowFetchHistoryOptions, WorkflowListOptions, tonic::IntoRequest,
};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::{
        DescribeScheduleRequest, DescribeWorkflowExecutionRequest, ListSchedulesRequest,
    },
};

use crate::{
    batches::{rows, songs},
    reviews::{choose, reviews_open, the_review, unsure},
    schedules::schedule,
    support::{CLOCKS, NEVER_OPENS, World, ended, song, stands, start, start_batch},
};

/// What the SDK writes where a failure's message was.
const SEALED_FAILURE: &str = "Encoded failure";
/// What the engine says by itself where a step or a child failed.
const ENGINES: [&str; 2] = ["activity error", "Child Workflow execution failed"];
/// An album that no search finds: it is known from the call alone.
const ALBUM: &str = "A Rush of Blood to the Head (somebody's copy)";
/// A title of a batch, misspelt.
const DOUBTFUL: &str = "No Surprizes";
/// The name of a schedule.
const SCHEDULE: &str = "Nobody's business but mine";

/// A row of a batch about which the user is asked and does not answer.
fn doubtful_row() -> Value {
    json!({"title": DOUBTFUL, "artist": "Radiohead"})
}

/// What somebody sees who can reach the engine.
struct Seen {
    /// Everything that it answers.
    told: Vec<u8>,
    /// Its database.
    database: Vec<u8>,
    /// The messages of failures.
    messages: Vec<String>,
}

impl Seen {
    /// All that the engine of this world has, by a client that has no key.
    async fn of(world: &World) -> Self {
        let engine = world.engine().await;
        let target = Url::parse(engine.address()).unwrap();
        let connection = Connection::connect(ConnectionOptions::new(target).build());
        let client = ClientOptions::new(engine.namespace()).build();
        let client = Client::new(connection.await.unwrap(), client).unwrap();
        let mut seen = Self {
            told: schedules_of(&client).await,
            database: database_of(world),
            messages: Vec::new(),
        };
        let all: Vec<_> = client
            .list_workflows("", WorkflowListOptions::default())
            .try_collect()
            .await
            .unwrap();
        assert!(all.len() >= 8, "syncs, pages, a letter: {}", all.len());
        for execution in &all {
            seen.told.extend(execution.raw().encode_to_vec());
            let handle = client.get_workflow_handle::<MusicSync>(execution.id());
            seen.told.extend(described(&client, execution.id()).await);
            let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
            let events = history.into_events().await.unwrap();
            for event in events {
                seen.told.extend(event.encode_to_vec());
                seen.messages.extend(messages_in(&event));
            }
        }
        seen
    }
}

/// What the engine tells of a workflow, as it tells it.
async fn described(client: &Client, workflow_id: &str) -> Vec<u8> {
    let request = DescribeWorkflowExecutionRequest {
        namespace: client.namespace(),
        execution: Some(WorkflowExecution {
            workflow_id: workflow_id.to_owned(),
            run_id: String::new(),
        }),
    };
    let mut service = client.connection().workflow_service();
    let described = service
        .describe_workflow_execution(request.into_request())
        .await;
    described.unwrap().into_inner().encode_to_vec()
}

async fn schedules_of(client: &Client) -> Vec<u8> {
    let connection = client.connection();
    let mut service = connection.workflow_service();
    let namespace = "default".to_owned();
    let request = ListSchedulesRequest {
        namespace: namespace.clone(),
        ..Default::default()
    };
    let listed = service.list_schedules(request.into_request()).await;
    let listed = listed.unwrap().into_inner();
    let mut told = listed.encode_to_vec();
    assert_eq!(listed.schedules.len(), 1);
    for entry in listed.schedules {
        let request = DescribeScheduleRequest {
            namespace: namespace.clone(),
            schedule_id: entry.schedule_id,
        };
        let described = service.describe_schedule(request.into_request()).await;
        told.extend(described.unwrap().into_inner().encode_to_vec());
    }
    told
}

fn database_of(world: &World) -> Vec<u8> {
    let home = Home::at(world.home.path()).unwrap();
    let folder = home.engine_dir().unwrap();
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let files = files.filter(|file| file.file_name().to_string_lossy().starts_with("engine.db"));
    let bytes: Vec<u8> = files
        .flat_map(|file| fs::read(file.path()).unwrap())
        .collect();
    assert!(bytes.len() > 100_000, "the database is read");
    bytes
}

/// The messages of the failure that this event tells of, and of its causes.
fn messages_in(event: &HistoryEvent) -> Vec<String> {
    let failure = match event.attributes.as_ref().unwrap() {
        Attributes::ActivityTaskFailedEventAttributes(failed) => failed.failure.as_ref(),
        Attributes::WorkflowExecutionFailedEventAttributes(failed) => failed.failure.as_ref(),
        Attributes::ChildWorkflowExecutionFailedEventAttributes(failed) => failed.failure.as_ref(),
        _ => None,
    };
    let chain = std::iter::successors(failure, |failure| failure.cause.as_deref());
    chain.map(|failure| failure.message.clone()).collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// One of everything: a song, a batch, a review, a remembered answer, a dead letter, a schedule.
async fn one_of_everything(world: &World, server: &Server) {
    let mut call = song(CLOCKS, world.empty());
    call["album"] = json!(ALBUM);
    let id = start(server, call).await;
    assert_eq!(ended(server, &id).await["success"], true);
    let batch = json!({"tracks": rows(&songs()[..30]), "playlist": world.empty()});
    let id = start_batch(server, batch).await;
    assert_eq!(ended(server, &id).await["status"], "completed");
    let id = start(server, unsure(world.sim.full_playlist_id())).await;
    stands(server, &id, "waiting_for_review").await;
    let review = the_review(server, &id).await;
    choose(server, &review, CLOCKS.2).await.unwrap();
    ended(server, &id).await;
    let batch = json!({"tracks": [doubtful_row()], "playlist": world.empty(),
        "match_threshold": 1.0, "on_ambiguous": "review"});
    let id = start_batch(server, batch).await;
    reviews_open(server, &id, 1).await;
    // Another one, which nobody answers.
    let mut waiting = unsure(world.empty());
    let doubtful = &songs()[40];
    waiting["title"] = json!(format!("{}z", doubtful.name));
    waiting["artist"] = json!(doubtful.artists[0]);
    let id = start(server, waiting).await;
    stands(server, &id, "waiting_for_review").await;
    let weekly = json!({"name": SCHEDULE, "source_playlist": world.sim.full_playlist_id(),
        "playlist": world.empty()});
    let weekly = schedule(server, weekly).await;
    let ran = json!({"schedule_id": weekly, "wait_seconds": 45});
    server.call("run_schedule_now", ran).await.unwrap();
    world
        .fault(json!({"endpoint": "search", "count": 3, "status": 500}))
        .await;
    let id = start(server, song(CLOCKS, world.sim.full_playlist_id())).await;
    let letter = ended(server, &id).await;
    assert_eq!(letter["status"], "dead_lettered", "{letter:#}");
    // The owner reads the reason all the same.
    let reason = letter["message"].as_str().unwrap();
    assert!(!reason.contains(SEALED_FAILURE), "{reason}");
    // What was decided is remembered, and can be read.
    let answers = server.call("list_answers", json!({})).await.unwrap();
    assert_eq!(answers["answers"][0]["title"], "Clockz", "{answers:#}");
    let listed = server.call("list_schedules", json!({})).await.unwrap();
    assert_eq!(listed["schedules"][0]["name"], SCHEDULE, "{listed:#}");
}

async fn seen_after_everything(world: &World) -> Seen {
    let launch = world.launch().with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    let server = Server::start(&launch).await.unwrap();
    one_of_everything(world, &server).await;
    let seen = Seen::of(world).await;
    server.end().await.unwrap();
    seen
}

/// What must be seen by nobody: albums, candidates, titles of a batch, the name of a schedule.
fn markers() -> Vec<String> {
    let mut markers = [ALBUM, SCHEDULE, DOUBTFUL].map(str::to_owned).to_vec();
    let long = |title: &&str| title.len() >= 12 && title.is_ascii() && !title.contains('"');
    let songs = songs();
    let titles = songs[..30].iter().map(|song| song.name.as_str());
    markers.extend(titles.filter(long).map(str::to_owned));
    assert!(markers.len() >= 8, "{markers:?}");
    markers
}

#[tokio::test]
async fn who_reaches_the_engine_reads_no_song_of_mine() {
    let (sealed, unsealed) = (World::new().await, World::unsealed().await);
    let (sealed_seen, unsealed_seen) = tokio::join!(
        seen_after_everything(&sealed),
        seen_after_everything(&unsealed)
    );
    let mut in_database = 0;
    for marker in markers() {
        // What is not seen without encryption either would prove nothing.
        assert!(
            has(&unsealed_seen.told, &marker),
            "not there at all: {marker}"
        );
        assert!(!has(&sealed_seen.told, &marker), "told: {marker}");
        in_database += usize::from(has(&unsealed_seen.database, &marker));
        assert!(
            !has(&sealed_seen.database, &marker),
            "in the database: {marker}"
        );
    }
    assert!(in_database > 0, "the database is looked into");
    // What is searched by stays readable, as SECURITY.md says.
    assert!(has(&sealed_seen.told, CLOCKS.0));

    // What failed and why is sealed, too. In the open the engine itself says that something did.
    let (sealed, unsealed) = (&sealed_seen.messages, &unsealed_seen.messages);
    assert!(
        unsealed.iter().any(|message| message.contains("500")),
        "{unsealed:?}"
    );
    let is_sealed = |message: &String| message == SEALED_FAILURE || ENGINES.contains(&&**message);
    assert!(sealed.iter().all(is_sealed), "{sealed:?}");
    assert!(sealed.iter().any(|message| message == SEALED_FAILURE));
}

#[tokio::test]
async fn a_home_from_before_is_read_on_and_so_is_one_whose_key_was_renewed() {
    let mut world = World::unsealed().await;
    let server = world.serve().await;
    let plain = start(&server, song(CLOCKS, world.empty())).await;
    ended(&server, &plain).await;
    let waiting = start(&server, unsure(world.sim.full_playlist_id())).await;
    stands(&server, &waiting, "waiting_for_review").await;
    server.end().await.unwrap();

    world.seal();
    let server = world.serve().await;
    // What was begun in the open goes on, and what was done in the open is still told.
    let view = ended(&server, &plain).await;
    assert_eq!(view["success"], true, "{view:#}");
    let sealed = start(&server, song(CLOCKS, world.empty())).await;
    assert_eq!(ended(&server, &sealed).await["already_present"], true);
    let second = world.serve().await;
    assert!(
        run(&world, &["key", "new"])
            .await
            .contains("encrypts from now on")
    );
    let other = world.serve().await;
    // Three processes, two keys: each reads what any of them has sealed.
    let newer = start(&other, song(CLOCKS, world.sim.full_playlist_id())).await;
    for server in [&server, &second, &other] {
        for id in [&plain, &sealed, &newer] {
            let view = ended(server, id).await;
            assert_eq!(view["success"], true, "{view:#}");
        }
    }
    let review = the_review(&other, &waiting).await;
    choose(&server, &review, CLOCKS.2).await.unwrap();
    assert_eq!(ended(&second, &waiting).await["match_method"], "review");
    let listed = run(&world, &["key", "list"]).await;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    for server in [server, second, other] {
        server.end().await.unwrap();
    }
}

/// Runs the program in this world, and gives what it says.
async fn run(world: &World, arguments: &[&str]) -> String {
    let output = world.launch().command(arguments).unwrap().output().await;
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
