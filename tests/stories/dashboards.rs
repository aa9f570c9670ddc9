//! "I operate it for others." The dashboard shows what there is, the alerts are sound, and the runbooks name
//! nothing that does not exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Parser;
use segue::{cli::Cli, client::Server};
use serde_json::{Value, json};

use crate::{
    prometheus::{Prometheus, SOME_LOOKS, Series, promtool, shipped},
    reviews::unsure,
    scripted_model::{Order, ScriptedModel},
    support::{CLOCKS, World, ended, song, stands, start, start_batch, until},
};

/// Rounds of load. A process shows a counter only from its first event on, so one event is no rise yet; of
/// three among two processes one has had two.
const ROUNDS: usize = 3;

/// Syncs that meet an outage.
const SYNCS_OF_AN_OUTAGE: usize = 6;

/// What Grafana would put in the place of its variable.
const RATE_INTERVAL: (&str, &str) = ("$__rate_interval", "1m");

/// What alerts ask for by labels that no panel asks for: a label that does not exist would make them silent,
/// or never silent.
const ASKED_BY_ALERTS: [&str; 4] = [
    "temporal_num_pollers{poller_type=\"workflow_task\"}",
    "temporal_workflow_failure_total{workflow_type=\"MusicSync\", error_type=\"no_match\"}",
    "temporal_request_failure{status_code=\"NOT_FOUND\"}",
    "tool:mcp_tool_duration_seconds:p95_5m{tool=\"get_health\"}",
];

/// The alerts that a process which is there and well does not raise.
const OF_PROCESSES: &str =
    "ALERTS{alertname=~\"SegueDown|SegueNoWorker|SegueNoFreeSlots|SegueWorkflowTaskFailures\"}";

/// The page of metrics that a process says it has, in its log.
pub(crate) async fn page_of(log: &Path) -> SocketAddr {
    const SAYS: &str = "metrics at http://";
    let mut page = None;
    until("it says where its metrics are", async || {
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let told = log.split_once(SAYS).map(|(_, rest)| rest.to_owned());
        page = told.and_then(|rest| rest.split_once("/metrics")?.0.parse().ok());
        page.is_some()
    })
    .await;
    page.unwrap()
}

#[tokio::test]
async fn every_query_of_the_dashboard_and_every_rule_gives_data_under_load() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let launch = model
        .beside(world.launch().with("SEGUE_METRICS", "0"))
        .await;
    let logs = ["serve.log", "worker.log"].map(|name| world.home.path().join(name));
    let server = Server::start(&launch.clone().logging_to(&logs[0]))
        .await
        .unwrap();
    server.call("list_syncs", json!({})).await.unwrap();
    let mut worker = launch.logging_to(&logs[1]).command(&["worker"]).unwrap();
    let mut worker = worker.spawn().unwrap();
    let prometheus = Prometheus::of(&[page_of(&logs[0]).await, page_of(&logs[1]).await]).await;

    let waiting = start(&server, unsure(world.empty())).await;
    stands(&server, &waiting, "waiting_for_review").await;
    for round in 0..ROUNDS {
        load(&world, &server, &model, round).await;
        tokio::time::sleep(SOME_LOOKS).await;
    }
    break_circuit(&world, &server, &prometheus).await;
    until("the alerts know of it all", async || {
        let letters = prometheus.series("ALERTS{alertname=\"SegueDeadLetters\"}");
        !letters.await.is_empty()
    })
    .await;

    let mut problems = Vec::new();
    let dashboard = dashboard();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace(RATE_INTERVAL.0, RATE_INTERVAL.1);
            let series = prometheus.series(&query).await;
            let legend = target["legendFormat"].as_str().unwrap();
            problems.extend(missing(&panel["title"], &query, legend, &series));
        }
    }
    problems.extend(rules_that_fail(&prometheus).await);
    for query in ASKED_BY_ALERTS {
        let series = prometheus.series(query).await;
        problems.extend(missing(&json!("alerts"), query, "", &series));
    }
    for (page, query) in queries_of_runbooks() {
        // What is well has no failures to show: here it is enough that the query is one.
        let answer = prometheus.get("query", &[("query", &query)]).await;
        assert!(answer["result"].is_array(), "{page}: {query}");
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));

    // What is not wrong is not told, and what is then, is.
    let told = prometheus.get("query", &[("query", OF_PROCESSES)]).await;
    assert_eq!(told["result"], json!([]));
    worker.kill().await.unwrap();
    server.kill().await.unwrap();
    until("the alerts know that nobody is there", async || {
        let told = prometheus.get("query", &[("query", OF_PROCESSES)]).await;
        let told = told["result"].to_string();
        told.contains("\"SegueDown\"") && told.contains("\"SegueNoWorker\"")
    })
    .await;
}

/// What happens to songs: they are found or not, added, cancelled, refused, kept, and done by agents.
async fn load(world: &World, server: &Server, model: &ScriptedModel, round: usize) {
    let playlist = world.order("playlists", json!({"name": format!("Round {round}")}));
    let playlist = playlist.await["id"].as_str().unwrap().to_owned();
    let sync = async |call: Value| ended(server, &start(server, call).await).await;

    // An add without an effect is kept as a dead letter.
    let no_effect = json!({"endpoint": "add_items", "count": 1, "no_effect": true});
    world.fault(no_effect).await;
    let view = sync(song(("Kids", "MGMT", ""), &playlist)).await;
    assert_eq!(view["status"], "dead_lettered", "{view:#}");

    // A search is refused, another one fails, and the syncs go on.
    for fault in [
        json!({"endpoint": "search", "count": 1, "status": 503}),
        json!({"endpoint": "search", "count": 1, "status": 429, "retry_after": 1}),
    ] {
        world.fault(fault).await;
        let call = json!({"title": CLOCKS.0, "artist": CLOCKS.1, "playlist": playlist});
        let view = sync(call).await;
        assert_eq!(view["success"], true, "{view:#}");
    }
    let view = sync(song(("Zzyzx Nonesuch Qwv", "Nobody", ""), &playlist)).await;
    assert_eq!(view["success"], false, "{view:#}");

    let cancelled = start(server, unsure(&playlist)).await;
    stands(server, &cancelled, "waiting_for_review").await;
    let call = json!({"sync_id": cancelled, "wait_seconds": 20});
    server.call("cancel_sync", call).await.unwrap();
    assert_eq!(ended(server, &cancelled).await["status"], "cancelled");

    let rows = json!([{"title": "No Surprises", "artist": "Radiohead"},
        {"title": "Poker Face", "artist": "Lady Gaga"}]);
    let batch = start_batch(server, json!({"tracks": rows, "playlist": playlist})).await;
    assert_eq!(ended(server, &batch).await["success"], true);

    // The model fails once on the agents' way.
    model.order([Order::AsTheRule, Order::Status(500, None, json!({}))]);
    let by_agents = json!({"title": "Mask Off", "artist": "Future", "playlist": playlist,
        "strategy": "agents"});
    let view = sync(by_agents).await;
    assert_eq!(view["success"], true, "{view:#}");

    server.call("get_health", json!({})).await.unwrap();
    let unknown = format!("sync-{round:032x}");
    let view = server.call("get_sync_progress", json!({"sync_id": unknown}));
    view.await.expect_err("there is no such sync");
    let fault = server.call_raw("no_such_tool", json!({}));
    fault.await.expect_err("there is no such tool");
}

/// Search is down until a circuit is seen open. Each process has its own, so it takes several syncs; some of
/// them run out of attempts before.
async fn break_circuit(world: &World, server: &Server, prometheus: &Prometheus) {
    world
        .fault(json!({"endpoint": "search", "count": 0, "status": 503}))
        .await;
    let mut waiting = Vec::new();
    for _ in 0..SYNCS_OF_AN_OUTAGE {
        waiting.push(start(server, song(CLOCKS, world.empty())).await);
    }
    until("a circuit is seen open", async || {
        let open = prometheus.series("group:circuit_breaker_state:max{group=\"search\"} > 0");
        !open.await.is_empty()
    })
    .await;
    tokio::time::sleep(SOME_LOOKS).await;
    world.lift_faults().await;
    server.call("reset_circuit", json!({})).await.unwrap();
    for id in waiting {
        ended(server, &id).await;
    }
}

/// What is wrong with the data of a query: there is none, it is always nothing, or it lacks what its legend
/// names.
fn missing(title: &Value, query: &str, legend: &str, series: &[Series]) -> Option<String> {
    let mut values = series.iter().flat_map(|series| &series.values);
    let labels: Vec<&str> = legend
        .split("{{")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("}}")?.0))
        .collect();
    let lacks = series
        .iter()
        .any(|series| labels.iter().any(|label| series.labels[label].is_null()));
    let problem = if values.clone().next().is_none() {
        "no data"
    } else if values.all(|value| *value == 0.0) {
        "never anything but 0"
    } else if lacks {
        "no label for its legend"
    } else {
        return None;
    };
    Some(format!("{title}: {problem}: {query}"))
}

/// Every rule that was not evaluated, or recorded nothing.
async fn rules_that_fail(prometheus: &Prometheus) -> Vec<String> {
    let groups = prometheus.get("rules", &[]).await["groups"].clone();
    let groups = groups.as_array().unwrap().iter();
    let rules: Vec<Value> = groups
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect();
    assert!(rules.iter().any(|rule| rule["type"] == "alerting"));
    let mut problems = Vec::new();
    for rule in rules {
        let name = rule["name"].as_str().unwrap();
        if rule["health"] != "ok" {
            problems.push(format!("the rule {name}: {}", rule["lastError"]));
        } else if rule["type"] == "recording" {
            let series = prometheus.series(name).await;
            problems.extend(missing(&rule["name"], name, "", &series));
        }
    }
    problems
}

fn dashboard() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/grafana/segue.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The panels that show something.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn the_dashboard_is_one_that_grafana_reads() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(41));
    assert_eq!(dashboard["uid"], "segue");
    let variable = &dashboard["templating"]["list"][0];
    assert_eq!(
        (&variable["name"], &variable["type"], &variable["query"]),
        (
            &json!("datasource"),
            &json!("datasource"),
            &json!("prometheus")
        )
    );
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel:#}");
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            assert!(x < 24, "{panel:#}");
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "it lies on another: {panel:#}");
            }
        }
    }
    let panels = panels(&dashboard);
    assert!(panels.len() > 30, "{}", panels.len());
    for panel in panels {
        let told = panel["description"].as_str().unwrap();
        assert!(told.len() > 30 && told.ends_with('.'), "{panel:#}");
        assert_eq!(panel["datasource"], source, "{panel:#}");
        let targets = panel["targets"].as_array().unwrap();
        let names: BTreeSet<&str> = targets
            .iter()
            .map(|target| target["refId"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), targets.len(), "{panel:#}");
        assert!(targets.iter().all(|target| target["datasource"] == source));
    }
}

#[tokio::test]
async fn promtool_passes_configuration_rules_and_the_tests_of_every_alert() {
    promtool(&["check", "config", "prometheus.yml"]).await;
    let lint = ["check", "rules", "--lint=all", "--lint-fatal"];
    let told = promtool(&[&lint[..], &["rules.yml", "alerts.yml"]].concat()).await;
    println!("{told}");
    let tests = files(&shipped().join("tests"), "yml");
    let tests: Vec<&str> = tests.iter().map(|path| path.to_str().unwrap()).collect();
    promtool(&[&["test", "rules"], &tests[..]].concat()).await;

    let names = alerts();
    assert!(names.len() >= 20, "{names:?}");
    let tests: String = tests
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for name in names {
        for what in ["fires", "does not fire"] {
            let test = format!("- name: {name} {what}");
            assert!(tests.contains(&test), "no test: {test}");
        }
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths
}

/// The names of all alerts.
fn alerts() -> BTreeSet<String> {
    let rules = std::fs::read_to_string(shipped().join("alerts.yml")).unwrap();
    let names = rules
        .lines()
        .filter_map(|line| line.split_once("- alert: "));
    names.map(|(_, name)| name.to_owned()).collect()
}

/// The runbooks by the names of their alerts.
fn runbooks() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks");
    files(&folder, "md")
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The queries that runbooks show, each with the page that it stands on.
fn queries_of_runbooks() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for (page, text) in runbooks() {
        for block in text.split("```promql\n").skip(1) {
            let (block, _) = block.split_once("```").expect("an end of the block");
            queries.extend(block.lines().map(|line| (page.clone(), line.to_owned())));
        }
    }
    assert!(queries.len() > 20, "{queries:?}");
    queries
}

/// The indented lines of a page that stand by themselves: the others go on with what is above them.
fn commands_of(text: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let mut alone = false;
    for line in text.lines() {
        alone = line.is_empty() || (alone && line.starts_with("    "));
        if alone && !line.is_empty() {
            commands.push(line.trim());
        }
    }
    commands
}

#[tokio::test]
async fn every_alert_has_a_runbook_whose_commands_exist() {
    let mut runbooks = runbooks();
    let index = runbooks.remove("README").expect("an index");
    assert_eq!(alerts(), runbooks.keys().cloned().collect());
    let rules = std::fs::read_to_string(shipped().join("alerts.yml")).unwrap();

    let world = World::new().await;
    let server = world.serve().await;
    let tools = server.peer().list_all_tools().await.unwrap();
    let schemas: BTreeMap<String, Value> = tools
        .into_iter()
        .map(|tool| (tool.name.to_string(), json!(tool.input_schema)))
        .collect();
    let mut commands = 0;
    for (name, text) in &runbooks {
        assert!(index.contains(&format!("[{name}]({name}.md)")), "{name}");
        let url = format!(
            "runbook_url: https://github.com/segue-mcp/segue/blob/main/docs/runbooks/{name}.md"
        );
        assert!(rules.contains(&url), "{name}");
        for heading in ["## What it means", "## How to see it", "## What to do"] {
            assert!(text.contains(heading), "{name}: {heading}");
        }
        for line in commands_of(text) {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            commands += 1;
            match first {
                "segue" => {
                    let parsed = Cli::try_parse_from(line.split(' '));
                    assert!(
                        parsed.is_ok_and(|cli| cli.command.is_some()),
                        "{name}: {line}"
                    );
                }
                "temporal" => {}
                tool => {
                    let schema = schemas.get(tool);
                    let schema = schema.unwrap_or_else(|| panic!("{name}: no tool: {line}"));
                    let arguments = serde_json::from_str(rest);
                    let arguments: Value = arguments.unwrap_or_else(|e| panic!("{line}: {e}"));
                    let checked = jsonschema::validate(schema, &arguments);
                    assert!(checked.is_ok(), "{name}: {line}: {checked:?}");
                }
            }
        }
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
        {
            let page = link.0.trim_end_matches(".md");
            assert!(runbooks.contains_key(page), "{name}: {page}");
        }
    }
    assert!(commands > 40, "{commands}");
    server.end().await.unwrap();
}
