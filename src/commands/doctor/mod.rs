//! `segue doctor`: checks every part, says what is wrong and the command that mends it.
//!
//! It ends with 0 if all is well (also if something needs attention soon), with 1 if something is broken or the
//! configuration cannot be read, and with 2 if the command line is wrong.

mod access;
mod check;
mod clock;
mod engine;
mod folders;
mod model;
mod sign_in;
mod upstream;
mod webhook;

use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use self::check::{Check, State};
use crate::{cli::DoctorArgs, config::Config, home::Home, output};

/// What there is to know. Its form is stable: fields and parts are added, and none changes its name.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    healthy: bool,
    configuration_file: String,
    configuration: Value,
    checks: Vec<Check>,
}

pub(super) async fn run(
    config: &Config,
    home: &Home,
    arguments: DoctorArgs,
) -> anyhow::Result<ExitCode> {
    // The permissions before the engine, which mends those of its own folder as it starts.
    let mut checks = vec![
        folders::usable(home),
        folders::permissions(config, home),
        folders::disk(home),
    ];
    checks.extend(engine::checks(config, home).await);
    checks.extend(upstream::checks(config, home).await);
    checks.extend(sign_in::checks(config, home).await);
    checks.push(model::check(config).await);
    checks.push(access::check(config, home).await);
    checks.push(engine::encryption(config, home));
    checks.push(webhook::check(config, arguments.ping_webhook).await);
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        healthy: checks.iter().all(|check| check.state != State::Broken),
        configuration_file: home.config_file().display().to_string(),
        configuration: masked(config)?,
        checks,
    };
    match arguments.json {
        true => output::line(serde_json::to_string_pretty(&report)?)?,
        false => output::line(for_people(&report))?,
    }
    Ok(match report.healthy {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The effective configuration, and which secrets are set, without any of them.
fn masked(config: &Config) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(config)?;
    value["upstream"] = Value::from(config.upstream_label());
    for name in [
        "OPENAI_API_KEY",
        "SPOTIFY_REFRESH_TOKEN",
        "TEMPORAL_API_KEY",
    ] {
        let set = std::env::var_os(name).is_some_and(|value| !value.is_empty());
        value[name] = Value::from(if set { "set (hidden)" } else { "not set" });
    }
    Ok(value)
}

fn for_people(report: &Report) -> String {
    let mut lines = vec![format!("segue {}\n", report.version)];
    for check in &report.checks {
        let mark = match check.state {
            State::Ok => "ok",
            State::Attention => "look",
            State::Broken => "BROKEN",
            State::NotChecked => "-",
        };
        lines.push(format!("{mark:<7}{}: {}", check.part, check.finding));
        if let Some(mend) = &check.mend {
            lines.push(format!("       mend it: {mend}"));
        }
    }
    lines.push(format!("\nConfiguration ({}):", report.configuration_file));
    for (key, value) in report.configuration.as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => "not set".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push(format!("  {key} = {value}"));
    }
    lines.join("\n")
}
