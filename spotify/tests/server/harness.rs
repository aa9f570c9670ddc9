//! A stage for a test: the simulated Spotify, the MCP server, and an MCP client that is connected
//! to it in memory.

use std::time::Duration;

use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequestParams, CallToolResult},
    service::RunningService,
};
use secrecy::SecretString;
use segue_spotify::{
    auth::{Session, Settings, StorePolicy, TokenStore},
    server::{SpotifyServer, run},
    sim::{Endpoint, LoggedRequest, Sim, SimOptions},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Longer than any step of a test takes; a test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Stage {
    pub(crate) sim: Sim,
    pub(crate) client: RunningService<RoleClient, ()>,
    /// Ends when the server does.
    pub(crate) serving: JoinHandle<()>,
    http: reqwest::Client,
}

impl Stage {
    /// Signed in through the environment.
    pub(crate) async fn new() -> Self {
        let sim = Sim::start(SimOptions::default()).await.unwrap();
        let settings = environment(&sim);
        // Never written: credentials from the environment go before it.
        let store = TokenStore::new(StorePolicy::FileOnly, "/nonexistent/spotify.json");
        Self::with(sim, settings, store).await
    }

    pub(crate) async fn with(sim: Sim, settings: Settings, store: TokenStore) -> Self {
        let session = Session::new(settings, store).unwrap();
        let (client, serving) = connect(session).await;
        Self {
            sim,
            client,
            serving,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// Calls a tool, whatever comes of it.
    pub(crate) async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        call(&self.client, tool, arguments).await
    }

    /// Calls a tool that must succeed; its structured content.
    pub(crate) async fn ok(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {result:?}");
        content(&result)
    }

    /// Calls a tool that must fail; the error object.
    pub(crate) async fn error(&self, tool: &'static str, arguments: Value) -> Value {
        error_of(&self.call(tool, arguments).await)
    }

    /// Posts to one of the simulator's controls.
    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/_sim/{path}", self.sim.url());
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.json().await.unwrap_or_default()
    }

    pub(crate) async fn fault(&self, fault: Value) {
        self.control("faults", fault).await;
    }

    /// Makes a playlist in the simulator; its id.
    pub(crate) async fn playlist(&self, order: Value) -> String {
        let made = self.control("playlists", order).await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// The requests for `endpoint` so far.
    pub(crate) fn requests(&self, endpoint: Endpoint) -> Vec<LoggedRequest> {
        requests(&self.sim, endpoint)
    }

    /// The URIs of some real songs: those of the simulator's full playlist.
    pub(crate) fn songs(&self) -> Vec<String> {
        self.sim.playlist_uris(self.sim.full_playlist_id()).unwrap()
    }

    pub(crate) fn empty(&self) -> &str {
        self.sim.empty_playlist_id()
    }

    pub(crate) fn full(&self) -> &str {
        self.sim.full_playlist_id()
    }
}

/// Starts a server for `session`, and a client that is connected to it.
pub(crate) async fn connect(session: Session) -> (RunningService<RoleClient, ()>, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (input, output) = tokio::io::split(theirs);
    let serving = tokio::spawn(async move {
        run(
            SpotifyServer::new(session),
            input,
            output,
            std::future::pending(),
        )
        .await
        .unwrap();
    });
    (().serve(ours).await.unwrap(), serving)
}

pub(crate) async fn call(
    client: &RunningService<RoleClient, ()>,
    tool: &'static str,
    arguments: Value,
) -> CallToolResult {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object");
    };
    let request = CallToolRequestParams::new(tool).with_arguments(arguments);
    client.call_tool(request).await.unwrap()
}

/// The settings that the environment of a machine without a browser would give.
pub(crate) fn environment(sim: &Sim) -> Settings {
    let mut settings = addresses(sim);
    settings.refresh_token = Some(SecretString::from(sim.refresh_token()));
    settings
}

/// The settings of a machine where `segue login` is to be used.
pub(crate) fn addresses(sim: &Sim) -> Settings {
    Settings::from_lookup(|name| match name {
        "SPOTIFY_API_URL" => Some(format!("{}/v1", sim.url())),
        "SPOTIFY_ACCOUNTS_URL" => Some(sim.url().to_owned()),
        "SPOTIFY_CLIENT_ID" => Some(sim.client_id().to_owned()),
        _ => None,
    })
    .unwrap()
}

pub(crate) fn requests(sim: &Sim, endpoint: Endpoint) -> Vec<LoggedRequest> {
    let mut all = sim.requests();
    all.retain(|request| request.endpoint == endpoint);
    all
}

/// The structured content, which the text must repeat.
pub(crate) fn content(result: &CallToolResult) -> Value {
    let structured = result.structured_content.clone().unwrap();
    let text = &result.content[0].as_text().unwrap().text;
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), structured);
    structured
}

pub(crate) fn error_of(result: &CallToolResult) -> Value {
    assert_eq!(result.is_error, Some(true), "{result:?}");
    let error = content(result)["error"].clone();
    assert!(error["message"].as_str().unwrap().len() > 10, "{error}");
    error
}

/// Waits until `condition` holds, and panics if that takes too long.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, wait).await.is_ok(),
        "{what} did not happen"
    );
}

/// The error object that a wrong argument must give.
pub(crate) async fn refuses(stage: &Stage, tool: &'static str, arguments: Value) {
    let before = stage.sim.requests().len();
    let error = stage.error(tool, arguments.clone()).await;
    assert_eq!(
        error["code"],
        json!("invalid_request"),
        "{tool} {arguments}"
    );
    assert_eq!(
        stage.sim.requests().len(),
        before,
        "{tool} {arguments} must not reach Spotify"
    );
}
