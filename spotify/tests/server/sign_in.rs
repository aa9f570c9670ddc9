//! Access tokens that end, refresh tokens that change or are revoked, and stores that are shared.

use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use segue_spotify::{
    auth::{CredentialSource, Credentials, Session, StorePlace, StorePolicy, TokenStore},
    sim::{Endpoint, Sim, SimOptions},
};
use serde_json::json;

use super::harness::{Stage, addresses, call, connect, content, environment, error_of, requests};

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn store(&self) -> TokenStore {
        TokenStore::new(
            StorePolicy::FileOnly,
            self.folder.path().join("spotify.json"),
        )
    }

    /// A store that holds this refresh token of the simulator's app.
    async fn signed_in(&self, sim: &Sim, refresh_token: &str) -> TokenStore {
        let store = self.store();
        let credentials = Credentials {
            client_id: sim.client_id().to_owned(),
            refresh_token: SecretString::from(refresh_token),
            scopes: Vec::new(),
            consented_at: Some(SystemTime::now()),
            source: CredentialSource::Store(StorePlace::File(store.path().to_owned())),
        };
        store.save(&credentials).await.unwrap();
        store
    }
}

async fn sim(rotate: bool) -> Sim {
    Sim::start(SimOptions {
        rotate_refresh_tokens: rotate,
        ..SimOptions::default()
    })
    .await
    .unwrap()
}

async fn stored_token(store: &TokenStore) -> String {
    let stored = store.load().await.unwrap().unwrap();
    stored.refresh_token.expose_secret().to_owned()
}

#[tokio::test]
async fn an_access_token_is_fetched_once_and_kept() {
    let stage = Stage::new().await;
    assert!(
        stage.sim.requests().is_empty(),
        "nothing is sent before the first call"
    );
    for _ in 0..3 {
        stage.ok("search_track", json!({"query": "love"})).await;
    }
    assert_eq!(stage.requests(Endpoint::Token).len(), 1);
    assert_eq!(stage.requests(Endpoint::Search).len(), 3);
}

#[tokio::test]
async fn a_token_that_ended_is_renewed_and_the_call_repeated_once() {
    let stage = Stage::new().await;
    let song = stage.songs()[0].clone();
    stage.ok("search_track", json!({"query": "love"})).await;
    stage
        .control("tokens", json!({"expire_access": true}))
        .await;
    stage
        .ok(
            "add_tracks_to_playlist",
            json!({"playlist_id": stage.empty(), "track_uris": [song]}),
        )
        .await;
    let adds: Vec<_> = stage
        .requests(Endpoint::AddItems)
        .iter()
        .map(|add| (add.status, add.took_effect))
        .collect();
    assert_eq!(adds, [(Some(401), false), (Some(201), true)]);
    assert_eq!(stage.sim.playlist_uris(stage.empty()).unwrap(), [song]);
    assert_eq!(stage.requests(Endpoint::Token).len(), 2);
}

#[tokio::test]
async fn calls_at_the_same_time_share_one_renewal() {
    let stage = Stage::new().await;
    stage.ok("search_track", json!({"query": "love"})).await;
    stage
        .control("tokens", json!({"expire_access": true}))
        .await;
    let calls = (0..10).map(|_| stage.ok("search_track", json!({"query": "love"})));
    futures::future::join_all(calls).await;
    assert_eq!(stage.requests(Endpoint::Token).len(), 2);
}

#[tokio::test]
async fn a_token_refused_twice_is_auth_expired() {
    let stage = Stage::new().await;
    stage
        .fault(json!({"endpoint": "search", "status": 401, "count": 0}))
        .await;
    let error = stage.error("search_track", json!({"query": "love"})).await;
    assert_eq!(
        (&error["code"], &error["status"]),
        (&json!("auth_expired"), &json!(401))
    );
    assert_eq!(stage.requests(Endpoint::Search).len(), 2);
}

#[tokio::test]
async fn a_revoked_sign_in_is_auth_expired_and_says_what_to_do() {
    let stage = Stage::new().await;
    stage
        .control(
            "tokens",
            json!({"revoke_refresh": true, "expire_access": true}),
        )
        .await;
    let error = stage.error("get_user_playlists", json!({})).await;
    assert_eq!(error["code"], "auth_expired");
    assert!(
        error["message"].as_str().unwrap().contains("segue login"),
        "{error}"
    );
    assert!(stage.requests(Endpoint::Me).is_empty());
}

#[tokio::test]
async fn trouble_at_the_token_endpoint_is_no_reason_to_sign_in_again() {
    let stage = Stage::new().await;
    for (fault, code) in [
        (
            json!({"endpoint": "token", "status": 429, "retry_after": 5}),
            "rate_limited",
        ),
        (
            json!({"endpoint": "token", "status": 503}),
            "upstream_unavailable",
        ),
        (
            json!({"endpoint": "token", "drop": "before"}),
            "upstream_unavailable",
        ),
        (
            json!({"endpoint": "token", "body": "malformed"}),
            "upstream_unavailable",
        ),
        (
            json!({"endpoint": "token", "body": "huge"}),
            "upstream_unavailable",
        ),
    ] {
        stage.fault(fault).await;
        let error = stage.error("search_track", json!({"query": "love"})).await;
        assert_eq!(error["code"], code);
    }
    stage.ok("search_track", json!({"query": "love"})).await;
}

#[tokio::test]
async fn who_has_not_signed_in_is_told_so_until_they_have() {
    let home = Home::new();
    let sim = sim(false).await;
    let settings = addresses(&sim);
    let stage = Stage::with(sim, settings, home.store()).await;
    assert_eq!(stage.client.list_all_tools().await.unwrap().len(), 8);
    let error = stage.error("search_track", json!({"query": "love"})).await;
    assert_eq!(error["code"], "auth_expired");
    assert!(stage.sim.requests().is_empty());

    // Signing in is noticed without a restart.
    home.signed_in(&stage.sim, stage.sim.refresh_token()).await;
    stage.ok("search_track", json!({"query": "love"})).await;
}

#[tokio::test]
async fn a_new_refresh_token_is_stored_and_an_absent_one_changes_nothing() {
    for rotate in [true, false] {
        let home = Home::new();
        let sim = sim(rotate).await;
        let first = sim.refresh_token().to_owned();
        let store = home.signed_in(&sim, &first).await;
        let consent = store.load().await.unwrap().unwrap().consented_at;
        let settings = addresses(&sim);
        let stage = Stage::with(sim, settings, store.clone()).await;
        for _ in 0..3 {
            stage.ok("search_track", json!({"query": "love"})).await;
            stage
                .control("tokens", json!({"expire_access": true}))
                .await;
        }
        assert_eq!(stage.requests(Endpoint::Token).len(), 3);
        assert_eq!(stored_token(&store).await != first, rotate);
        let stored = store.load().await.unwrap().unwrap();
        assert_eq!(
            stored.consented_at, consent,
            "renewing does not extend the six months"
        );
    }
}

#[tokio::test]
async fn two_processes_share_a_refresh_token_that_changes() {
    let home = Home::new();
    let sim = sim(true).await;
    let store = home.signed_in(&sim, sim.refresh_token()).await;
    let session = || Session::new(addresses(&sim), store.clone()).unwrap();
    let (one, _one) = connect(session()).await;
    let (two, _two) = connect(session()).await;
    let search = json!({"query": "love"});
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let expire = || {
        let url = format!("{}/_sim/tokens", sim.url());
        http.post(url).json(&json!({"expire_access": true})).send()
    };
    // Each in turn holds a token that the other's renewal has made worthless.
    for client in [&one, &two, &one, &two] {
        let result = call(client, "search_track", search.clone()).await;
        assert!(content(&result)["total"].as_u64().unwrap() > 0);
        expire().await.unwrap().error_for_status().unwrap();
    }
    // The first two find a good token, the others one refusal each.
    let statuses: Vec<_> = requests(&sim, Endpoint::Token)
        .iter()
        .map(|request| request.status.unwrap())
        .collect();
    assert_eq!(statuses, [200, 200, 400, 200, 400, 200]);
}

#[tokio::test]
async fn the_environment_goes_before_the_store() {
    let home = Home::new();
    let sim = sim(false).await;
    let store = home.signed_in(&sim, "a-stale-token-of-another-day").await;
    let session = Session::new(environment(&sim), store.clone()).unwrap();
    session.check().await.unwrap();
    assert_eq!(stored_token(&store).await, "a-stale-token-of-another-day");

    let error = Session::new(addresses(&sim), store).unwrap().check().await;
    assert!(error.unwrap_err().to_string().contains("segue login"));
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_auth_expired() {
    let home = Home::new();
    let sim = sim(false).await;
    let store = home.signed_in(&sim, sim.refresh_token()).await;
    let mut no_client = environment(&sim);
    no_client.client_id = None;
    let mut other_client = addresses(&sim);
    other_client.client_id = Some("another-app".to_owned());
    for (settings, hint) in [
        (no_client, "SPOTIFY_CLIENT_ID"),
        (other_client, "segue login"),
    ] {
        let (client, _) = connect(Session::new(settings, store.clone()).unwrap()).await;
        let error = error_of(&call(&client, "search_track", json!({"query": "x"})).await);
        assert_eq!(error["code"], "auth_expired");
        assert!(error["message"].as_str().unwrap().contains(hint), "{error}");
    }
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn an_unknown_app_is_auth_expired() {
    let sim = sim(false).await;
    let mut settings = environment(&sim);
    settings.client_id = Some("no-such-app".to_owned());
    let store = TokenStore::new(StorePolicy::FileOnly, "/nonexistent/spotify.json");
    let stage = Stage::with(sim, settings, store).await;
    let error = stage.error("search_track", json!({"query": "x"})).await;
    assert_eq!(error["code"], "auth_expired");
    assert!(
        error["message"].as_str().unwrap().contains("client id"),
        "{error}"
    );
}
