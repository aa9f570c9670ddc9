//! Signing in with PKCE, refreshing, and what ends a token's life.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode, header};
use segue_spotify::sim::SimOptions;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::client::{Answer, Client, answer, assert_refused};

const REDIRECT: &str = "http://127.0.0.1:8888/callback";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123";

/// The query that a client sends a browser to `/authorize` with.
fn request(client: &Client) -> Vec<(&'static str, String)> {
    vec![
        ("response_type", "code".to_owned()),
        ("client_id", client.sim.client_id().to_owned()),
        ("redirect_uri", REDIRECT.to_owned()),
        (
            "scope",
            "playlist-read-private playlist-modify-public".to_owned(),
        ),
        ("state", "the state".to_owned()),
        ("code_challenge_method", "S256".to_owned()),
        (
            "code_challenge",
            URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER)),
        ),
    ]
}

/// Where `/authorize` sends the browser.
async fn authorize(client: &Client, query: &[(&str, String)]) -> Url {
    let response = client
        .anonymous(Method::GET, "/authorize")
        .query(query)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    Url::parse(response.headers()[header::LOCATION].to_str().unwrap()).unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

async fn redeem(client: &Client, code: &str, verifier: &str) -> Answer {
    client
        .token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("client_id", client.sim.client_id()),
            ("code_verifier", verifier),
        ])
        .await
}

#[track_caller]
fn assert_invalid_grant(answer: &Answer, description: &str) {
    let expected = json!({"error": "invalid_grant", "error_description": description});
    assert_eq!(answer, &(StatusCode::BAD_REQUEST, expected));
}

#[tokio::test]
async fn a_user_signs_in_with_pkce() {
    let client = Client::new().await;
    let back = authorize(&client, &request(&client)).await;
    assert!(back.as_str().starts_with(REDIRECT));
    assert_eq!(parameter(&back, "state").as_deref(), Some("the state"));
    let code = parameter(&back, "code").unwrap();

    let (status, tokens) = redeem(&client, &code, VERIFIER).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"]),
        (&json!("Bearer"), &json!(3600))
    );
    assert_eq!(
        tokens["scope"],
        "playlist-modify-public playlist-read-private"
    );
    let access_token = tokens["access_token"].as_str().unwrap();
    let me = client
        .anonymous(Method::GET, "/v1/me")
        .bearer_auth(access_token)
        .send()
        .await
        .unwrap();
    assert_eq!(me.status(), StatusCode::OK);
    let (status, _) = client
        .refresh(tokens["refresh_token"].as_str().unwrap())
        .await;
    assert_eq!(status, StatusCode::OK);

    assert_invalid_grant(
        &redeem(&client, &code, VERIFIER).await,
        "Invalid authorization code",
    );
}

#[tokio::test]
async fn the_verifier_must_fit_the_challenge() {
    let client = Client::new().await;
    let back = authorize(&client, &request(&client)).await;
    let code = parameter(&back, "code").unwrap();
    let refused = redeem(
        &client,
        &code,
        "another-verifier-of-forty-three-characters-01",
    )
    .await;
    assert_invalid_grant(&refused, "code_verifier was incorrect");
}

#[tokio::test]
async fn errors_that_are_the_clients_go_back_to_it() {
    let client = Client::new().await;
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("scope", "playlist-modify", "invalid_scope"),
    ] {
        let mut query = request(&client);
        query.retain(|(known, _)| *known != name);
        query.push((name, value.to_owned()));
        let back = authorize(&client, &query).await;
        assert_eq!(
            parameter(&back, "error").as_deref(),
            Some(error),
            "{name}={value}"
        );
        assert_eq!(parameter(&back, "state").as_deref(), Some("the state"));
        assert_eq!(parameter(&back, "code"), None);
    }
}

#[tokio::test]
async fn an_untrusted_client_or_redirect_is_not_redirected() {
    let client = Client::new().await;
    for (name, value) in [
        ("client_id", "stranger"),
        ("redirect_uri", "http://localhost:8888/cb"),
    ] {
        let mut query = request(&client);
        query.retain(|(known, _)| *known != name);
        query.push((name, value.to_owned()));
        let response = client
            .anonymous(Method::GET, "/authorize")
            .query(&query)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{name}={value}");
        assert!(!response.headers().contains_key(header::LOCATION));
    }
}

#[tokio::test]
async fn the_user_can_refuse() {
    let client = Client::new().await;
    client
        .control("/_sim/tokens", json!({"deny_consent": true}))
        .await;
    let back = authorize(&client, &request(&client)).await;
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn every_call_needs_a_good_token() {
    let client = Client::new().await;
    let call = |token: Option<&str>| {
        let request = client.anonymous(Method::GET, "/v1/me");
        token.into_iter().fold(request, |request, token| {
            request.header("Authorization", token)
        })
    };
    let none = answer(call(None).send().await.unwrap()).await;
    assert_refused(&none, 401, "No token provided");
    let made_up = answer(call(Some("Bearer made-up")).send().await.unwrap()).await;
    assert_refused(&made_up, 401, "Invalid access token");
    let basic = answer(call(Some("Basic made-up")).send().await.unwrap()).await;
    assert_refused(&basic, 400, "Only valid bearer authentication supported");
    client
        .control("/_sim/tokens", json!({"expire_access": true}))
        .await;
    assert_refused(&client.get("/v1/me").await, 401, "The access token expired");
    assert_eq!(
        client.refresh(client.sim.refresh_token()).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn refresh_tokens_stay_the_same_unless_rotation_is_on() {
    let client = Client::new().await;
    let (_, tokens) = client.refresh(client.sim.refresh_token()).await;
    assert_eq!(tokens.get("refresh_token"), None::<&Value>);

    let options = SimOptions {
        rotate_refresh_tokens: true,
        ..SimOptions::default()
    };
    let client = Client::with(options).await;
    // The client has refreshed once already, so that the first token is spent.
    let again = client.refresh(client.sim.refresh_token()).await;
    assert_invalid_grant(&again, "Invalid refresh token");
}

#[tokio::test]
async fn a_revoked_refresh_token_is_an_invalid_grant() {
    let client = Client::new().await;
    client
        .control("/_sim/tokens", json!({"revoke_refresh": true}))
        .await;
    let refused = client.refresh(client.sim.refresh_token()).await;
    assert_invalid_grant(&refused, "Refresh token revoked");
    assert_eq!(
        client.get("/v1/me").await.0,
        StatusCode::OK,
        "the access token lives on"
    );
}

#[tokio::test]
async fn the_token_endpoint_names_what_is_wrong() {
    let client = Client::new().await;
    for (form, error) in [
        (vec![], "invalid_request"),
        (vec![("grant_type", "refresh_token")], "invalid_client"),
        (
            vec![
                ("grant_type", "password"),
                ("client_id", client.sim.client_id()),
            ],
            "unsupported_grant_type",
        ),
    ] {
        assert_eq!(client.token(&form).await.1["error"], error, "{form:?}");
    }
}
