//! `segue bench`: how fast Segue is, and what it costs, on this machine.
//!
//! Every run makes its own worlds: a simulated Spotify without latency, an engine, and a real `segue serve`
//! that is spoken to over stdio. What is compared is measured in turns, song by song and batch by batch, so
//! that a ratio holds on a machine whose speed drifts:
//!
//! - the *managed* engine with the same Segue on a *stock* dev server (`--engine both`);
//! - both with the *floor*, which makes the same calls of the upstream without Temporal.

mod batch;
mod figures;
mod flood;
mod floor;
mod single;
mod songs;
mod startup;
mod world;

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use serde_json::json;
use tokio::time::sleep;

use self::{
    figures::{Figures, Values},
    floor::Floor,
    world::{Kind, Setting, World},
};
use crate::{
    cli::{BenchArgs, BenchEngine, BenchPart},
    config::Config,
    engine::stock,
    home::Home,
    output,
};

/// Time for the processes to come to rest before they are said to be idle.
const REST: Duration = Duration::from_secs(2);
/// Tracks of the batches by which growth is seen.
const GROWTH: [usize; 4] = [100, 1_000, 5_000, 20_000];
/// The processes of a world: their names in figures, and for people.
const PROCESSES: [(&str, &str); 3] = [
    ("segue", "Segue"),
    ("upstream", "its upstream"),
    ("engine", "the engine"),
];

pub(super) async fn run(
    config: &Config,
    home: &Home,
    arguments: BenchArgs,
) -> anyhow::Result<ExitCode> {
    let parts = arguments.parts();
    let mut figures = Figures::default();
    let versions = measure(config, home, &arguments, &parts, &mut figures).await?;
    match arguments.json {
        true => output::line(as_json(&arguments, &versions, &figures)?)?,
        false => output::line(for_people(&arguments, &versions, &figures))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures the parts, and gives the versions of the engines' servers.
async fn measure(
    config: &Config,
    home: &Home,
    arguments: &BenchArgs,
    parts: &BTreeSet<BenchPart>,
    figures: &mut Figures,
) -> anyhow::Result<BTreeSet<String>> {
    let wants = |part| parts.contains(&part);
    let kinds: &[Kind] = match arguments.engine {
        BenchEngine::Managed => &[Kind::Managed],
        BenchEngine::Stock => &[Kind::Stock],
        BenchEngine::Both => &[Kind::Managed, Kind::Stock],
    };
    let in_memory = arguments.stock_in_memory;
    let one_by_one = arguments.songs as usize + single::WARM_UP;
    let (at_once, tracks) = (arguments.at_once as usize, arguments.tracks as usize);
    let most = one_by_one.max(at_once).max(tracks);
    let setting = Setting::new(config, home, in_memory, most)?;
    let mut versions = BTreeSet::new();

    if wants(BenchPart::A) {
        tell("a: starting and starting again");
        startup::measure(&setting, arguments.starts, figures).await?;
    }
    let works = [BenchPart::B, BenchPart::C, BenchPart::D, BenchPart::E].map(wants);
    let floor = match wants(BenchPart::F) {
        true => Some(Floor::open(&setting).await?),
        false => None,
    };
    let mut worlds = Vec::new();
    if works.contains(&true) {
        for &kind in kinds {
            let world = World::open(&setting, kind).await?;
            versions.insert(world.engine_version.clone());
            worlds.push(world);
        }
        sleep(REST).await;
    }
    let mut idle = Vec::new();
    for world in &worlds {
        idle.push(Some(world.usage()?));
    }
    // Alone, the floor runs both ways.
    let floor_alone = wants(BenchPart::F) && worlds.is_empty();
    let mut song_on_floor = None;
    if wants(BenchPart::B) || floor_alone {
        tell("b, f: one song after the other");
        let songs = &setting.songs[..one_by_one];
        song_on_floor = single::measure(&worlds, floor.as_ref(), songs, figures).await?;
    }
    if wants(BenchPart::C) {
        tell("c: many at once");
        flood::measure(
            &worlds,
            &setting.songs[..at_once],
            arguments.rounds,
            figures,
        )
        .await?;
    }
    if wants(BenchPart::D) || wants(BenchPart::E) || floor_alone {
        tell("d, e, f: batches");
        let songs = &setting.songs[..tracks];
        let rounds = arguments.rounds;
        let on_floor = (floor.as_ref(), song_on_floor);
        let busy = batch::measure(&worlds, on_floor, songs, rounds, figures).await?;
        if wants(BenchPart::E) {
            batch::show_memory(&worlds, &idle, &busy, figures);
        }
    }
    for world in worlds {
        world.close().await?;
    }
    if let Some(floor) = floor {
        floor.close().await?;
    }
    if wants(BenchPart::G) {
        for size in GROWTH
            .into_iter()
            .filter(|&size| size <= arguments.grow_to as usize)
        {
            tell(&format!("g: a batch of {size}"));
            let setting = Setting::new(config, home, in_memory, size)?;
            batch::grow(&setting, kinds, figures).await?;
        }
    }
    Ok(versions)
}

/// A value of each world that was measured, under its engine.
fn of_worlds<T>(worlds: &[World], seen: &[T], value: &dyn Fn(&T) -> Option<f64>) -> Values {
    let of = |kind| {
        let at = worlds.iter().position(|world| world.kind == kind)?;
        seen.get(at).and_then(value)
    };
    Values {
        managed: of(Kind::Managed),
        stock: of(Kind::Stock),
        floor: None,
    }
}

/// Says how far it is, where it is not in the way of the figures.
fn tell(what: &str) {
    eprintln!("{what} ...");
}

fn build() -> &'static str {
    match cfg!(debug_assertions) {
        true => "debug",
        false => "release",
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What is measured in place of the managed engine.
fn stock_in_words(arguments: &BenchArgs) -> String {
    let database = match arguments.stock_in_memory {
        true => "in memory",
        false => "with a database file",
    };
    format!(
        "`temporal server start-dev` {database}, without {}",
        stock::LEFT_OUT
    )
}

fn for_people(arguments: &BenchArgs, versions: &BTreeSet<String>, figures: &Figures) -> String {
    let mut text = format!(
        "segue {}, {} build, {} cores",
        env!("CARGO_PKG_VERSION"),
        build(),
        cores()
    );
    for version in versions {
        text += &format!(", Temporal server {version}");
    }
    if cfg!(debug_assertions) {
        text += "\nThis is a debug build: Segue and its upstream are several times slower than in a release \
                 build (cargo build --release).";
    }
    text += &format!("\n\n{}\n", figures.table());
    text += "\nmanaged: the engine as Segue starts it.";
    if arguments.engine != BenchEngine::Managed {
        text += &format!("\nstock: {}.", stock_in_words(arguments));
    }
    if figures.all.iter().any(|figure| figure.floor.is_some()) {
        text += "\nfloor: the same calls of the upstream, one after the other, without Temporal.";
    }
    if figures
        .all
        .iter()
        .any(|figure| figure.times_stock.or(figure.times_floor).is_some())
    {
        text += "\ntimes stock, times floor: how many times as fast the managed engine is; above 1 it is faster.";
    }
    text
}

fn as_json(
    arguments: &BenchArgs,
    versions: &BTreeSet<String>,
    figures: &Figures,
) -> anyhow::Result<String> {
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "build": build(),
        "cores": cores(),
        "engine_versions": versions,
        "stock": stock_in_words(arguments),
        "songs": arguments.songs,
        "at_once": arguments.at_once,
        "tracks": arguments.tracks,
        "rounds": arguments.rounds,
        "starts": arguments.starts,
        "figures": figures.all,
    });
    Ok(serde_json::to_string_pretty(&report)?)
}
