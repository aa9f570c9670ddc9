//! Calls at the door, without a server: who is let in, and what the others are told.

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};

use super::{tokens::TokenFile, *};

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    (folder, home)
}

fn with(fields: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(AUTHORIZATION, field.parse().unwrap());
    }
    headers
}

fn told(refusal: &Refusal) -> (u16, String) {
    let response = refusal.response();
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), challenge.unwrap_or_default())
}

#[tokio::test]
async fn without_authentication_every_call_is_the_configured_users_and_others_cannot_reach_it() {
    let (_folder, home) = home();
    let config = Config {
        user: "ann".into(),
        ..Config::default()
    };
    let access = Access::open(&config, &home).unwrap();
    assert!(!access.is_required());
    let admitted = access.admit(&with(&["Bearer whatever"])).await.unwrap();
    assert_eq!(admitted.user_id, "ann");
    for own in [
        "127.0.0.1:80",
        "[::1]:80",
        "127.9.9.9:1",
        "[::ffff:127.0.0.1]:80",
    ] {
        access.may_listen(own.parse().unwrap()).unwrap();
    }
    for others in [
        "0.0.0.0:80",
        "[::]:80",
        "192.168.1.2:80",
        "[::ffff:1.2.3.4]:80",
    ] {
        let error = access.may_listen(others.parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("segue token create"), "{error}");
    }
    TokenFile::at(home.tokens_file())
        .create("bob", None, None)
        .unwrap();
    let access = Access::open(&config, &home).unwrap();
    access.may_listen("0.0.0.0:80".parse().unwrap()).unwrap();
}

#[tokio::test]
async fn with_tokens_a_call_is_its_tokens_users_or_refused() {
    let (_folder, home) = home();
    let file = TokenFile::at(home.tokens_file());
    let (token, kept) = file.create("bob", None, None).unwrap();
    let access = Access::open(&Config::default(), &home).unwrap();
    for field in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER  {token} "),
    ] {
        let admitted = access.admit(&with(&[&field])).await.unwrap();
        assert_eq!(admitted.user_id, "bob");
    }
    let missing = access.admit(&HeaderMap::new()).await.unwrap_err();
    assert_eq!(told(&missing), (401, "Bearer realm=\"segue\"".into()));
    let good = format!("Bearer {token}");
    let long = format!("Bearer {token}{}", "A".repeat(LONGEST_TOKEN));
    for fields in [
        &["Bearer"][..],
        &["Bearer "],
        &["Basic Ym9iOmJvYg=="],
        &[&token],
        &["Bearer not.a.token"],
        &[&good[..good.len() - 1]],
        &[&good, &good],
        &["Basic Ym9iOmJvYg==", &good],
        &[&long],
    ] {
        let refusal = access.admit(&with(fields)).await.unwrap_err();
        let expected = "Bearer realm=\"segue\", error=\"invalid_token\"";
        assert_eq!(told(&refusal), (401, expected.into()), "{fields:?}");
        assert_eq!(refusal.code(), "invalid_token");
    }
    // A stream that is open when its token is revoked is told so.
    let admitted = access.admit(&with(&[&good])).await.unwrap();
    file.revoke(&kept.id).unwrap();
    tokio::time::timeout(LOOK_EVERY * 3, admitted.ended())
        .await
        .expect("seen in time");
}

#[tokio::test]
async fn too_many_calls_are_told_when_to_come_again() {
    let (_folder, home) = home();
    let config = Config {
        user_calls_per_minute: 2,
        ..Config::default()
    };
    let access = Access::open(&config, &home).unwrap();
    for _ in 0..2 {
        access.admit(&HeaderMap::new()).await.unwrap();
    }
    let refusal = access.admit(&HeaderMap::new()).await.unwrap_err();
    let response = refusal.response();
    assert_eq!(response.status(), 429);
    let wait = response.headers()[RETRY_AFTER].to_str().unwrap();
    let wait: u64 = wait.parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(told(&refusal).1, "");
}
