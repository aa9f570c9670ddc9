//! "I share the server with others." Of two users neither sees nor changes what is the other's: it looks as if
//! it were not there.

use std::collections::BTreeSet;

use reqwest::{Method, Response, StatusCode};
use segue::client::{Conversation, HttpServer};
use serde_json::{Value, json};

use crate::{
    batches::songs,
    reviews::{batch, unsure},
    schedules::schedule,
    support::{CLOCKS, NEVER_OPENS, World, ended, song, stands, start, start_batch, until},
};

/// What nobody but Ada says: titles that she misspells.
const HER_WORDS: [&str; 2] = ["Clockz", "No Surprizes"];

/// A bearer token for this user's calls.
async fn token(world: &World, user: &str) -> String {
    let mut command = world
        .launch()
        .command(&["token", "create", "--user", user])
        .unwrap();
    let told = String::from_utf8(command.output().await.unwrap().stdout).unwrap();
    let token = told
        .split_whitespace()
        .find(|word| word.starts_with("segue_"));
    token.expect("a token").to_owned()
}

/// A user at the server.
struct User {
    url: String,
    token: String,
    client: Conversation,
}

impl User {
    async fn with(token: String, server: &HttpServer) -> Self {
        let client = server.discover(Some(&token)).await.unwrap();
        Self {
            url: server.url().to_owned(),
            token,
            client,
        }
    }

    /// Any request of 2026-07-28, from a client that knows tasks.
    async fn ask(&self, method: &str, mut params: Value) -> Value {
        let name = ["name", "uri", "taskId"].map(|key| params[key].as_str().map(str::to_owned));
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":
                {"extensions": {"io.modelcontextprotocol/tasks": {}}},
        });
        let mut request = self
            .request(Method::POST, "/mcp")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method)
            .json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}));
        if let Some(name) = name.into_iter().flatten().next() {
            request = request.header("mcp-name", name);
        }
        let answer = request.send().await.unwrap().text().await.unwrap();
        // Its progress may come before it.
        let last = answer
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .next_back();
        serde_json::from_str(last.unwrap_or(&answer)).unwrap_or_else(|_| panic!("{answer}"))
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments}))
            .await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        reqwest::Client::new()
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream")
    }
}

/// The same id with another number in it: of the same form, and nobody's.
fn invented(id: &str) -> String {
    let is_hex = |part: &&str| part.len() == 32 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let number = id.split('-').find(is_hex).expect("a number");
    let turned: String = number.chars().rev().collect();
    assert_ne!(number, turned);
    id.replace(number, &turned)
}

/// What Ada has.
struct Hers {
    song: String,
    batch: String,
    review: String,
    dead: String,
    preview: String,
    schedule: String,
    answer: String,
}

impl Hers {
    async fn made(world: &World, ada: &Conversation) -> Self {
        let song = start(ada, song(CLOCKS, world.empty())).await;
        ended(ada, &song).await;
        // What she said once is remembered.
        let asked = start(ada, unsure(world.empty())).await;
        stands(ada, &asked, "waiting_for_review").await;
        let review = format!("review-{asked}");
        let none = json!({"review_id": review, "choice": "none"});
        ada.call("review_match", none).await.expect("answered");
        ended(ada, &asked).await;
        let answers = ada.call("list_answers", json!({})).await.unwrap();
        let answer = answers["answers"][0]["answer_id"]
            .as_str()
            .unwrap()
            .to_owned();

        let waiting = batch(&songs()[..2], world.empty());
        let batch = start_batch(ada, waiting.clone()).await;
        stands(ada, &batch, "waiting_for_review").await;
        let reviews = ada
            .call("list_reviews", json!({"sync_id": batch}))
            .await
            .unwrap();
        let review = reviews["reviews"][0]["review_id"]
            .as_str()
            .unwrap()
            .to_owned();

        let looked = ada.call("preview_sync", waiting).await.unwrap();
        let preview = looked["sync_id"].as_str().unwrap().to_owned();
        ended(ada, &preview).await;
        let schedule = schedule(
            ada,
            json!({"source_playlist": world.sim.full_playlist_id(), "playlist": world.empty()}),
        )
        .await;

        world
            .fault(json!({"endpoint": "search", "count": 0, "status": 502}))
            .await;
        let kids = ("Kids", "MGMT", "");
        let dead = start(ada, crate::support::song(kids, world.empty())).await;
        stands(ada, &dead, "dead_lettered").await;
        world.lift_faults().await;
        Self {
            song,
            batch,
            review,
            dead,
            preview,
            schedule,
            answer,
        }
    }

    fn ids(&self) -> [&str; 7] {
        [
            &self.song,
            &self.batch,
            &self.review,
            &self.dead,
            &self.preview,
            &self.schedule,
            &self.answer,
        ]
    }

    /// How everything stands, but for what time alone changes.
    async fn standing(&self, ada: &Conversation) -> Vec<Value> {
        let mut all = Vec::new();
        for sync in [&self.song, &self.batch, &self.dead, &self.preview] {
            let call = json!({"sync_id": sync});
            let view = ada.call("get_sync_progress", call).await.unwrap();
            all.push(json!([
                view["status"],
                view["batch"]["counts"],
                view["message"]
            ]));
        }
        for (tool, list) in [
            ("list_reviews", "reviews"),
            ("list_answers", "answers"),
            ("list_schedules", "schedules"),
        ] {
            all.push(ada.call(tool, json!({})).await.unwrap()[list].clone());
        }
        all
    }
}

/// The calls that name something by its id: none may do more than it would with an id of nobody's.
fn by_id(hers: &Hers, playlist: &str) -> Vec<(&'static str, &'static str, String, Value)> {
    let mut calls = Vec::new();
    for sync in [&hers.song, &hers.batch, &hers.dead, &hers.preview] {
        for tool in [
            "get_sync_progress",
            "cancel_sync",
            "retry_failed",
            "list_reviews",
        ] {
            calls.push((tool, "sync_id", sync.clone(), json!({})));
        }
    }
    let preview = hers.preview.clone();
    calls.push((
        "sync_playlist",
        "from_preview",
        preview,
        json!({"playlist": playlist}),
    ));
    let choice = json!({"choice": "none"});
    calls.push(("review_match", "review_id", hers.review.clone(), choice));
    calls.push(("forget_answer", "answer_id", hers.answer.clone(), json!({})));
    for tool in [
        "pause_schedule",
        "resume_schedule",
        "run_schedule_now",
        "delete_schedule",
    ] {
        calls.push((tool, "schedule_id", hers.schedule.clone(), json!({})));
    }
    let name = json!({"name": "mine now"});
    calls.push((
        "update_schedule",
        "schedule_id",
        hers.schedule.clone(),
        name,
    ));
    calls
}

/// The calls that name nothing of anybody's.
fn without_id(playlist: &str) -> Vec<(&'static str, Value)> {
    let (title, artist, _) = CLOCKS;
    let tracks = json!([{"title": title, "artist": artist}]);
    vec![
        ("list_syncs", json!({"limit": 100})),
        ("list_syncs", json!({"user": "ada"})),
        ("list_reviews", json!({})),
        ("list_answers", json!({})),
        ("list_schedules", json!({})),
        ("retry_failed", json!({"all": true})),
        ("retry_failed", json!({"all": true, "user": "ada"})),
        (
            "sync_track",
            json!({"title": title, "artist": artist, "playlist": playlist}),
        ),
        (
            "sync_playlist",
            json!({"tracks": tracks, "playlist": playlist}),
        ),
        (
            "preview_sync",
            json!({"tracks": tracks, "playlist": playlist}),
        ),
        ("compare_strategies", json!({"tracks": tracks})),
        (
            "schedule_sync",
            json!({"name": "Bob's", "cron": "@yearly", "source_playlist": playlist,
                "create_playlist": "Bob's"}),
        ),
        // These two are of the account and of the process, which they share.
        ("list_playlists", json!({})),
        ("reset_circuit", json!({"part": "search"})),
        ("get_health", json!({})),
    ]
}

#[tokio::test]
async fn neither_sees_or_changes_what_is_the_others() {
    let world = World::new().await;
    let launch = world.launch().with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    // Before the server: one that needs no tokens would serve anybody.
    let tokens = [token(&world, "ada").await, token(&world, "bob").await];
    let server = HttpServer::start(&launch, &[]).await.unwrap();
    let [ada, bob] = tokens;
    let ada = User::with(ada, &server).await;
    let bob = User::with(bob, &server).await;
    let hers = Hers::made(&world, &ada.client).await;
    let before = hers.standing(&ada.client).await;
    let mut told = Vec::new();

    // Tools: every one there is.
    let mut tried = BTreeSet::new();
    for (tool, key, id, more) in by_id(&hers, world.empty()) {
        tried.insert(tool);
        let with = |id: &str| {
            let mut arguments = more.clone();
            arguments[key] = json!(id);
            arguments
        };
        let nobodys = invented(&id);
        let of_hers = bob
            .call(tool, with(&id))
            .await
            .to_string()
            .replace(&id, "ID");
        let of_nobody = bob.call(tool, with(&nobodys)).await.to_string();
        assert_eq!(
            of_hers,
            of_nobody.replace(&nobodys, "ID"),
            "{tool} of {key} {id}"
        );
        told.push(of_hers);
    }
    for (tool, arguments) in without_id(world.empty()) {
        tried.insert(tool);
        told.push(bob.call(tool, arguments).await.to_string());
    }
    let there = segue_tools::Segue::router().list_all();
    let there: BTreeSet<&str> = there.iter().map(|tool| &*tool.name).collect();
    assert_eq!(tried, there);

    // Tasks.
    for id in [&hers.song, &hers.batch, &hers.dead, &hers.preview] {
        let nobodys = invented(id);
        for (method, more) in [
            ("tasks/get", json!({})),
            ("tasks/cancel", json!({})),
            ("tasks/update", json!({"inputResponses": {}})),
        ] {
            let with = |id: &str| {
                let mut params = more.clone();
                params["taskId"] = json!(id);
                params
            };
            let of_hers = bob
                .ask(method, with(id))
                .await
                .to_string()
                .replace(id, "ID");
            let of_nobody = bob.ask(method, with(&nobodys)).await.to_string();
            assert!(of_hers.contains("-32602"), "{method}: {of_hers}");
            assert_eq!(of_hers, of_nobody.replace(&nobodys, "ID"), "{method} {id}");
        }
    }

    // Resources, by every template there is; what is listed, and what is completed.
    let templates = bob.ask("resources/templates/list", json!({})).await;
    let templates = templates["result"]["resourceTemplates"]
        .as_array()
        .unwrap()
        .clone();
    assert!(templates.len() >= 3, "{templates:?}");
    for template in &templates {
        let template = template["uriTemplate"].as_str().unwrap();
        for id in [&hers.song, &hers.batch, &hers.dead, &hers.preview] {
            let nobodys = invented(id);
            let read = async |id: &str| {
                let uri = template.replace("{id}", id).replace("{sync_id}", id);
                assert!(uri.contains(id), "{template}");
                let answer = bob.ask("resources/read", json!({"uri": uri})).await;
                answer.to_string().replace(id, "ID")
            };
            let (of_hers, of_nobody) = (read(id).await, read(&nobodys).await);
            assert!(of_hers.contains("error"), "{template}: {of_hers}");
            assert_eq!(of_hers, of_nobody, "{template} {id}");
        }
        let (_, named) = template.split_once('{').unwrap();
        let (argument, _) = named.split_once('}').unwrap();
        for letters in ["", "sync-", &hers.song[..9]] {
            let complete = json!({"ref": {"type": "ref/resource", "uri": template},
                "argument": {"name": argument, "value": letters}});
            let completed = bob.ask("completion/complete", complete).await;
            assert!(
                completed["result"]["completion"]["values"].is_array(),
                "{completed}"
            );
            told.push(completed.to_string());
        }
    }
    told.push(bob.ask("resources/list", json!({})).await.to_string());
    told.push(
        bob.ask("resources/read", json!({"uri": "segue://health"}))
            .await
            .to_string(),
    );

    // Prompts: every one there is.
    let prompts = bob.ask("prompts/list", json!({})).await;
    let prompts = prompts["result"]["prompts"].as_array().unwrap().clone();
    assert!(prompts.len() >= 3, "{prompts:?}");
    let mut named = 0;
    for prompt in &prompts {
        let arguments = prompt["arguments"].as_array().cloned().unwrap_or_default();
        let get = async |sync_id: Option<&str>| {
            let arguments = arguments.iter().filter_map(|argument| {
                let name = argument["name"].as_str().unwrap();
                let value = match name {
                    "sync_id" => json!(sync_id?),
                    _ => json!("Fresh Start"),
                };
                Some((name.to_owned(), value))
            });
            let arguments: serde_json::Map<_, _> = arguments.collect();
            let get = json!({"name": prompt["name"], "arguments": arguments});
            bob.ask("prompts/get", get).await
        };
        let got = get(None).await;
        assert!(got["result"]["messages"].is_array(), "{got}");
        told.push(got.to_string());
        if arguments
            .iter()
            .any(|argument| argument["name"] == "sync_id")
        {
            named += 1;
            let nobodys = invented(&hers.dead);
            let of_hers = get(Some(&hers.dead))
                .await
                .to_string()
                .replace(&hers.dead, "ID");
            let of_nobody = get(Some(&nobodys))
                .await
                .to_string()
                .replace(&nobodys, "ID");
            assert_eq!(of_hers, of_nobody);
        }
    }
    assert!(named > 0, "a prompt names a sync");

    for answer in &told {
        for word in hers.ids().into_iter().chain(HER_WORDS) {
            assert!(!answer.contains(word), "{word} in {answer}");
        }
    }
    assert_eq!(hers.standing(&ada.client).await, before);
    // What she said of a track does not decide for him.
    let asked = start(&bob.client, unsure(world.empty())).await;
    stands(&bob.client, &asked, "waiting_for_review").await;
}

#[tokio::test]
async fn a_session_or_a_stream_of_somebody_else_is_not_there() {
    let world = World::new().await;
    let tokens = [token(&world, "ada").await, token(&world, "bob").await];
    let server = HttpServer::start(&world.launch(), &[]).await.unwrap();
    let [ada, bob] = tokens;
    let ada = User::with(ada, &server).await;
    let bob = User::with(bob, &server).await;
    // Only an engine that is there keeps a session.
    ada.client.call("list_syncs", json!({})).await.unwrap();

    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "a client", "version": "1"}}});
    let begun = ada
        .request(Method::POST, "/mcp")
        .json(&hello)
        .send()
        .await
        .unwrap();
    let session = begun.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let say = async |user: &User| -> Response {
        let said = user
            .request(Method::POST, "/mcp")
            .header("mcp-session-id", &session);
        said.json(&list).send().await.unwrap()
    };
    assert_eq!(say(&bob).await.status(), StatusCode::NOT_FOUND);
    let listen = bob
        .request(Method::GET, "/mcp")
        .header("mcp-session-id", &session);
    assert_eq!(listen.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let end = bob
        .request(Method::DELETE, "/mcp")
        .header("mcp-session-id", &session);
    end.send().await.unwrap();
    assert_eq!(say(&ada).await.status(), StatusCode::OK);
    // Nor has he ended it where it is kept: another process goes on with it.
    let other = HttpServer::start(&world.launch(), &[]).await.unwrap();
    let elsewhere = User::with(ada.token.clone(), &other).await;
    elsewhere
        .client
        .call("list_syncs", json!({}))
        .await
        .unwrap();
    assert_eq!(say(&elsewhere).await.status(), StatusCode::OK);

    let mut stream = ada.request(Method::GET, "/sse").send().await.unwrap();
    let mut first = String::new();
    while !first.contains("\n\n") {
        let chunk = stream.chunk().await.unwrap().expect("its address");
        first.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let path = first
        .lines()
        .find_map(|line| line.strip_prefix("data:"))
        .unwrap()
        .trim();
    let post = async |user: &User| {
        let posted = user.request(Method::POST, path).json(&hello).send().await;
        posted.unwrap().status()
    };
    assert_eq!(post(&bob).await, StatusCode::NOT_FOUND);
    assert_eq!(post(&ada).await, StatusCode::ACCEPTED);
    until("she alone is answered", async || {
        let chunk = stream.chunk().await.unwrap().expect("more");
        first.push_str(std::str::from_utf8(&chunk).unwrap());
        first.contains("serverInfo")
    })
    .await;
}

#[tokio::test]
async fn a_guest_wakes_only_their_own_and_does_not_end_what_holds_for_all() {
    let world = World::new().await;
    let tokens = [token(&world, "ada").await, token(&world, "bob").await];
    let server = HttpServer::start(&world.launch(), &[]).await.unwrap();
    let [ada, bob] = tokens;
    let ada = User::with(ada, &server).await;
    let bob = User::with(bob, &server).await;
    world
        .fault(json!({"endpoint": "search", "count": 0, "status": 500}))
        .await;
    let call = song(CLOCKS, world.empty());
    let view = ada.client.call("sync_track", call).await.unwrap();
    let hers = json!({"sync_id": view["sync_id"]});
    let status = async || {
        let view = ada.client.call("get_sync_progress", hers.clone()).await;
        view.unwrap()["status"].clone()
    };
    until("Ada's sync waits", async || {
        status().await == "waiting_for_upstream"
    })
    .await;
    let reset = async |user: &User, part: &str| {
        let part = json!({"part": part});
        user.client.call("reset_circuit", part).await
    };
    let refused = |answer: anyhow::Result<Value>| answer.expect_err("refused").to_string();
    let told = refused(reset(&bob, "rate_limit").await);
    assert!(told.contains("holds for all"), "{told}");
    let woken = reset(&bob, "all").await.unwrap();
    assert_eq!(woken["woken"], 0, "{woken:#}");
    // One turn a minute is for all guests.
    let told = refused(reset(&ada, "all").await);
    assert!(told.contains("a moment ago"), "{told}");
    world.lift_faults().await;
    ada.client.call("cancel_sync", hers.clone()).await.unwrap();
}
