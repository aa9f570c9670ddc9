//! Whatever stands in `segue.toml` and in the environment is read, or refused.
//!
//! The first line holds the variables, as `NAME=value` between tabs; the rest is the file.
#![no_main]

use std::{collections::HashMap, fs, sync::OnceLock};

use config::Environment;
use libfuzzer_sys::fuzz_target;
use segue::{cli::Settings, config::Config, home::Home};
use tempfile::TempDir;

static FOLDER: OnceLock<TempDir> = OnceLock::new();

fuzz_target!(|text: &str| {
    let (first, file) = text.split_once('\n').unwrap_or((text, ""));
    let variables: HashMap<String, String> = first
        .split('\t')
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (format!("SEGUE_{name}"), value.to_owned()))
        .collect();
    let folder = FOLDER.get_or_init(|| TempDir::new().expect("a folder"));
    let home = Home::at(folder.path()).expect("a home");
    fs::write(home.config_file(), file).expect("written");
    let environment = Environment::with_prefix("SEGUE").source(Some(variables));
    if let Ok(config) = Config::read(&Settings::default(), &home, environment) {
        assert!((0.0..=1.0).contains(&config.match_threshold));
        assert!(!config.user.trim().is_empty() && config.user.len() <= 255);
        assert!(!config.upstream_label().is_empty());
        assert!(config.upstream(&home).is_ok());
    }
});
