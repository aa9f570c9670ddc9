//! "Something is wrong." `segue doctor` says what, what mends it, and no secret.

use std::process::Stdio;

use segue::client::Launch;
use serde_json::Value;

use crate::support::World;

async fn doctor(launch: &Launch, arguments: &[&str]) -> (bool, String) {
    let mut command = launch.command(&[&["doctor"], arguments].concat()).unwrap();
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[tokio::test]
async fn all_is_well_and_no_secret_is_shown() {
    let world = World::new().await;
    let launch = world.launch().with("SEGUE_USER", "ada");
    let (well, text) = doctor(&launch, &[]).await;
    assert!(well, "{text}");
    for part in ["folders", "engine", "upstream", "Spotify sign-in"] {
        assert!(text.contains(&format!("ok     {part}")), "{part}: {text}");
    }
    assert!(text.contains("user = ada"), "{text}");
    assert!(
        text.contains("SPOTIFY_REFRESH_TOKEN = set (hidden)"),
        "{text}"
    );
    assert!(!text.contains(world.sim.refresh_token()), "{text}");

    let (well, json) = doctor(&launch, &["--json"]).await;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert!(well && report["healthy"] == true, "{json}");
}

#[tokio::test]
async fn what_is_broken_is_named_with_what_mends_it() {
    let world = World::new().await;
    let launch = world
        .launch()
        .with("SPOTIFY_REFRESH_TOKEN", "revoked-long-ago-0123456789");
    let (well, text) = doctor(&launch, &[]).await;
    assert!(!well, "{text}");
    assert!(text.contains("BROKEN Spotify sign-in"), "{text}");
    assert!(text.contains("mend it: segue login"), "{text}");
    assert!(!text.contains("revoked-long-ago"), "{text}");
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
    assert!(!output.status.success());
    assert!(error.contains("nearest is \"upstream\""), "{error}");
}
