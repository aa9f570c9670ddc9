//! `segue compare`: the pipeline and agents side by side, on songs whose right answers are known.
//!
//! It calls `compare_strategies` as an assistant would, on a server and a worker in this process, and
//! shows how far it is until the table is there. Nothing is added to any playlist.

mod table;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail, ensure};
use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequestParams, CallToolResult},
    service::{Peer, RunningService},
};
use segue_spotify::sim::{Sim, SimOptions};
use segue_tools::{Engine, EngineState, Segue};
use segue_workflows::{gate::Gate, upstream::Upstream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::eval::{self, Row};
use crate::{cli::CompareArgs, config::Config, home::Home, host, output, shutdown};

/// Time for one call: it waits for the end for a part of that.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// Seconds that a call waits for the end, before how far it is is shown.
const WAIT_SECONDS: u32 = 5;
/// Bytes between the two ends of the connection within this process.
const BUFFER: usize = 1 << 20;
/// Calls that all workers make together in 30 s where the Spotify is a simulated one, which limits
/// nothing.
const SIMULATED_BUDGET: u32 = 3_000;

pub(super) async fn run(
    config: &Config,
    home: &Home,
    arguments: CompareArgs,
) -> anyhow::Result<ExitCode> {
    let mut rows = eval::read(&arguments.file)?;
    rows.truncate(arguments.songs as usize);
    ensure!(
        !rows.is_empty(),
        "{} has no songs",
        arguments.file.display()
    );
    let place = Place::of(config, home, arguments.simulated).await?;
    let stop = shutdown::on_signal();
    let (state, engine) = watch::channel(EngineState::Starting("connecting".to_owned()));
    let gate = Gate::new(place.config.gate_settings());
    let server = Segue::new(
        Engine::new(engine),
        gate.clone(),
        place.config.user.clone(),
        place.config.tool_settings(),
    )
    .with_model(place.config.model()?.standing())
    .with_agents(place.config.agent_settings());

    let comparing = async {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let (serving, client) = tokio::join!(server.serve(theirs), ().serve(ours));
        let (serving, client) = (serving?, client?);
        let told = compare(&client, &rows, &arguments, &stop).await;
        client.cancel().await?;
        serving.waiting().await?;
        stop.cancel();
        told
    };
    let hosting = host::run_on(
        place.upstream.clone(),
        &place.config,
        &place.home,
        &gate,
        &state,
        &stop,
    );
    let (view, ()) = tokio::try_join!(comparing, hosting)?;
    place.leave().await?;
    if arguments.json {
        output::line(serde_json::to_string_pretty(&view["comparison"])?)?;
    } else {
        output::line(table::of(&view)?)?;
    }
    Ok(match view["success"] == true {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// On what the songs are compared.
struct Place {
    config: Config,
    home: Home,
    upstream: Upstream,
    /// The simulated Spotify and the folder of all that goes with it.
    simulated: Option<(Sim, TempDir)>,
}

impl Place {
    async fn of(config: &Config, home: &Home, simulated: bool) -> anyhow::Result<Self> {
        if !simulated {
            return Ok(Self {
                config: config.clone(),
                home: home.clone(),
                upstream: config.upstream(home)?,
                simulated: None,
            });
        }
        let scratch = tempfile::tempdir().context("no scratch folder")?;
        let sim = Sim::start(SimOptions::default()).await?;
        let engine_cache = match &config.engine_cache {
            Some(folder) => folder.clone(),
            None => home.cache()?,
        };
        Ok(Self {
            upstream: eval::upstream_on(&sim, scratch.path())?,
            config: Config {
                engine_cache: Some(engine_cache),
                upstream_budget: SIMULATED_BUDGET,
                ..config.clone()
            },
            home: Home::at(scratch.path())?,
            simulated: Some((sim, scratch)),
        })
    }

    async fn leave(self) -> anyhow::Result<()> {
        if let Some((sim, _scratch)) = self.simulated {
            sim.shutdown().await?;
        }
        Ok(())
    }
}

type Client = RunningService<RoleClient, ()>;

async fn compare(
    client: &Client,
    rows: &[Row],
    arguments: &CompareArgs,
    stop: &CancellationToken,
) -> anyhow::Result<Value> {
    let tracks: Vec<Value> = rows
        .iter()
        .map(|row| {
            let track = row.track(arguments.hide_isrc);
            json!({"title": track.title, "artist": track.artist, "album": track.album, "isrc": track.isrc})
        })
        .collect();
    let right: Vec<Vec<&str>> = rows.iter().map(|row| row.truth().collect()).collect();
    let asked = json!({"tracks": tracks, "right_ids": right});
    let mut view = call(client, "compare_strategies", asked).await?;
    let sync_id = view["sync_id"].clone();
    let mut told = Value::Null;
    while view["success"].is_null() {
        if told != view["message"] {
            told = view["message"].clone();
            eprintln!("{}", told.as_str().unwrap_or_default());
        }
        let asked = json!({"sync_id": sync_id, "wait_seconds": WAIT_SECONDS});
        let looked = call(client, "get_sync_progress", asked);
        view = match stop.run_until_cancelled(looked).await {
            Some(looked) => looked?,
            None => {
                call(client, "cancel_sync", json!({"sync_id": sync_id})).await?;
                bail!("the comparison was cancelled");
            }
        };
    }
    Ok(view)
}

async fn call(client: &Peer<RoleClient>, tool: &str, arguments: Value) -> anyhow::Result<Value> {
    let Value::Object(arguments) = arguments else {
        bail!("arguments are an object");
    };
    let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    let called = timeout(CALL_TIMEOUT, client.call_tool(params)).await;
    let result: CallToolResult = called.with_context(|| format!("{tool} gave no answer"))??;
    let answer = result.structured_content.unwrap_or_default();
    if result.is_error == Some(true) {
        let text = |name: &str| {
            answer["error"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        bail!("{} {}", text("message"), text("next_step"));
    }
    Ok(answer)
}
