//! "Tell me when it is done." Four events reach a webhook once each, signed, whatever becomes of the process, and
//! no sync waits for whoever takes them.

use std::{
    collections::BTreeSet,
    process::Stdio,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use segue::client::{Launch, Server};
use serde_json::{Value, json};
use temporalio_client::{WorkflowExecution, WorkflowExecutionStatus, WorkflowListOptions};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    batches::{rows, songs},
    metrics::read,
    python_client::python_with,
    reviews::{batch as unsure_batch, choose, reviews_open, unsure},
    schedules::schedule,
    sign_in::login,
    support::{CLOCKS, NEVER_OPENS, World, ended, song, stands, start, start_batch, until},
    webhook_receiver::{Order, Receiver, SECRET},
};

const CHECK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/clients/python/webhooks.py"
);
const REQUIREMENTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/clients/python/webhooks.txt"
);

/// Far less than a receiver that hangs is waited for.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A batch of so many songs that are found.
fn batch_of(count: usize, playlist: &str) -> Value {
    json!({"tracks": rows(&songs()[..count]), "playlist": playlist})
}

/// The notices of this engine.
async fn notices(world: &World) -> Vec<WorkflowExecution> {
    let engine = world.engine().await;
    let query = "WorkflowType = 'Notice'";
    let listed = engine
        .client()
        .list_workflows(query, WorkflowListOptions::default());
    listed.try_collect().await.unwrap()
}

/// Waits until so many notices have ended, and gives how they did.
async fn ended_notices(world: &World, count: usize) -> Vec<WorkflowExecutionStatus> {
    let mut ended = Vec::new();
    until(&format!("{count} notices have ended"), async || {
        let all = notices(world).await;
        ended = all.iter().map(|notice| notice.status()).collect();
        ended.retain(|status| *status != WorkflowExecutionStatus::Running);
        ended.len() >= count
    })
    .await;
    ended
}

/// Has the library of the specification verify what the receiver was sent.
async fn verify(receiver: &Receiver) {
    let python = python_with(REQUIREMENTS).await;
    let messages = receiver.messages();
    let lines: Vec<String> = messages
        .iter()
        .map(|message| json!({"headers": message.headers, "body": message.body}).to_string() + "\n")
        .collect();
    let mut check = Command::new(python)
        .args([CHECK, SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = check.stdin.take().unwrap();
    stdin.write_all(lines.concat().as_bytes()).await.unwrap();
    drop(stdin);
    let told = check.wait_with_output().await.unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.trim(), messages.len().to_string());
}

#[tokio::test]
async fn each_of_the_four_events_arrives_once_signed_and_says_what_to_do() {
    let world = World::new().await;
    let receiver = Receiver::default();
    let launch = receiver.beside(world.launch()).await;
    let launch = launch
        .with("SEGUE_USER", "ada")
        .with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    let server = Server::start(&launch).await.unwrap();
    let playlist = world.empty();

    world
        .fault(json!({"endpoint": "search", "count": 3, "status": 500}))
        .await;
    let dead = start(&server, song(CLOCKS, playlist)).await;
    assert_eq!(ended(&server, &dead).await["status"], "dead_lettered");
    let told = receiver.until_told("sync.dead_lettered").await;
    let expected = json!({
        "id": format!("notice-sync-dead-lettered-{dead}"), "type": "sync.dead_lettered", "user": "ada",
        "sync_id": dead, "playlist": playlist, "track": {"title": CLOCKS.0, "artist": CLOCKS.1},
        "time": told["time"], "message": told["message"], "error": told["error"],
    });
    assert_eq!(told, expected);
    assert_eq!(told["error"]["code"], "upstream_unavailable");
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("\"Clocks\" by Coldplay could not be added: "));
    assert!(message.contains("retry_failed"), "{message}");

    let asked = start(&server, unsure(playlist)).await;
    let told = receiver.until_told("review.waiting").await;
    assert_eq!(
        (&told["sync_id"], &told["reviews"], &told["track"]["title"]),
        (&json!(asked), &json!(1), &json!("Clockz")),
        "{told:#}"
    );
    assert!(told["until"].is_string(), "{told:#}");

    // Two rows are asked about, and one notice tells of both.
    let id = start_batch(&server, unsure_batch(&songs()[500..502], playlist)).await;
    let reviews = reviews_open(&server, &id, 2).await;
    until("the batch tells", async || {
        receiver.events("review.waiting").len() == 2
    })
    .await;
    let told = receiver.events("review.waiting").remove(1);
    assert_eq!(
        (&told["sync_id"], &told["reviews"]),
        (&json!(id), &json!(2)),
        "{told:#}"
    );
    // After the first answer it waits again, and tells nothing again.
    choose(&server, &reviews[0], "none").await.unwrap();
    until("it waits again", async || {
        reviews_open(&server, &id, 1).await;
        let view = stands(&server, &id, "waiting_for_review").await;
        view["batch"]["counts"]["declined"] == 1
    })
    .await;
    choose(&server, &reviews[1], "none").await.unwrap();
    let view = ended(&server, &id).await;
    let told = receiver.until_told("batch.ended").await;
    assert_eq!(
        (&told["sync_id"], &told["status"], &told["success"]),
        (&json!(id), &json!("completed"), &json!(false)),
        "{told:#}"
    );
    assert_eq!(told["counts"]["declined"], 2, "{told:#}");
    assert_eq!(told["message"], view["message"], "{told:#}");

    world
        .tokens(json!({"expire_access": true, "revoke_refresh": true}))
        .await;
    for title in [
        ("Kids", "MGMT", ""),
        ("Poker Face", "Lady Gaga", ""),
        CLOCKS,
    ] {
        let id = start(&server, song(title, playlist)).await;
        stands(&server, &id, "waiting_for_sign_in").await;
    }
    let told = receiver.until_told("sign_in.needed").await;
    assert_eq!(
        (&told["user"], &told["error"]["code"], &told["sync_id"]),
        (&json!("ada"), &json!("auth_expired"), &Value::Null),
        "{told:#}"
    );
    assert!(told["message"].as_str().unwrap().contains("segue login"));

    let ended = ended_notices(&world, 4).await;
    assert_eq!(ended, [WorkflowExecutionStatus::Completed; 4]);
    assert_eq!(notices(&world).await.len(), 5, "the outage lasts");
    let sent = receiver.messages();
    let ids: BTreeSet<&str> = sent.iter().map(|message| message.id()).collect();
    assert_eq!((sent.len(), ids.len()), (5, 5), "once each");
    verify(&receiver).await;
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_hangs_and_breaks_delays_no_sync_and_gets_it_in_the_end() {
    let world = World::new().await;
    let server = world.serve().await;
    let playlist = world.empty();
    let begun = Instant::now();
    let id = start_batch(&server, batch_of(20, playlist)).await;
    ended(&server, &id).await;
    let without = begun.elapsed();
    assert!(notices(&world).await.is_empty(), "nothing was asked for");
    server.end().await.unwrap();

    let receiver = Receiver::default();
    let launch = receiver.beside(world.launch()).await;
    let launch = launch.with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    let server = Server::start(&launch).await.unwrap();
    let broken = Order::Status(500, None);
    receiver.rule(Some(Order::Hang));
    let begun = Instant::now();
    let id = start_batch(&server, batch_of(20, playlist)).await;
    ended(&server, &id).await;
    let with = begun.elapsed();
    receiver.until_sent(1).await;
    world
        .fault(json!({"endpoint": "search", "count": 3, "status": 500}))
        .await;
    let dead = start(&server, song(CLOCKS, playlist)).await;
    ended(&server, &dead).await;
    println!("a batch took {without:?}, and {with:?} with a receiver that hangs");
    assert!(with < without + AT_ONCE, "{with:?} {without:?}");
    receiver.until_sent(2).await;
    assert!(receiver.taken().is_empty());

    receiver.rule(None);
    receiver.order([broken; 3]);
    receiver.let_go();
    for kind in ["batch.ended", "sync.dead_lettered"] {
        receiver.until_told(kind).await;
    }
    let ended = ended_notices(&world, 2).await;
    assert_eq!(ended, [WorkflowExecutionStatus::Completed; 2]);
    let sent = receiver.messages();
    let answered = |status| {
        sent.iter()
            .filter(|message| message.status == status)
            .count()
    };
    assert!(answered(None) >= 2, "each hung once at least");
    assert_eq!((answered(Some(500)), answered(Some(200))), (3, 2));
    // Whoever got it twice can tell: all attempts have the id and the words of their event.
    let same: BTreeSet<(&str, &str)> = sent
        .iter()
        .map(|message| (message.id(), message.body.as_str()))
        .collect();
    assert_eq!(same.len(), 2, "{same:?}");
    verify(&receiver).await;
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_kill_loses_no_notice_and_makes_no_second_one() {
    let world = World::new().await;
    let receiver = Receiver::default();
    let launch = receiver.beside(world.launch()).await;
    let server = Server::start(&launch).await.unwrap();
    let playlist = world.empty();
    // Killed in the middle of the batch, and when its notice could not be delivered, and while the receiver had
    // it and said nothing.
    world
        .fault(json!({"endpoint": "search", "count": 1, "latency_after_ms": 2_000}))
        .await;
    receiver.rule(Some(Order::Status(503, None)));
    let id = start_batch(&server, batch_of(5, playlist)).await;
    world.until_asked("search", 1).await;
    server.kill().await.unwrap();
    let server = Server::start(&launch).await.unwrap();
    ended(&server, &id).await;
    receiver.until_sent(1).await;
    receiver.rule(Some(Order::Hang));
    let sent = receiver.messages().len();
    receiver.until_sent(sent + 1).await;
    server.kill().await.unwrap();

    receiver.rule(None);
    let server = Server::start(&launch).await.unwrap();
    let told = receiver.until_told("batch.ended").await;
    assert_eq!(told["sync_id"], id.as_str(), "{told:#}");
    assert_eq!(told["counts"]["added"], 5, "{told:#}");
    ended_notices(&world, 1).await;
    server.kill().await.unwrap();

    // What was told is not told again by whoever comes next.
    let server = Server::start(&launch).await.unwrap();
    let other = start_batch(&server, batch_of(5, playlist)).await;
    ended(&server, &other).await;
    ended_notices(&world, 2).await;
    let taken = receiver.taken();
    let ids: Vec<&str> = taken.iter().map(|message| message.id()).collect();
    let expected = [&id, &other].map(|id| format!("notice-batch-ended-{id}"));
    assert_eq!(ids, expected);
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_outage_is_one_event_over_a_kill_and_the_next_one_is_another() {
    let world = World::new().await;
    let receiver = Receiver::default();
    let launch = receiver.beside(world.launch()).await;
    let launch = launch.with("SPOTIFY_REFRESH_TOKEN", "");
    let server = Server::start(&launch).await.unwrap();
    let mut ids = Vec::new();
    let wait_for_sign_in = async |server: &Server, title| {
        let id = start(server, song(title, world.empty())).await;
        stands(server, &id, "waiting_for_sign_in").await;
        id
    };
    for title in [CLOCKS, ("Kids", "MGMT", "")] {
        ids.push(wait_for_sign_in(&server, title).await);
    }
    receiver.until_told("sign_in.needed").await;
    server.kill().await.unwrap();

    let server = Server::start(&launch).await.unwrap();
    ids.push(wait_for_sign_in(&server, ("Poker Face", "Lady Gaga", "")).await);
    login(&launch).await;
    for id in &ids {
        assert_eq!(ended(&server, id).await["success"], true);
    }
    ended_notices(&world, 1).await;
    assert_eq!(receiver.messages().len(), 1, "one outage");

    world
        .tokens(json!({"expire_access": true, "revoke_refresh": true}))
        .await;
    wait_for_sign_in(&server, ("Roxanne", "The Police", "")).await;
    until("the second outage is told", async || {
        receiver.events("sign_in.needed").len() == 2
    })
    .await;
    let told = receiver.events("sign_in.needed");
    assert_ne!(told[0]["id"], told[1]["id"], "{told:#?}");
    verify(&receiver).await;
    server.end().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_is_not_sent_again_and_what_is_to_wait_waits() {
    let world = World::new().await;
    let receiver = Receiver::default();
    let launch = receiver.beside(world.launch()).await;
    let server = Server::start(&launch.with("SEGUE_METRICS", "0"))
        .await
        .unwrap();
    let url = world.page_address(1).await;
    let playlist = world.empty();
    let batch = async || {
        let id = start_batch(&server, batch_of(1, playlist)).await;
        ended(&server, &id).await;
    };
    for (refused, status) in (1..).zip([410, 400, 302]) {
        receiver.order([Order::Status(status, None)]);
        batch().await;
        let ended = ended_notices(&world, refused).await;
        assert_eq!(ended, vec![WorkflowExecutionStatus::Failed; refused]);
    }
    receiver.order([Order::Status(429, Some(3)), Order::Status(503, Some(1))]);
    let begun = Instant::now();
    batch().await;
    receiver.until_told("batch.ended").await;
    assert!(begun.elapsed() >= Duration::from_secs(4), "it was asked to");
    ended_notices(&world, 4).await;
    assert_eq!(receiver.messages().len(), 6, "three are not sent again");
    let counted = [("delayed", 2), ("failed", 0), ("refused", 3), ("taken", 1)];
    let counted = counted.map(|(outcome, times)| (outcome.to_owned(), times));
    until("all is counted", async || {
        let page = read(&url).await;
        page.sum("temporal_workflow_total", &[("workflow_type", "Notice")]) == 4.0
    })
    .await;
    let page = read(&url).await;
    let mut deliveries = page.by("segue_webhook_deliveries_total", "outcome");
    deliveries.entry("failed".to_owned()).or_default();
    assert_eq!(deliveries, counted.into());
    let failures = page.by("temporal_workflow_failure_total", "error_type");
    assert_eq!(failures.get("not_delivered"), Some(&3), "{failures:?}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn slack_is_told_in_its_own_form() {
    let world = World::new().await;
    let receiver = Receiver::default();
    let launch = world
        .launch()
        .with("SEGUE_WEBHOOK_URL", receiver.serve().await)
        .with("SEGUE_WEBHOOK_FORM", "slack")
        .with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    let server = Server::start(&launch).await.unwrap();
    world
        .fault(json!({"endpoint": "search", "count": 3, "status": 500}))
        .await;
    let title = ("<!channel> Rhythm & Blues", "Nobody", "");
    let dead = start(&server, song(title, world.empty())).await;
    ended(&server, &dead).await;
    receiver.until_sent(1).await;
    let message = receiver.messages().remove(0);
    assert_eq!(message.headers["webhook-signature"], Value::Null);
    let said = message.event();
    let text = said["text"].as_str().unwrap();
    let escaped = "\"&lt;!channel&gt; Rhythm &amp; Blues\" by Nobody could not be added";
    assert!(text.starts_with(escaped), "{said:#}");
    let blocks = said["blocks"].as_array().unwrap();
    assert_eq!(blocks[0]["text"]["text"], text, "{said:#}");
    assert_eq!(
        blocks[1]["elements"][0]["text"],
        format!("sync.dead_lettered · local · {dead}")
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_schedule_older_than_the_webhook_tells_of_its_runs() {
    let world = World::new().await;
    let server = world.serve().await;
    let source = crate::batches::playlist_of(&world, &songs()[400..403]).await;
    let call = json!({"source_playlist": source, "create_playlist": "Archive"});
    let schedule_id = schedule(&server, call).await;
    server.end().await.unwrap();

    let receiver = Receiver::default();
    let launch = receiver.beside(world.launch()).await;
    let server = Server::start(&launch).await.unwrap();
    let call = json!({"schedule_id": schedule_id, "wait_seconds": 45});
    let ran = server.call("run_schedule_now", call).await.unwrap();
    let told = receiver.until_told("batch.ended").await;
    assert_eq!(told["sync_id"], ran["run"]["sync_id"], "{told:#}");
    assert_eq!(
        (&told["counts"]["added"], &told["playlist"]),
        (&json!(3), &json!("Archive")),
        "{told:#}"
    );
    server.end().await.unwrap();
}

/// What the doctor finds of the webhook.
async fn doctor(launch: &Launch, arguments: &[&str]) -> Value {
    let mut command = launch
        .command(&[&["doctor", "--json"], arguments].concat())
        .unwrap();
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut checks = report["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["part"] == "webhook").unwrap();
    check.clone()
}

#[tokio::test]
async fn the_doctor_sends_a_notice_when_it_is_asked_to_and_not_before() {
    let world = World::new().await;
    let receiver = Receiver::default();
    let launch = receiver.beside(world.launch()).await;
    let found = doctor(&launch, &[]).await;
    assert_eq!(found["state"], "ok", "{found:#}");
    assert!(receiver.messages().is_empty());
    let found = doctor(&launch, &["--ping-webhook"]).await;
    assert_eq!(found["state"], "ok", "{found:#}");
    assert_eq!(receiver.events("ping").len(), 1);
    verify(&receiver).await;
    receiver.order([Order::Status(403, None)]);
    let found = doctor(&launch, &["--ping-webhook"]).await;
    assert_eq!(found["state"], "broken", "{found:#}");
    assert!(found["finding"].as_str().unwrap().contains("403"));

    let launch = world
        .launch()
        .with("SEGUE_WEBHOOK_URL", "http://example.com/verysecret")
        .with("SEGUE_WEBHOOK_SECRET", SECRET);
    let mut serve = launch.command(&["serve"]).unwrap();
    let refused = serve.stdin(Stdio::null()).output().await.unwrap();
    assert!(!refused.status.success());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("webhook_url must begin with https"), "{why}");
    assert!(!why.contains("verysecret"), "{why}");
}
