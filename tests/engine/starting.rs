//! What a user sees when the engine starts for the first time, can't start, or is a server of
//! their own.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::sandbox::Sandbox;

/// The fetched CLI in the cache.
fn cached_cli(cache: &Path) -> std::path::PathBuf {
    cache.join("temporal-1.9.1/temporal")
}

#[test]
fn an_empty_cache_is_filled_once_and_a_spoiled_one_again() {
    let cache = tempfile::tempdir().expect("a folder");
    fs::create_dir(cache.path().join("fetch-left-behind")).expect("a folder");
    let sandbox = Sandbox::with_cache(cache.path().to_owned());
    let one = sandbox.user();
    let two = sandbox.user();
    assert_eq!(one.address(), two.address());
    assert!(!cache.path().join("fetch-left-behind").exists());
    one.leave();
    two.leave();
    sandbox.wait_until_gone();

    let cli = cached_cli(cache.path());
    let whole = fs::metadata(&cli).expect("the CLI").len();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&cli)
        .expect("opened");
    file.set_len(whole / 2).expect("cut short");
    drop(file);
    let user = sandbox.user();
    user.address();
    assert_eq!(fs::metadata(&cli).expect("the CLI").len(), whole);
    user.leave();
    sandbox.wait_until_gone();
}

#[test]
fn an_engine_that_does_not_stay_up_is_reported_with_its_own_words() {
    let sandbox = Sandbox::new();
    let cli = sandbox.home.path().join("temporal");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { \
                  echo 'temporal version 1.9.1 (Server 1.32.0, UI 2)'; exit; }\n\
                  echo 'the disk is on fire' >&2; exit 3\n";
    fs::write(&cli, script).expect("written");
    fs::set_permissions(&cli, fs::Permissions::from_mode(0o755)).expect("executable");
    // Twice: the first failure is no excuse for the second user.
    for _ in 0..2 {
        let user = sandbox.user_with(|command| {
            command.arg("--temporal-cli").arg(&cli);
        });
        let error = user.hears("error");
        assert!(error.starts_with("engine_crashed "), "{error}");
        // The rest of the message follows on lines of its own.
        user.hears("the");
        sandbox.wait_until_gone();
    }
    // With the cause gone, it starts.
    let user = sandbox.user();
    user.address();
    user.leave();
    sandbox.wait_until_gone();
}

#[test]
fn a_configured_cli_that_is_not_there_is_an_error_at_once() {
    let sandbox = Sandbox::new();
    let user = sandbox.user_with(|command| {
        command.args(["--temporal-cli", "/nowhere/temporal"]);
    });
    assert!(user.hears("error").starts_with("engine_configured_cli "));
    assert!(sandbox.supervisors().is_empty());
}

#[test]
fn an_address_in_the_environment_makes_the_engine_external() {
    let server = Sandbox::new();
    let owner = server.user();
    let address = owner.address();
    let host = address.strip_prefix("http://").expect("plain").to_owned();

    let sandbox = Sandbox::new();
    let guest = sandbox.user_with(|command| {
        command.env("TEMPORAL_ADDRESS", &host);
    });
    let line = guest.hears("address");
    assert!(
        line.contains(&host) && line.contains("External 1."),
        "{line}"
    );
    assert!(
        !sandbox.home.path().join("engine").exists(),
        "nothing is started"
    );
    guest.leave();

    let lost = sandbox.user_with(|command| {
        command
            .env("TEMPORAL_ADDRESS", &host)
            .env("TEMPORAL_NAMESPACE", "music");
    });
    let error = lost.hears("error");
    assert!(error.starts_with("engine_no_namespace "), "{error}");
    assert!(
        error.contains("temporal operator namespace create --namespace music"),
        "{error}"
    );
    owner.leave();
    server.wait_until_gone();
}
