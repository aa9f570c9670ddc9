//! What holds whatever stands in `segue.toml` and in the environment.

use proptest::{collection::vec, option, prelude::*, sample::select};
use secrecy::ExposeSecret;
use toml::{Table, Value};

use super::{Config, reading::keys_known, tests::read};
use crate::cli::Settings;

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(keys_known().into_iter().collect::<Vec<_>>()),
        1 => "[a-z_]{1,12}",
        1 => "[a-z]{1,4}[.\\[][a-z0-9-]{0,9}\\]?",
        1 => any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "\\PC{0,20}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(
            &[
                "uvx server",
                "https://a.example",
                "segue",
                "json",
                "file",
                "0.5",
                ""
            ][..]
        )
        .prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((any::<String>(), inner), 0..3)
                .prop_map(|fields| Value::Table(fields.into_iter().collect())),
        ]
    })
}

/// What `segue.toml` may say that is right.
fn right() -> impl Strategy<Value = Table> {
    let text = |key: &'static str, form: &'static str| {
        option::of(form.prop_map(move |value| (key.to_owned(), Value::from(value))))
    };
    let entries = (
        text("user", "[a-zé ]{0,20}[a-zé]"),
        text("upstream", "uvx [a-z]{1,9}( --[a-z]{1,5}){0,3}"),
        text("upstream_profile", "segue|hunarjain09"),
        text("temporal_cli", "(/[a-z]{1,5}){1,4}"),
        text("log", "warn|info,rmcp=off"),
        text("log_format", "json|text"),
        text("token_store", "auto|file"),
        text("metrics", "[1-9][0-9]{0,3}|127[.]0[.]0[.]1:[1-9][0-9]{0,3}"),
        option::of(
            (0.0..=1.0).prop_map(|share| ("match_threshold".to_owned(), Value::from(share))),
        ),
    );
    entries.prop_map(|(a, b, c, d, e, f, g, h, i)| {
        [a, b, c, d, e, f, g, h, i].into_iter().flatten().collect()
    })
}

/// What the command line, the commands and the engine count on.
fn is_right(config: &Config) -> bool {
    (0.0..=1.0).contains(&config.match_threshold)
        && !config.user.trim().is_empty()
        && config.user.len() <= 255
        && !config.upstream_label().is_empty()
        && config.metrics_address().is_ok()
}

fn read_file(file: &str) -> anyhow::Result<Config> {
    read(&Settings::default(), file, &[])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_right_file_is_read_and_means_what_it_says(file in right()) {
        let config = read_file(&file.to_string()).expect("read");
        prop_assert!(is_right(&config));
        let again = serde_json::to_value(&config).expect("plain data");
        for (key, value) in file {
            let written = serde_json::to_value(value).expect("plain data");
            // A secret is kept, and not written.
            let meant = match (&*key, &config.upstream) {
                ("upstream", Some(upstream)) => {
                    prop_assert!(again[&key].is_null());
                    upstream.expose_secret().into()
                }
                _ => again[&key].clone(),
            };
            prop_assert_eq!(&meant, &written, "{}", key);
        }
    }

    #[test]
    fn any_file_is_read_or_refused(entries in vec((key(), value()), 0..4), text in any::<String>()) {
        let file: Table = entries.into_iter().collect();
        for file in [file.to_string(), text] {
            if let Ok(config) = read_file(&file) {
                prop_assert!(is_right(&config), "{}", file);
            }
        }
    }

    #[test]
    fn an_unknown_key_is_always_named(entries in right(), key in key(), value in value()) {
        prop_assume!(!keys_known().contains(&key));
        let mut file = entries;
        file.insert(key.clone(), value);
        let message = read_file(&file.to_string()).expect_err("refused").to_string();
        prop_assert!(message.contains(&format!("{key:?}")), "{}", message);
    }

    #[test]
    fn any_variables_are_read_or_refused(
        variables in vec((key(), prop_oneof!["[^\0]{0,20}", "[0-9.]{1,5}"]), 0..4),
    ) {
        let named: Vec<(String, &str)> = variables
            .iter()
            .map(|(key, value)| (format!("SEGUE_{}", key.to_uppercase()), value.as_str()))
            .collect();
        let given: Vec<(&str, &str)> = named.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        if let Ok(config) = read(&Settings::default(), "", &given) {
            prop_assert!(is_right(&config));
            for (key, value) in &variables {
                prop_assert!(value.is_empty() || key == "home" || keys_known().contains(&key.to_lowercase()));
            }
        }
    }
}
