//! "My agent comes over the network." MCP over HTTP, in either era and for the oldest clients, and what is
//! served beside it.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use segue::client::HttpServer;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{CLOCKS, PATIENCE, World, ended, song, start, until};

async fn serve(world: &World) -> HttpServer {
    HttpServer::start(&world.launch(), &[])
        .await
        .expect("the server starts")
}

/// Tells a process to stop, as an operator does.
fn terminate(server: &HttpServer) {
    let pid = i32::try_from(server.pid().expect("it runs")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// The events of a stream, one after the other.
struct Events {
    answer: Response,
    read: String,
    /// Everything, comments as well.
    all: String,
}

impl Events {
    async fn of(url: String) -> Self {
        let asked = reqwest::Client::new()
            .get(url)
            .header("accept", "text/event-stream");
        let answer = asked.send().await.unwrap().error_for_status().unwrap();
        Self {
            answer,
            read: String::new(),
            all: String::new(),
        }
    }

    /// The next event as name and data; nothing at the end.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = event.lines();
                    let found = lines.filter_map(|line| line.strip_prefix(name)).next();
                    found.unwrap_or_default().trim().to_owned()
                };
                let event = (field("event:"), field("data:"));
                self.read = rest.to_owned();
                if event.1.is_empty() {
                    continue;
                }
                return Some(event);
            }
            let chunk = timeout(PATIENCE, self.answer.chunk())
                .await
                .expect("in time");
            let chunk = chunk.unwrap()?;
            let chunk = std::str::from_utf8(&chunk).unwrap();
            self.read.push_str(chunk);
            self.all.push_str(chunk);
        }
    }
}

#[tokio::test]
async fn a_song_is_synced_by_clients_of_either_era() {
    let world = World::new().await;
    let server = serve(&world).await;
    let eras = [
        server.discover(None).await.unwrap(),
        server.initialize(None).await.unwrap(),
    ];
    let songs = [
        CLOCKS,
        ("Kids", "MGMT", "spotify:track:1jJci4qxiYcOHhQR247rEU"),
    ];
    for (client, which) in eras.iter().zip(songs) {
        let sync = start(client, song(which, world.empty())).await;
        let view = ended(client, &sync).await;
        assert_eq!(view["spotify_track_uri"], which.2, "{view:#}");
    }
    assert_eq!(world.in_playlist(world.empty()).len(), 2);
    // Each sees what the other did: they are one user.
    for client in &eras {
        let listed = client.call("list_syncs", json!({})).await.unwrap();
        assert_eq!(listed["syncs"].as_array().unwrap().len(), 2, "{listed:#}");
    }
}

/// Says something in a session.
async fn say(url: &str, session: Option<&str>, message: Value) -> Response {
    let mut said = reqwest::Client::new()
        .post(format!("{url}/mcp"))
        .header("accept", "application/json, text/event-stream")
        .json(&message);
    if let Some(session) = session {
        said = said.header("mcp-session-id", session);
    }
    said.send().await.unwrap()
}

fn hello(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {},
        "clientInfo": {"name": "a client", "version": "1"}}})
}

fn list_syncs() -> Value {
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "list_syncs", "arguments": {}}})
}

#[tokio::test]
async fn a_session_goes_on_in_another_process_until_its_client_ends_it() {
    let world = World::new().await;
    let (first, second) = (serve(&world).await, serve(&world).await);
    // Only an engine that is there keeps a session.
    let client = first.discover(None).await.unwrap();
    client.call("list_syncs", json!({})).await.unwrap();

    let begun = say(first.url(), None, hello("2025-06-18")).await;
    let session = begun.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(begun.text().await.unwrap().contains("2025-06-18"));
    first.kill().await.unwrap();

    let answer = say(second.url(), Some(&session), list_syncs()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.unwrap().contains("syncs"));

    let ended = reqwest::Client::new()
        .delete(format!("{}/mcp", second.url()))
        .header("mcp-session-id", &session);
    assert!(ended.send().await.unwrap().status().is_success());
    let third = serve(&world).await;
    for server in [&second, &third] {
        let answer = say(server.url(), Some(&session), list_syncs()).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    let invented = uuid::Uuid::new_v4().to_string();
    let answer = say(third.url(), Some(&invented), list_syncs()).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_oldest_clients_are_served_over_a_stream_of_events() {
    let world = World::new().await;
    let server = serve(&world).await;
    let mut events = Events::of(format!("{}/sse", server.url())).await;
    let (name, path) = events.next().await.unwrap();
    assert_eq!(name, "endpoint");
    let address = format!("{}{path}", server.url());
    let post = async |body: String| {
        let posted = reqwest::Client::new()
            .post(&address)
            .body(body)
            .send()
            .await;
        posted.unwrap().status()
    };
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "sync_track",
        "arguments": {"title": CLOCKS.0, "artist": CLOCKS.1, "playlist": world.empty(),
            "wait_seconds": 40}}});
    for message in [
        hello("2024-11-05"),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        call,
    ] {
        assert_eq!(post(message.to_string()).await, StatusCode::ACCEPTED);
    }
    let mut answers = Vec::new();
    while answers.len() < 2 {
        let (name, data) = events.next().await.unwrap();
        assert_eq!(name, "message");
        let message: Value = serde_json::from_str(&data).unwrap();
        if !message["id"].is_null() {
            answers.push(message);
        }
    }
    assert_eq!(answers[0]["result"]["protocolVersion"], "2024-11-05");
    let view = &answers[1]["result"]["structuredContent"];
    assert_eq!(view["spotify_track_uri"], CLOCKS.2, "{view:#}");

    assert_eq!(post("{".to_owned()).await, StatusCode::BAD_REQUEST);
    let page = async || {
        let page = reqwest::get(format!("{}/metrics", server.url()))
            .await
            .unwrap();
        page.text().await.unwrap()
    };
    until("its stream is counted", async || {
        page().await.contains("\nmcp_sessions_open 1\n")
    })
    .await;
    drop(events);
    until("its stream is closed", async || {
        post(list_syncs().to_string()).await == StatusCode::NOT_FOUND
    })
    .await;
    until("it is counted no more", async || {
        page().await.contains("\nmcp_sessions_open 0\n")
    })
    .await;
    let nowhere = format!("{}/messages", server.url());
    let lost = reqwest::Client::new().post(nowhere).body("{}").send().await;
    assert_eq!(lost.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_its_calls_and_says_why_nothing_more_comes() {
    let world = World::new().await;
    let server = serve(&world).await;
    let client = server.discover(None).await.unwrap();
    client.call("list_syncs", json!({})).await.unwrap();
    // One of the oldest clients has a call under way as well.
    let mut listening = Events::of(format!("{}/sse", server.url())).await;
    let (_, path) = listening.next().await.expect("its address");
    let address = format!("{}{path}", server.url());
    for message in [
        hello("2024-11-05"),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
    ] {
        let posted = reqwest::Client::new()
            .post(&address)
            .json(&message)
            .send()
            .await;
        assert_eq!(posted.unwrap().status(), StatusCode::ACCEPTED);
    }
    listening.next().await.expect("the server says who it is");
    world
        .fault(json!({"endpoint": "any", "count": 0, "latency_ms": 300}))
        .await;
    let call = json!({"title": CLOCKS.0, "artist": CLOCKS.1, "playlist": world.empty(),
        "wait_seconds": 40});
    let other = json!({"title": "Kids", "artist": "MGMT", "playlist": world.empty(),
        "wait_seconds": 40});
    let waiting = tokio::spawn(async move { client.call("sync_track", call).await });
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "sync_track", "arguments": other}});
    let posted = reqwest::Client::new()
        .post(&address)
        .json(&message)
        .send()
        .await;
    assert_eq!(posted.unwrap().status(), StatusCode::ACCEPTED);
    world.until_asked("search", 2).await;
    terminate(&server);

    // The call was under way, and has its answer.
    let view = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(view.unwrap()["sync_id"].is_string());
    let mut answers = Vec::new();
    while let Some((_, data)) = listening.next().await {
        answers.push(data);
    }
    assert!(
        answers.iter().any(|answer| answer.contains("sync_id")),
        "{answers:?}"
    );
    let reason = ": segue is shutting down; connect again\n\n";
    assert!(listening.all.ends_with(reason), "{}", listening.all);
    server.ended().await.unwrap();

    world.lift_faults().await;
    let next = serve(&world).await;
    let client = next.discover(None).await.unwrap();
    until("the sync goes on with the next", async || {
        let listed = client.call("list_syncs", json!({})).await.unwrap();
        let syncs = listed["syncs"].as_array().unwrap();
        syncs.len() == 2 && syncs.iter().all(|sync| sync["status"] == "completed")
    })
    .await;
    assert_eq!(world.effective_adds(), 2);
}

#[tokio::test]
async fn files_of_the_server_are_nobodys_business() {
    let world = World::new().await;
    let folder = world.home.path().join("exports");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("songs.csv");
    std::fs::write(&file, "title,artist\nClocks,Coldplay\n").unwrap();
    let launch = world
        .launch()
        .with("SEGUE_IMPORT_FOLDERS", folder.display().to_string());
    let server = HttpServer::start(&launch, &[]).await.unwrap();
    let client = server.discover(None).await.unwrap();
    for path in [
        file.display().to_string(),
        "/etc/passwd".into(),
        "../../etc/passwd".into(),
    ] {
        let call = json!({"file": path, "playlist": world.empty()});
        let refused = client.call_raw("sync_playlist", call).await.unwrap();
        assert_eq!(refused.is_error, Some(true), "{path}");
        let told = refused.structured_content.unwrap();
        assert_eq!(told["error"]["field"], "file", "{told:#}");
        assert!(!told.to_string().contains("Clocks") && !told.to_string().contains("root:"));
    }
}

#[tokio::test]
async fn an_address_of_others_needs_authentication_and_one_that_is_taken_is_told() {
    let world = World::new().await;
    let server = serve(&world).await;
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    let starts = async |address: &str| {
        let mut command = world
            .launch()
            .command(&["serve", "--http", address])
            .unwrap();
        command.stderr(std::process::Stdio::piped());
        let output = timeout(Duration::from_secs(60), command.output()).await;
        let output = output.expect("it ends at once").unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let told = starts("0.0.0.0:0").await;
    assert!(told.contains("segue token create"), "{told}");
    let told = starts(&port).await;
    assert!(told.contains("choose another with --http"), "{told}");
    let told = starts("nowhere").await;
    assert!(told.contains("127.0.0.1:8620"), "{told}");
}

#[tokio::test]
async fn a_balancer_is_told_whether_the_engine_is_there() {
    let world = World::new().await;
    // Nothing listens there.
    let launch = world.launch().with("TEMPORAL_ADDRESS", "127.0.0.1:9");
    let without = HttpServer::start(&launch, &[]).await.unwrap();
    let with = serve(&world).await;
    let health = async |server: &HttpServer| {
        let answer = reqwest::get(format!("{}/healthz", server.url())).await;
        answer.unwrap().status()
    };
    until("the engine is there", async || {
        health(&with).await == StatusCode::OK
    })
    .await;
    assert_eq!(health(&without).await, StatusCode::SERVICE_UNAVAILABLE);
}
