//! "Tell me when something happens." A client that watches a running sync hears of each change until its
//! end, in both eras of the protocol, and of nothing that is not its user's.

#![expect(
    deprecated,
    reason = "sessions of 2025-11-25 and before subscribe by these"
)]

use std::time::{Duration, Instant};

use rmcp::{
    model::{
        ErrorCode, ServerNotification, SubscribeRequestParams, SubscriptionFilter,
        UnsubscribeRequestParams,
    },
    service::{Subscription, SubscriptionEnd},
};
use segue::client::Server;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    assistant::{Assistant, Era, code},
    batches::{rows, songs},
    support::{CLOCKS, PATIENCE, World, all, ended, song, start, start_batch, until},
};

/// Longer than a watcher waits between two looks.
const QUIET: Duration = Duration::from_secs(6);

/// A batch of two pages on a Spotify that takes its time, so that there is something to hear.
async fn slow_batch(world: &World, server: &Server) -> String {
    world
        .fault(json!({"endpoint": "search", "count": 0, "latency_ms": 150}))
        .await;
    let batch = json!({"tracks": rows(&songs()[..120]), "playlist": world.empty()});
    start_batch(server, batch).await
}

/// The same, which finds nothing before [`go_slowly`].
async fn held_batch(world: &World, server: &Server) -> String {
    world.hold("search", "latency_ms").await;
    let batch = json!({"tracks": rows(&songs()[..120]), "playlist": world.empty()});
    start_batch(server, batch).await
}

async fn go_slowly(world: &World) {
    world.lift_faults().await;
    world
        .fault(json!({"endpoint": "search", "count": 0, "latency_ms": 150}))
        .await;
    world.order("release", Value::Null).await;
}

pub(crate) async fn subscribe(assistant: &Assistant, uri: &str) -> Result<(), rmcp::ServiceError> {
    let params = SubscribeRequestParams::new(uri);
    assistant.peer().subscribe(params).await
}

async fn listen(assistant: &Assistant, uris: &[&str]) -> Subscription {
    let filter = SubscriptionFilter::builder()
        .resource_subscriptions(uris.iter().copied())
        .build();
    let listening = assistant.peer().listen(filter);
    timeout(PATIENCE, listening).await.unwrap().unwrap()
}

/// The resource of whose change the next notification tells.
async fn next(stream: &mut Subscription) -> Option<String> {
    let told = timeout(PATIENCE, stream.next()).await.expect("in time");
    match told.unwrap()? {
        ServerNotification::ResourceUpdatedNotification(update) => Some(update.params.uri),
        other => panic!("not asked for: {other:?}"),
    }
}

fn is_open(view: &Value) -> bool {
    let status = view["status"].as_str().unwrap();
    status == "running" || status.starts_with("waiting_")
}

/// The transports of a story.
#[derive(Debug, Clone, Copy)]
enum Over {
    Stdio,
    Http,
}

async fn assistant(world: &World, over: Over, era: Era) -> Assistant {
    match over {
        Over::Stdio => Assistant::start(&world.launch(), era).await,
        Over::Http => {
            let log = world.home.path().join("http.log");
            Assistant::over_http(&world.launch(), &log, era).await
        }
    }
}

#[tokio::test]
async fn a_session_hears_of_a_running_batch_until_its_end_and_no_more_once_it_has_unsubscribed() {
    all([Over::Stdio, Over::Http].map(a_session_hears)).await;
}

async fn a_session_hears(over: Over) {
    let world = World::new().await;
    let server = world.serve().await;
    let mut assistant = assistant(&world, over, Era::Sessions).await;
    let id = held_batch(&world, &server).await;
    let (uri, report) = (format!("sync://{id}"), format!("sync://{id}/report.json"));
    subscribe(&assistant, &uri).await.unwrap();
    subscribe(&assistant, &uri).await.expect("twice is once");
    subscribe(&assistant, &report).await.unwrap();
    let quiet = start(&server, song(CLOCKS, "Evening Drive")).await;
    let quiet = format!("sync://{quiet}");
    subscribe(&assistant, &quiet).await.unwrap();
    let params = UnsubscribeRequestParams::new(&quiet);
    assistant.peer().unsubscribe(params).await.unwrap();
    go_slowly(&world).await;

    let (mut of_sync, mut of_report, mut of_quiet, mut seen) = (0, 0, 0, Vec::new());
    loop {
        let heard = assistant.hears().await;
        let view = assistant.json(&uri).await;
        if heard == uri {
            of_sync += 1;
            seen.push(view["steps_completed"].as_u64().unwrap());
        }
        of_report += usize::from(heard == report);
        of_quiet += usize::from(heard == quiet);
        if !is_open(&view) {
            break;
        }
    }
    assert!(
        of_sync > 3,
        "{over:?}: it moves for some seconds: {of_sync}"
    );
    assert!(of_report >= 1 && of_report < of_sync, "{of_report}");
    assert!(seen.is_sorted(), "each read is newer: {seen:?}");
    let done = ended(&server, &id).await;
    assert_eq!(done["status"], "completed", "{done:#}");
    // What it was told of last is the end; afterwards there is silence.
    while let Ok(Some(heard)) = timeout(QUIET, assistant.heard.recv()).await {
        of_quiet += usize::from(heard == quiet);
    }
    assert!(
        of_quiet <= 1,
        "at most what was on its way: {of_quiet} of its steps and its end"
    );
    assert_eq!(assistant.json(&uri).await["status"], "completed");

    // A sync that has ended is told of once: it may have ended since it was read.
    subscribe(&assistant, &uri).await.unwrap();
    assert_eq!(assistant.hears().await, uri);
    let more = timeout(QUIET, assistant.heard.recv()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_stream_hears_the_same_and_ends_with_a_result_when_the_server_does() {
    all([Over::Stdio, Over::Http].map(a_stream_hears)).await;
}

async fn a_stream_hears(over: Over) {
    let world = World::new().await;
    let server = world.serve().await;
    let mut assistant = assistant(&world, over, Era::Requests).await;
    let id = held_batch(&world, &server).await;
    let (uri, report) = (format!("sync://{id}"), format!("sync://{id}/report.csv"));
    let mut stream = listen(&assistant, &[&uri, &report, "segue://health"]).await;
    let accepted = stream.acknowledged().resource_subscriptions.clone();
    assert_eq!(
        accepted,
        Some(vec![uri.clone(), report.clone()]),
        "health tells no changes"
    );
    let mut another = listen(&assistant, &[&uri]).await;
    go_slowly(&world).await;
    let (mut of_sync, mut of_report) = (0, 0);
    loop {
        let heard = next(&mut stream).await.expect("it is open");
        of_sync += usize::from(heard == uri);
        of_report += usize::from(heard == report);
        if heard == uri && !is_open(&assistant.json(&uri).await) {
            break;
        }
    }
    assert!(of_sync > 3 && of_report >= 1, "{of_sync} {of_report}");
    assert_eq!(next(&mut another).await, Some(uri.clone()), "both hear it");
    another.cancel().await.unwrap();
    assert!(matches!(another.end(), Some(SubscriptionEnd::Cancelled)));

    // SIGTERM: the stream does not just break off.
    let pid = assistant.process.id().unwrap().to_string();
    let status = std::process::Command::new("kill").arg(&pid).status();
    assert!(status.unwrap().success());
    while next(&mut stream).await.is_some() {}
    assert!(
        matches!(stream.end(), Some(SubscriptionEnd::Graceful(_))),
        "{over:?}: {:?}",
        stream.end()
    );
    let ended = timeout(PATIENCE, assistant.process.wait()).await.unwrap();
    assert!(ended.unwrap().success());
}

#[tokio::test]
async fn what_is_somebody_elses_is_watched_as_little_as_what_there_is_not() {
    let world = World::new().await;
    let server = world.serve().await;
    let id = slow_batch(&world, &server).await;
    let theirs = format!("sync://{id}");
    let unknown = format!("sync://sync-{:032x}", 7);
    let launch = world.launch().with("SEGUE_USER", "somebody-else");
    let mut session = Assistant::start(&launch, Era::Sessions).await;
    for uri in [&theirs, &unknown, &"file:///etc/passwd".to_owned()] {
        let refused = code(subscribe(&session, uri).await);
        assert_eq!(refused, ErrorCode::RESOURCE_NOT_FOUND, "{uri}");
    }
    let refused = code(subscribe(&session, "segue://health").await);
    assert_eq!(refused, ErrorCode::INVALID_PARAMS);

    // The acknowledgement tells nothing either.
    let requests = Assistant::start(&launch, Era::Requests).await;
    let mut stream = listen(&requests, &[&theirs, &unknown]).await;
    let accepted = stream.acknowledged().resource_subscriptions.clone();
    assert_eq!(accepted, Some(vec![theirs, unknown]));
    let heard = timeout(QUIET, stream.next()).await;
    assert!(heard.is_err(), "{heard:?}");
    assert!(session.heard.try_recv().is_err());
}

#[tokio::test]
async fn a_sync_that_waits_is_watched_over_a_kill_of_the_engine() {
    let world = World::new().await;
    let server = world.serve().await;
    let assistant = Assistant::start(&world.launch(), Era::Requests).await;
    let id = held_batch(&world, &server).await;
    let uri = format!("sync://{id}");
    let mut stream = listen(&assistant, &[&uri]).await;
    next(&mut stream).await.expect("the first look");
    go_slowly(&world).await;
    crate::support::kill(crate::support::engine_of(&world));
    until("the end is told", async || {
        next(&mut stream).await.expect("it stays open");
        !is_open(&assistant.json(&uri).await)
    })
    .await;
    assert_eq!(assistant.json(&uri).await["status"], "completed");
}

#[tokio::test]
async fn a_client_that_leaves_while_it_listens_does_not_hold_its_server() {
    let world = World::new().await;
    let server = world.serve().await;
    let assistant = Assistant::start(&world.launch(), Era::Requests).await;
    let id = slow_batch(&world, &server).await;
    let mut stream = listen(&assistant, &[&format!("sync://{id}")]).await;
    next(&mut stream).await.expect("the first look");
    let left = Instant::now();
    let status = assistant.leave().await;
    assert!(status.success(), "{status}");
    // What is open is otherwise waited for as for a call, for 5 s.
    let took = left.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}
