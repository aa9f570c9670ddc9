//! "One process is not enough, and they are restarted all the time." Any process answers for any task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use rmcp::{
    RoleClient,
    model::{
        CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, GetTaskParams,
        Implementation, ProtocolVersion,
    },
    service::{ClientLifecycleMode, ClientServiceExt, RunningService, ServiceError},
    transport::StreamableHttpClientTransport,
};
use segue::client::HttpServer;
use serde_json::{Value, json};

use crate::{
    balancer::Balancer,
    batches::{exported, songs, uri_of},
    support::World,
};

const PROCESSES: usize = 3;
const SYNCS: usize = 200;
/// Clients that sync at the same time.
const CLIENTS: usize = 8;
/// Time between two kills.
const KILL_EVERY: Duration = Duration::from_secs(5);
/// The end of every wait. A kill costs what ran in the process the time after which the engine misses it.
const PATIENCE: Duration = Duration::from_secs(600);
/// Before a client asks again whose request was cut off.
const AGAIN: Duration = Duration::from_millis(100);

type Client = RunningService<RoleClient, ClientConfig>;

/// A client that knows tasks. It says with each request what it is, so that the process it meets does not matter.
async fn client(url: &str) -> Client {
    let end = Instant::now() + PATIENCE;
    loop {
        let capabilities = ClientCapabilities::builder().enable_tasks().build();
        let client = ClientConfig::new(capabilities, Implementation::new("a client", "1"));
        let lifecycle = ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        };
        let transport = StreamableHttpClientTransport::from_uri(format!("{url}/mcp"));
        match client.serve_with_lifecycle(transport, lifecycle).await {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Syncs a song as a task, and gives the task's result. A request that was cut off is made again: a call
/// that did arrive has then started another sync of the same song, which finds it there.
async fn synced(url: &str, call: Value) -> Value {
    let end = Instant::now() + PATIENCE;
    let client = client(url).await;
    let arguments = call.as_object().unwrap().clone();
    let task = loop {
        let call = CallToolRequestParams::new("sync_track").with_arguments(arguments.clone());
        match client.call_tool_once(call).await {
            Ok(CallToolResponse::Task(task)) => break serde_json::to_value(task).unwrap(),
            Ok(other) => panic!("no task: {other:?}"),
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        tokio::time::sleep(AGAIN).await;
    };
    let id = task["taskId"].as_str().unwrap();
    loop {
        match client.peer().get_task(GetTaskParams::new(id)).await {
            Ok(told) => {
                let told = serde_json::to_value(told).unwrap();
                match told["status"].as_str() {
                    Some("completed") => return told["result"]["structuredContent"].clone(),
                    Some("working") => {}
                    _ => panic!("{told:#}"),
                }
            }
            // Every process has to know every task.
            Err(ServiceError::McpError(error)) => panic!("{id}: {error}"),
            Err(error) => assert!(Instant::now() < end, "{id}: {error}"),
        }
        assert!(Instant::now() < end, "{id} does not end");
        tokio::time::sleep(AGAIN * 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_tasks_end_well_while_one_process_after_the_other_is_killed() {
    let world = World::new().await;
    // The engine stays: what is killed here is Segue.
    let engine = world.engine().await;
    let serve = async || HttpServer::start(&world.launch(), &[]).await.unwrap();
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(serve().await);
    }
    let urls = processes.iter().map(|process| process.url().to_owned());
    let balancer = Balancer::before(urls.collect()).await;
    let url = balancer.url();

    let done = Arc::new(AtomicBool::new(false));
    let killing = async {
        let mut kills = 0;
        while !done.load(Ordering::Relaxed) {
            tokio::time::sleep(KILL_EVERY).await;
            let place = kills % PROCESSES;
            let fresh = serve().await;
            balancer.replace(place, fresh.url());
            std::mem::replace(&mut processes[place], fresh)
                .kill()
                .await
                .unwrap();
            kills += 1;
        }
        kills
    };
    let songs = &songs()[..SYNCS];
    let syncing = async {
        let syncs = songs.iter().map(|song| {
            let mut call = exported((0, song));
            call["playlist"] = json!(world.empty());
            synced(&url, call)
        });
        let results: Vec<Value> = stream::iter(syncs)
            .buffer_unordered(CLIENTS)
            .collect()
            .await;
        done.store(true, Ordering::Relaxed);
        results
    };
    let (kills, results) = tokio::join!(killing, syncing);
    assert!(kills >= 3, "{kills} kills");
    assert_eq!(results.len(), SYNCS);
    for result in &results {
        assert_eq!(result["success"], json!(true), "{result:#}");
    }
    let mut there = world.in_playlist(world.empty());
    let mut expected: Vec<String> = songs.iter().map(uri_of).collect();
    there.sort();
    expected.sort();
    expected.dedup();
    assert_eq!(there, expected);
    println!("{SYNCS} syncs, {kills} kills");
    drop(engine);
}
