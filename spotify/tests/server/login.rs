//! `segue login` against the simulated accounts service, with reqwest in the browser's part.

use std::{collections::HashMap, time::Duration};

use reqwest::{StatusCode, Url, redirect::Policy};
use secrecy::ExposeSecret;
use segue_spotify::{
    auth::{
        CredentialSource, Credentials, LoginError, LoginOptions, LoginOutcome, SCOPES, StorePolicy,
        TokenStore, login,
    },
    sim::{Endpoint, Sim, SimOptions},
};
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle};

use super::harness::{Stage, addresses, requests};

struct Attempt {
    folder: tempfile::TempDir,
    sim: Sim,
    /// What the user is asked to open.
    address: Url,
    login: JoinHandle<Result<LoginOutcome, LoginError>>,
}

impl Attempt {
    async fn start(options: LoginOptions) -> Self {
        let sim = Sim::start(SimOptions::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (shown, address) = oneshot::channel();
        let (settings, store) = (addresses(&sim), store_in(&folder));
        let login = tokio::spawn(async move {
            login(&settings, options, &store, |address| {
                shown.send(Url::parse(address).unwrap()).unwrap();
            })
            .await
        });
        Self {
            address: address.await.unwrap(),
            folder,
            sim,
            login,
        }
    }

    fn store(&self) -> TokenStore {
        store_in(&self.folder)
    }

    fn query(&self) -> HashMap<String, String> {
        self.address.query_pairs().into_owned().collect()
    }
}

fn store_in(folder: &tempfile::TempDir) -> TokenStore {
    TokenStore::new(StorePolicy::FileOnly, folder.path().join("spotify.json"))
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn a_user_signs_in_and_the_server_works() {
    let attempt = Attempt::start(LoginOptions::default()).await;
    let query = attempt.query();
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["response_type"], "code");
    assert!(query["redirect_uri"].starts_with("http://127.0.0.1:"));
    let mut asked: Vec<_> = query["scope"].split(' ').collect();
    let mut wanted = SCOPES.to_vec();
    asked.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(asked, wanted);

    let page = browser().get(attempt.address.clone()).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    assert!(page.text().await.unwrap().contains("can be closed"));

    let store = attempt.store();
    let outcome = attempt.login.await.unwrap().unwrap();
    assert_eq!(outcome.scopes, wanted);
    assert!(outcome.missing_scopes.is_empty());
    let stored = store.load().await.unwrap().unwrap();
    assert_eq!(stored.source, CredentialSource::Store(outcome.place));
    assert_eq!(stored.client_id, attempt.sim.client_id());
    let left = stored.time_left(outcome.consented_at).unwrap();
    assert!(left > Duration::from_secs(180 * 24 * 60 * 60), "{left:?}");

    let settings = addresses(&attempt.sim);
    let stage = Stage::with(attempt.sim, settings, store).await;
    stage.ok("get_user_playlists", json!({})).await;
}

#[tokio::test]
async fn a_forged_return_neither_counts_nor_disturbs() {
    let attempt = Attempt::start(LoginOptions::default()).await;
    let redirect = Url::parse(&attempt.query()["redirect_uri"]).unwrap();
    for query in [
        "code=stolen&state=guess",
        "code=stolen",
        "error=access_denied",
        "",
    ] {
        let mut forged = redirect.clone();
        forged.set_query(Some(query));
        let page = browser().get(forged).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    assert!(requests(&attempt.sim, Endpoint::Token).is_empty());
    assert!(!attempt.login.is_finished());
    browser().get(attempt.address.clone()).send().await.unwrap();
    attempt.login.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_user_who_says_no_leaves_nothing_behind() {
    let attempt = Attempt::start(LoginOptions::default()).await;
    browser()
        .post(format!("{}/_sim/tokens", attempt.sim.url()))
        .json(&json!({"deny_consent": true}))
        .send()
        .await
        .unwrap();
    let page = browser().get(attempt.address.clone()).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("did not work"));
    let store = attempt.store();
    let error = attempt.login.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, LoginError::Denied(reason) if reason == "access_denied"),
        "{error}"
    );
    assert!(store.load().await.unwrap().is_none());
}

#[tokio::test]
async fn a_code_of_another_sign_in_is_refused_by_pkce() {
    let attempt = Attempt::start(LoginOptions::default()).await;
    // The same request, but for a challenge whose verifier Segue does not have.
    let mut forged = attempt.address.clone();
    forged.set_query(None);
    for (name, value) in attempt.query() {
        let value = if name == "code_challenge" {
            "A".repeat(43)
        } else {
            value
        };
        forged.query_pairs_mut().append_pair(&name, &value);
    }
    browser().get(forged).send().await.unwrap();
    let store = attempt.store();
    let error = attempt.login.await.unwrap().unwrap_err();
    assert!(matches!(error, LoginError::Exchange(_)), "{error}");
    assert!(store.load().await.unwrap().is_none());
}

#[tokio::test]
async fn a_return_is_used_once_and_the_port_is_closed_after_it() {
    let attempt = Attempt::start(LoginOptions::default()).await;
    let no_redirects = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .unwrap();
    let consent = no_redirects
        .get(attempt.address.clone())
        .send()
        .await
        .unwrap();
    let back = consent.headers()["location"].to_str().unwrap().to_owned();
    browser().get(&back).send().await.unwrap();
    attempt.login.await.unwrap().unwrap();
    let again = browser().get(&back).send().await;
    assert!(again.is_err(), "nobody listens any more: {again:?}");
    assert_eq!(requests(&attempt.sim, Endpoint::Token).len(), 1);
}

#[tokio::test]
async fn a_login_that_nobody_finishes_ends() {
    let options = LoginOptions {
        patience: Duration::from_millis(20),
        ..LoginOptions::default()
    };
    let attempt = Attempt::start(options).await;
    let error = attempt.login.await.unwrap().unwrap_err();
    assert!(matches!(error, LoginError::TimedOut(_)), "{error}");
}

#[tokio::test]
async fn a_login_needs_a_client_id() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = addresses(&sim);
    settings.client_id = None;
    let shown = |_: &str| panic!("there is nothing to show");
    let result = login(
        &settings,
        LoginOptions::default(),
        &store_in(&folder),
        shown,
    )
    .await;
    assert!(matches!(result, Err(LoginError::MissingClientId)));
}

#[tokio::test]
async fn what_a_login_gives_back_shows_no_secret() {
    let attempt = Attempt::start(LoginOptions::default()).await;
    browser().get(attempt.address.clone()).send().await.unwrap();
    let store = attempt.store();
    let outcome = attempt.login.await.unwrap().unwrap();
    let settings = addresses(&attempt.sim);
    let found = Credentials::find(&settings, &store).await.unwrap().unwrap();
    let token = found.refresh_token.expose_secret().to_owned();
    assert!(!format!("{outcome:?} {found:?} {store:?} {settings:?}").contains(&token));
}
