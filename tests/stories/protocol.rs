//! "My client chokes on stray output." stdout carries nothing but the protocol, whatever is logged.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use crate::support::{CLOCKS, PATIENCE, World, song};

#[tokio::test]
async fn every_line_of_stdout_is_a_message_and_the_end_of_stdin_is_the_end() {
    let world = World::new().await;
    let launch = world.launch().with("SEGUE_LOG", "debug");
    let mut process = launch
        .command(&["serve"])
        .unwrap()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let hello = json!({"protocolVersion": "2024-11-05", "capabilities": {},
        "clientInfo": {"name": "a client", "version": "1"}});
    let call = json!({"name": "list_syncs", "arguments": {}});
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call}),
    ] {
        stdin
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }
    let mut answered = Vec::new();
    while !answered.contains(&json!(3)) {
        let line = lines.next_line().await.unwrap().expect("another message");
        let message: Value = serde_json::from_str(&line).expect("a message");
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        assert!(message["error"].is_null(), "{line}");
        answered.push(message["id"].clone());
    }
    assert_eq!(answered[0], 1, "the oldest protocol is spoken, too");
    drop(stdin);
    while let Some(line) = lines.next_line().await.unwrap() {
        serde_json::from_str::<Value>(&line).expect("a message");
    }
    let status = tokio::time::timeout(PATIENCE, process.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// A server, spoken to line by line.
struct Raw {
    _process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    requests: u32,
}

impl Raw {
    fn start(world: &World) -> Self {
        let mut process = world
            .launch()
            .command(&["serve"])
            .unwrap()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: process.stdin.take().unwrap(),
            lines: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
            requests: 0,
        }
    }

    async fn send(&mut self, message: Value) {
        let line = format!("{message}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    /// Makes a request, and gives what came before its answer, and the answer.
    async fn ask(&mut self, method: &str, params: Value) -> (Vec<Value>, Value) {
        self.requests += 1;
        let id = self.requests;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        let mut before = Vec::new();
        loop {
            let line = self.lines.next_line().await.unwrap().expect("a line");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                return (before, message);
            }
            before.push(message);
        }
    }
}

/// A call that waits for its sync, which takes some seconds: the first search is given up, and made again.
async fn waiting_call(world: &World) -> Value {
    let slow = json!({"endpoint": "search", "count": 2, "latency_ms": 4_000});
    world.fault(slow).await;
    let mut arguments = song(CLOCKS, world.empty());
    arguments["wait_seconds"] = json!(40);
    json!({"name": "sync_track", "arguments": arguments})
}

fn assert_told(before: &[Value], answer: &Value) {
    let view = &answer["result"]["structuredContent"];
    assert_eq!(view["success"], true, "{answer:#}");
    let told = before
        .iter()
        .filter(|message| message["method"] == "notifications/message");
    let told: Vec<&Value> = told.collect();
    assert!(!told.is_empty(), "{before:#?}");
    for message in told {
        let (params, data) = (&message["params"], &message["params"]["data"]);
        assert_eq!(
            (&params["level"], &data["sync_id"]),
            (&json!("info"), &view["sync_id"]),
            "{message:#}"
        );
        assert!(data["message"].is_string(), "{message:#}");
    }
}

#[tokio::test]
async fn a_session_is_told_what_a_call_waits_for_if_it_asks_for_log_messages() {
    let world = World::new().await;
    let mut server = Raw::start(&world);
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "a client", "version": "1"}});
    let (_, hello) = server.ask("initialize", hello).await;
    assert!(
        hello["result"]["capabilities"]["logging"].is_object(),
        "{hello:#}"
    );
    server
        .send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    let call = waiting_call(&world).await;
    let (before, _) = server.ask("tools/call", call).await;
    assert!(before.is_empty(), "nobody asked: {before:#?}");
    for (level, is_told) in [("info", true), ("error", false)] {
        let (_, set) = server
            .ask("logging/setLevel", json!({"level": level}))
            .await;
        assert!(set["result"].is_object(), "{set:#}");
        let call = waiting_call(&world).await;
        let (before, answer) = server.ask("tools/call", call).await;
        match is_told {
            true => assert_told(&before, &answer),
            false => assert!(before.is_empty(), "{before:#?}"),
        }
    }
}

#[tokio::test]
async fn since_2026_each_request_says_whether_it_wants_log_messages() {
    let world = World::new().await;
    let mut server = Raw::start(&world);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let set = json!({"level": "info", "_meta": meta});
    let (_, refused) = server.ask("logging/setLevel", set).await;
    assert_eq!(refused["error"]["code"], -32601, "{refused:#}");
    let mut call = waiting_call(&world).await;
    call["_meta"] = meta.clone();
    let (before, _) = server.ask("tools/call", call).await;
    assert!(before.is_empty(), "nobody asked: {before:#?}");
    let mut call = waiting_call(&world).await;
    call["_meta"] = meta;
    call["_meta"]["io.modelcontextprotocol/logLevel"] = json!("debug");
    let (before, answer) = server.ask("tools/call", call).await;
    assert_told(&before, &answer);
}
