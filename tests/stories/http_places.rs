//! "Somebody fills the server's memory." A large body has one of few places, and keeps it until its call is answered;
//! also where the answer comes another way than the response.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use segue::client::HttpServer;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{CLOCKS, World, until};

/// Large bodies of one user that are held at a time (`src/http/border.rs`).
const OF_ONE: usize = 2;
/// Time in which what has a place is taken.
const TAKEN: Duration = Duration::from_secs(20);
/// Time in which what has no place must not be taken.
const REFUSED: Duration = Duration::from_secs(3);

/// A call with 300 kB beside it that nobody has asked for.
fn large(id: usize, tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
        "name": tool, "arguments": arguments, "_meta": {"padding": "x".repeat(300_000)}}})
}

fn initialize(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {},
        "clientInfo": {"name": "stories", "version": "1"}}})
}

async fn post(client: &Client, url: &str, session: Option<&str>, body: &Value) -> Response {
    let mut request = client
        .post(url)
        .header("accept", "application/json, text/event-stream")
        .json(body);
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    request.send().await.expect("an answer")
}

/// A sync that waits for as long as anybody waits for it.
async fn waiting_sync(world: &World, server: &HttpServer) -> (segue::client::Conversation, String) {
    let conversation = server.discover(None).await.unwrap();
    world
        .fault(json!({"endpoint": "search", "count": 1, "status": 429, "retry_after": 3_600}))
        .await;
    let call = json!({"title": CLOCKS.0, "artist": CLOCKS.1, "playlist": world.empty()});
    let view = conversation.call("sync_track", call).await.unwrap();
    let id = view["sync_id"].as_str().unwrap().to_owned();
    (conversation, id)
}

#[tokio::test]
async fn a_large_message_on_a_stream_keeps_its_place_until_its_call_is_answered() {
    let world = World::new().await;
    let server = HttpServer::start(&world.launch(), &[]).await.unwrap();
    let (conversation, sync_id) = waiting_sync(&world, &server).await;
    let client = Client::new();
    let base = server.url();
    let mut stream = client.get(format!("{base}/sse")).send().await.unwrap();
    let mut told = String::new();
    until("the stream names its address", async || {
        if let Ok(Ok(Some(chunk))) = timeout(TAKEN, stream.chunk()).await {
            told.push_str(&String::from_utf8_lossy(&chunk));
        }
        told.contains("session_id=")
    })
    .await;
    let address = told.lines().find_map(|line| line.strip_prefix("data: "));
    let url = format!("{base}{}", address.expect("an address"));
    let said = async |body: &Value| post(&client, &url, None, body).await.status();
    assert_eq!(said(&initialize("2024-11-05")).await, StatusCode::ACCEPTED);
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(said(&ready).await, StatusCode::ACCEPTED);

    let wait = json!({"sync_id": sync_id, "wait_seconds": 45});
    for id in 1..=OF_ONE {
        let taken = timeout(TAKEN, said(&large(id, "get_sync_progress", &wait))).await;
        assert_eq!(taken.expect("a place"), StatusCode::ACCEPTED);
    }
    // Small ones need no place.
    let small = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"});
    assert_eq!(said(&small).await, StatusCode::ACCEPTED);
    let third = large(OF_ONE + 1, "get_sync_progress", &wait);
    assert!(timeout(REFUSED, said(&third)).await.is_err(), "a third one");
    let cancel = json!({"sync_id": sync_id});
    conversation.call("cancel_sync", cancel).await.unwrap();
    for id in 10..13 {
        let taken = timeout(TAKEN, said(&large(id, "get_sync_progress", &wait))).await;
        assert_eq!(taken.expect("free again"), StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn a_client_in_a_session_that_hangs_up_leaves_its_place_taken_until_its_call_is_answered() {
    let world = World::new().await;
    let server = HttpServer::start(&world.launch(), &[]).await.unwrap();
    let (conversation, sync_id) = waiting_sync(&world, &server).await;
    let client = Client::new();
    let url = format!("{}/mcp", server.url());
    let begun = post(&client, &url, None, &initialize("2025-06-18")).await;
    let session = begun.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    post(&client, &url, Some(&session), &ready).await;
    let health = |id| large(id, "get_health", &json!({}));
    // None is kept longer than its call.
    for id in 1..6 {
        let answered = timeout(TAKEN, post(&client, &url, Some(&session), &health(id))).await;
        let answer = answered.expect("a place").text().await.unwrap();
        assert!(answer.contains("structuredContent"), "{answer}");
    }
    let mut list = health(6);
    list["method"] = json!("tools/list");
    let refused = post(&client, &url, Some(&session), &list).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let wait = json!({"sync_id": sync_id, "wait_seconds": 45});
    for id in 10..10 + OF_ONE {
        let body = large(id, "get_sync_progress", &wait);
        let taken = timeout(TAKEN, post(&client, &url, Some(&session), &body)).await;
        // It begins to answer, and nobody listens.
        assert_eq!(taken.expect("a place").status(), StatusCode::OK);
    }
    let third = timeout(REFUSED, post(&client, &url, Some(&session), &health(20))).await;
    assert!(third.is_err(), "a third one");
    let cancel = json!({"sync_id": sync_id});
    conversation.call("cancel_sync", cancel).await.unwrap();
    let answered = timeout(TAKEN, post(&client, &url, Some(&session), &health(30))).await;
    assert_eq!(answered.expect("free again").status(), StatusCode::OK);
}
