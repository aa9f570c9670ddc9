//! A plain HTTP client with a simulator of its own.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use segue_spotify::sim::{Sim, SimOptions};
use serde_json::{Value, json};

/// How long a condition may take to come true before the test fails.
const DEADLINE: Duration = Duration::from_secs(10);

/// A simulator, and a client with an access token for it.
pub(crate) struct Client {
    pub(crate) sim: Sim,
    http: reqwest::Client,
    token: String,
}

/// What was answered: the status, and the body as JSON (null if it is none).
pub(crate) type Answer = (StatusCode, Value);

impl Client {
    pub(crate) async fn new() -> Self {
        Self::with(SimOptions::default()).await
    }

    pub(crate) async fn with(options: SimOptions) -> Self {
        let sim = Sim::start(options).await.unwrap();
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        let mut client = Self {
            sim,
            http,
            token: String::new(),
        };
        let refresh_token = client.sim.refresh_token().to_owned();
        let (status, body) = client.refresh(&refresh_token).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        client.token = body["access_token"].as_str().unwrap().to_owned();
        client
    }

    /// A request with the access token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.token)
    }

    /// A request without it.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.sim.url()))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        answer(self.request(method, path).json(&body).send().await.unwrap()).await
    }

    /// Follows a link that the simulator gave.
    pub(crate) async fn follow(&self, link: &Value) -> Answer {
        let path = link
            .as_str()
            .unwrap()
            .strip_prefix(self.sim.url())
            .unwrap()
            .to_owned();
        self.get(&path).await
    }

    /// Asks the token endpoint.
    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> Answer {
        answer(
            self.anonymous(Method::POST, "/api/token")
                .form(form)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Answer {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", self.sim.client_id()),
        ])
        .await
    }

    /// Uses one of the simulator's controls, which must succeed.
    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// A new playlist that holds `tracks` songs; returns its id.
    pub(crate) async fn playlist_of(&self, tracks: usize) -> String {
        let uris = self.some_uris(tracks);
        let made = self
            .control("/_sim/playlists", json!({"name": "Test", "uris": uris}))
            .await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// As many URIs as asked for, of real songs, some of them twice.
    pub(crate) fn some_uris(&self, count: usize) -> Vec<String> {
        let songs = self.sim.playlist_uris(self.sim.full_playlist_id()).unwrap();
        songs.into_iter().cycle().take(count).collect()
    }

    pub(crate) fn items_path(&self, id: &str) -> String {
        format!("/v1/playlists/{id}/items")
    }
}

pub(crate) async fn answer(response: Response) -> Answer {
    (response.status(), response.json().await.unwrap_or_default())
}

/// Asserts Spotify's error body.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, message: &str) {
    let expected = json!({"error": {"status": status, "message": message}});
    assert_eq!((answer.0.as_u16(), &answer.1), (status, &expected));
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
