//! "It said that it had added the song." An upstream that lies: what it answers looks right and is
//! not, or cannot be read at all. Each lie has its story, and each ends with the track in the
//! playlist once, or not there and a reason.
//!
//! The first half is told of Spotify's API behind the bundled upstream, the second of an MCP server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use segue::client::Server;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    stand_in::{Form, Lie, PLAYLIST, StandIn, URI},
    support::{CLOCKS, HELD_MS, NEVER_OPENS, World, all, ended, processes, song, start, until},
};

/// How much more memory than before a process may need for the worst of answers.
const MEMORY: u64 = 200 << 20;

/// The user, who edits the playlist by hand while the sync is at work.
struct User<'a> {
    world: &'a World,
    http: reqwest::Client,
    token: String,
}

impl<'a> User<'a> {
    async fn of(world: &'a World) -> Self {
        let http = reqwest::Client::new();
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", world.sim.refresh_token()),
            ("client_id", world.sim.client_id()),
        ];
        let asked = http.post(format!("{}/api/token", world.sim.url()));
        let answer: Value = asked
            .form(&form)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        Self {
            world,
            http,
            token: answer["access_token"].as_str().unwrap().to_owned(),
        }
    }

    async fn edit(&self, method: Method, playlist: &str, body: Value) {
        let url = format!("{}/v1/playlists/{playlist}/items", self.world.sim.url());
        let request = self.http.request(method, url).bearer_auth(&self.token);
        let answer = request.json(&body).send().await.unwrap();
        answer.error_for_status().expect("the edit is made");
    }

    async fn adds(&self, playlist: &str, uris: &[String]) {
        self.edit(Method::POST, playlist, json!({"uris": uris}))
            .await;
    }

    /// Takes these out, every copy of them.
    async fn takes_out(&self, playlist: &str, uris: &[String]) {
        let items: Vec<Value> = uris.iter().map(|uri| json!({"uri": uri})).collect();
        self.edit(Method::DELETE, playlist, json!({"items": items}))
            .await;
    }

    async fn moves_to_the_front(&self, playlist: &str, from: usize) {
        let order = json!({"range_start": from, "insert_before": 0});
        self.edit(Method::PUT, playlist, order).await;
    }
}

/// As many entries as wanted, without the song that is synced.
fn others(world: &World, count: usize) -> Vec<String> {
    let songs = world.in_playlist(world.sim.full_playlist_id());
    let mut others = songs.into_iter().filter(|uri| uri != CLOCKS.2).cycle();
    others.by_ref().take(count).collect()
}

/// A new playlist that holds these.
async fn playlist_of(world: &World, uris: &[String]) -> String {
    let made: Value = reqwest::Client::new()
        .post(format!("{}/_sim/playlists", world.sim.url()))
        .json(&json!({"name": "Mine", "uris": uris}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    made["id"].as_str().unwrap().to_owned()
}

/// The sync's own adds to this playlist that took effect.
fn effective_adds(world: &World, playlist: &str) -> usize {
    let ours = [CLOCKS.2.to_owned()];
    let requests = world.asked("add_items").into_iter();
    requests
        .filter(|request| request.took_effect && request.path.contains(playlist))
        .filter(|request| request.uris.as_deref() == Some(&ours))
        .count()
}

/// Syncs the song into the playlist, and gives the last view.
async fn synced(server: &Server, playlist: &str) -> Value {
    let id = start(server, song(CLOCKS, playlist)).await;
    ended(server, &id).await
}

#[track_caller]
fn assert_ended(view: &Value, status: &str, code: Option<&str>) {
    assert_eq!(
        (&view["status"], view["error_code"].as_str()),
        (&json!(status), code),
        "{view:#}"
    );
}

/// The sync came to its end, the song is there once, and was added once.
#[track_caller]
fn assert_added_once(world: &World, playlist: &str, view: &Value) {
    assert_ended(view, "completed", None);
    assert_eq!(view["success"], true, "{view:#}");
    let there = world.in_playlist(playlist);
    let copies = there.iter().filter(|uri| *uri == CLOCKS.2).count();
    assert_eq!(copies, 1, "{view:#}");
    assert_eq!(effective_adds(world, playlist), 1, "{view:#}");
}

/// The sync got over the lie by trying again. (How often is the machine's affair as well: where it
/// is slow, an attempt may be lost beside.)
#[track_caller]
fn assert_repeated(lie: &str, view: &Value) {
    assert!(
        view["retry_count"].as_u64().is_some_and(|count| count > 0),
        "{lie}: {view:#}"
    );
}

/// The memory of processes, watched from now on.
struct Memory {
    before: u64,
    peak: Arc<AtomicU64>,
    watch: JoinHandle<()>,
}

impl Memory {
    fn of(processes: Vec<u32>) -> Self {
        assert!(!processes.is_empty());
        let peak = Arc::new(AtomicU64::default());
        let highest = Arc::clone(&peak);
        Self {
            before: resident(&processes),
            peak,
            watch: tokio::spawn(async move {
                loop {
                    highest.fetch_max(resident(&processes), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }),
        }
    }

    #[track_caller]
    fn assert_bounded(self) {
        self.watch.abort();
        let peak = self.peak.load(Ordering::Relaxed);
        assert!(peak > 0, "it was never looked at");
        let more = peak.saturating_sub(self.before);
        assert!(more < MEMORY, "{} MB more than before", more >> 20);
    }
}

/// The memory that these processes hold, in bytes.
fn resident(processes: &[u32]) -> u64 {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
    let ids: Vec<Pid> = processes.iter().map(|&id| Pid::from_u32(id)).collect();
    let mut system = System::new();
    let kind = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&ids), true, kind);
    let found = ids.iter().filter_map(|&id| system.process(id));
    found.map(sysinfo::Process::memory).sum()
}

#[tokio::test]
async fn an_add_answered_with_an_error_though_it_took_effect() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    for (fault, already_present) in [
        (json!({"status_after": 503}), false),
        (json!({"status_after": 500, "count": 3}), false),
        // A 429 says that nothing was done, so what is there then is taken for somebody else's.
        (json!({"status_after": 429, "retry_after": 1}), true),
    ] {
        world.lift_faults().await;
        let mut order = fault.clone();
        order["endpoint"] = json!("add_items");
        world.fault(order).await;
        let playlist = playlist_of(&world, &[]).await;
        let view = synced(&server, &playlist).await;
        assert_added_once(&world, &playlist, &view);
        assert_eq!(
            view["already_present"], already_present,
            "{fault}: {view:#}"
        );
    }
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_add_answered_with_success_though_it_did_nothing() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    world
        .fault(json!({"endpoint": "add_items", "no_effect": true}))
        .await;
    let view = synced(&server, world.empty()).await;
    if view["status"] == "completed" {
        assert_added_once(&world, world.empty(), &view);
    } else {
        assert_ended(&view, "dead_lettered", Some("not_verified"));
        assert!(world.in_playlist(world.empty()).is_empty());
        let message = view["message"].as_str().unwrap();
        assert!(message.contains("not in the playlist"), "{view:#}");
    }
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_empty_page_in_the_middle() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    let mut there = others(&world, 130);
    there.insert(110, CLOCKS.2.to_owned());
    let playlist = playlist_of(&world, &there).await;
    // The page before the track, and the one that holds it.
    for page in [1, 2] {
        world
            .fault(json!({"endpoint": "playlist_items", "skip": page, "body": "no_items"}))
            .await;
        let view = synced(&server, &playlist).await;
        assert_ended(&view, "completed", None);
        assert_eq!(view["already_present"], true, "{view:#}");
    }
    // One that stays empty hides what is on it: nothing is added on such a word.
    world
        .fault(json!({"endpoint": "playlist_items", "count": 0, "body": "no_items"}))
        .await;
    let view = synced(&server, &playlist).await;
    assert_ended(&view, "dead_lettered", Some("upstream_unavailable"));
    assert!(view["message"].as_str().unwrap().contains("empty page"));
    assert!(world.asked("add_items").is_empty());
    assert_eq!(world.in_playlist(&playlist), there);
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_playlist_that_changes_while_it_is_looked_through() {
    let world = World::new().await;
    let user = User::of(&world).await;
    let server = world.serve_impatiently().await;
    // The song stands on the third page. Before that is read, a hundred before it go, and it stands
    // on the first, which was read before.
    let gone = others(&world, 100);
    let mut there = gone.clone();
    there.push(CLOCKS.2.to_owned());
    let playlist = playlist_of(&world, &there).await;
    world
        .fault(json!({"endpoint": "playlist_items", "skip": 2, "latency_ms": HELD_MS}))
        .await;
    let id = start(&server, song(CLOCKS, &playlist)).await;
    world.until_asked("playlist_items", 3).await;
    user.takes_out(&playlist, &gone).await;
    world.let_go().await;
    assert_eq!(world.in_playlist(&playlist), [CLOCKS.2]);
    let view = ended(&server, &id).await;
    assert_ended(&view, "completed", None);
    assert_eq!(view["already_present"], true, "{view:#}");
    assert_eq!(world.in_playlist(&playlist), [CLOCKS.2]);
    assert!(
        world.asked("add_items").is_empty(),
        "nothing is added twice"
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_playlist_that_changes_around_the_add() {
    let world = World::new().await;
    let user = User::of(&world).await;
    let server = world.serve_impatiently().await;
    let hundred = others(&world, 100);
    let few = [hundred[0].clone()];
    let clocks = [CLOCKS.2.to_owned()];

    // Before the add takes effect, the user adds a hundred others.
    let playlist = playlist_of(&world, &[]).await;
    let held = json!({"endpoint": "add_items", "latency_ms": HELD_MS});
    world.fault(held.clone()).await;
    let id = start(&server, song(CLOCKS, &playlist)).await;
    world.until_asked("add_items", 1).await;
    user.adds(&playlist, &hundred).await;
    world.let_go().await;
    assert_added_once(&world, &playlist, &ended(&server, &id).await);
    assert_eq!(
        world.in_playlist(&playlist),
        [&hundred[..], &clocks].concat()
    );

    // Or takes out a hundred.
    let asked = world.asked("add_items").len();
    let playlist = playlist_of(&world, &hundred).await;
    world.fault(held).await;
    let id = start(&server, song(CLOCKS, &playlist)).await;
    world.until_asked("add_items", asked + 1).await;
    user.takes_out(&playlist, &hundred).await;
    world.let_go().await;
    assert_added_once(&world, &playlist, &ended(&server, &id).await);
    assert_eq!(world.in_playlist(&playlist), clocks);

    // Before its answer, the user adds a hundred behind it, and puts it first.
    let playlist = playlist_of(&world, &few).await;
    world
        .fault(json!({"endpoint": "add_items", "latency_after_ms": HELD_MS}))
        .await;
    let id = start(&server, song(CLOCKS, &playlist)).await;
    until("the add takes effect", async || {
        effective_adds(&world, &playlist) == 1
    })
    .await;
    user.adds(&playlist, &hundred).await;
    user.moves_to_the_front(&playlist, 1).await;
    world.let_go().await;
    assert_added_once(&world, &playlist, &ended(&server, &id).await);
    let expected = [&clocks, &few, &hundred[..]].concat();
    assert_eq!(world.in_playlist(&playlist), expected);
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_track_that_the_user_takes_out_between_add_and_verification() {
    let world = World::new().await;
    let user = User::of(&world).await;
    let server = world.serve_impatiently().await;
    world
        .fault(json!({"endpoint": "add_items", "latency_after_ms": HELD_MS}))
        .await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    until("the add takes effect", async || world.effective_adds() == 1).await;
    user.takes_out(world.empty(), &[CLOCKS.2.to_owned()]).await;
    world.let_go().await;
    let view = ended(&server, &id).await;
    assert_ended(&view, "dead_lettered", Some("not_verified"));
    assert!(
        world.in_playlist(world.empty()).is_empty(),
        "the user's wish wins"
    );
    assert_eq!(world.asked("add_items").len(), 1);
    server.end().await.unwrap();
}

#[tokio::test]
async fn answers_of_spotify_that_are_truncated_no_json_empty_or_64_mb() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    let view = synced(&server, world.empty()).await;
    assert_added_once(&world, world.empty(), &view);
    let mut watched = processes(server.pid(), "spotify");
    watched.extend(server.pid());
    let memory = Memory::of(watched);
    for endpoint in ["search", "playlist_items", "add_items"] {
        for body in ["truncated", "malformed", "empty", "huge"] {
            world
                .fault(json!({"endpoint": endpoint, "body": body}))
                .await;
            let playlist = playlist_of(&world, &[]).await;
            let view = synced(&server, &playlist).await;
            assert_added_once(&world, &playlist, &view);
            assert_repeated(&format!("{endpoint} {body}"), &view);
        }
    }
    memory.assert_bounded();
    server.end().await.unwrap();
}

#[tokio::test]
async fn answers_of_spotify_that_never_end() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    // Three at once, each at another step, because each takes as long as a request may.
    let mut syncs = Vec::new();
    for endpoint in ["search", "playlist_items", "add_items"] {
        let asked = world.asked(endpoint).len();
        world
            .fault(json!({"endpoint": endpoint, "body": "endless"}))
            .await;
        let playlist = playlist_of(&world, &[]).await;
        let id = start(&server, song(CLOCKS, &playlist)).await;
        world.until_asked(endpoint, asked + 1).await;
        syncs.push((endpoint, playlist, id));
    }
    for (endpoint, playlist, id) in syncs {
        let view = ended(&server, &id).await;
        assert_added_once(&world, &playlist, &view);
        assert_repeated(endpoint, &view);
    }
    server.end().await.unwrap();
}

#[tokio::test]
async fn ids_of_the_wrong_form_from_spotify() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    world
        .fault(json!({"endpoint": "search", "body": "wrong_ids"}))
        .await;
    let view = synced(&server, world.empty()).await;
    assert_added_once(&world, world.empty(), &view);
    assert_repeated("wrong ids", &view);

    world
        .fault(json!({"endpoint": "search", "body": "wrong_ids", "count": 0}))
        .await;
    let playlist = playlist_of(&world, &[]).await;
    let view = synced(&server, &playlist).await;
    assert_ended(&view, "dead_lettered", Some("bad_upstream_answer"));
    assert!(world.in_playlist(&playlist).is_empty());
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_search_that_answers_other_songs() {
    let world = World::new().await;
    let server = world.serve_impatiently().await;
    world
        .fault(json!({"endpoint": "search", "body": "unrelated", "count": 0}))
        .await;
    let view = synced(&server, world.empty()).await;
    assert_ended(&view, "completed", None);
    assert_eq!(view["success"], false, "{view:#}");
    assert!(world.asked("add_items").is_empty());
    server.end().await.unwrap();
}

/// A server of Segue's with the stand-in as its upstream.
async fn serving(world: &World, stand_in: &StandIn) -> Server {
    let launch = world
        .launch()
        .with("SEGUE_UPSTREAM", stand_in.serve().await)
        .with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    Server::start(&launch).await.expect("the server starts")
}

#[tokio::test]
async fn an_answer_of_50_mb_from_an_mcp_server() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let server = serving(&world, &stand_in).await;
    let memory = Memory::of(server.pid().into_iter().collect());
    for (form, code) in [
        (Form::Json, "bad_upstream_answer"),
        (Form::Events, "upstream_unavailable"),
    ] {
        stand_in.shelf().bodies = vec![("search_track", Lie::Huge(form)); 3];
        let view = synced(&server, PLAYLIST).await;
        assert_ended(&view, "dead_lettered", Some(code));
        let message = view["message"].as_str().unwrap();
        assert!(message.contains("4194304 bytes"), "{view:#}");

        // The next call works, and so does the next attempt.
        stand_in.shelf().bodies = vec![("add_track_to_playlist", Lie::Huge(form))];
        stand_in.shelf().playlist.clear();
        let view = synced(&server, PLAYLIST).await;
        assert_ended(&view, "completed", None);
        assert_repeated("huge", &view);
        assert_eq!(stand_in.shelf().playlist, [URI]);
    }
    memory.assert_bounded();
    server.end().await.unwrap();
}

#[tokio::test]
async fn an_answer_of_an_mcp_server_that_never_ends() {
    all([Form::Json, Form::Events].map(async |form| {
        let world = World::new().await;
        let stand_in = StandIn::default();
        let server = serving(&world, &stand_in).await;
        stand_in.shelf().bodies = vec![("search_track", Lie::Endless(form))];
        let view = synced(&server, PLAYLIST).await;
        assert_ended(&view, "completed", None);
        assert_repeated(&format!("{form:?}"), &view);
        assert_eq!(stand_in.shelf().playlist, [URI]);
        server.end().await.unwrap();
    }))
    .await;
}

#[tokio::test]
async fn answers_of_an_mcp_server_that_are_truncated_or_no_json() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let server = serving(&world, &stand_in).await;
    for lie in [
        Lie::Truncated(Form::Json),
        Lie::Truncated(Form::Events),
        Lie::NoJson(Form::Json),
        Lie::NoJson(Form::Events),
    ] {
        for tool in [
            "search_track",
            "verify_track_added",
            "add_track_to_playlist",
        ] {
            stand_in.shelf().playlist.clear();
            stand_in.shelf().bodies = vec![(tool, lie)];
            let view = synced(&server, PLAYLIST).await;
            assert_ended(&view, "completed", None);
            assert_repeated(&format!("{tool} {lie:?}"), &view);
            assert_eq!(stand_in.shelf().playlist, [URI], "{tool} {lie:?}");
        }
    }
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_tool_that_vanished_from_the_list() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let server = serving(&world, &stand_in).await;
    let view = synced(&server, PLAYLIST).await;
    assert_ended(&view, "completed", None);

    // The first sync finds out, the second meets a server that no profile fits.
    stand_in.shelf().playlist.clear();
    stand_in.shelf().vanished = Some("add_track_to_playlist");
    for _ in 0..2 {
        let view = synced(&server, PLAYLIST).await;
        assert_ended(&view, "failed", Some("capability_missing"));
    }
    assert!(stand_in.shelf().playlist.is_empty());

    // It is back, and nobody has to restart anything.
    stand_in.shelf().vanished = None;
    let view = synced(&server, PLAYLIST).await;
    assert_ended(&view, "completed", None);
    assert_eq!(stand_in.shelf().playlist, [URI]);
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_list_of_tools_without_end() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    stand_in.shelf().endless_list = true;
    let server = serving(&world, &stand_in).await;
    let view = synced(&server, PLAYLIST).await;
    assert_ended(&view, "dead_lettered", Some("bad_upstream_answer"));
    assert!(view["message"].as_str().unwrap().contains("1000 tools"));
    stand_in.shelf().endless_list = false;
    assert_ended(&synced(&server, PLAYLIST).await, "completed", None);
    server.end().await.unwrap();
}

#[tokio::test]
async fn ids_of_the_wrong_form_from_an_mcp_server() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let server = serving(&world, &stand_in).await;
    stand_in.shelf().wrong_ids = usize::MAX;
    let view = synced(&server, PLAYLIST).await;
    assert_ended(&view, "dead_lettered", Some("bad_upstream_answer"));
    assert!(stand_in.shelf().playlist.is_empty());

    stand_in.shelf().wrong_ids = 1;
    let view = synced(&server, PLAYLIST).await;
    assert_ended(&view, "completed", None);
    assert_eq!(stand_in.shelf().playlist, [URI]);
    server.end().await.unwrap();
}

/// Seen in a public server: the add's answer is a success whatever Spotify said.
#[tokio::test]
async fn an_mcp_server_that_reports_an_add_it_did_not_make() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let server = serving(&world, &stand_in).await;
    stand_in.shelf().empty_promises = 1;
    let view = synced(&server, PLAYLIST).await;
    let there = stand_in.shelf().playlist.clone();
    if view["status"] == "completed" {
        assert_eq!(there, [URI], "{view:#}");
    } else {
        assert_ended(&view, "dead_lettered", Some("not_verified"));
        assert!(there.is_empty(), "{view:#}");
    }
    server.end().await.unwrap();
}
