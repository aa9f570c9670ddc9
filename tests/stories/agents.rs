//! "Let agents do it." A sync whose work is done by agents keeps every promise of one that is not.

use std::process::Stdio;

use segue::client::Server;
use segue_workflows::music_sync::MusicSync;
use serde_json::{Value, json};
use temporalio_client::WorkflowFetchHistoryOptions;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::{
    scripted_model::{Order, ScriptedModel},
    support::{CLOCKS, NEVER_OPENS, World, all, ended, kill, processes, start, until},
};

/// The turns of a sync of a song without an ISRC: search, hand over, score, hand over, add, verify, end.
const TURNS: usize = 7;

fn by_agents(playlist: &str) -> Value {
    json!({"title": CLOCKS.0, "artist": CLOCKS.1, "playlist": playlist, "strategy": "agents"})
}

async fn serve_with(world: &World, model: &ScriptedModel) -> Server {
    let launch = model.beside(world.launch()).await;
    let launch = launch.with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    Server::start(&launch.with("SEGUE_MODEL_TIMEOUT_SECONDS", "30"))
        .await
        .unwrap()
}

#[tokio::test]
async fn agents_search_match_and_add_and_come_to_what_the_pipeline_comes_to() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    let view = ended(&server, &start(&server, by_agents(world.empty())).await).await;
    assert_eq!(view["status"], "completed", "{view:#}");
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(view["spotify_track_uri"], CLOCKS.2, "{view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(model.requests().len(), TURNS);

    let again = ended(&server, &start(&server, by_agents(world.empty())).await).await;
    assert_eq!(again["already_present"], true, "{again:#}");
    assert_eq!(world.effective_adds(), 1);

    // Two calls in one turn.
    let mut with_isrc = json!({"title": "Kids", "artist": "MGMT", "playlist": world.empty(),
        "isrc": "USSM10703562", "strategy": "agents"});
    let before = model.requests().len();
    let view = ended(&server, &start(&server, with_isrc.clone()).await).await;
    assert_eq!(view["success"], true, "{view:#}");
    let after_search = &model.requests()[before + 1];
    let results = after_search["messages"].as_array().unwrap().iter();
    assert_eq!(
        results.filter(|message| message["role"] == "tool").count(),
        2,
        "{after_search:#}"
    );

    with_isrc = json!({"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody", "playlist": world.empty(),
        "strategy": "agents"});
    let view = ended(&server, &start(&server, with_isrc).await).await;
    assert_eq!(
        (&view["status"], &view["success"]),
        (&json!("completed"), &json!(false)),
        "{view:#}"
    );
    model.assert_well_asked();
    server.end().await.unwrap();
}

#[tokio::test]
async fn one_agent_with_two_tools_is_enough() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    let mut call = by_agents(world.empty());
    call["strategy"] = json!("simple_agent");
    let view = ended(&server, &start(&server, call).await).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(world.in_playlist(world.empty()).len(), 1);
    assert_eq!(model.requests().len(), 3, "search, add, end");
    let told = model.requests()[0]["tools"].as_array().unwrap().len();
    assert_eq!(told, 2);
    model.assert_well_asked();
    server.end().await.unwrap();
}

/// How a song is asked of one agent.
fn by_one_agent(playlist: &str) -> Value {
    let mut call = by_agents(playlist);
    call["strategy"] = json!("simple_agent");
    call
}

/// The names of the activities of the workflow in which the agents of this sync work.
async fn activities_of(world: &World, sync_id: &str) -> Vec<String> {
    let engine = world.engine().await;
    let agents = format!("{sync_id}-agents");
    let handle = engine.client().get_workflow_handle::<MusicSync>(&agents);
    let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
    let history: Value = serde_json::from_slice(&history.to_json().await.unwrap()).unwrap();
    let events = history["events"].as_array().unwrap().iter();
    events
        .filter_map(|event| {
            let scheduled = &event["attributes"]["ActivityTaskScheduledEventAttributes"];
            Some(scheduled["activity_type"]["name"].as_str()?.to_owned())
        })
        .collect()
}

async fn serve_in_session(world: &World, model: &ScriptedModel) -> Server {
    let launch = model.beside(world.launch()).await;
    let launch = launch.with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    Server::start(&launch.with("SEGUE_AGENT_CONNECTION", "stateful"))
        .await
        .unwrap()
}

#[tokio::test]
async fn an_agent_is_given_the_servers_own_tools_statelessly_or_in_a_session() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    let id = start(&server, by_one_agent(world.empty())).await;
    assert_eq!(ended(&server, &id).await["success"], true);
    let called = activities_of(&world, &id).await;
    assert_eq!(
        called,
        [
            "list_mcp_tools",
            "invoke_model",
            "call_mcp_tool",
            "invoke_model",
            "invoke_model"
        ]
    );
    let told = &model.requests()[0]["tools"][0]["function"];
    assert_eq!(told["name"], "search_track", "{told:#}");
    let parameters = &told["parameters"]["properties"];
    assert!(
        parameters["limit"].is_object(),
        "the server's own schema: {told:#}"
    );
    server.end().await.unwrap();

    let server = serve_in_session(&world, &model).await;
    let id = start(&server, by_one_agent(world.empty())).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["already_present"], true, "{view:#}");
    let called = activities_of(&world, &id).await;
    assert_eq!(
        called,
        [
            "list_mcp_tools",
            "invoke_model",
            "open_mcp_session",
            "call_in_mcp_session",
            "invoke_model",
            "invoke_model",
            "close_mcp_session"
        ]
    );
    server.end().await.unwrap();
    model.assert_well_asked();
}

/// Whoever holds a session may go: the server at its other end, or the worker.
#[tokio::test]
async fn a_session_that_is_lost_is_seen_and_another_one_opened() {
    all([false, true].map(|worker| async move {
        let world = World::new().await;
        let model = ScriptedModel::default();
        world
            .fault(json!({"endpoint": "search", "count": 1, "latency_ms": 15_000}))
            .await;
        let server = serve_in_session(&world, &model).await;
        let id = start(&server, by_one_agent(world.empty())).await;
        world.until_asked("search", 1).await;
        let server = if worker {
            server.kill().await.unwrap();
            serve_in_session(&world, &model).await
        } else {
            let held = processes(server.pid(), "spotify");
            assert_eq!(held.len(), 2, "the shared one and that of the session");
            held.into_iter().for_each(kill);
            server
        };
        let view = ended(&server, &id).await;
        assert_eq!(view["success"], true, "{worker}: {view:#}");
        assert_eq!(world.effective_adds(), 1, "{worker}");
        let called = activities_of(&world, &id).await;
        let opened = called.iter().filter(|name| *name == "open_mcp_session");
        assert_eq!(opened.count(), 2, "{worker}: {called:?}");
        assert_eq!(model.answers(), 3, "{worker}: no answer is paid twice");
        let left = processes(server.pid(), "spotify");
        assert!(
            left.len() <= 1,
            "{worker}: a session is left open: {left:?}"
        );
        server.end().await.unwrap();
    }))
    .await;
}

/// Calls of one turn share the session.
#[tokio::test]
async fn two_calls_at_once_speak_in_one_session() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_in_session(&world, &model).await;
    model.order([Order::Call(vec![
        ("search_track", "{\"query\": \"clocks coldplay\"}"),
        ("search_track", "{\"query\": \"coldplay clocks\"}"),
        (
            "search_track",
            "{\"query\": \"clocks\", \"limit\": \"many\"}",
        ),
    ])]);
    let id = start(&server, by_one_agent(world.empty())).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    let called = activities_of(&world, &id).await;
    let count = |wanted: &str| called.iter().filter(|name| *name == wanted).count();
    assert_eq!(count("open_mcp_session"), 1, "{called:?}");
    assert_eq!(count("close_mcp_session"), 1, "{called:?}");
    assert!(count("call_in_mcp_session") >= 3, "{called:?}");
    until("the session's server is gone", async || {
        processes(server.pid(), "spotify").len() == 1
    })
    .await;
    model.assert_well_asked();
    server.end().await.unwrap();
}

/// A server that hangs is not called again in its session, and opens no circuit for all others.
#[tokio::test]
async fn a_session_whose_server_hangs_is_given_up() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    world
        .fault(json!({"endpoint": "search", "count": 1, "latency_ms": 15_000}))
        .await;
    let launch = model.beside(world.launch()).await;
    let launch = launch.with("SEGUE_AGENT_CONNECTION", "stateful");
    let server = Server::start(&launch).await.unwrap();
    let id = start(&server, by_one_agent(world.empty())).await;
    world.until_asked("search", 1).await;
    let held = processes(server.pid(), "spotify");
    let stop = |pid: u32| {
        let stopped = std::process::Command::new("kill")
            .args(["-STOP", &pid.to_string()])
            .status();
        assert!(stopped.unwrap().success());
    };
    held.into_iter().for_each(stop);
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    let called = activities_of(&world, &id).await;
    let opened = called.iter().filter(|name| *name == "open_mcp_session");
    assert_eq!(opened.count(), 2, "{called:?}");
    assert_eq!(model.answers(), 3);
    server.end().await.unwrap();
}

/// Without a session the connection is made anew by itself.
#[tokio::test]
async fn a_server_that_dies_under_a_stateless_call_is_called_again() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    world
        .fault(json!({"endpoint": "search", "count": 1, "latency_ms": 15_000}))
        .await;
    let server = serve_with(&world, &model).await;
    let id = start(&server, by_one_agent(world.empty())).await;
    world.until_asked("search", 1).await;
    processes(server.pid(), "spotify")
        .into_iter()
        .for_each(kill);
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(model.answers(), 3);
    server.end().await.unwrap();
}

/// What a model says on the way is told to who watches, in progress notifications alone.
#[tokio::test]
async fn who_waits_hears_what_a_model_says_on_the_way() {
    const MUSING: &str = "Let me look at these two recordings first.";
    let world = World::new().await;
    let model = ScriptedModel::default();
    model.order([Order::Muse(MUSING, 10_000)]);
    let launch = model.beside(world.launch()).await;
    let launch = launch.with("SEGUE_MODEL_TIMEOUT_SECONDS", "30");
    let mut process = launch
        .command(&["serve"])
        .unwrap()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "a client", "version": "1"}});
    let mut arguments = by_agents(world.empty());
    arguments["wait_seconds"] = json!(40);
    let call = json!({"name": "sync_track", "arguments": arguments, "_meta": {"progressToken": 7}});
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}),
    ] {
        stdin
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }
    let mut told = Vec::new();
    let answer = loop {
        let line = lines.next_line().await.unwrap().expect("another message");
        let message: Value = serde_json::from_str(&line).unwrap();
        if message["method"] == "notifications/progress" {
            told.push(message["params"].clone());
        }
        if message["id"] == 2 {
            break line;
        }
    };
    let heard = |params: &&Value| params["message"].as_str().unwrap().contains(MUSING);
    assert!(told.iter().any(|params| heard(&params)), "{told:#?}");
    let counts: Vec<f64> = told.iter().filter_map(|p| p["progress"].as_f64()).collect();
    assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
    assert!(!answer.contains(MUSING), "{answer}");
    assert!(answer.contains(CLOCKS.2), "{answer}");
    drop(stdin);
    process.wait().await.unwrap();
}

/// The share decides where a call does not, and what was decided stands in the sync's input.
#[tokio::test]
async fn a_share_of_syncs_goes_to_agents_and_a_call_can_say_otherwise() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let launch = model.beside(world.launch()).await;
    let server = Server::start(&launch.with("SEGUE_AGENTS_SHARE", "1"))
        .await
        .unwrap();
    let mut call = by_agents(world.empty());
    call["strategy"] = json!("pipeline");
    ended(&server, &start(&server, call.clone()).await).await;
    assert!(model.requests().is_empty());
    call.as_object_mut().unwrap().remove("strategy");
    let id = start(&server, call.clone()).await;
    ended(&server, &id).await;
    assert_eq!(model.requests().len(), TURNS);
    let engine = world.engine().await;
    let handle = engine.client().get_workflow_handle::<MusicSync>(&id);
    let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
    let history = String::from_utf8(history.to_json().await.unwrap()).unwrap();
    assert!(history.contains("AgentSync"), "the child that did it");
    server.end().await.unwrap();
}

/// What a model gets wrong is told to it, and it goes on.
#[tokio::test]
async fn what_an_agent_gets_wrong_changes_nothing() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    let cases = [
        (
            "broken arguments",
            Order::Call(vec![("search", "{\"query\": ")]),
        ),
        (
            "arguments of another form",
            Order::Call(vec![("search", "{\"playlist\": \"x\"}")]),
        ),
        (
            "an unknown tool",
            Order::Call(vec![("delete_playlist", "{}")]),
        ),
        (
            "a tool of another agent",
            Order::Call(vec![("add_track", "{\"candidate\": 0}")]),
        ),
        (
            "an unknown agent",
            Order::Call(vec![("transfer_to_admin_agent", "{}")]),
        ),
        (
            "an early end",
            Order::Say("{\"outcome\": \"added\"}".to_owned()),
        ),
        ("prose", Order::Say("I have added it!".to_owned())),
    ];
    let turns = cases.len() + TURNS;
    for (place, (case, order)) in cases.into_iter().enumerate() {
        let before = model.requests().len();
        model.order([order]);
        let view = ended(&server, &start(&server, by_agents(world.empty())).await).await;
        assert_eq!(view["success"], true, "{case}: {view:#}");
        assert_eq!(view["already_present"], place > 0, "{case}: {view:#}");
        assert_eq!(model.requests().len() - before, TURNS + 1, "{case}");
    }
    assert!(turns > TURNS);
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    model.assert_well_asked();
    server.end().await.unwrap();
}

/// It crosses a continue-as-new on its way.
#[tokio::test]
async fn an_endless_loop_is_cut_by_the_turn_limit() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    model.order(vec![
        Order::Call(vec![(
            "search",
            "{\"query\": \"clocks coldplay\"}"
        )]);
        20
    ]);
    let view = ended(&server, &start(&server, by_agents(world.empty())).await).await;
    assert_eq!(view["status"], "failed", "{view:#}");
    assert_eq!(view["error_code"], "agents_gave_up", "{view:#}");
    assert_eq!(model.requests().len(), 20);
    assert!(world.in_playlist(world.empty()).is_empty());
    model.assert_well_asked();
    server.end().await.unwrap();
}

/// An agent names what it may not: another number, another song, a second one.
#[tokio::test]
async fn an_agent_can_add_only_what_was_found_and_fits_and_only_once() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    let others = world.in_playlist(world.sim.full_playlist_id());
    let rule = || Order::AsTheRule;
    let evil = |candidate: &'static str| Order::Call(vec![("add_track", candidate)]);
    model.order([
        // It finds other songs as well.
        Order::Call(vec![
            ("search", "{\"query\": \"clocks coldplay\"}"),
            ("search", "{\"query\": \"poker face lady gaga\"}"),
        ]),
        rule(),
        rule(),
        rule(),
        evil("{\"candidate\": 99}"),
        evil("{\"candidate\": 0, \"playlist\": \"another\"}"),
        evil("{\"candidate\": \"spotify:track:0000000000000000000000\"}"),
        rule(),
        evil("{\"candidate\": 1}"),
    ]);
    let view = ended(&server, &start(&server, by_agents(world.empty())).await).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(world.in_playlist(world.sim.full_playlist_id()), others);
    for request in model.requests() {
        let told = request.to_string();
        assert!(
            !told.contains("spotify:track:0BCPK") && !told.contains(world.empty()),
            "{told}"
        );
    }
    model.assert_well_asked();
    server.end().await.unwrap();
}

/// Killed when the turn of this number has been asked for: those before it have been answered, and their
/// tools were called. None of them is asked for again.
async fn killed_at_turn(turn: usize) {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    model.order(std::iter::repeat_n(Order::AsTheRule, turn - 1).chain([Order::Hold(20_000)]));
    let id = start(&server, by_agents(world.empty())).await;
    until("the turn comes", async || model.requests().len() == turn).await;
    server.kill().await.unwrap();
    let server = serve_with(&world, &model).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "turn {turn}: {view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2], "turn {turn}");
    assert_eq!(world.effective_adds(), 1, "turn {turn}");
    assert_eq!(
        model.requests().len(),
        TURNS + 1,
        "turn {turn}: only the unanswered one was asked again"
    );
    assert_eq!(model.answers(), TURNS, "turn {turn}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn killed_after_each_of_the_first_turns_no_answer_is_paid_twice() {
    all((1..=4).map(killed_at_turn)).await;
}

#[tokio::test]
async fn killed_after_each_of_the_last_turns_no_answer_is_paid_twice() {
    all((5..=TURNS).map(killed_at_turn)).await;
}

/// Killed in the middle of a tool call, before and after it takes effect.
#[tokio::test]
async fn killed_within_each_tool_call_the_track_is_there_once() {
    let moments = [
        ("search", 1, "latency_ms"),
        ("search", 1, "latency_after_ms"),
        ("playlist_items", 1, "latency_ms"),
        ("add_items", 1, "latency_ms"),
        ("add_items", 1, "latency_after_ms"),
        ("playlist_items", 2, "latency_ms"),
        ("playlist_items", 3, "latency_after_ms"),
    ];
    all(moments.map(|(endpoint, number, hold)| async move {
        let world = World::new().await;
        let model = ScriptedModel::default();
        let mut fault = json!({"endpoint": endpoint, "skip": number - 1, "count": 1});
        fault[hold] = json!(2_500);
        world.fault(fault).await;
        let server = serve_with(&world, &model).await;
        let id = start(&server, by_agents(world.empty())).await;
        world.until_asked(endpoint, number).await;
        if (endpoint, hold) == ("add_items", "latency_after_ms") {
            until("the add takes effect", async || world.effective_adds() == 1).await;
        }
        server.kill().await.unwrap();
        let server = serve_with(&world, &model).await;
        let view = ended(&server, &id).await;
        assert_eq!(
            view["success"], true,
            "{endpoint} {number} {hold}: {view:#}"
        );
        assert_eq!(
            world.in_playlist(world.empty()),
            [CLOCKS.2],
            "{endpoint} {number} {hold}"
        );
        assert_eq!(world.effective_adds(), 1, "{endpoint} {number} {hold}");
        assert_eq!(model.answers(), TURNS, "{endpoint} {number} {hold}");
        server.end().await.unwrap();
    }))
    .await;
}

#[tokio::test]
async fn cancelled_in_a_turn_or_after_the_add_nothing_stays() {
    for turn in [2, 6] {
        let world = World::new().await;
        let model = ScriptedModel::default();
        let server = serve_with(&world, &model).await;
        model.order(std::iter::repeat_n(Order::AsTheRule, turn - 1).chain([Order::Hold(20_000)]));
        let id = start(&server, by_agents(world.empty())).await;
        until("the turn comes", async || model.requests().len() == turn).await;
        let cancel = json!({"sync_id": id, "wait_seconds": 20});
        let _ = server.call("cancel_sync", cancel).await.unwrap();
        let view = ended(&server, &id).await;
        if turn == 2 {
            assert_eq!(view["status"], "cancelled", "{view:#}");
            assert!(world.in_playlist(world.empty()).is_empty(), "{view:#}");
        } else {
            // It was added and verified before: as with the pipeline, that has come to its end.
            assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2], "{view:#}");
            assert_eq!(view["success"], true, "{view:#}");
        }
        server.end().await.unwrap();
    }
}

#[tokio::test]
async fn a_model_that_is_down_makes_a_dead_letter_that_a_retry_brings_home() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    model.order(vec![Order::Status(500, None, json!({})); 3]);
    let id = start(&server, by_agents(world.empty())).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "dead_lettered", "{view:#}");
    assert_eq!(view["error_code"], "model_unavailable", "{view:#}");
    let again = json!({"sync_id": id, "wait_seconds": 45});
    let again = server.call("retry_failed", again).await.unwrap();
    assert_eq!(again["success"], true, "{again:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    model.assert_well_asked();
    server.end().await.unwrap();
}
