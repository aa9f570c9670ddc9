//! `segue doctor`: checks every part, says what is wrong and what mends it.

use std::{process::ExitCode, time::SystemTime};

use segue_spotify::auth::{CredentialSource, Credentials, Session, Settings, TokenStore};
use serde::Serialize;
use serde_json::Value;

use crate::{
    cli::DoctorArgs,
    config::Config,
    engine::{CLI_VERSION, Engine},
    home::Home,
    output,
};

/// Days before the end of a sign-in from which a new one is advised.
const SIGN_IN_SOON: u64 = 14;

/// What there is to know.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    healthy: bool,
    configuration_file: String,
    configuration: Value,
    checks: Vec<Check>,
}

/// One part, checked.
#[derive(Serialize)]
struct Check {
    part: &'static str,
    state: State,
    finding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Attention,
    Broken,
}

pub(super) async fn run(
    config: &Config,
    home: &Home,
    arguments: DoctorArgs,
) -> anyhow::Result<ExitCode> {
    let checks = vec![
        folders(home),
        engine(config, home).await,
        upstream(config, home).await,
        sign_in(config, home).await,
    ];
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

fn folders(home: &Home) -> Check {
    let usable = home
        .data()
        .and_then(|data| home.cache().map(|cache| (data, cache)));
    match usable {
        Ok((data, cache)) => ok(
            "folders",
            format!("data in {}, cache in {}", data.display(), cache.display()),
        ),
        Err(error) => broken(
            "folders",
            error.to_string(),
            "set SEGUE_HOME to a writable folder",
        ),
    }
}

async fn engine(config: &Config, home: &Home) -> Check {
    match Engine::connect(&config.engine_options(), home).await {
        Ok(engine) => ok(
            "engine",
            format!(
                "{:?}, Temporal server {} at {}, namespace {} (the managed CLI is {CLI_VERSION})",
                engine.kind(),
                engine.server_version(),
                engine.address(),
                engine.namespace(),
            ),
        ),
        // Every engine error ends in what to do.
        Err(error) => Check {
            part: "engine",
            state: State::Broken,
            finding: error.to_string(),
            mend: None,
        },
    }
}

async fn upstream(config: &Config, home: &Home) -> Check {
    let profile = match config.upstream(home) {
        Ok(upstream) => upstream.profile().await.map_err(|error| error.to_string()),
        Err(error) => Err(format!("{error:#}")),
    };
    match profile {
        Ok(profile) => ok(
            "upstream",
            format!("{}, profile {profile}", config.upstream_label()),
        ),
        Err(error) => broken(
            "upstream",
            error,
            "check SEGUE_UPSTREAM, or unset it for the bundled server",
        ),
    }
}

async fn sign_in(config: &Config, home: &Home) -> Check {
    const PART: &str = "Spotify sign-in";
    if config.upstream.is_some() {
        return ok(PART, "left to the configured upstream".to_owned());
    }
    let settings = match Settings::from_env() {
        Ok(settings) => settings,
        Err(error) => return broken(PART, error.to_string(), "correct the SPOTIFY_… variables"),
    };
    let store = TokenStore::new(config.store_policy(), home.secrets_file());
    let credentials = match Credentials::find(&settings, &store).await {
        Ok(Some(credentials)) => credentials,
        Ok(None) => return broken(PART, "not signed in".to_owned(), "segue login"),
        Err(error) => return broken(PART, error.to_string(), "segue login"),
    };
    let checked = match Session::new(settings, store) {
        Ok(session) => session.check().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = checked {
        return broken(PART, error, "segue login");
    }
    let days_left = credentials
        .time_left(SystemTime::now())
        .map(|left| left.as_secs() / (24 * 3600));
    let source = match credentials.source {
        CredentialSource::Environment => "from the environment",
        _ => "stored by segue login",
    };
    match days_left {
        Some(days) if days < SIGN_IN_SOON => Check {
            part: PART,
            state: State::Attention,
            finding: format!("works, {source}; it ends in {days} days"),
            mend: Some("segue login".to_owned()),
        },
        Some(days) => ok(PART, format!("works, {source}; good for {days} days more")),
        None => ok(PART, format!("works, {source}")),
    }
}

fn ok(part: &'static str, finding: String) -> Check {
    Check {
        part,
        state: State::Ok,
        finding,
        mend: None,
    }
}

fn broken(part: &'static str, finding: String, mend: &str) -> Check {
    Check {
        part,
        state: State::Broken,
        finding,
        mend: Some(mend.to_owned()),
    }
}

/// The effective configuration, and which secrets are set, without any of them.
fn masked(config: &Config) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(config)?;
    value["upstream"] = Value::from(config.upstream_label());
    for name in ["SPOTIFY_REFRESH_TOKEN", "TEMPORAL_API_KEY"] {
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
            State::Attention => "soon",
            State::Broken => "BROKEN",
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
