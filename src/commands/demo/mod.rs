//! `segue demo`: the main job, shown in one terminal on real parts.
//!
//! 1. A simulated Spotify with a playlist that holds songs; everything else is the real program:
//!    its server as a process of its own, the bundled upstream, the managed engine.
//! 2. Six songs, one call each. Spotify refuses one request (429).
//! 3. The serving process is killed half way, and started again.
//! 4. What came of each song, and the playlist: each song once, or the demo fails.

mod display;
mod songs;

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use segue_spotify::sim::{Sim, SimOptions};
use serde_json::{Value, json};
use tokio::time::sleep;

use self::{
    display::Display,
    songs::{Expected, SONGS, Song},
};
use super::stage::{Stage, control, is_ended};
use crate::{cli::DemoArgs, client::Server, config::Config, home::Home};

/// Time between two looks at the syncs.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The demo is given up after this long.
const LIMIT: Duration = Duration::from_secs(120);
/// What Spotify asks for when it refuses, in seconds.
const RETRY_AFTER: u32 = 3;
/// How slow the simulated Spotify is, in milliseconds: about as slow as the real one.
const LATENCY_MS: u32 = 250;

pub(super) async fn run(
    config: &Config,
    home: &Home,
    arguments: DemoArgs,
) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let mut display = Display::new(arguments.plain);

    display.say("Segue demo: six songs into a playlist on a simulated Spotify. Nothing is sent elsewhere.\n")?;
    let Stage {
        sim,
        scratch: _kept_to_the_end,
        launch,
    } = Stage::set(config, home, SimOptions::default()).await?;
    let playlist = sim.full_playlist_id().to_owned();
    let before = sim.playlist_uris(&playlist).unwrap_or_default();
    display.say(&format!(
        "  Spotify (simulated)   {}, playlist \"Evening Drive\" with {} songs",
        sim.url(),
        before.len()
    ))?;
    order_faults(&sim).await?;

    let server = Server::start(&launch).await?;
    display.say("  segue serve           started, spoken to over stdio")?;
    // The first call waits for the engine; on a new machine it is fetched meanwhile.
    server.call("list_syncs", json!({})).await?;
    display.say("  engine (Temporal)     up\n")?;

    let mut syncs = Vec::new();
    for song in &SONGS {
        let call = json!({"title": song.title, "artist": song.artist, "playlist": playlist});
        let view = server.call("sync_track", call).await?;
        let id = view["sync_id"].as_str().context("no sync_id")?.to_owned();
        syncs.push((song, id));
    }
    display.say("All six accepted. They run now:\n")?;
    watch(&server, &syncs, &mut display, started, |views| {
        views.iter().any(is_ended)
    })
    .await?;

    server.kill().await?;
    display.say("\nkill -9 of the serving process, half way. Starting it again:\n")?;
    let server = Server::start(&launch).await?;
    let views = watch(&server, &syncs, &mut display, started, |views| {
        views.iter().all(is_ended)
    })
    .await?;
    server.end().await?;

    let after = sim.playlist_uris(&playlist).unwrap_or_default();
    let requests = sim.requests();
    let refused = requests
        .iter()
        .filter(|request| request.status == Some(429))
        .count();
    display.say("\nWhat came of each song:\n")?;
    for ((song, _), view) in syncs.iter().zip(&views) {
        display.say(&format!(
            "  {:<34} {:<34} {}",
            song.title,
            song.why,
            told(view)
        ))?;
    }
    display.say(&format!(
        "\nThe playlist \"Evening Drive\", {} songs before, {} now:\n",
        before.len(),
        after.len()
    ))?;
    let names: BTreeMap<&str, String> = views.iter().filter_map(name_of).collect();
    for uri in &after[before.len().min(after.len())..] {
        let name = names
            .get(uri.as_str())
            .cloned()
            .unwrap_or_else(|| uri.clone());
        display.say(&format!("  + {name}"))?;
    }
    sim.shutdown().await?;

    check(&before, &after, &syncs, &views, refused)?;
    display.say(&format!(
        "\nEach song is there once, after a kill -9 and {refused} refusal(s) by Spotify. {:.1} s, {} requests. Nothing is left behind.",
        started.elapsed().as_secs_f64(),
        requests.len(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A Spotify like the real one: slow, and now and then not willing.
async fn order_faults(sim: &Sim) -> anyhow::Result<()> {
    let faults = json!([
        {"endpoint": "search", "skip": 4, "count": 1, "status": 429, "retry_after": RETRY_AFTER},
        {"endpoint": "any", "count": 0, "latency_ms": LATENCY_MS},
    ]);
    control(sim, "faults", &faults).await?;
    Ok(())
}

/// Shows the syncs until `enough`.
async fn watch(
    server: &Server,
    syncs: &[(&Song, String)],
    display: &mut Display,
    started: Instant,
    enough: impl Fn(&[Value]) -> bool,
) -> anyhow::Result<Vec<Value>> {
    loop {
        let mut views = Vec::new();
        for (_, id) in syncs {
            views.push(
                server
                    .call("get_sync_progress", json!({"sync_id": id}))
                    .await?,
            );
        }
        let block = syncs.iter().zip(&views);
        display.show(block.map(|((song, _), view)| line(song, view)).collect())?;
        if enough(&views) {
            return Ok(views);
        }
        if started.elapsed() > LIMIT {
            bail!("the demo took more than {} s", LIMIT.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}

fn line(song: &Song, view: &Value) -> String {
    let done = view["steps_completed"].as_u64().unwrap_or(0) as usize;
    let total = view["steps_total"].as_u64().unwrap_or(4) as usize;
    let bar: String = (0..total)
        .map(|at| if at < done { '#' } else { '.' })
        .collect();
    let what = match view["status"].as_str() {
        Some("waiting_for_rate_limit") => "waiting: Spotify asked to come back later".to_owned(),
        Some("running") => view["current_step"]
            .as_str()
            .unwrap_or("starting")
            .to_owned(),
        _ => told(view),
    };
    format!("  [{bar}] {:<34} {what}", song.title)
}

fn told(view: &Value) -> String {
    let score = view["confidence_score"].as_f64().unwrap_or(0.0);
    match came_of(view) {
        Some(Expected::Added) => format!("added, score {score:.2}"),
        Some(Expected::AlreadyThere) => "already there, nothing added".to_owned(),
        Some(Expected::NoMatch) => "no match, nothing added".to_owned(),
        None => view["message"].as_str().unwrap_or("no answer").to_owned(),
    }
}

fn came_of(view: &Value) -> Option<Expected> {
    let flag = |name: &str| view[name].as_bool().unwrap_or(false);
    match (
        view["status"].as_str()?,
        flag("success"),
        flag("already_present"),
    ) {
        ("completed", true, true) => Some(Expected::AlreadyThere),
        ("completed", true, false) => Some(Expected::Added),
        ("completed", false, _) => Some(Expected::NoMatch),
        _ => None,
    }
}

fn name_of(view: &Value) -> Option<(&str, String)> {
    let best = &view["best_candidate"]["candidate"];
    let artists: Vec<&str> = best["artists"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let name = format!("{} - {}", artists.join(", "), best["title"].as_str()?);
    Some((view["spotify_track_uri"].as_str()?, name))
}

/// Whether everything came as it should: the demo is a test, too.
fn check(
    before: &[String],
    after: &[String],
    syncs: &[(&Song, String)],
    views: &[Value],
    refused: usize,
) -> anyhow::Result<()> {
    ensure!(
        refused > 0,
        "Spotify was to refuse a request, and was not asked often enough"
    );
    ensure!(
        after.starts_with(before),
        "the songs that were there before have changed"
    );
    let mut expected = 0;
    for ((song, id), view) in syncs.iter().zip(views) {
        ensure!(
            came_of(view) == Some(song.expected),
            "\"{}\" ({id}) came out as {:?}, not as {:?}: {}",
            song.title,
            came_of(view),
            song.expected,
            view["message"],
        );
        if song.expected == Expected::NoMatch {
            continue;
        }
        expected += usize::from(song.expected == Expected::Added);
        let uri = view["spotify_track_uri"].as_str().unwrap_or_default();
        let times = after.iter().filter(|there| *there == uri).count();
        ensure!(
            times == 1,
            "\"{}\" is in the playlist {times} times",
            song.title
        );
    }
    ensure!(
        after.len() == before.len() + expected,
        "the playlist has songs that nobody asked for"
    );
    Ok(())
}
