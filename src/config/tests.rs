//! Where settings come from, and what is wrong with them.

use std::{collections::HashMap, path::PathBuf};

use config::Environment;

use super::Config;
use crate::{cli::Settings, home::Home};

pub(super) fn read(
    flags: &Settings,
    file: &str,
    variables: &[(&str, &str)],
) -> anyhow::Result<Config> {
    let folder = tempfile::tempdir()?;
    let home = Home::at(folder.path())?;
    std::fs::write(home.config_file(), file)?;
    let variables: HashMap<String, String> = variables
        .iter()
        .map(|&(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    Config::read(
        flags,
        &home,
        Environment::with_prefix("SEGUE").source(Some(variables)),
    )
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "user = 'file'\nlog = 'info'\nmatch_threshold = 0.5";
    let variables = [("SEGUE_USER", "variable"), ("SEGUE_LOG", "debug")];
    let flags = Settings {
        user: Some("flag".into()),
        ..Settings::default()
    };
    let config = read(&flags, file, &variables).expect("readable");
    assert_eq!(
        (config.user.as_str(), config.log.as_str()),
        ("flag", "debug")
    );
    assert_eq!(config.match_threshold, 0.5);
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest() {
    for (file, variables) in [
        ("upsteam = 'x'", &[][..]),
        ("", &[("SEGUE_UPSTEAM", "x")][..]),
    ] {
        let error = read(&Settings::default(), file, variables).expect_err("refused");
        let message = format!("{error:#}");
        assert!(message.contains("\"upsteam\""), "{message}");
        assert!(message.contains("nearest is \"upstream\""), "{message}");
    }
}

#[test]
fn a_key_is_never_a_place_in_a_list() {
    // The library would make the list, of some hundred gigabytes.
    for (file, variables) in [
        ("'user[4000000000]' = 'x'", &[][..]),
        ("'user.log' = 'x'", &[][..]),
        ("", &[("SEGUE_USER[-4000000000]", "x")][..]),
    ] {
        let error = read(&Settings::default(), file, variables).expect_err("refused");
        assert!(error.to_string().contains("nearest is \"user\""), "{error}");
    }
}

#[test]
fn a_home_in_the_file_comes_too_late() {
    let error = read(&Settings::default(), "home = '/x'", &[("SEGUE_HOME", "/y")]);
    let message = error.expect_err("refused").to_string();
    assert!(message.contains("\"home\""), "{message}");
}

#[test]
fn a_wrong_value_is_an_error_that_names_its_key() {
    for (file, key) in [
        ("match_threshold = 2.0", "match_threshold"),
        ("match_threshold = 'high'", "match_threshold"),
        ("import_folders = ['music']", "import_folders"),
        ("import_folders = [5]", "import_folders"),
        ("import_folders = 5", "import_folders"),
        ("review_deadline = 'soon'", "review_deadline"),
        ("review_deadline = '0s'", "review_deadline"),
        ("review_deadline = '2y'", "review_deadline"),
        ("at_review_deadline = 'ask'", "at_review_deadline"),
        ("upstream = \"uvx 'open\"", "upstream"),
        ("upstream_profile = 'nobody'", "upstream_profile"),
        ("user = ' '", "user"),
        ("upstream_budget = 0", "upstream_budget"),
        ("upstream_budget = -5", "upstream_budget"),
        ("breaker_failures = 0", "breaker_failures"),
        ("canary = 5", "canary"),
        ("canary = 'half'", "canary"),
        ("worker_version = 'a b'", "worker_version"),
        ("log_format = 'xml'", "log_format"),
        ("metrics = 'everywhere'", "metrics"),
        ("metrics = 70000", "metrics"),
        ("metrics = 'localhost'", "metrics"),
        ("oauth_issuer = 'https://id.example.com'", "oauth_audience"),
        (
            "oauth_issuer = 'http://id.example.com'\noauth_audience = 'https://a/mcp'",
            "oauth_issuer",
        ),
        (
            "oauth_issuer = 'https://a'\noauth_audience = 'segue'",
            "oauth_resource",
        ),
        ("oauth_audience = 'https://a/mcp'", "oauth_issuer"),
        ("encrypt_payloads = 'perhaps'", "encrypt_payloads"),
        ("payload_key_file = 'keys.json'", "payload_key_file"),
        ("user_calls_per_minute = 0", "user_calls_per_minute"),
        ("user_calls_at_once = 0", "user_calls_at_once"),
        ("user = 'oauth:0'", "user"),
        ("model = ' '", "model"),
        ("agents_share = 50", "agents_share"),
        ("agent_connection = 'both'", "agent_connection"),
        ("model_prompt_price = -1.0", "model_prompt_price"),
        ("model_prompt_price = 1.0", "model_completion_price"),
        ("model_timeout_seconds = 200", "model_timeout_seconds"),
        ("model_tokens_per_sync = 0", "model_tokens_per_sync"),
        ("webhook_url = 'hooks.example.com'", "webhook_url"),
        ("webhook_url = 'http://example.com/'", "webhook_url"),
        ("webhook_url = 'https://example.com/'", "webhook_secret"),
        ("webhook_secret = 'whsec_x'", "webhook_url"),
        ("webhook_form = 'xml'", "webhook_form"),
    ] {
        let message = format!(
            "{:#}",
            read(&Settings::default(), file, &[]).expect_err("refused")
        );
        assert!(message.contains(key), "{file}: {message}");
    }
}

#[test]
fn folders_to_import_from_are_a_list_and_in_the_environment_a_path() {
    let file = "import_folders = ['/music', '/lists: mine']";
    let folders = |flags: &Settings, file, variables: &[(&str, &str)]| {
        let config = read(flags, file, variables).expect("readable");
        config.tool_settings().import_folders
    };
    let list = ["/music", "/lists: mine"].map(PathBuf::from);
    assert_eq!(folders(&Settings::default(), file, &[]), list);
    let joined = std::env::join_paths(["/a", "/b"]).expect("joined");
    let variable = [("SEGUE_IMPORT_FOLDERS", joined.to_str().expect("text"))];
    let pair = ["/a", "/b"].map(PathBuf::from);
    assert_eq!(folders(&Settings::default(), file, &variable), pair);
    let flags = Settings {
        import_folders: vec!["/flag".into()],
        ..Settings::default()
    };
    assert_eq!(
        folders(&flags, file, &variable),
        ["/flag"].map(PathBuf::from)
    );
    assert!(folders(&Settings::default(), "", &[]).is_empty());
}

#[test]
fn a_review_waits_as_long_as_is_said() {
    for (file, seconds) in [("", 604_800), ("review_deadline = '36h'", 129_600)] {
        let config = read(&Settings::default(), file, &[]).expect("readable");
        assert_eq!(config.tool_settings().review.seconds, seconds);
    }
}

#[test]
fn a_port_for_the_metrics_is_one_of_this_machine_alone() {
    let address = |file| {
        let config = read(&Settings::default(), file, &[]).expect("readable");
        let address = config.metrics_address().expect("an address or none");
        address.map(|address| address.to_string())
    };
    assert_eq!(address(""), None);
    for (file, expected) in [
        ("metrics = 9464", "127.0.0.1:9464"),
        ("metrics = '0'", "127.0.0.1:0"),
        ("metrics = '0.0.0.0:9464'", "0.0.0.0:9464"),
        ("metrics = '[::1]:9464'", "[::1]:9464"),
    ] {
        assert_eq!(address(file).as_deref(), Some(expected));
    }
}

#[test]
fn a_webhook_is_taken_from_the_environment_and_shown_nowhere() {
    let url = "https://hooks.example.com/verysecret";
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let variables = [("SEGUE_WEBHOOK_URL", url), ("SEGUE_WEBHOOK_SECRET", secret)];
    let config = read(&Settings::default(), "", &variables).expect("readable");
    assert!(config.tool_settings().notify);
    let shown = format!(
        "{config:?} {}",
        serde_json::to_string(&config).expect("JSON")
    );
    assert!(shown.contains("set (hidden)"), "{shown}");
    assert!(
        !shown.contains("verysecret") && !shown.contains("MfKQ"),
        "{shown}"
    );
    for wrong in ["http://example.com/verysecret", "verysecret"] {
        let variables = [
            ("SEGUE_WEBHOOK_URL", wrong),
            ("SEGUE_WEBHOOK_SECRET", secret),
        ];
        let error = read(&Settings::default(), "", &variables).expect_err("refused");
        assert!(!format!("{error:#}").contains("verysecret"), "{error:#}");
    }
    let slack = [("SEGUE_WEBHOOK_URL", url), ("SEGUE_WEBHOOK_FORM", "slack")];
    assert!(read(&Settings::default(), "", &slack).is_ok());
}

#[test]
fn the_home_in_the_environment_is_no_unknown_key() {
    assert!(read(&Settings::default(), "", &[("SEGUE_HOME", "/tmp/x")]).is_ok());
}
