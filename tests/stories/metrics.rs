//! "Does it work, and how well?" What is counted agrees with what happened, to the unit and across a kill,
//! and says nothing of anybody.

use std::{collections::BTreeMap, process::Stdio};

use segue::client::{Launch, Server};
use segue_spotify::sim::LoggedRequest;
use serde_json::{Value, json};

use crate::{
    metrics_load::{Client, Truth, UNKNOWN_TOOLS, hold_a_search, load},
    prometheus_page::Samples,
    scripted_model::{Order, ScriptedModel},
    support::{CLOCKS, NEVER_OPENS, World, song, until},
};

/// Every metric of ours, and what kind it is.
const OURS: [(&str, &str); 21] = [
    ("temporal_workflow_total", "counter"),
    ("temporal_workflow_success_total", "counter"),
    ("temporal_workflow_failure_total", "counter"),
    ("temporal_workflow_duration_seconds", "histogram"),
    ("temporal_activity_duration_seconds", "histogram"),
    ("temporal_activity_retry_count", "counter"),
    ("temporal_dlq_workflow_total", "counter"),
    ("temporal_cancellation_total", "counter"),
    ("spotify_rate_limit_hits_total", "counter"),
    ("circuit_breaker_state", "gauge"),
    ("circuit_breaker_failures_total", "counter"),
    ("openai_agent_invocations_total", "counter"),
    ("openai_model_invocations_total", "counter"),
    ("openai_tool_invocations_total", "counter"),
    ("openai_model_tokens_total", "counter"),
    ("mcp_tool_calls_total", "counter"),
    ("mcp_tool_duration_seconds", "histogram"),
    ("mcp_sessions_open", "gauge"),
    ("segue_webhook_deliveries_total", "counter"),
    ("segue_reviews_waiting", "gauge"),
    ("segue_dead_letters_open", "gauge"),
];

impl World {
    /// Where the last process that was asked to serves its page, once it does.
    pub(crate) async fn page_address(&self, pages: usize) -> String {
        let told = || {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let lines = log.lines().filter(|line| line.contains("metrics at http"));
            let urls = lines.map(|line| line[line.find("http").unwrap()..].to_owned());
            urls.collect::<Vec<_>>()
        };
        until(&format!("{pages} pages"), async || told().len() >= pages).await;
        told()[pages - 1].clone()
    }
}

async fn page(url: &str) -> String {
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .expect("the page");
    let content = answer.headers()["content-type"].to_str().unwrap();
    assert!(
        content.starts_with("text/plain; version=0.0.4"),
        "{content}"
    );
    answer.text().await.unwrap()
}

/// What is on the page now.
pub(crate) async fn read(url: &str) -> Samples {
    Samples::read(&page(url).await)
}

/// The page, when the ends of so many syncs and batches are counted on it. The view of a sync may be a
/// moment ahead of the count.
async fn counted(url: &str, syncs: usize) -> Samples {
    until("all ends are counted", async || {
        let page = read(url).await;
        let ends = ["MusicSync", "BatchSync"].map(|kind| {
            let kind = [("workflow_type", kind)];
            page.sum("temporal_workflow_total", &kind)
                + page.sum("temporal_cancellation_total", &kind)
        });
        ends.iter().sum::<f64>() >= syncs as f64
    })
    .await;
    read(url).await
}

#[tokio::test]
async fn the_page_agrees_with_what_happened_to_the_unit_across_a_kill() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let launch = model
        .beside(world.launch())
        .await
        .with("SEGUE_METRICS", "0")
        .with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    let truth = Truth::default();
    let serve = async || Client {
        server: Server::start(&launch).await.unwrap(),
        truth: &truth,
    };
    let client = serve().await;
    let url = world.page_address(1).await;
    load(&client, &world, &model).await;
    let held = hold_a_search(&client, &world, ("Africa", "TOTO", "")).await;
    let ended = truth.syncs.borrow().len() + truth.batches.borrow().len();
    let last = counted(&url, ended).await;
    assert_eq!(last.sum("mcp_sessions_open", &[]), 1.0);
    client.server.kill().await.unwrap();
    world.let_go().await;

    let client = serve().await;
    let url = world.page_address(2).await;
    client.ends(&held).await;
    client.sync(song(CLOCKS, world.empty())).await;
    until("what waits is counted", async || {
        let page = read(&url).await;
        let waits = ["segue_reviews_waiting", "segue_dead_letters_open"];
        waits.map(|name| page.sum(name, &[])) == [1.0, 1.0]
    })
    .await;
    let next = counted(&url, 2).await;
    assert_eq!(next.sum("mcp_sessions_open", &[]), 1.0);
    for (name, kind) in OURS {
        assert_eq!(next.kind(name).or(last.kind(name)), Some(kind), "{name}");
    }
    // Temporal's own stand on the same page, and no name was made longer.
    assert!(next.sum("temporal_request", &[]) > 0.0);
    assert!(next.sum("temporal_workflow_completed", &[]) > 0.0);
    let longer = |name: &str| name.ends_with("_total_total") || name.ends_with("seconds_seconds");
    assert!(!next.families().any(longer));

    let page = last.and(next);
    agrees_with_the_tools(&page, &truth);
    agrees_with_spotify(&page, &truth, &world);
    agrees_with_the_model(&page, &model);
    for ((tool, outcome), times) in truth.calls.borrow().iter() {
        let labels = [("tool", &**tool), ("outcome", outcome)];
        let calls = page.sum("mcp_tool_calls_total", &labels);
        assert_eq!(calls, *times as f64, "{tool} {outcome}");
    }
    let all: u64 = truth.calls.borrow().values().sum();
    assert_eq!(page.sum("mcp_tool_calls_total", &[]), all as f64);
    assert_eq!(page.sum("mcp_tool_duration_seconds_count", &[]), all as f64);
    client.server.end().await.unwrap();
}

/// How often each label is given.
fn tally(labels: impl Iterator<Item = Option<String>>) -> BTreeMap<String, u64> {
    let mut tally = BTreeMap::new();
    for label in labels.flatten() {
        *tally.entry(label).or_default() += 1;
    }
    tally
}

/// These numbers by name.
fn numbers<const N: usize>(numbers: [(&str, u64); N]) -> BTreeMap<String, u64> {
    numbers
        .map(|(name, number)| (name.to_owned(), number))
        .into()
}

/// What the tools said of the syncs.
#[track_caller]
fn agrees_with_the_tools(page: &Samples, truth: &Truth) {
    let (syncs, batches) = (truth.syncs.borrow(), truth.batches.borrow());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let methods = syncs.iter().map(|view| {
        let succeeded = view["success"] == true;
        succeeded.then(|| text(&view["match_method"]))?
    });
    let by_method = tally(methods);
    for method in ["ai", "fuzzy", "given", "isrc"] {
        assert!(by_method.contains_key(method), "{by_method:?}");
    }
    let mut counted = page.by("temporal_workflow_success_total", "match_method");
    counted.remove("none");
    assert_eq!(counted, by_method);

    let errors = syncs.iter().map(|view| match view["status"].as_str()? {
        "completed" if view["success"] == false => Some("no_match".to_owned()),
        "dead_lettered" => text(&view["error_code"]),
        _ => None,
    });
    let mut by_error = tally(errors);
    let wholly = |view: &&Value| view["success"] == true;
    assert_eq!(batches.iter().filter(wholly).count(), 1, "{batches:#?}");
    by_error.insert("incomplete".to_owned(), 1);
    let failures = page.by("temporal_workflow_failure_total", "error_type");
    assert_eq!(failures, by_error);
    let letters = syncs.iter().map(|view| {
        let kept = view["status"] == "dead_lettered";
        kept.then(|| text(&view["error_code"]))?
    });
    assert_eq!(
        page.by("temporal_dlq_workflow_total", "error_type"),
        tally(letters)
    );
    let cancelled = page.by("temporal_cancellation_total", "workflow_type");
    assert_eq!(cancelled, numbers([("MusicSync", 1)]));

    // Every end is a success or a failure; each track that was placed had a workflow of its own.
    let ends = page.by("temporal_workflow_total", "workflow_type");
    let successes = page.by("temporal_workflow_success_total", "workflow_type");
    let failures = page.by("temporal_workflow_failure_total", "workflow_type");
    for (workflow, ends) in &ends {
        let of = |counts: &BTreeMap<String, u64>| counts.get(workflow).copied().unwrap_or(0);
        assert_eq!(*ends, of(&successes) + of(&failures), "{workflow}");
    }
    let expected = [
        ("AgentSync", 1),
        ("BatchPage", 2),
        ("BatchSync", 2),
        ("MusicSync", syncs.len() as u64 - 1),
        ("PlacePage", 2),
        ("PlaceTrack", by_method.values().sum()),
    ];
    assert_eq!(ends, numbers(expected));
    let timed = page.by("temporal_workflow_duration_seconds_count", "status");
    let expected = [
        ("cancelled", 1),
        ("failure", failures.values().sum()),
        ("success", successes.values().sum()),
    ];
    assert_eq!(timed, numbers(expected));
}

/// What Spotify was asked. The search during which the process was killed is no attempt that ended.
#[track_caller]
fn agrees_with_spotify(page: &Samples, truth: &Truth, world: &World) {
    let searches = world.asked("search");
    let status = |status: u16| {
        let with = |request: &&LoggedRequest| request.status == Some(status);
        searches.iter().filter(with).count() as f64
    };
    let by_syncs = searches.len() - *truth.batch_searches.borrow() - 1;
    let attempts = |labels: &[(&str, &str)]| -> f64 {
        let of = |activity| {
            let labels = [labels, &[("activity_type", activity)]].concat();
            page.sum("temporal_activity_duration_seconds_count", &labels)
        };
        ["search_at_once", "search"].map(of).iter().sum()
    };
    assert_eq!(attempts(&[]), by_syncs as f64);
    let refused = status(429) + status(503);
    assert_eq!(attempts(&[("status", "failure")]), refused);
    assert_eq!(attempts(&[("status", "cancelled")]), 1.0);
    assert_eq!((status(429), status(503)), (1.0, 3.0));
    let hits = page.by("spotify_rate_limit_hits_total", "endpoint");
    assert_eq!(hits, numbers([("search", 1)]));
    // The model was away once.
    let broken = page.by("circuit_breaker_failures_total", "group");
    assert_eq!(broken, numbers([("model", 1), ("search", 3)]));
    // One for the dead letter, whose first attempt was made at once, one for the kill, and one for the model.
    let retries = page.by("temporal_activity_retry_count", "activity_type");
    assert_eq!(retries, numbers([("invoke_model", 1), ("search", 2)]));
}

/// What the model was asked, and what it asked for.
#[track_caller]
fn agrees_with_the_model(page: &Samples, model: &ScriptedModel) {
    let answered = model.answers() as u64;
    assert_eq!(model.requests().len() as u64, answered + 1);
    let calls = page.by("openai_model_invocations_total", "status");
    let expected = [("model_unavailable", 1), ("success", answered)];
    assert_eq!(calls, numbers(expected));
    let models = page.by("openai_model_invocations_total", "model");
    assert_eq!(models, numbers([("scripted-1", answered + 1)]));
    let tokens = page.by("openai_model_tokens_total", "direction");
    let expected = [("input", 400 * answered), ("output", 50 * answered)];
    assert_eq!(tokens, numbers(expected));
    let wanted = page.by("openai_tool_invocations_total", "tool_name");
    let expected = [
        ("add_track", 1),
        ("score_candidates", 1),
        ("search", 1),
        ("transfer_to_match_agent", 1),
        ("transfer_to_playlist_agent", 1),
        ("unknown", UNKNOWN_TOOLS),
        ("verify_track", 1),
    ];
    assert_eq!(wanted, numbers(expected));
    let agents = page.by("openai_agent_invocations_total", "status");
    assert_eq!(agents, numbers([("success", 1)]));
}

#[tokio::test]
async fn nothing_of_the_users_is_on_the_page() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let launch = model.beside(world.launch()).await;
    let launch = launch
        .with("SEGUE_METRICS", "127.0.0.1:0")
        .with("SEGUE_USER", "somebody-rather-private");
    let server = Server::start(&launch).await.unwrap();
    let url = world.page_address(1).await;
    let mut private: Vec<String> = [
        "somebody-rather-private",
        CLOCKS.0,
        CLOCKS.1,
        "Nonesuch",
        "Fresh Start",
    ]
    .map(str::to_owned)
    .into();
    private.push(world.empty().to_owned());
    private.push(world.home.path().display().to_string());
    private.extend(world.sim.issued_tokens());
    model.order([Order::Call(vec![(
        "Nonesuch",
        "{\"artist\": \"Coldplay\"}",
    )])]);
    for call in [
        json!({"title": CLOCKS.0, "artist": CLOCKS.1, "playlist": "Fresh Start", "strategy": "agents"}),
        json!({"title": "Nonesuch", "artist": "Qwv Zzyzx", "playlist": world.empty()}),
        json!({"title": CLOCKS.0, "artist": CLOCKS.1, "playlist": "Nonesuch Playlist"}),
    ] {
        let id = crate::support::start(&server, call).await;
        crate::support::ended(&server, &id).await;
        private.push(id);
    }
    let _ = server.call_raw("Nonesuch_tool", json!({})).await;
    let _ = server
        .call_raw("sync_track", json!({"Nonesuch": CLOCKS.0}))
        .await;
    until("all ends are counted", async || {
        let kind = [("workflow_type", "MusicSync")];
        read(&url).await.sum("temporal_workflow_total", &kind) >= 3.0
    })
    .await;
    let page = page(&url).await;
    let samples = Samples::read(&page);
    for word in &private {
        assert!(!page.contains(word), "{word} is on the page");
    }
    assert!(
        samples.label_values().contains("unknown"),
        "of tools that there are not"
    );
    assert_eq!(
        samples.by("temporal_workflow_failure_total", "error_type"),
        [
            ("no_match".to_owned(), 1),
            ("playlist_not_found".to_owned(), 1)
        ]
        .into()
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_circuit_is_seen_to_open_and_to_close() {
    let world = World::new().await;
    let launch = world.launch().with("SEGUE_METRICS", "0");
    let server = Server::start(&launch).await.unwrap();
    let url = world.page_address(1).await;
    let state = async |group: &str| {
        let page = read(&url).await;
        page.sum("circuit_breaker_state", &[("group", group)])
    };
    assert_eq!(state("search").await, 0.0);
    world
        .fault(json!({"endpoint": "search", "count": 0, "status": 503}))
        .await;
    let id = crate::support::start(&server, song(CLOCKS, world.empty())).await;
    until("it opens", async || state("search").await == 2.0).await;
    assert_eq!(state("playlist").await, 0.0);
    world.lift_faults().await;
    let view = crate::support::ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    until("it closes", async || state("search").await == 0.0).await;
    let failed = |request: &&LoggedRequest| request.status == Some(503);
    let failed = world.asked("search").iter().filter(failed).count() as u64;
    let page = read(&url).await;
    let failures = page.by("circuit_breaker_failures_total", "group");
    assert_eq!(failures, numbers([("search", failed)]));
    server.end().await.unwrap();
}

/// The ports that a process listens at.
#[cfg(target_os = "linux")]
fn listens_at(process: u32) -> Vec<u16> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?;
            Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/{process}/net/{table}"));
        for line in table.unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == "0A" && sockets.iter().any(|socket| socket == fields[9]) {
                let (_, port) = fields[1].rsplit_once(':').unwrap();
                ports.push(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_port_is_opened_unless_asked_and_a_worker_serves_its_own_page() {
    let world = World::new().await;
    let server = world.serve().await;
    server.call("list_syncs", json!({})).await.unwrap();
    assert!(listens_at(server.pid().unwrap()).is_empty());

    let mut worker = world
        .launch()
        .command(&["worker", "--metrics", "0"])
        .unwrap()
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let url = world.page_address(1).await;
    let (_, port) = url.trim_end_matches("/metrics").rsplit_once(':').unwrap();
    assert!(listens_at(worker.id().unwrap()).contains(&port.parse().unwrap()));
    until("the worker works", async || {
        read(&url).await.sum("temporal_num_pollers", &[]) > 0.0
    })
    .await;
    worker.kill().await.unwrap();

    // A port that somebody else holds costs the page, and not the work.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let launch: Launch = world
        .launch()
        .with("SEGUE_METRICS", taken.local_addr().unwrap().to_string());
    let other = Server::start(&launch).await.unwrap();
    other.call("list_syncs", json!({})).await.unwrap();
    let log = std::fs::read_to_string(world.log()).unwrap();
    assert!(
        log.contains("choose another address for --metrics"),
        "{log}"
    );
    other.end().await.unwrap();
    server.end().await.unwrap();
}
