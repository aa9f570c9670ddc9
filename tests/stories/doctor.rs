//! "Something is wrong." `segue doctor` says what, the command that mends it, and no secret.

use std::{path::Path, process::Stdio, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header::DATE},
    routing::get,
};
use segue::client::Launch;
use serde_json::{Value, json};
use temporalio_client::{
    grpc::{OperatorService, WorkflowService},
    tonic::IntoRequest,
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType, operatorservice::v1::AddSearchAttributesRequest,
    workflowservice::v1::RegisterNamespaceRequest,
};

use crate::{sign_in::login, stand_in::StandIn, support::World};

/// All parts, in their order: whoever reads the JSON relies on them.
const PARTS: [&str; 18] = [
    "folders",
    "permissions",
    "disk space",
    "engine",
    "namespace",
    "search attributes",
    "engine clock",
    "ports",
    "upstream",
    "capabilities",
    "Spotify sign-in",
    "Spotify scopes",
    "refresh token",
    "Spotify clock",
    "model",
    "access",
    "encryption",
    "webhook",
];

/// What it said: how it ended, and its text.
async fn doctor(launch: &Launch, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = launch.command(&[&["doctor"], arguments].concat()).unwrap();
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

/// What it found, as programs read it.
struct Found {
    code: Option<i32>,
    report: Value,
}

impl Found {
    async fn of(launch: &Launch) -> Self {
        let (code, text) = doctor(launch, &["--json"]).await;
        let report: Value = serde_json::from_str(&text).unwrap();
        let parts = report["checks"].as_array().unwrap().iter();
        let parts: Vec<&str> = parts.map(|check| check["part"].as_str().unwrap()).collect();
        assert_eq!(parts, PARTS, "{text}");
        let broken = text.contains("\"state\": \"broken\"");
        assert_eq!(report["healthy"], !broken, "{text}");
        assert_eq!(code, Some(i32::from(broken)), "{text}");
        Self { code, report }
    }

    fn check(&self, part: &str) -> &Value {
        let mut checks = self.report["checks"].as_array().unwrap().iter();
        checks.find(|check| check["part"] == part).unwrap()
    }

    /// The part is in this state, and finding and mend have these words.
    #[track_caller]
    fn has(&self, part: &str, state: &str, words: &str, mend: &str) -> &Self {
        let check = self.check(part);
        assert_eq!(check["state"], state, "{check:#}");
        let finding = check["finding"].as_str().unwrap();
        assert!(finding.contains(words), "{check:#}");
        assert!(
            check["mend"].as_str().unwrap_or_default().contains(mend),
            "{check:#}"
        );
        self
    }

    /// No other part is broken.
    #[track_caller]
    fn and_nothing_else(&self, broken: &[&str]) {
        let checks = self.report["checks"].as_array().unwrap().iter();
        let found: Vec<&str> = checks
            .filter(|check| check["state"] == "broken")
            .map(|check| check["part"].as_str().unwrap())
            .collect();
        assert_eq!(found, broken, "{:#}", self.report);
    }
}

#[tokio::test]
async fn all_is_well_and_no_secret_is_shown() {
    let world = World::new().await;
    let launch = world
        .launch()
        .with("SEGUE_USER", "ada")
        .with("OPENAI_API_KEY", "sk-never-to-be-seen");
    let (code, text) = doctor(&launch, &[]).await;
    assert_eq!(code, Some(0), "{text}");
    for part in PARTS {
        assert!(text.contains(&format!("{part}: ")), "{part}: {text}");
    }
    for part in ["folders", "engine", "upstream", "Spotify sign-in"] {
        assert!(text.contains(&format!("ok     {part}")), "{part}: {text}");
    }
    assert!(text.contains("user = ada"), "{text}");
    for secret in ["SPOTIFY_REFRESH_TOKEN", "OPENAI_API_KEY"] {
        assert!(text.contains(&format!("{secret} = set (hidden)")), "{text}");
    }
    for secret in [world.sim.refresh_token(), "sk-never"] {
        assert!(!text.contains(secret), "{text}");
    }

    // A temporary folder is open to all unless somebody closes it.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(world.home.path(), closed).unwrap();
    }
    let found = Found::of(&world.launch()).await;
    found.has("model", "ok", "not configured", "");
    found.has("refresh token", "not_checked", "environment", "");
    let rest = PARTS.iter().filter(|part| **part != "refresh token");
    for part in rest {
        found.has(part, "ok", "", "");
    }
}

#[tokio::test]
async fn a_sign_in_that_is_missing_ended_or_old_is_told() {
    let world = World::new().await;
    let launch = world
        .launch()
        .with("SPOTIFY_REFRESH_TOKEN", "revoked-long-ago-0123456789");
    let (code, text) = doctor(&launch, &[]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("BROKEN Spotify sign-in"), "{text}");
    assert!(
        text.contains("mend it: put a new SPOTIFY_REFRESH_TOKEN"),
        "{text}"
    );
    assert!(!text.contains("revoked-long-ago"), "{text}");

    let launch = world.launch().with("SPOTIFY_REFRESH_TOKEN", "");
    let found = Found::of(&launch).await;
    found.has("Spotify sign-in", "broken", "not signed in", "segue login");
    found.has("Spotify scopes", "not_checked", "no sign-in", "");
    found.and_nothing_else(&["Spotify sign-in"]);

    login(&launch).await;
    let found = Found::of(&launch).await;
    found.has("Spotify sign-in", "ok", "stored by segue login", "");
    found.has("refresh token", "ok", "days more", "");
    let file = world.home.path().join("secrets.json");
    let stored = std::fs::read_to_string(&file).unwrap();
    for (days, state, words) in [
        (175, "attention", "ends in 5 days"),
        (400, "broken", "six months"),
    ] {
        let mut aged: Value = serde_json::from_str(&stored).unwrap();
        let consented = aged["consented_at"].as_u64().unwrap();
        aged["consented_at"] = json!(consented - days * 24 * 3600 - 60);
        std::fs::write(&file, aged.to_string()).unwrap();
        let found = Found::of(&launch).await;
        found.has("refresh token", state, words, "segue login");
        assert_eq!(found.code, Some(i32::from(state == "broken")));
    }
}

#[tokio::test]
async fn a_scope_that_was_not_granted_is_named() {
    let world = World::new().await;
    let scopes = ["playlist-read-private", "playlist-modify-private"];
    world.tokens(json!({"scopes": scopes})).await;
    let found = Found::of(&world.launch()).await;
    let missing = "missing: playlist-read-collaborative, playlist-modify-public";
    found.has("Spotify scopes", "broken", missing, "segue login");
    found.and_nothing_else(&["Spotify scopes"]);
}

#[cfg(unix)]
#[tokio::test]
async fn what_others_may_read_or_change_is_told_with_the_command() {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let world = World::new().await;
    let launch = world.launch().with("SPOTIFY_REFRESH_TOKEN", "");
    login(&launch).await;
    let (home, secrets) = (world.home.path(), world.home.path().join("secrets.json"));

    mode(home, 0o755);
    let found = Found::of(&launch).await;
    let mend = format!("chmod 700 {}", home.display());
    found.has("permissions", "attention", "others may look into", &mend);
    found.and_nothing_else(&[]);
    mode(home, 0o770);
    let found = Found::of(&launch).await;
    found.has("permissions", "broken", "others may change", &mend);
    mode(home, 0o700);

    mode(&secrets, 0o644);
    let found = Found::of(&launch).await;
    let mend = format!("chmod 600 {}", secrets.display());
    found.has("permissions", "broken", "others may read", &mend);
    found.has(
        "Spotify sign-in",
        "broken",
        "read by other users",
        "chmod 600",
    );
    found.and_nothing_else(&["permissions", "Spotify sign-in"]);
    // What it says to do helps.
    let done = tokio::process::Command::new("sh")
        .args(["-c", &mend])
        .status();
    assert!(done.await.unwrap().success());
    Found::of(&launch).await.and_nothing_else(&[]);

    // Without its key there is no engine; without the tokens nobody can call over HTTP.
    let (keys, tokens) = (home.join("payload-keys.json"), home.join("tokens.json"));
    std::fs::write(&tokens, r#"{"tokens": []}"#).unwrap();
    for (file, part) in [(&keys, "encryption"), (&tokens, "access")] {
        mode(file, 0o644);
        let found = Found::of(&launch).await;
        let mend = format!("chmod 600 {}", file.display());
        found.has("permissions", "broken", "others may read", &mend);
        let name = file.file_name().unwrap().to_str().unwrap();
        found.has(part, "broken", name, "");
        mode(file, 0o600);
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_told_from_one_that_cannot_start() {
    let world = World::new().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let found = Found::of(&world.launch().with("TEMPORAL_ADDRESS", &address)).await;
    found.has("engine", "broken", &address, &address);
    found.has(
        "ports",
        "broken",
        &address,
        "unset it for the managed engine",
    );
    found.has("namespace", "not_checked", "the engine cannot be used", "");
    found.and_nothing_else(&["engine", "ports"]);

    // Something else is there.
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap().to_string();
    let app = Router::new().route("/", get(|| async { "no Temporal" }));
    tokio::spawn(async move { axum::serve(other, app).await });
    let found = Found::of(&world.launch().with("TEMPORAL_ADDRESS", &address)).await;
    found.has("ports", "attention", "does not speak", "TEMPORAL_ADDRESS");
    found.and_nothing_else(&["engine"]);

    let launch = world
        .launch()
        .with("SEGUE_TEMPORAL_CLI", "/nowhere/temporal");
    let found = Found::of(&launch).await;
    let mend = "unset SEGUE_TEMPORAL_CLI";
    found.has("engine", "broken", "/nowhere/temporal", mend);
    found.and_nothing_else(&["engine"]);
}

#[tokio::test]
async fn a_namespace_that_is_missing_forgetful_or_wrongly_made_is_told() {
    let world = World::new().await;
    let engine = world.engine().await;
    let address = engine.address().replace("http://", "");
    let launch = world.launch().with("TEMPORAL_ADDRESS", &address);

    let found = Found::of(&launch.clone().with("TEMPORAL_NAMESPACE", "nowhere")).await;
    let mend = "temporal operator namespace create --namespace nowhere";
    found.has("engine", "ok", "answers", "");
    found.has("namespace", "broken", "nowhere", mend);
    found.and_nothing_else(&["namespace"]);

    let connection = engine.client().connection();
    let register = RegisterNamespaceRequest {
        namespace: "music".to_owned(),
        workflow_execution_retention_period: Duration::from_secs(24 * 3600).try_into().ok(),
        ..Default::default()
    };
    let mut service = connection.workflow_service();
    WorkflowService::register_namespace(&mut *service, register.into_request())
        .await
        .unwrap();
    let mut operator = connection.operator_service();
    crate::support::until("the server knows its new namespace", async || {
        let int = i32::from(IndexedValueType::Int);
        let add = AddSearchAttributesRequest {
            search_attributes: [("UserId".to_owned(), int)].into(),
            namespace: "music".to_owned(),
        };
        let added = OperatorService::add_search_attributes(&mut *operator, add.into_request());
        added.await.is_ok()
    })
    .await;
    let launch = launch.with("TEMPORAL_NAMESPACE", "music");
    let found = Found::of(&launch).await;
    found.has("namespace", "attention", "after 1 day", "--retention 30d");
    let mend =
        "temporal operator search-attribute create --namespace music --name UserId --type Keyword";
    found.has("search attributes", "broken", "UserId", mend);
    found.has("engine clock", "ok", "agree", "");
    found.and_nothing_else(&["search attributes"]);
}

#[tokio::test]
async fn an_upstream_that_lacks_something_is_told_what_is_lost() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let launch = world
        .launch()
        .with("SEGUE_UPSTREAM", stand_in.serve().await);
    let found = Found::of(&launch).await;
    found.has(
        "capabilities",
        "attention",
        "cannot remove from a playlist",
        "",
    );
    found.has(
        "Spotify sign-in",
        "not_checked",
        "left to the configured",
        "",
    );
    found.and_nothing_else(&[]);

    stand_in.shelf().vanished = Some("add_track_to_playlist");
    let found = Found::of(&launch).await;
    found.has(
        "upstream",
        "broken",
        "no upstream profile fits",
        "SEGUE_UPSTREAM",
    );
    let forced = launch.with("SEGUE_UPSTREAM_PROFILE", "hunarjain09");
    let found = Found::of(&forced).await;
    let mend = "unset SEGUE_UPSTREAM";
    found.has("capabilities", "broken", "cannot add to a playlist", mend);
    found.and_nothing_else(&["capabilities"]);

    let launch = world
        .launch()
        .with("SEGUE_UPSTREAM", "/nowhere/server --token hunter2");
    let found = Found::of(&launch).await;
    found.has("upstream", "broken", "does not start", "SEGUE_UPSTREAM");
    assert!(!found.report.to_string().contains("hunter2"));
}

/// An endpoint that lists one model, to whoever has the key.
async fn endpoint(key: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let models = move |headers: HeaderMap| async move {
        let given = headers["authorization"].to_str().unwrap().to_owned();
        match given == format!("Bearer {key}") {
            true => (StatusCode::OK, r#"{"data": [{"id": "small"}]}"#.to_owned()),
            // As some do, it repeats what it was given.
            false => (StatusCode::UNAUTHORIZED, format!("no such key: {given}")),
        }
    };
    let app = Router::new().route("/v1/models", get(models));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn a_model_is_asked_for_its_list_alone() {
    let world = World::new().await;
    let url = endpoint("sk-right").await;
    let with = |key: &str, name: &str, url: &str| {
        world
            .launch()
            .with("OPENAI_BASE_URL", url)
            .with("OPENAI_API_KEY", key)
            .with("SEGUE_MODEL", name)
    };
    let found = Found::of(&with("sk-right", "small", &url)).await;
    found.has("model", "ok", "the key is taken", "");
    let found = Found::of(&with("sk-right", "large", &url)).await;
    found.has("model", "attention", "no model of this name", "SEGUE_MODEL");
    let found = Found::of(&with("sk-wrong-0123", "small", &url)).await;
    found.has("model", "broken", "does not take the key", "OPENAI_API_KEY");
    found.and_nothing_else(&["model"]);
    assert!(!found.report.to_string().contains("sk-wrong"));
    let found = Found::of(&with("sk-right", "small", &url.replace("/v1", "/v2"))).await;
    found.has("model", "ok", "lists no models", "");
    let found = Found::of(&with("sk-right", "", &url)).await;
    found.has(
        "model",
        "attention",
        "SEGUE_MODEL is not set",
        "set SEGUE_MODEL",
    );
    let found = Found::of(&with("sk-right", "small", "http://127.0.0.1:1/v1")).await;
    found.has("model", "broken", "cannot be reached", "OPENAI_BASE_URL");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told() {
    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let long_ago = || async { ([(DATE, "Tue, 25 Nov 2025 12:00:00 GMT")], "") };
    let app = Router::new().route("/v1/", get(long_ago));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let found = Found::of(&world.launch().with("SPOTIFY_API_URL", url)).await;
    found.has(
        "Spotify clock",
        "attention",
        "behind this machine's",
        "timedatectl",
    );
    found.and_nothing_else(&[]);
    let launch = world
        .launch()
        .with("SPOTIFY_API_URL", "http://127.0.0.1:1/v1/");
    let found = Found::of(&launch).await;
    found.has(
        "Spotify clock",
        "broken",
        "can't be reached",
        "SPOTIFY_API_URL",
    );
    found.and_nothing_else(&["Spotify clock"]);
}

#[tokio::test]
async fn a_setting_that_does_not_exist_is_refused_by_every_command() {
    let world = World::new().await;
    let launch = world.launch().with("SEGUE_UPSTREEM", "x");
    let output = launch
        .command(&["doctor"])
        .unwrap()
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("nearest is \"upstream\""), "{error}");
    let (code, _) = doctor(&world.launch(), &["--no-such-flag"]).await;
    assert_eq!(code, Some(2));
}
