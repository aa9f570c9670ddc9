//! A load of which all is known: what a page of metrics has to agree with.

use std::{cell::RefCell, collections::BTreeMap};

use segue::client::Server;
use serde_json::{Value, json};

use crate::{
    batches::{exported, songs, uri_of},
    reviews::unsure,
    scripted_model::{Order, ScriptedModel},
    support::{CLOCKS, World, song, until},
};

/// A song that there is not.
const NOWHERE: (&str, &str, &str) = ("Zzyzx Nonesuch Qwv", "Nobody", "");

/// How often the model wants a tool that there is not: with the seven turns that a sync takes, more than
/// the ten of one run of a workflow.
pub(crate) const UNKNOWN_TOOLS: u64 = 5;

/// What happened, as everybody but the page tells it.
#[derive(Default)]
pub(crate) struct Truth {
    /// The calls of tools, by tool and outcome.
    pub(crate) calls: RefCell<BTreeMap<(String, String), u64>>,
    /// The last views of the syncs that ended, and of the batches.
    pub(crate) syncs: RefCell<Vec<Value>>,
    pub(crate) batches: RefCell<Vec<Value>>,
    /// Searches that were made for batches.
    pub(crate) batch_searches: RefCell<usize>,
}

/// A client that keeps to the truth.
pub(crate) struct Client<'a> {
    pub(crate) server: Server,
    pub(crate) truth: &'a Truth,
}

impl Client<'_> {
    pub(crate) async fn call(&self, tool: &'static str, arguments: Value) -> Value {
        let answer = self.server.call_raw(tool, arguments).await;
        let (outcome, content) = match answer {
            Ok(result) if result.is_error == Some(true) => ("tool_error", None),
            Ok(result) => ("ok", result.structured_content),
            Err(_) => ("protocol_error", None),
        };
        let tool = match tool {
            "no_such_tool" => "unknown",
            tool => tool,
        };
        let key = (tool.to_owned(), outcome.to_owned());
        *self.truth.calls.borrow_mut().entry(key).or_default() += 1;
        content.unwrap_or_default()
    }

    async fn start(&self, tool: &'static str, arguments: Value) -> String {
        let view = self.call(tool, arguments).await;
        view["sync_id"].as_str().expect("accepted").to_owned()
    }

    async fn until(&self, sync_id: &str, is_so: impl Fn(&str) -> bool) -> Value {
        let view = RefCell::new(Value::Null);
        until("the sync is so far", async || {
            let call = json!({"sync_id": sync_id, "wait_seconds": 1});
            let now = self.call("get_sync_progress", call).await;
            let so = is_so(now["status"].as_str().expect("a status"));
            view.replace(now);
            so
        })
        .await;
        view.into_inner()
    }

    async fn end_of(&self, sync_id: &str) -> Value {
        let open = |status: &str| status == "running" || status.starts_with("waiting_");
        self.until(sync_id, |status| !open(status)).await
    }

    pub(crate) async fn ends(&self, sync_id: &str) -> Value {
        let view = self.end_of(sync_id).await;
        self.truth.syncs.borrow_mut().push(view.clone());
        view
    }

    pub(crate) async fn sync(&self, arguments: Value) -> Value {
        let id = self.start("sync_track", arguments).await;
        self.ends(&id).await
    }

    async fn batch(&self, world: &World, tracks: &[Value]) {
        let before = world.asked("search").len();
        let call = json!({"playlist": world.empty(), "tracks": tracks});
        let id = self.start("sync_playlist", call).await;
        let view = self.end_of(&id).await;
        self.truth.batches.borrow_mut().push(view);
        *self.truth.batch_searches.borrow_mut() += world.asked("search").len() - before;
    }
}

/// Every end that a sync can come to, a review that stays open, batches, and calls that are wrong.
pub(crate) async fn load(client: &Client<'_>, world: &World, model: &ScriptedModel) {
    let playlist = world.empty();
    let there = songs();
    // Successes by every method but the user's, and a song that there is not.
    client.sync(song(CLOCKS, playlist)).await;
    client.sync(song(CLOCKS, playlist)).await;
    let mut by_isrc = exported((0, &there[0]));
    by_isrc["playlist"] = json!(playlist);
    client.sync(by_isrc).await;
    let mut given = exported((1, &there[1]));
    given["playlist"] = json!(playlist);
    given["spotify_id"] = json!(uri_of(&there[1]));
    client.sync(given).await;
    let mut unsure_of_length = song(CLOCKS, playlist);
    unsure_of_length["duration_ms"] = json!(900_000);
    unsure_of_length["on_ambiguous"] = json!("ai");
    client.sync(unsure_of_length).await;
    client.sync(song(NOWHERE, playlist)).await;

    // Agents, whose model says once nothing at all, and wants a tool that there is not, so often that
    // their workflow continues as new.
    model.order([Order::Status(503, None, json!({}))]);
    model.order((0..UNKNOWN_TOOLS).map(|_| Order::Call(vec![("fly_to_the_moon", "{}")])));
    let mut by_agents = song(CLOCKS, playlist);
    by_agents["strategy"] = json!("agents");
    let view = client.sync(by_agents).await;
    assert_eq!(view["success"], true, "{view:#}");

    // A rate limit, a dead letter, a cancellation, and a review that stays open.
    world
        .fault(json!({"endpoint": "search", "count": 1, "status": 429, "retry_after": 1}))
        .await;
    client.sync(song(("Up", "Cardi B", ""), playlist)).await;
    world
        .fault(json!({"endpoint": "search", "count": 3, "status": 503}))
        .await;
    let view = client.sync(song(CLOCKS, playlist)).await;
    assert_eq!(view["status"], "dead_lettered", "{view:#}");
    let held = hold_a_search(client, world, CLOCKS).await;
    client.call("cancel_sync", json!({"sync_id": held})).await;
    client.ends(&held).await;
    world.let_go().await;
    let review = client.start("sync_track", unsure(playlist)).await;
    let reviewed = |status: &str| status == "waiting_for_review";
    client.until(&review, reviewed).await;

    let whole: Vec<Value> = there[2..7].iter().map(|song| exported((0, song))).collect();
    client.batch(world, &whole).await;
    let nowhere = json!({"title": NOWHERE.0, "artist": NOWHERE.1});
    client
        .batch(world, &[exported((0, &there[7])), nowhere])
        .await;

    client.call("sync_track", json!({"title": 7})).await;
    client.call("sync_track", json!({})).await;
    client.call("no_such_tool", json!({})).await;
}

/// Starts a sync, and gives its id when Spotify has been asked twice and answers nothing until it is let go: the first
/// is held for longer than a workflow's own task waits for it.
pub(crate) async fn hold_a_search(
    client: &Client<'_>,
    world: &World,
    what: (&str, &str, &str),
) -> String {
    world.hold("search", "latency_ms").await;
    let asked = world.asked("search").len();
    let call = song(what, world.empty());
    let held = client.start("sync_track", call).await;
    world.until_asked("search", asked + 2).await;
    held
}
