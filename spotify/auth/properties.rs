//! What holds whatever Spotify refuses with, the browser brings, or the store holds.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::executor::block_on;
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use proptest::{collection::vec, option, prelude::*};
use secrecy::ExposeSecret;
use url::form_urlencoded;

use super::{
    CredentialSource, Credentials, HttpFailure, StoreError, StorePolicy, TokenStore, border::visit,
};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        any::<String>(),
        (any::<char>(), 0..5_000_usize).prop_map(|(c, times)| String::from(c).repeat(times)),
    ]
}

/// An error's body: of either service, or anything.
fn body() -> impl Strategy<Value = String> {
    let quoted = || text().prop_map(|text| serde_json::Value::from(text).to_string());
    prop_oneof![
        quoted().prop_map(|text| format!(r#"{{"error":{{"status":1,"message":{text}}}}}"#)),
        (quoted(), quoted())
            .prop_map(|(name, text)| format!(r#"{{"error":{name},"error_description":{text}}}"#)),
        text(),
    ]
}

fn is_plain(text: &str) -> bool {
    text.chars().count() <= 300 && !text.contains(|c: char| c.is_control())
}

/// A query with these parameters, as a browser writes it.
fn query(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

fn store() -> (tempfile::TempDir, TokenStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = TokenStore::new(StorePolicy::FileOnly, folder.path().join("spotify.json"));
    (folder, store)
}

/// Puts these bytes where the sign-in is kept.
fn put(store: &TokenStore, bytes: &[u8]) {
    fs::write(store.path(), bytes).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_refusal_is_told_in_a_few_plain_words_with_a_bounded_wait(
        status in 100..=999_u16,
        retry_after in option::of(prop_oneof![
            any::<i128>().prop_map(|seconds| seconds.to_string().into_bytes()),
            vec(any::<u8>(), 0..20),
        ]),
        body in body(),
    ) {
        let mut response = http::Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(value) = retry_after.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok()) {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
        match block_on(HttpFailure::of_response(response.into())) {
            HttpFailure::Status { status: told, message, oauth_error, retry_after_seconds } => {
                prop_assert_eq!(told, status);
                prop_assert!(!message.is_empty() && is_plain(&message), "{:?}", message);
                prop_assert!(oauth_error.is_none_or(|name| is_plain(&name)));
                prop_assert!(retry_after_seconds.is_none_or(|seconds| seconds <= 7 * 24 * 3_600));
                prop_assert!(status != 429 || retry_after_seconds.is_some());
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_code_comes_through_as_it_was_and_only_with_the_state(
        state in "[a-zA-Z0-9]{16}",
        other in "[a-zA-Z0-9]{0,16}",
        code in "[^\0]{1,200}",
    ) {
        let given = query(&[("code", &code), ("state", &state)]);
        prop_assert_eq!(visit(&given, &state), Some(Ok(code.clone())));
        if other != state {
            prop_assert_eq!(visit(&given, &other), None);
        }
        prop_assert_eq!(visit(&query(&[("code", &code)]), &state), None);
    }

    #[test]
    fn a_reason_is_cut_and_cleaned_and_a_long_code_is_none(reason in text(), more in 0..9_usize) {
        let told = visit(&query(&[("state", "s"), ("error", &reason), ("code", "c")]), "s");
        let reason = told.unwrap().unwrap_err();
        prop_assert!(reason.chars().count() <= 100 && is_plain(&reason));
        let long = "x".repeat(4_097 + more);
        prop_assert!(visit(&query(&[("state", "s"), ("code", &long)]), "s").unwrap().is_err());
    }

    #[test]
    fn any_query_is_of_this_sign_in_or_is_none(given in text()) {
        prop_assert!(visit(&given, "s").is_none() || given.contains("state="));
    }

    #[test]
    fn what_was_saved_is_loaded_as_it_was(
        client_id in "[!-~]{1,64}",
        token in "[!-~]{1,300}",
        scopes in vec(text(), 0..4),
        consented in option::of(0..10_000_000_000_u64),
    ) {
        let (_folder, store) = store();
        let saved = Credentials {
            client_id,
            refresh_token: token.into(),
            scopes,
            consented_at: consented.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
            source: CredentialSource::Environment,
        };
        block_on(store.save(&saved)).unwrap();
        let loaded = block_on(store.load()).unwrap().unwrap();
        prop_assert_eq!(loaded.client_id, saved.client_id);
        prop_assert_eq!(loaded.refresh_token.expose_secret(), saved.refresh_token.expose_secret());
        prop_assert_eq!(loaded.scopes, saved.scopes);
        prop_assert_eq!(loaded.consented_at, saved.consented_at);
    }

    #[test]
    fn a_stored_time_of_consent_may_be_anything(
        consented in any::<u64>(),
        saved_at in any::<u64>(),
    ) {
        let (_folder, store) = store();
        let record = format!(
            r#"{{"version":1,"client_id":"a","refresh_token":"b","consented_at":{consented},"saved_at_ms":{saved_at}}}"#
        );
        put(&store, record.as_bytes());
        let loaded = block_on(store.load()).unwrap().unwrap();
        // Asked by `segue doctor`, also of a file that somebody has edited.
        let _ = loaded.time_left(SystemTime::now());
    }

    #[test]
    fn a_file_of_anything_else_is_no_sign_in_and_is_not_quoted(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..300),
            "[{}\":,a-z0-9]{0,200}".prop_map(String::into_bytes),
        ],
    ) {
        let (_folder, store) = store();
        put(&store, &[b"hush", &bytes[..]].concat());
        let error = block_on(store.load()).unwrap_err();
        prop_assert!(matches!(error, StoreError::Unreadable { .. }), "{:?}", error);
        let told = format!("{error} {error:?}");
        prop_assert!(!told.contains("hush"));
    }
}
