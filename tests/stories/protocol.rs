//! "My client chokes on stray output." stdout carries nothing but the protocol, whatever is logged.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::support::{PATIENCE, World};

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
