//! "One machine is not enough." Workers on one external engine share the work, and one that is killed leaves
//! its share to the others.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};

use futures::{StreamExt, TryStreamExt, stream};
use segue::{client::HttpServer, engine::Engine};
use segue_workflows::{
    call_budget::{CallBudget, Facts, Renewal, Share},
    music_sync::MusicSync,
    names::{BUDGET_ID, BUDGET_QUEUE},
};
use serde_json::{Value, json};
use temporalio_client::{
    Client, WorkflowFetchHistoryOptions, WorkflowHandle, WorkflowIdConflictPolicy,
    WorkflowListOptions, WorkflowUpdateWithStartOptions,
};
use temporalio_common::protos::temporal::api::history::v1::{
    HistoryEvent, history_event::Attributes,
};
use tokio::process::Child;

use crate::{
    batches::{exported, songs, uri_of},
    support::{World, ended, start, start_batch, until},
};

/// Songs that are synced one by one.
const SYNCS: usize = 40;
/// Songs of a batch: three pages, each searched by four activities.
const BATCH: usize = 300;

/// A workflow as the engine recorded it.
pub(crate) struct Recorded {
    workflow_type: String,
    bytes: i64,
    pub(crate) events: Vec<HistoryEvent>,
}

impl Recorded {
    /// Which processes did its steps, and when.
    fn steps(&self) -> impl Iterator<Item = (&str, SystemTime)> {
        self.events.iter().filter_map(|event| {
            let identity = match event.attributes.as_ref()? {
                Attributes::WorkflowTaskCompletedEventAttributes(step) => &step.identity,
                Attributes::ActivityTaskCompletedEventAttributes(step) => &step.identity,
                _ => return None,
            };
            Some((identity.as_str(), time_of(event)))
        })
    }

    fn ended_at(&self) -> SystemTime {
        time_of(self.events.last().expect("an end"))
    }
}

fn time_of(event: &HistoryEvent) -> SystemTime {
    let time = event.event_time.expect("a time");
    SystemTime::try_from(time).expect("a time that there is")
}

/// Every workflow of syncs that has ended.
const ENDED: &str = "ExecutionStatus != 'Running' AND TaskQueue = 'music-sync'";

/// The workflows that this query finds.
pub(crate) async fn recorded(engine: &Engine, query: &str) -> Vec<Recorded> {
    let client: &Client = engine.client();
    let listed: Vec<_> = client
        .list_workflows(query, WorkflowListOptions::default())
        .try_collect()
        .await
        .unwrap();
    let mut all = Vec::new();
    for execution in listed {
        let latest = client.get_workflow_handle::<MusicSync>(execution.id());
        let mut run = latest.info().clone();
        run.run_id = Some(execution.run_id().to_owned());
        let handle = WorkflowHandle::<_, MusicSync>::new(client.clone(), run);
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        all.push(Recorded {
            workflow_type: execution.workflow_type().to_owned(),
            bytes: execution.raw().history_size_bytes,
            events: history.into_events().await.unwrap(),
        });
    }
    all
}

/// How its identity begins at the engine.
fn identity_of(process: u32) -> String {
    format!("segue-{process}@")
}

/// What a workflow costs the engine, on average: the figures of docs/scaling.md.
fn print_costs<'a>(all: impl Iterator<Item = &'a Recorded>) {
    let mut types: BTreeMap<&str, Vec<&Recorded>> = BTreeMap::new();
    for one in all {
        types.entry(&one.workflow_type).or_default().push(one);
    }
    println!("| workflow | ended | events | bytes |");
    for (name, all) in types {
        let events: usize = all.iter().map(|one| one.events.len()).sum();
        let bytes: i64 = all.iter().map(|one| one.bytes).sum();
        let count = all.len();
        println!(
            "| {name} | {count} | {:.1} | {:.0} |",
            events as f64 / count as f64,
            bytes as f64 / count as f64
        );
    }
}

#[tokio::test]
async fn two_workers_share_the_load_and_the_work_of_a_killed_one_moves() {
    let theirs = World::new().await;
    let engine = theirs.engine().await;
    let host = engine.address().trim_start_matches("http://").to_owned();
    let world = World::new().await;
    let launch = world.launch().with("TEMPORAL_ADDRESS", host);
    let process = HttpServer::start(&launch, &[]).await.unwrap();
    let server = process.discover(None).await.unwrap();
    let worker = || -> Child { launch.command(&["worker"]).unwrap().spawn().unwrap() };
    let (mut doomed, mut other) = (worker(), worker());
    let processes = [process.pid(), doomed.id(), other.id()].map(Option::unwrap);
    until("all three take work", async || {
        let health = server.call("get_health", json!({})).await.unwrap();
        health["workers"]["count"] == 3
    })
    .await;

    world
        .fault(json!({"endpoint": "any", "count": 0, "latency_ms": 150}))
        .await;
    let songs = songs();
    let (singly, together) = songs[..SYNCS + BATCH].split_at(SYNCS);
    let batch_playlist = world.sim.empty_playlist_id();
    let made = world.order("playlists", json!({"name": "One by one"}));
    let playlist = made.await["id"].as_str().unwrap().to_owned();
    let tracks: Vec<Value> = together.iter().map(|song| exported((0, song))).collect();
    let batch = start_batch(
        &server,
        json!({"tracks": tracks, "playlist": batch_playlist}),
    )
    .await;
    let calls = singly.iter().map(|song| {
        let mut call = exported((0, song));
        call["playlist"] = json!(playlist);
        start(&server, call)
    });
    let ids = futures::future::join_all(calls).await;

    until("some adds were made", async || world.effective_adds() >= 5).await;
    doomed.kill().await.unwrap();
    let killed_at = SystemTime::now();

    for id in ids.iter().chain([&batch]) {
        let view = ended(&server, id).await;
        assert_eq!(
            (&view["status"], &view["success"]),
            (&json!("completed"), &json!(true)),
            "{view:#}"
        );
    }
    // Each is there once: in the order of the rows for the batch, and in any for the others.
    let expected: Vec<String> = together.iter().map(uri_of).collect();
    assert_eq!(world.in_playlist(batch_playlist), expected);
    let mut there = world.in_playlist(&playlist);
    there.sort();
    let mut expected: Vec<String> = singly.iter().map(uri_of).collect();
    expected.sort();
    assert_eq!(there, expected);

    let all = recorded(&engine, ENDED).await;
    for process in processes {
        let name = identity_of(process);
        let did = all.iter().flat_map(Recorded::steps);
        let steps = did
            .filter(|(identity, _)| identity.starts_with(&name))
            .count();
        println!("{name} did {steps} steps");
        assert!(steps > 0, "{name} did nothing");
    }
    let name = identity_of(processes[1]);
    let by_it = |one: &&Recorded| one.steps().any(|(who, _)| who.starts_with(&name));
    // A kill costs some events more.
    print_costs(all.iter().filter(|one| !by_it(one)));
    let moved: Vec<&Recorded> = all
        .iter()
        .filter(by_it)
        .filter(|one| one.ended_at() > killed_at)
        .collect();
    println!("{} workflows moved", moved.len());
    assert!(!moved.is_empty(), "it had nothing under way");
    for one in all.iter().filter(by_it) {
        let mut steps = one.steps().filter(|(who, _)| who.starts_with(&name));
        assert!(
            steps.all(|(_, when)| when <= killed_at),
            "{}",
            one.workflow_type
        );
    }
    other.kill().await.unwrap();
    server.end().await.unwrap();
}

/// Workers that divide one budget of calls: as many as it has calls in a window when nobody says otherwise.
const MEMBERS: u32 = 100;
/// How often each renews its share.
const RENEWALS: u32 = 5;
/// Renewals at a time. The engine takes ten updates of one workflow at a time, and refuses more.
const AT_A_TIME: usize = 8;

/// A worker renews its share, as its gate does.
async fn renewed(client: &Client, member: u32) -> Share {
    let renewal = Renewal {
        member: format!("worker-{member}"),
        calls_per_window: MEMBERS,
        limited_for_seconds: None,
        circuits: Vec::new(),
    };
    let existing = WorkflowIdConflictPolicy::UseExisting;
    let options = WorkflowUpdateWithStartOptions::new(BUDGET_QUEUE, BUDGET_ID, existing).build();
    client
        .execute_update_with_start_workflow(
            CallBudget::run,
            Facts::default(),
            CallBudget::renew,
            renewal,
            options,
        )
        .await
        .expect("a share")
}

/// The workflow that divides the budget is one for all workers: what it can bear bounds how many they may be.
#[tokio::test]
async fn a_hundred_workers_divide_one_budget_of_calls() {
    let world = World::new().await;
    let server = world.serve().await;
    server.call("list_syncs", json!({})).await.unwrap();
    let engine = world.engine().await;
    let begun = Instant::now();
    let renewals = (0..RENEWALS * MEMBERS).map(|turn| renewed(engine.client(), turn % MEMBERS));
    let shares: Vec<Share> = stream::iter(renewals).buffered(AT_A_TIME).collect().await;
    let took = begun.elapsed().as_secs_f64();

    // The last round knows of all, and the server itself, which does not call, is none of them.
    let last = &shares[shares.len() - MEMBERS as usize..];
    for share in last {
        assert_eq!(share.calls_per_window, 1, "{share:?}");
    }
    let seconds = last[0].renew_in_seconds;
    println!(
        "{:.0} renewals a second; {MEMBERS} workers ask every {seconds} s, {:.0} times a second",
        shares.len() as f64 / took,
        f64::from(MEMBERS) / f64::from(seconds)
    );
    server.end().await.unwrap();
}
