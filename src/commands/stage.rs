//! What a command that shows, tortures or measures stands on: a simulated Spotify, a home that goes when it
//! is done, and this program as a server on both.

use std::path::{Path, PathBuf};

use anyhow::Context;
use segue_spotify::sim::{Sim, SimOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{client::Launch, config::Config, home::Home};

/// The stage. Its parts are taken apart by whoever has to end them in an order of their own.
pub(super) struct Stage {
    pub(super) sim: Sim,
    /// The home of the servers: it is removed when this is dropped.
    pub(super) scratch: TempDir,
    /// How the servers are started.
    pub(super) launch: Launch,
}

impl Stage {
    /// A new one. The engine's binary is kept for the next time, in the cache of the user's own home; all
    /// else goes with the stage.
    pub(super) async fn set(
        config: &Config,
        home: &Home,
        options: SimOptions,
    ) -> anyhow::Result<Self> {
        let engine_cache = engine_cache(config, home)?;
        let scratch = tempfile::tempdir().context("no scratch folder")?;
        let sim = Sim::start(options).await?;
        let program = std::env::current_exe().context("where this program is")?;
        let launch = Launch::new(program, scratch.path(), &engine_cache, sim.ready());
        Ok(Self {
            sim,
            scratch,
            launch,
        })
    }

    /// The home of the servers.
    pub(super) fn home(&self) -> &Path {
        self.scratch.path()
    }

    /// Makes a playlist that holds these, and gives its id.
    pub(super) async fn make_playlist(
        &self,
        name: &str,
        uris: &[String],
    ) -> anyhow::Result<String> {
        let order = json!({"name": name, "uris": uris});
        let made = control(&self.sim, "playlists", &order).await?;
        let id = made["id"].as_str().context("a playlist without an id")?;
        Ok(id.to_owned())
    }
}

/// The folder in which the engine's binary is kept.
pub(super) fn engine_cache(config: &Config, home: &Home) -> anyhow::Result<PathBuf> {
    Ok(match &config.engine_cache {
        Some(folder) => folder.clone(),
        None => home.cache()?,
    })
}

/// Orders something of the simulated Spotify.
pub(super) async fn control(sim: &Sim, what: &str, order: &Value) -> anyhow::Result<Value> {
    let answer = reqwest::Client::new()
        .post(format!("{}/_sim/{what}", sim.url()))
        .json(order)
        .send()
        .await?
        .error_for_status()?;
    Ok(serde_json::from_str(&answer.text().await?).unwrap_or_default())
}

/// Whether the view is of a sync that has ended.
pub(super) fn is_ended(view: &Value) -> bool {
    let status = view["status"].as_str().unwrap_or_default();
    status != "running" && !status.starts_with("waiting_")
}
