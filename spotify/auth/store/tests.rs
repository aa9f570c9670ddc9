//! Tests of the token store. They use the file only: a test must not touch a real keyring.

use std::fs;

use super::*;

fn credentials(token: &str) -> Credentials {
    Credentials {
        client_id: "app".to_owned(),
        refresh_token: token.to_owned().into(),
        scopes: vec!["playlist-read-private".to_owned()],
        consented_at: Some(UNIX_EPOCH + Duration::from_secs(1_790_000_000)),
        source: CredentialSource::Environment,
    }
}

fn store_in(folder: &tempfile::TempDir) -> TokenStore {
    TokenStore::new(
        StorePolicy::FileOnly,
        folder.path().join("deep/er/spotify.json"),
    )
}

#[tokio::test]
async fn what_was_saved_is_loaded_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder);
    assert!(store.load().await.unwrap().is_none());

    let place = store.save(&credentials("first")).await.unwrap();
    assert_eq!(place, StorePlace::File(store.path().to_owned()));
    store.save(&credentials("second")).await.unwrap();

    let loaded = store.load().await.unwrap().unwrap();
    assert_eq!(loaded.refresh_token.expose_secret(), "second");
    assert_eq!(loaded.client_id, "app");
    assert_eq!(loaded.scopes, ["playlist-read-private"]);
    assert_eq!(loaded.consented_at, credentials("").consented_at);
    assert_eq!(loaded.source, CredentialSource::Store(place));
    let left: Vec<_> = fs::read_dir(store.path().parent().unwrap())
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "no temporary file is left behind");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private_and_refused_when_it_is_not() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder);
    store.save(&credentials("hush")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.path()), 0o600);
    assert_eq!(mode(store.path().parent().unwrap()), 0o700);

    for open in [0o640, 0o604, 0o660] {
        fs::set_permissions(store.path(), fs::Permissions::from_mode(open)).unwrap();
        let error = store.load().await.unwrap_err();
        assert!(
            matches!(error, StoreError::TooOpen { mode, .. } if mode == open),
            "{error}"
        );
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    // A new sign-in repairs it.
    store.save(&credentials("hush")).await.unwrap();
    assert!(store.load().await.unwrap().is_some());
}

#[tokio::test]
async fn foreign_contents_are_refused_without_being_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder);
    for contents in [
        "",
        "secret-rubbish",
        r#"{"version":2,"client_id":"a","refresh_token":"secret","saved_at_ms":1}"#,
        r#"{"version":1,"client_id":"a","refresh_token":"secret\n","saved_at_ms":1}"#,
        r#"{"version":"secret"}"#,
    ] {
        file::write(store.path(), &contents.to_owned().into()).unwrap();
        let error = store.load().await.unwrap_err();
        assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn no_debug_output_holds_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder);
    store.save(&credentials("hush-hush")).await.unwrap();
    let loaded = store.load().await.unwrap();
    assert!(!format!("{loaded:?} {store:?}").contains("hush"));
}
