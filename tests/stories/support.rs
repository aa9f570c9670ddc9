//! A world of its own for each story: a simulated Spotify, a home, and the program.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Once,
    time::{Duration, Instant},
};

use segue::{
    client::{Conversation, Launch, Server},
    config::Config,
    engine::{Engine, EngineOptions},
    home::Home,
    processes,
};
use segue_spotify::sim::{LoggedRequest, Sim, SimOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The end of every wait. A story that works never comes near it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);
/// Time between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How long the simulated Spotify holds a request that is let go when the story says so: for ever, as far as the
/// story is concerned. The upstream itself waits 20 s for an answer.
pub(crate) const HELD_MS: u32 = 600_000;

/// For so long a story holds a request on after it has ordered what is to happen meanwhile.
pub(crate) const HELD_ON: Duration = Duration::from_millis(1_500);

/// Failures in a row that no story comes to: for those in which a sync is to give up, and not to wait
/// for an upstream that is down.
pub(crate) const NEVER_OPENS: &str = "1000000";

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_segue");

/// Where tests keep the engine's binary, so that it is fetched once.
pub(crate) fn engine_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("segue-cache")
}

/// Sees that there is TLS for clients inside the test itself.
pub(crate) fn with_tls() {
    static TLS: Once = Once::new();
    TLS.call_once(|| _ = rustls::crypto::ring::default_provider().install_default());
}

/// A story's world. It goes when it is dropped; the engine ends with its last user.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) home: TempDir,
    sealed: bool,
}

/// A real song of the catalogue: title, artist, and its URI.
pub(crate) const CLOCKS: (&str, &str, &str) =
    ("Clocks", "Coldplay", "spotify:track:0BCPKOYdS2jbQ8iyB56Zns");

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(SimOptions::default()).await
    }

    /// A world with this simulated Spotify.
    pub(crate) async fn with(options: SimOptions) -> Self {
        with_tls();
        Self {
            sim: Sim::start(options).await.expect("the simulator starts"),
            home: tempfile::tempdir().expect("a temporary folder"),
            sealed: true,
        }
    }

    /// A world whose engine keeps everything as it is, for stories that read what is in a history.
    pub(crate) async fn unsealed() -> Self {
        let mut world = Self::new().await;
        world.sealed = false;
        world
    }

    /// From now on its servers encrypt what the engine keeps.
    pub(crate) fn seal(&mut self) {
        self.sealed = true;
    }

    /// Orders something of the simulated Spotify's tokens.
    pub(crate) async fn tokens(&self, order: Value) {
        reqwest::Client::new()
            .post(format!("{}/_sim/tokens", self.sim.url()))
            .json(&order)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .expect("the order is taken");
    }

    /// A server that gives up instead of waiting for an upstream that is down, so that its syncs
    /// become dead letters at once.
    pub(crate) async fn serve_impatiently(&self) -> Server {
        let launch = self.launch().with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
        Server::start(&launch).await.expect("the server starts")
    }

    /// How its servers are started. They log what they do, for the failed test to show.
    pub(crate) fn launch(&self) -> Launch {
        let launch = Launch::new(PROGRAM, self.home.path(), &engine_cache(), self.sim.ready())
            .with("SEGUE_LOG", "info")
            .logging_to(self.log());
        match self.sealed {
            true => launch,
            false => launch.with("SEGUE_ENCRYPT_PAYLOADS", "false"),
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.home.path().join("server.log")
    }

    pub(crate) async fn serve(&self) -> Server {
        Server::start(&self.launch())
            .await
            .expect("the server starts")
    }

    /// The playlist that starts empty.
    pub(crate) fn empty(&self) -> &str {
        self.sim.empty_playlist_id()
    }

    pub(crate) fn in_playlist(&self, playlist: &str) -> Vec<String> {
        self.sim
            .playlist_uris(playlist)
            .expect("the playlist exists")
    }

    /// Orders something of the simulated Spotify, and gives what it answers.
    pub(crate) async fn order(&self, what: &str, order: Value) -> Value {
        let answer = reqwest::Client::new()
            .post(format!("{}/_sim/{what}", self.sim.url()))
            .json(&order)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .expect("the order is taken");
        serde_json::from_str(&answer.text().await.expect("an answer")).unwrap_or_default()
    }

    /// Puts these into the playlist, in place of everything.
    pub(crate) async fn refill(&self, playlist: &str, uris: &[String]) {
        reqwest::Client::new()
            .put(format!("{}/_sim/playlists", self.sim.url()))
            .json(&json!({"id": playlist, "uris": uris}))
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .expect("the playlist is refilled");
    }

    /// Orders faults of the simulated Spotify.
    pub(crate) async fn fault(&self, faults: Value) {
        reqwest::Client::new()
            .post(format!("{}/_sim/faults", self.sim.url()))
            .json(&faults)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .expect("the faults are taken");
    }

    /// Holds every request to this endpoint until [`World::let_go`]: before its effect (`latency_ms`), or before its
    /// answer (`latency_after_ms`).
    pub(crate) async fn hold(&self, endpoint: &str, hold: &str) {
        self.fault(held(endpoint, 0, hold)).await;
    }

    /// Takes all faults back. A request that a fault holds already is held on.
    pub(crate) async fn lift_faults(&self) {
        reqwest::Client::new()
            .delete(format!("{}/_sim/faults", self.sim.url()))
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .expect("the faults are lifted");
    }

    /// Takes all faults back, and lets go of the requests that they hold.
    pub(crate) async fn let_go(&self) {
        self.lift_faults().await;
        self.order("release", Value::Null).await;
    }

    /// What Spotify was asked at this endpoint.
    pub(crate) fn asked(&self, endpoint: &str) -> Vec<LoggedRequest> {
        let named = |request: &LoggedRequest| {
            serde_json::to_value(request).is_ok_and(|logged| logged["endpoint"] == endpoint)
        };
        self.sim.requests().into_iter().filter(named).collect()
    }

    /// Adds that took effect.
    pub(crate) fn effective_adds(&self) -> usize {
        self.asked("add_items")
            .iter()
            .filter(|request| request.took_effect)
            .count()
    }

    /// Waits until Spotify was asked this often at this endpoint.
    pub(crate) async fn until_asked(&self, endpoint: &str, times: usize) {
        until(&format!("{times} requests to {endpoint}"), async || {
            self.asked(endpoint).len() >= times
        })
        .await;
    }

    /// Takes part in the story's engine, to look into it.
    pub(crate) async fn engine(&self) -> Engine {
        let home = Home::at(self.home.path()).expect("a home");
        let mut options: EngineOptions = Config::default().engine_options();
        options.cache_dir = Some(engine_cache());
        options.supervisor.program = PROGRAM.into();
        Engine::connect(&options, &home)
            .await
            .expect("the engine is reached")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let files = std::fs::read_dir(self.home.path()).into_iter().flatten();
            let paths = files.filter_map(Result::ok).map(|file| file.path());
            for log in paths.filter(|path| path.extension().is_some_and(|end| end == "log")) {
                show(&log);
            }
        }
    }
}

/// Shows what a log complains of, and its end.
fn show(log: &Path) {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let complains = |line: &&&str| line.contains(" WARN ") || line.contains(" ERROR ");
    let complaints: Vec<&str> = lines.iter().filter(complains).take(30).copied().collect();
    let end = &lines[lines.len().saturating_sub(60)..];
    eprintln!("--- what {} complains of ---", log.display());
    eprintln!("{}", complaints.join("\n"));
    eprintln!("--- and its end ---\n{}", end.join("\n"));
}

/// The engine's binary: the one on `PATH`, as the program does it, or the fetched one.
pub(crate) async fn engine_binary() -> PathBuf {
    let world = World::new().await;
    let server = world.serve().await;
    let listed = server.call("list_syncs", json!({})).await;
    listed.expect("an engine, and so its binary");
    server.end().await.expect("it ends");
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let cached = std::fs::read_dir(engine_cache()).into_iter().flatten();
    std::env::split_paths(&on_path)
        .chain(cached.filter_map(Result::ok).map(|entry| entry.path()))
        .map(|folder| folder.join("temporal"))
        .find(|path| path.is_file())
        .expect("a binary")
}

/// The fault that holds requests to this endpoint until they are let go, once `skip` have passed.
pub(crate) fn held(endpoint: &str, skip: usize, hold: &str) -> Value {
    let mut fault = json!({"endpoint": endpoint, "skip": skip, "count": 0});
    fault[hold] = json!(HELD_MS);
    fault
}

/// The call that syncs a song.
pub(crate) fn song((title, artist, _): (&str, &str, &str), playlist: &str) -> Value {
    json!({"title": title, "artist": artist, "playlist": playlist})
}

/// Starts a sync, and gives its id.
pub(crate) async fn start(server: &Conversation, call: Value) -> String {
    let view = server.call("sync_track", call).await.expect("accepted");
    view["sync_id"].as_str().expect("a sync_id").to_owned()
}

/// Starts a batch, and gives its id.
pub(crate) async fn start_batch(server: &Conversation, call: Value) -> String {
    let view = server.call("sync_playlist", call).await.expect("accepted");
    view["sync_id"].as_str().expect("an id").to_owned()
}

/// Waits until the sync has ended, and gives its last view.
pub(crate) async fn ended(server: &Conversation, sync_id: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let call = json!({"sync_id": sync_id, "wait_seconds": 10});
        let view = server
            .call("get_sync_progress", call)
            .await
            .expect("a view");
        let status = view["status"].as_str().expect("a status");
        if status != "running" && !status.starts_with("waiting_") {
            return view;
        }
        assert!(Instant::now() < until, "the sync does not end: {view:#}");
    }
}

/// Waits until the sync has this status, and gives its view.
pub(crate) async fn stands(server: &Conversation, sync_id: &str, status: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let call = json!({"sync_id": sync_id});
        let view = server
            .call("get_sync_progress", call)
            .await
            .expect("a view");
        if view["status"] == status {
            return view;
        }
        assert!(Instant::now() < until, "it is not {status}: {view:#}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Runs several stories at once, each in a world of its own.
pub(crate) async fn all<F: Future<Output = ()>>(stories: impl IntoIterator<Item = F>) {
    futures::future::join_all(stories).await;
}

/// The process of this world's managed engine.
pub(crate) fn engine_of(world: &World) -> u32 {
    let home = world.home.path().display().to_string();
    let engine = processes::find(None, &["start-dev", &home]);
    assert_eq!(engine.len(), 1, "one engine");
    engine[0]
}

/// `kill -9`.
pub(crate) fn kill(pid: u32) {
    assert!(processes::kill(pid), "it runs");
}

/// The processes that have this text in their command line, and are children of `parent` if that
/// is given.
pub(crate) fn processes(parent: Option<u32>, text: &str) -> Vec<u32> {
    processes::find(parent, &[text])
}
