//! "Should I let agents do it?" The pipeline and agents are compared on the same songs, and nothing is
//! added to anything.

use std::collections::BTreeMap;

use segue::client::Server;
use serde_json::{Value, json};

use crate::{
    scripted_model::{KEY, Order, ScriptedModel},
    support::{CLOCKS, PROGRAM, World, ended, engine_cache, until},
};

/// The songs of the shipped pairs, with what is right.
const PAIRS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pairs_dev.csv");
/// Turns of the model for a song that is found, and for one that is not.
const TURNS: usize = 7;

/// Six songs: four that are there, one of them with a wrong truth; one that is not there; one of which
/// nobody knows.
fn songs() -> Value {
    let id = |uri: &str| uri.trim_start_matches("spotify:track:").to_owned();
    json!({
        "tracks": [
            {"title": CLOCKS.0, "artist": CLOCKS.1, "spotify_id": CLOCKS.2},
            {"title": "No Surprises", "artist": "Radiohead", "spotify_id": id(CLOCKS.2)},
            {"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody"},
            {"title": "Poker Face", "artist": "Lady Gaga"},
        ],
    })
}

async fn serve(world: &World, model: &ScriptedModel) -> Server {
    let launch = model.beside(world.launch()).await;
    let launch = launch.with("SEGUE_MODEL_TIMEOUT_SECONDS", "30");
    let launch = launch.with("SEGUE_MODEL_PROMPT_PRICE", "2.0");
    Server::start(&launch.with("SEGUE_MODEL_COMPLETION_PRICE", "8.0"))
        .await
        .unwrap()
}

async fn begin(server: &Server, call: Value) -> String {
    let view = server.call("compare_strategies", call).await.unwrap();
    view["sync_id"].as_str().unwrap().to_owned()
}

/// Requests of Spotify that change something.
fn changes(world: &World) -> usize {
    let all = world.sim.requests();
    let changes = |path: &str, method: &str| path.starts_with("/v1/") && method != "GET";
    all.iter()
        .filter(|request| changes(&request.path, &request.method))
        .count()
}

#[tokio::test]
async fn both_find_the_same_songs_and_nothing_is_added() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve(&world, &model).await;
    let id = begin(&server, songs()).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "completed", "{view:#}");
    let told = &view["comparison"];
    assert_eq!(
        (
            &told["songs"],
            &told["compared"],
            &told["truth_known"],
            &told["agreed"]
        ),
        (&json!(4), &json!(4), &json!(2), &json!(4)),
        "{told:#}"
    );
    for side in ["pipeline", "agents"] {
        let side = &told[side];
        assert_eq!(
            (
                &side["matched"],
                &side["right"],
                &side["wrong"],
                &side["failed"]
            ),
            (&json!(3), &json!(1), &json!(1), &json!(0)),
            "{told:#}"
        );
    }
    assert_eq!(told["pipeline"]["model_calls"], 0);
    let calls = told["agents"]["model_calls"].as_u64().unwrap() as usize;
    assert_eq!(calls, model.requests().len());
    let tokens = |name: &str| told["agents"][name].as_f64().unwrap() / 1e6;
    let cost = 2.0 * tokens("prompt_tokens") + 8.0 * tokens("completion_tokens");
    let told_cost = told["agents"]["cost"].as_f64().unwrap();
    assert!(
        (told_cost - cost).abs() < 1e-9 && cost > 0.0,
        "{told_cost} {cost}"
    );
    assert_eq!(
        told["verdict"]["proceed"], false,
        "two known songs decide nothing"
    );
    assert_eq!(changes(&world), 0);

    let listed = server.call("list_syncs", json!({})).await.unwrap();
    assert_eq!(listed["syncs"][0]["sync_id"], json!(id), "{listed:#}");
    model.assert_well_asked();
    server.end().await.unwrap();
}

/// Killed in the middle of it: what was answered is not asked again, and the end is the same.
#[tokio::test]
async fn a_comparison_outlives_the_process() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve(&world, &model).await;
    model.order(std::iter::repeat_n(Order::AsTheRule, 9).chain([Order::Hold(20_000)]));
    let id = begin(&server, songs()).await;
    until("a turn is held", async || model.requests().len() >= 10).await;
    server.kill().await.unwrap();
    let held = model.requests().len() - model.answers();
    let server = serve(&world, &model).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["comparison"]["agreed"], 4, "{view:#}");
    assert_eq!(
        model.requests().len() - held,
        model.answers(),
        "only what had no answer was asked again"
    );
    assert_eq!(changes(&world), 0);
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_comparison_is_cancelled_and_tells_what_it_had() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let server = serve(&world, &model).await;
    model.order(vec![Order::Hold(20_000); 4]);
    let id = begin(&server, songs()).await;
    until("turns are held", async || !model.requests().is_empty()).await;
    let cancel = json!({"sync_id": id, "wait_seconds": 20});
    let view = server.call("cancel_sync", cancel).await.unwrap();
    assert_eq!(view["status"], "cancelled", "{view:#}");
    assert_eq!(view["comparison"]["compared"], 0, "{view:#}");
    server.end().await.unwrap();
}

/// What one song costs is bounded for that song, and told also when it came to nothing.
#[tokio::test]
async fn a_song_that_uses_up_its_tokens_ends_no_comparison_and_is_paid_for() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let launch = model.beside(world.launch()).await;
    let server = Server::start(&launch.with("SEGUE_MODEL_TOKENS_PER_SYNC", "3000"))
        .await
        .unwrap();
    let id = begin(&server, songs()).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    let agents = &view["comparison"]["agents"];
    assert_eq!(agents["failed"], 4, "{view:#}");
    let calls = agents["model_calls"].as_u64().unwrap() as usize;
    assert_eq!(calls, model.answers(), "{view:#}");
    let retry = server
        .call_raw("retry_failed", json!({"sync_id": id}))
        .await;
    let error = retry.unwrap().structured_content.unwrap()["error"].clone();
    assert_eq!(error["code"], "wrong_state", "{error:#}");
    server.end().await.unwrap();
}

/// What would fail on every song ends it, and is told.
#[tokio::test]
async fn a_key_that_is_refused_ends_it_and_without_a_model_it_does_not_begin() {
    let world = World::new().await;
    let server = world.serve().await;
    let refused = server
        .call_raw("compare_strategies", songs())
        .await
        .unwrap();
    let error = &refused.structured_content.unwrap()["error"];
    assert_eq!(error["code"], "model_not_configured", "{error:#}");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("OPENAI_API_KEY")
    );
    server.end().await.unwrap();

    let model = ScriptedModel::default();
    model.order(vec![Order::Status(401, None, json!({})); 4]);
    let server = serve(&world, &model).await;
    let id = begin(&server, songs()).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], false, "{view:#}");
    assert_eq!(view["error_code"], "model_key_refused", "{view:#}");
    assert_eq!(view["comparison"]["compared"], 0, "{view:#}");
    assert_eq!(view["comparison"]["verdict"]["proceed"], false);
    server.end().await.unwrap();
}

#[tokio::test]
async fn wrong_arguments_of_a_comparison_are_named() {
    let world = World::new().await;
    let server = world.serve().await;
    let cases = [
        ("tracks", json!({"tracks": []})),
        ("right_ids", {
            let mut call = songs();
            call["right_ids"] = json!([["x"]]);
            call
        }),
        ("match_threshold", {
            let mut call = songs();
            call["match_threshold"] = json!(2);
            call
        }),
    ];
    for (field, call) in cases {
        let refused = server.call_raw("compare_strategies", call).await.unwrap();
        let error = refused.structured_content.unwrap()["error"].clone();
        assert_eq!(error["field"], field, "{error:#}");
    }
    server.end().await.unwrap();
}

/// The table of docs/agents.md: 200 songs, and what it says of them but for the times.
#[tokio::test]
async fn the_command_compares_two_hundred_songs_as_the_docs_say() {
    let model = ScriptedModel::default();
    let url = model.serve().await;
    let home = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(PROGRAM)
        .args([
            "compare",
            PAIRS,
            "--simulated",
            "--hide-isrc",
            "--songs",
            "200",
        ])
        .env("SEGUE_HOME", home.path())
        .env("SEGUE_ENGINE_CACHE", engine_cache())
        .env("OPENAI_BASE_URL", url)
        .env("OPENAI_API_KEY", KEY)
        .env("SEGUE_MODEL", "scripted-1")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}\n{log}");
    println!("{text}");
    let told = cells(&text);
    let docs = include_str!("../../docs/agents.md");
    let written = cells(docs);
    for row in [
        "would add a track",
        "right",
        "wrong",
        "missed",
        "failed",
        "model calls",
    ] {
        assert_eq!(told.get(row), written.get(row), "{row}: {text}");
    }
    assert!(
        text.starts_with("200 of 200 songs compared, the right track of 200 known"),
        "{text}"
    );
    let calls: usize = told["model calls"][1].parse().unwrap();
    assert_eq!(calls, model.answers());
    assert!(calls <= 200 * TURNS, "{calls}");
    assert!(log.contains("of 200 songs are compared"), "{log}");
    assert!(!log.contains(KEY) && !text.contains(KEY));
}

/// The rows of the table in this text: their two cells by their name.
fn cells(text: &str) -> BTreeMap<String, [String; 2]> {
    text.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            match cells[..] {
                ["", name, pipeline, agents, ""] => {
                    Some((name.to_owned(), [pipeline.to_owned(), agents.to_owned()]))
                }
                _ => None,
            }
        })
        .collect()
}
