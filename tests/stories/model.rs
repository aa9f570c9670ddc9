//! "Let the model decide." A song whose match is not certain, and whatever a model can do about it.

use futures::TryStreamExt;
use segue::client::Server;
use segue_workflows::music_sync::MusicSync;
use serde_json::{Value, json};
use temporalio_client::{WorkflowFetchHistoryOptions, WorkflowListOptions};

use crate::{
    batches::{songs, uri_of},
    reviews::{choose, the_review, unsure},
    scripted_model::{KEY, Order, ScriptedModel},
    support::{CLOCKS, NEVER_OPENS, World, ended, stands, start, start_batch},
};

/// "Clocks" with a length that none of its recordings has.
fn unsure_clocks(playlist: &str) -> Value {
    json!({"title": "Clocks", "artist": "Coldplay", "duration_ms": 900_000, "playlist": playlist,
        "on_ambiguous": "ai"})
}

async fn serve_with(world: &World, model: &ScriptedModel) -> Server {
    let launch = model.beside(world.launch()).await;
    Server::start(&launch.with("SEGUE_BREAKER_FAILURES", NEVER_OPENS))
        .await
        .unwrap()
}

fn answer(row: Value) -> Order {
    Order::Say(json!({ "rows": [row] }).to_string())
}

#[tokio::test]
async fn the_model_chooses_among_the_candidates() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;

    let mut skipped = unsure_clocks(world.empty());
    skipped["on_ambiguous"] = json!("skip");
    let view = ended(&server, &start(&server, skipped).await).await;
    assert_eq!(view["success"], false, "it is not certain: {view:#}");
    assert!(model.requests().is_empty());

    let view = ended(&server, &start(&server, unsure_clocks(world.empty())).await).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(view["match_method"], "ai", "{view:#}");
    assert_eq!(view["confidence_score"], 0.9, "{view:#}");
    let there = world.in_playlist(world.empty());
    assert_eq!(there, [view["spotify_track_uri"].as_str().unwrap()]);
    assert_eq!(model.requests().len(), 1);
    // What it was told holds no id by which it could name another track.
    let asked = model.requests()[0].to_string();
    assert!(
        !asked.contains("spotify:") && !asked.contains(&CLOCKS.2[14..]),
        "{asked}"
    );

    // Certain matches cost nothing.
    let certain = json!({"title": "Clocks", "artist": "Coldplay", "playlist": world.empty(),
        "on_ambiguous": "ai"});
    ended(&server, &start(&server, certain).await).await;
    assert_eq!(model.requests().len(), 1);
    model.assert_well_asked();
    server.end().await.unwrap();
}

/// What the user said of a song holds, and costs nothing.
#[tokio::test]
async fn a_model_is_not_asked_what_the_user_has_answered() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    let asked = start(&server, unsure(world.empty())).await;
    let review = the_review(&server, &asked).await;
    choose(&server, &review, "none").await.unwrap();
    ended(&server, &asked).await;

    let mut by_model = unsure(world.empty());
    by_model["on_ambiguous"] = json!("ai");
    let view = ended(&server, &start(&server, by_model.clone()).await).await;
    assert_eq!(view["success"], false, "the user said none: {view:#}");
    assert!(model.requests().is_empty());

    let answers = server.call("list_answers", json!({})).await.unwrap();
    let forget = json!({"answer_id": answers["answers"][0]["answer_id"]});
    server.call("forget_answer", forget).await.unwrap();
    ended(&server, &start(&server, by_model).await).await;
    assert_eq!(model.requests().len(), 1, "now nobody has answered it");
    server.end().await.unwrap();
}

/// Whatever it does, the sync comes to its end without it; and the key is told nowhere.
#[tokio::test]
async fn no_failure_of_the_model_fails_the_sync() {
    let world = World::unsealed().await;
    let model = ScriptedModel::default();
    let launch = model.beside(world.launch()).await;
    let launch = launch
        .with("SEGUE_BREAKER_FAILURES", NEVER_OPENS)
        .with("SEGUE_LOG", "trace,h2=info,hyper=info");
    let server = Server::start(&launch).await.unwrap();
    let row = |candidate: Value| json!({"row": 0, "candidate": candidate, "confidence": 1.0, "reason": "x"});
    let wrong_key = json!({"error": {"message": format!("Incorrect API key provided: {KEY}"),
        "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}});
    let broke = json!({"error": {"message": "The server had an error"}});
    let cases = [
        ("none of them", vec![answer(row(Value::Null))], "chose none"),
        ("out of range", vec![answer(row(json!(77)))], "chose none"),
        ("a refusal", vec![Order::Refuse], "chose none"),
        (
            "a wrong key",
            vec![Order::Status(401, None, wrong_key)],
            "OPENAI_API_KEY",
        ),
        (
            "a model that there is not",
            vec![Order::Status(404, None, json!({}))],
            "SEGUE_MODEL",
        ),
        (
            "prose",
            vec![Order::Say("It is surely the first one.".into()); 3],
            "not JSON",
        ),
        (
            "a server that breaks",
            vec![Order::Status(500, None, broke); 3],
            "broke down",
        ),
        (
            "no answer in time",
            vec![Order::Hang; 3],
            "could not be asked",
        ),
        (
            "a connection that breaks",
            vec![Order::BreakOff; 3],
            "could not be asked",
        ),
        (
            "half an answer",
            vec![Order::EndEarly; 3],
            "before it was complete",
        ),
        (
            "a very long wait",
            vec![Order::Status(429, Some(3600), json!({}))],
            "asked to come back later",
        ),
    ];
    let mut told = String::new();
    for (case, orders, words) in cases {
        let (before, calls) = (model.requests().len(), orders.len());
        model.order(orders);
        let view = ended(&server, &start(&server, unsure_clocks(world.empty())).await).await;
        assert_eq!(view["status"], "completed", "{case}: {view:#}");
        assert_eq!(view["success"], false, "{case}: {view:#}");
        let message = view["message"].as_str().unwrap();
        assert!(message.contains(words), "{case}: {message}");
        assert_eq!(
            model.requests().len() - before,
            calls,
            "{case}: each call is paid for"
        );
        told += &view.to_string();
    }
    assert!(world.in_playlist(world.empty()).is_empty());
    model.assert_well_asked();

    let engine = world.engine().await;
    let all: Vec<_> = engine
        .client()
        .list_workflows("", WorkflowListOptions::default())
        .try_collect()
        .await
        .unwrap();
    for execution in &all {
        let handle = engine
            .client()
            .get_workflow_handle::<MusicSync>(execution.id());
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        told += &String::from_utf8(history.to_json().await.unwrap()).unwrap();
    }
    server.end().await.unwrap();
    told += &std::fs::read_to_string(world.log()).unwrap();
    assert!(told.len() > 10_000);
    assert!(!told.contains(KEY), "the key was told");
}

#[tokio::test]
async fn what_passes_is_waited_for_or_tried_again() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    for (case, order) in [
        ("a connection that breaks", Order::BreakOff),
        (
            "a server that breaks",
            Order::Status(503, None, json!("busy")),
        ),
        (
            "a time to come back",
            Order::Status(429, Some(10), json!({"error": {"message": "slow down"}})),
        ),
    ] {
        let waits = matches!(order, Order::Status(429, ..));
        let before = model.requests().len();
        model.order([order]);
        let id = start(&server, unsure_clocks(world.empty())).await;
        if waits {
            let view = stands(&server, &id, "waiting_for_rate_limit").await;
            assert_eq!(view["error_code"], "model_rate_limited", "{view:#}");
        }
        let view = ended(&server, &id).await;
        assert_eq!(view["success"], true, "{case}: {view:#}");
        assert_eq!(model.requests().len() - before, 2, "{case}");
    }
    model.assert_well_asked();
    server.end().await.unwrap();
}

#[tokio::test]
async fn the_doubts_of_a_page_share_one_call() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    let songs = songs();
    let mut tracks: Vec<Value> = songs[..6]
        .iter()
        .map(|song| json!({"title": song.name, "artist": song.artists.join(" & "), "duration_ms": 3_000_000}))
        .collect();
    // One that is certain, and one that there is not.
    tracks.push(
        json!({"title": songs[6].name, "artist": songs[6].artists[0], "isrc": songs[6].isrc}),
    );
    tracks.push(json!({"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody Of That Name"}));
    let mut call = json!({"tracks": tracks, "playlist": world.empty(), "on_ambiguous": "ai"});
    let mut preview = call.clone();
    preview["wait_seconds"] = json!(30);
    let view = server.call("preview_sync", preview).await.unwrap();
    let would_add = view["batch"]["counts"]["would_add"].as_u64().unwrap();
    assert!(would_add >= 5, "{view:#}");
    assert_eq!(model.requests().len(), 1, "one call for all of them");
    assert!(world.in_playlist(world.empty()).is_empty());

    let view = ended(&server, &start_batch(&server, call.clone()).await).await;
    assert_eq!(view["batch"]["counts"]["added"], would_add, "{view:#}");
    assert!(
        view["message"]
            .as_str()
            .unwrap()
            .contains("The model was asked 1 times"),
        "{view:#}"
    );
    let report = server
        .read(view["batch"]["report"].as_str().unwrap())
        .await
        .unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let by_model = |row: &&Value| row["matched"]["match_method"] == "ai";
    let chosen = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(by_model)
        .count();
    assert_eq!(chosen as u64, would_add - 1, "{report:#}");
    let right: Vec<String> = songs[..7].iter().map(uri_of).collect();
    assert!(
        world
            .in_playlist(world.empty())
            .iter()
            .all(|uri| right.contains(uri))
    );

    // And when it does not answer, they are left out, as with skip.
    call["playlist"] = json!(world.sim.full_playlist_id());
    model.order([Order::Refuse]);
    let view = ended(&server, &start_batch(&server, call).await).await;
    assert_eq!(view["status"], "completed", "{view:#}");
    assert_eq!(
        view["batch"]["counts"]["uncertain"],
        would_add - 1,
        "{view:#}"
    );
    model.assert_well_asked();
    server.end().await.unwrap();
}

#[tokio::test]
async fn tokens_are_counted_and_bounded_across_restarts() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let launch = model.beside(world.launch()).await;
    let small = launch.clone().with("SEGUE_MODEL_TOKENS_PER_SYNC", "100");
    let server = Server::start(&small).await.unwrap();
    let view = ended(&server, &start(&server, unsure_clocks(world.empty())).await).await;
    assert!(
        view["message"]
            .as_str()
            .unwrap()
            .contains("used up its 100 tokens"),
        "{view:#}"
    );
    assert!(model.requests().is_empty(), "nothing is paid for");
    server.end().await.unwrap();

    let mut asked = 0;
    let day = launch.with("SEGUE_MODEL_TOKENS_PER_DAY", "2500");
    let refused = loop {
        let server = Server::start(&day).await.unwrap();
        let view = ended(&server, &start(&server, unsure_clocks(world.empty())).await).await;
        server.end().await.unwrap();
        if view["success"] == false {
            break view;
        }
        asked += 1;
        assert!(asked < 6, "450 tokens each: {view:#}");
    };
    assert!(asked >= 2, "what was reserved and not used came back");
    assert_eq!(model.requests().len(), asked);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("in a day are used up"),
        "{refused:#}"
    );
    model.assert_well_asked();
}

#[tokio::test]
async fn without_a_key_everything_else_works_and_health_says_what_is_missing() {
    let world = World::new().await;
    let server = world.serve().await;
    let view = ended(&server, &start(&server, unsure_clocks(world.empty())).await).await;
    assert_eq!(
        (&view["status"], &view["success"]),
        (&json!("completed"), &json!(false)),
        "{view:#}"
    );
    assert!(
        view["message"].as_str().unwrap().contains("OPENAI_API_KEY"),
        "{view:#}"
    );
    let certain = json!({"title": "Clocks", "artist": "Coldplay", "playlist": world.empty(),
        "on_ambiguous": "ai"});
    let view = ended(&server, &start(&server, certain).await).await;
    assert_eq!(view["success"], true, "{view:#}");
    let health = server.call("get_health", json!({})).await.unwrap();
    assert_eq!(health["healthy"], true, "it is no fault: {health:#}");
    assert_eq!(health["model"]["configured"], false, "{health:#}");
    assert_eq!(
        health["model"]["missing"],
        json!(["OPENAI_API_KEY", "SEGUE_MODEL"]),
        "{health:#}"
    );
    assert!(
        health["model"]["adds"]
            .as_str()
            .unwrap()
            .contains("on_ambiguous"),
        "{health:#}"
    );
    server.end().await.unwrap();

    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    let health = server.call("get_health", json!({})).await.unwrap();
    assert_eq!(health["model"]["configured"], true, "{health:#}");
    assert_eq!(health["model"]["name"], "scripted-1", "{health:#}");
    assert!(!health.to_string().contains(KEY));
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_left_alone_and_nobody_waits_for_it() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let launch = model.beside(world.launch()).await;
    let server = Server::start(&launch).await.unwrap();
    model.order(vec![Order::Status(503, None, json!("down")); 40]);
    let view = ended(&server, &start(&server, unsure_clocks(world.empty())).await).await;
    assert_eq!(
        (&view["status"], &view["success"]),
        (&json!("completed"), &json!(false)),
        "{view:#}"
    );
    let health = server.call("get_health", json!({})).await.unwrap();
    let circuits = health["circuits"].as_array().unwrap();
    let of_model = circuits
        .iter()
        .find(|circuit| circuit["group"] == "model")
        .unwrap();
    assert_eq!(of_model["state"], "open", "{health:#}");
    assert!(model.requests().len() < 12, "{}", model.requests().len());
    // What does not need it is done as ever.
    let certain = json!({"title": "Clocks", "artist": "Coldplay", "playlist": world.empty()});
    let view = ended(&server, &start(&server, certain).await).await;
    assert_eq!(view["success"], true, "{view:#}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_was_recorded_is_not_paid_for_twice() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve_with(&world, &model).await;
    // Held before the look, so that the model's answer stands in the history when the process dies.
    world
        .fault(json!({"endpoint": "playlist_items", "count": 1, "latency_ms": 2500}))
        .await;
    let id = start(&server, unsure_clocks(world.empty())).await;
    world.until_asked("playlist_items", 1).await;
    server.kill().await.unwrap();
    let server = serve_with(&world, &model).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(model.answers(), 1);
    assert_eq!(world.effective_adds(), 1);
    server.end().await.unwrap();
}
