//! "What took so long?" A sync is one trace, from the client's own span to Spotify, whatever happens to the
//! processes that do it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use rmcp::model::{CallToolRequestParams, RequestMetaObject, RequestParamsMeta};
use segue::client::{HttpServer, Server};
use serde_json::{Value, json};

use crate::{
    batches::{exported, songs},
    receiver::{Receiver, Span},
    stand_in::StandIn,
    support::{CLOCKS, World, ended, kill, song, until},
};

/// The trace and the span of the client, as W3C's examples have them.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

/// Calls a tool within the client's span, and gives the id of the sync.
async fn start_traced(server: &Server, tool: &'static str, call: Value) -> String {
    let mut meta = RequestMetaObject::new();
    meta.set_traceparent(format!("00-{TRACE}-{CLIENT}-01"));
    meta.set_tracestate("vendor=x");
    meta.set_baggage("tenant=acme");
    let mut params = CallToolRequestParams::new(tool);
    params.arguments = call.as_object().cloned();
    params.set_meta(meta);
    let answer = server.peer().call_tool(params).await.unwrap();
    let view = answer.structured_content.unwrap();
    view["sync_id"].as_str().expect("accepted").to_owned()
}

/// The spans of the client's trace once all of its workflows were told.
async fn trace_of(receiver: &Receiver, workflow: &str) -> Vec<Span> {
    let name = format!("RunWorkflow:{workflow}");
    until("the end of the workflow was told", async || {
        let spans = receiver.trace(TRACE);
        spans.iter().any(|span| span.name == name)
    })
    .await;
    receiver.trace(TRACE)
}

/// Sees that all spans hang together below the client's, each told once; gives the names of the parents by
/// the names of their children.
fn tree(spans: &[Span]) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeMap<&str, &str> = spans.iter().map(|span| (&*span.id, &*span.name)).collect();
    assert_eq!(
        names.len(),
        spans.len(),
        "a span was told twice: {spans:#?}"
    );
    let mut tree: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for span in spans {
        let parent = match &*span.parent {
            CLIENT => "client",
            parent => names
                .get(parent)
                .unwrap_or_else(|| panic!("nothing above {span:#?} in {spans:#?}")),
        };
        let parents = tree.entry(span.name.clone()).or_default();
        parents.insert(parent.to_owned());
    }
    tree
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn parents(tree: &BTreeMap<String, BTreeSet<String>>, name: &str) -> Vec<String> {
    let parents = tree
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {tree:#?}"));
    parents.iter().cloned().collect()
}

#[tokio::test]
async fn one_trace_leads_from_the_clients_call_to_spotify() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let server = Server::start(&receiver.of(world.launch())).await.unwrap();
    let id = start_traced(&server, "sync_track", song(CLOCKS, world.empty())).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    server.end().await.unwrap();
    let spans = trace_of(&receiver, "MusicSync").await;

    let tree = tree(&spans);
    for (child, parent) in [
        ("tools/call sync_track", "client"),
        ("StartWorkflow:MusicSync", "tools/call sync_track"),
        ("RunWorkflow:MusicSync", "StartWorkflow:MusicSync"),
        ("RunActivity:search_at_once", "RunWorkflow:MusicSync"),
        ("RunWorkflow:PlaceTrack", "RunWorkflow:MusicSync"),
        ("RunActivity:place", "RunWorkflow:PlaceTrack"),
        ("GET /v1/search", "tools/call search_track"),
    ] {
        assert_eq!(parents(&tree, child), [parent], "{tree:#?}");
    }
    // The call of the upstream is told by both of its ends.
    let calls = named(&spans, "tools/call search_track");
    let ends = |kind| calls.iter().filter(move |span| span.kind == kind);
    assert_eq!(
        ends(SpanKind::Client).count(),
        ends(SpanKind::Server).count()
    );
    for end in ends(SpanKind::Server) {
        assert_eq!(end.service, "segue-spotify");
        let above = ends(SpanKind::Client).find(|above| above.id == end.parent);
        let above = above.expect("the caller's end above the server's");
        assert_eq!(above.service, "segue");
        assert!(above.times.0 <= end.times.0 && end.times.1 <= above.times.1);
    }
    // Every request that reached Spotify is there.
    for (endpoint, name) in [
        ("search", "GET /v1/search"),
        ("add_items", "POST /v1/playlists/{id}/items"),
    ] {
        let told = named(&spans, name);
        assert_eq!(told.len(), world.asked(endpoint).len(), "{name}");
        assert!(told.iter().all(|span| {
            span.kind == SpanKind::Client
                && span.attributes["http.response.status_code"].starts_with('2')
                && !span.failed
        }));
    }
    // What tells one sync from another, and nothing else of the user's.
    for name in [
        "tools/call sync_track",
        "RunWorkflow:MusicSync",
        "RunActivity:place",
    ] {
        let attributes = &named(&spans, name)[0].attributes;
        assert_eq!(attributes["sync_id"], id, "{name}");
        assert_eq!(attributes["user"], "local", "{name}");
    }
    let run = named(&spans, "RunWorkflow:MusicSync")[0];
    assert_eq!(run.attributes["outcome"], "success");
    assert_eq!(run.attributes["playlist_id"], world.empty());
    assert!(run.times.0 < run.times.1, "{run:?}");
    let call = named(&spans, "tools/call sync_track")[0];
    assert_eq!(call.kind, SpanKind::Server);
    assert_eq!(call.attributes["mcp.method.name"], "tools/call");
    assert_eq!(call.attributes["gen_ai.tool.name"], "sync_track");
    let sent = String::from_utf8_lossy(&receiver.as_sent()).into_owned();
    for told in [CLOCKS.0, CLOCKS.1, "acme"] {
        assert!(!sent.contains(told), "{told}");
    }
}

#[tokio::test]
async fn a_batch_is_one_trace_too() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let server = Server::start(&receiver.of(world.launch())).await.unwrap();
    // Two pages, each of which is searched by several activities.
    let songs = songs();
    let rows: Vec<Value> = songs
        .iter()
        .take(130)
        .map(|song| exported((0, song)))
        .collect();
    let call = json!({"tracks": rows, "playlist": world.empty()});
    let id = start_traced(&server, "sync_playlist", call).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "completed", "{view:#}");
    server.end().await.unwrap();
    let spans = trace_of(&receiver, "BatchSync").await;

    let tree = tree(&spans);
    for (child, parent) in [
        ("RunWorkflow:BatchSync", "StartWorkflow:BatchSync"),
        ("RunWorkflow:BatchPage", "RunWorkflow:BatchSync"),
        ("RunWorkflow:PlacePage", "RunWorkflow:BatchSync"),
        ("RunActivity:search_rows", "RunWorkflow:BatchPage"),
    ] {
        assert_eq!(parents(&tree, child), [parent], "{tree:#?}");
    }
    assert_eq!(named(&spans, "RunWorkflow:BatchPage").len(), 2);
    let searches = named(&spans, "GET /v1/search").len();
    assert_eq!(searches, world.asked("search").len());
    let ours = |span: &&Span| span.name.starts_with("RunActivity:");
    for span in spans.iter().filter(ours) {
        assert_eq!(span.attributes["sync_id"], id, "{span:?}");
        assert_eq!(span.attributes["user"], "local", "{span:?}");
    }
}

#[tokio::test]
async fn after_a_kill_the_trace_goes_on_and_nothing_is_told_twice() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let server = Server::start(&receiver.of(world.launch())).await.unwrap();
    world
        .fault(json!({"endpoint": "add_items", "count": 1, "latency_ms": 20_000}))
        .await;
    let id = start_traced(&server, "sync_track", song(CLOCKS, world.empty())).await;
    world.until_asked("add_items", 1).await;
    let before = "RunActivity:search_at_once";
    until("the first steps were told", async || {
        !named(&receiver.trace(TRACE), before).is_empty()
    })
    .await;
    let told = receiver.trace(TRACE);
    assert!(
        named(&told, "RunWorkflow:MusicSync").is_empty(),
        "it has not ended"
    );
    kill(server.pid().unwrap());
    drop(server);

    let server = Server::start(&receiver.of(world.launch())).await.unwrap();
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    server.end().await.unwrap();
    let mut spans = trace_of(&receiver, "MusicSync").await;
    // The attempt that was under way went with its process. Its look, which was told, and what its upstream told,
    // which had the time to, hang on what nobody told, and that is all that does.
    let ids: BTreeSet<String> = spans.iter().map(|span| span.id.clone()).collect();
    for span in &mut spans {
        if span.parent != CLIENT && !ids.contains(&span.parent) {
            let cut = [
                "tools/call add_tracks_to_playlist",
                "tools/call get_playlist_items",
            ];
            assert!(cut.contains(&&*span.name), "{span:#?}");
            span.parent = CLIENT.to_owned();
        }
    }
    let tree = tree(&spans);
    assert_eq!(
        parents(&tree, "RunActivity:add"),
        ["RunWorkflow:PlaceTrack"]
    );
    assert_eq!(
        parents(&tree, "RunWorkflow:MusicSync"),
        ["StartWorkflow:MusicSync"]
    );
    // What the first process told is not told again by the second, which replayed it.
    for (name, times) in [
        ("RunWorkflow:MusicSync", 1),
        ("RunWorkflow:PlaceTrack", 1),
        ("tools/call sync_track", 1),
        (before, 1),
    ] {
        assert_eq!(named(&spans, name).len(), times, "{name}: {spans:#?}");
    }
    let workers = spans.iter().filter(|span| span.service == "segue");
    let workers: BTreeSet<&str> = workers.map(|span| &*span.instance).collect();
    assert_eq!(workers.len(), 2, "two processes in one trace");
    let [run] = named(&spans, "RunWorkflow:MusicSync")[..] else {
        panic!("one run");
    };
    let search = named(&spans, before)[0];
    assert_ne!(search.instance, run.instance);
    assert!(
        run.times.0 <= search.times.0,
        "it begins with the first process"
    );
}

#[tokio::test]
async fn a_call_without_a_trace_begins_one_and_an_unsampled_one_leaves_none() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let server = Server::start(&receiver.of(world.launch())).await.unwrap();
    let mut meta = RequestMetaObject::new();
    meta.set_traceparent(format!("00-{TRACE}-{CLIENT}-00"));
    let mut params = CallToolRequestParams::new("sync_track");
    params.arguments = song(CLOCKS, world.empty()).as_object().cloned();
    params.set_meta(meta);
    let answer = server.peer().call_tool(params).await.unwrap();
    let view = answer.structured_content.unwrap();
    ended(&server, view["sync_id"].as_str().unwrap()).await;

    let call = song(CLOCKS, world.sim.full_playlist_id());
    let id = crate::support::start(&server, call).await;
    ended(&server, &id).await;
    server.end().await.unwrap();
    assert!(receiver.trace(TRACE).is_empty());
    let syncs: Vec<Span> = receiver
        .traces()
        .iter()
        .flat_map(|trace| receiver.trace(trace))
        .filter(|span| span.name == "RunWorkflow:MusicSync")
        .collect();
    assert_eq!(syncs.len(), 1, "{syncs:#?}");
    let spans = receiver.trace(&syncs[0].trace);
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{roots:#?}");
    assert_eq!(roots[0].name, "tools/call sync_track");
}

#[tokio::test]
async fn over_http_the_headers_may_name_the_trace() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let launch = receiver.of(world.launch());
    let server = HttpServer::start(&launch, &[]).await.unwrap();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "sync_track",
        "arguments": song(CLOCKS, world.empty()),
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }});
    let asked = reqwest::Client::new()
        .post(format!("{}/mcp", server.url()))
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "sync_track")
        .header("traceparent", format!("00-{TRACE}-{CLIENT}-01"))
        .json(&call);
    let answer = asked.send().await.unwrap().error_for_status().unwrap();
    assert!(answer.text().await.unwrap().contains("sync-"));
    let spans = trace_of(&receiver, "MusicSync").await;
    let tree = tree(&spans);
    assert_eq!(parents(&tree, "tools/call sync_track"), ["client"]);
    let call = named(&spans, "tools/call sync_track")[0];
    assert_eq!(call.attributes["network.transport"], "tcp");
    assert_eq!(call.attributes["mcp.protocol.version"], "2026-07-28");
    server.kill().await.unwrap();
}

#[tokio::test]
async fn an_upstream_over_http_is_told_of_the_trace_in_meta_and_in_the_headers() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let stand_in = StandIn::default();
    let launch = world
        .launch()
        .with("SEGUE_UPSTREAM", stand_in.serve().await);
    let server = Server::start(&receiver.of(launch)).await.unwrap();
    let call = json!({"title": "Clocks", "artist": "Coldplay", "playlist": "Mix"});
    let id = start_traced(&server, "sync_track", call).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    server.end().await.unwrap();
    let spans = trace_of(&receiver, "MusicSync").await;
    let carried = stand_in.shelf().carried.clone();
    assert!(carried.len() >= 4, "{carried:?}");
    for [meta, header] in &carried {
        assert_eq!(meta, header);
        let parent = meta.as_deref().expect("it is carried");
        let parts: Vec<&str> = parent.split('-').collect();
        assert_eq!(parts[1], TRACE);
        let caller = spans.iter().find(|span| span.id == parts[2]);
        let caller = caller.expect("the caller's span");
        assert_eq!(caller.kind, SpanKind::Client);
        assert_eq!(caller.attributes["network.transport"], "tcp");
    }
}

#[tokio::test]
async fn a_receiver_that_is_away_holds_nobody_up_and_is_told_once() {
    // One refuses connections; the other takes them, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let places = [&silent, &gone].map(|place| format!("http://{}", place.local_addr().unwrap()));
    drop(gone);
    for place in places {
        let world = World::new().await;
        let launch = world
            .launch()
            .with("SEGUE_LOG_FORMAT", "json")
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", place)
            .with("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
            .with("OTEL_BSP_SCHEDULE_DELAY", "50");
        let server = Server::start(&launch).await.unwrap();
        for playlist in [world.empty(), world.sim.full_playlist_id()] {
            let id = crate::support::start(&server, song(CLOCKS, playlist)).await;
            let view = ended(&server, &id).await;
            assert_eq!(view["success"], true, "{view:#}");
        }
        until("it was told", async || {
            std::fs::read_to_string(world.log())
                .unwrap()
                .contains("traces are lost")
        })
        .await;
        let begun = Instant::now();
        server.end().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20));
        let log = std::fs::read_to_string(world.log()).unwrap();
        // By the server, and by the bundled upstream.
        let told = log.matches("traces are lost").count();
        assert!((1..=2).contains(&told), "{log}");
    }
}
