//! (d) A batch: tracks a second, requests, events and bytes a track; (e) memory, idle and under it; (g) how it
//! grows.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    figures::{Better, Figures, Sample, Values},
    floor::Floor,
    songs::Song,
    world::{Kind, Setting, Usage, World},
};
use crate::{cli::BenchPart, commands::stage::is_ended};

/// Time between two looks at the batch and at the memory of the processes.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The workflows of a batch.
const ITS_WORKFLOWS: &str = "WorkflowType IN ('BatchSync', 'BatchPage', 'PlacePage')";

/// One batch, seen from outside.
struct Ran {
    tracks: usize,
    seconds: f64,
    requests: usize,
    added: usize,
    peak: Usage,
    /// Seconds, and tracks done by then.
    course: Vec<(f64, f64)>,
}

/// Runs a batch of these songs into a new playlist.
async fn run(world: &World, songs: &[Song]) -> anyhow::Result<Ran> {
    let playlist = world.stage.make_playlist("A library", &[]).await?;
    let requests = world.requests();
    let rows: Vec<&Value> = songs.iter().map(|song| &song.row).collect();
    let call = json!({"tracks": rows, "playlist": playlist});
    let started = world.server.call("sync_playlist", call).await?;
    let id = started["sync_id"].as_str().context("no sync_id")?;
    let mut processes = world.processes()?;
    let mut peak = processes.usage();
    let mut course = Vec::new();
    let ended = loop {
        sleep(LOOK_EVERY).await;
        if !processes.is_complete() {
            processes = world.processes()?;
        }
        peak = processes.usage().peak(peak);
        let view = world.look(id, 0).await?;
        course.push((seconds(&view), done(&view)));
        if is_ended(&view) {
            break view;
        }
    };
    ensure!(ended["success"] == true, "the batch failed: {ended:#}");
    let uris = world.stage.sim.playlist_uris(&playlist).unwrap_or_default();
    Ok(Ran {
        tracks: songs.len(),
        seconds: seconds(&ended),
        requests: world.requests() - requests,
        added: uris.len(),
        peak,
        course,
    })
}

/// What was seen of one engine.
#[derive(Default)]
struct Seen {
    rates: Sample,
    requests: Sample,
    events: f64,
    bytes: f64,
    cpu: [f64; 3],
    peak: Option<Usage>,
}

/// Measures (d), and gives what the processes held at most. `song_on_floor` is what a song by itself takes there,
/// in milliseconds.
pub(super) async fn measure(
    worlds: &[World],
    (floor, song_on_floor): (Option<&Floor>, Option<f64>),
    songs: &[Song],
    rounds: u32,
    figures: &mut Figures,
) -> anyhow::Result<Vec<Option<Usage>>> {
    let mut seen: Vec<Seen> = worlds.iter().map(|_| Seen::default()).collect();
    let (mut floor_rates, mut floor_requests) = (Sample::default(), Sample::default());
    let tracks = songs.len() as f64;
    for _ in 0..rounds {
        for (world, seen) in worlds.iter().zip(&mut seen) {
            let used = world.usage()?;
            let ran = run(world, songs).await?;
            let cpu = world.usage()?.cpu_since(used);
            for (sum, cpu) in seen.cpu.iter_mut().zip(cpu) {
                *sum += cpu;
            }
            ensure!(
                ran.added == ran.tracks,
                "{} of {tracks} were added",
                ran.added
            );
            seen.rates.add(tracks / ran.seconds);
            seen.requests.add(ran.requests as f64 / tracks);
            seen.peak = Some(seen.peak.map_or(ran.peak, |peak| ran.peak.peak(peak)));
        }
        if let Some(floor) = floor {
            let playlist = floor.make_playlist().await?;
            let (requests, begun) = (floor.requests(), Instant::now());
            floor.batch(songs, &playlist).await?;
            floor_rates.add(tracks / begun.elapsed().as_secs_f64());
            floor_requests.add((floor.requests() - requests) as f64 / tracks);
        }
    }
    let all = tracks * f64::from(rounds);
    for (world, seen) in worlds.iter().zip(&mut seen) {
        let histories = world.histories(ITS_WORKFLOWS).await?;
        seen.events = histories.events / all;
        seen.bytes = histories.bytes / all;
        seen.cpu = seen.cpu.map(|sum| sum / all);
    }
    show(
        worlds,
        &seen,
        songs.len(),
        (&floor_rates, &floor_requests, song_on_floor),
        figures,
    );
    Ok(seen.iter().map(|seen| seen.peak).collect())
}

fn show(
    worlds: &[World],
    seen: &[Seen],
    tracks: usize,
    (floor_rates, floor_requests, song_on_floor): (&Sample, &Sample, Option<f64>),
    figures: &mut Figures,
) {
    let part = match worlds.is_empty() {
        true => BenchPart::F,
        false => BenchPart::D,
    };
    let both = |value: &dyn Fn(&Seen) -> Option<f64>| super::of_worlds(worlds, seen, value);
    let rates = Values {
        floor: floor_rates.median(),
        ..both(&|seen| seen.rates.median())
    };
    let what = format!("a batch of {tracks}: tracks a second");
    figures.add(part, ("tracks_a_second", "/s", Better::More), what, rates);
    if let Some(milliseconds) = song_on_floor {
        let song_by_song = Values {
            floor: Some(1000.0 / milliseconds),
            ..rates
        };
        let name = "tracks_a_second_to_songs";
        let what = "the same, to the floor song by song";
        figures.add(part, (name, "/s", Better::More), what, song_by_song);
    }
    let requests = Values {
        floor: floor_requests.median(),
        ..both(&|seen| seen.requests.median())
    };
    let what = "Spotify requests a track";
    figures.add(part, ("requests_a_track", "", Better::Same), what, requests);
    let events = both(&|seen| Some(seen.events));
    let what = "history events a track";
    figures.add(part, ("events_a_track", "", Better::Same), what, events);
    let bytes = both(&|seen| Some(seen.bytes));
    let what = "history bytes a track";
    figures.add(
        part,
        ("history_bytes_a_track", "", Better::Same),
        what,
        bytes,
    );
    for (at, (name, who)) in super::PROCESSES.into_iter().enumerate() {
        let name = format!("{name}_cpu_ms_a_track");
        let what = format!("CPU a track, {who}");
        let cpu = both(&|seen| Some(seen.cpu[at]));
        figures.add(part, (name, "ms", Better::Less), what, cpu);
    }
}

/// Shows (e): what the processes held idle, and at most under (d).
pub(super) fn show_memory(
    worlds: &[World],
    idle: &[Option<Usage>],
    busy: &[Option<Usage>],
    figures: &mut Figures,
) {
    for (when, name, usages) in [("idle", "idle", idle), ("under (d)", "busy", busy)] {
        for (at, (process, who)) in super::PROCESSES.into_iter().enumerate() {
            let megabytes = |usage: &Option<Usage>| {
                let usage = usage.as_ref()?;
                let used = [usage.segue, usage.upstream, usage.engine];
                Some(used[at].memory / 1e6).filter(|&held| held > 0.0)
            };
            let values = super::of_worlds(worlds, usages, &megabytes);
            let name = format!("{process}_{name}_mb");
            let what = format!("memory {when}, {who}");
            figures.add(BenchPart::E, (name, "MB", Better::Less), what, values);
        }
    }
}

/// Measures (g): a batch of each size, in a world of its own.
pub(super) async fn grow(
    setting: &Setting<'_>,
    kinds: &[Kind],
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let tracks = setting.songs.len();
    let (mut worlds, mut all) = (Vec::new(), Vec::new());
    for &kind in kinds {
        let world = World::open(setting, kind).await?;
        let ran = run(&world, &setting.songs).await?;
        all.push((world.histories(ITS_WORKFLOWS).await?, ran));
        worlds.push(world);
    }
    type Of<'f> = &'f dyn Fn(&(super::world::Histories, Ran)) -> Option<f64>;
    let mut add = |name: &str, unit, better, what: &str, value: Of<'_>| {
        let values = super::of_worlds(&worlds, &all, value);
        let (name, what) = (
            format!("{name}_{tracks}"),
            format!("{tracks} tracks: {what}"),
        );
        figures.add(BenchPart::G, (name, unit, better), what, values);
    };
    let count = tracks as f64;
    let (more, less, same) = (Better::More, Better::Less, Better::Same);
    let rate: Of<'_> = &|(_, ran)| Some(count / ran.seconds);
    add("tracks_a_second", "/s", more, "tracks a second", rate);
    let early: Of<'_> = &|(_, ran)| ran.rate(0.05, 0.15);
    add(
        "early_a_second",
        "/s",
        more,
        "of that around 10 % of the way",
        early,
    );
    let late: Of<'_> = &|(_, ran)| ran.rate(0.85, 0.95);
    add(
        "late_a_second",
        "/s",
        more,
        "of that around 90 % of the way",
        late,
    );
    let requests: Of<'_> = &|(_, ran)| Some(ran.requests as f64 / count);
    add("requests_a_track", "", same, "requests a track", requests);
    let events: Of<'_> = &|(histories, _)| Some(histories.events / count);
    add("events_a_track", "", same, "history events a track", events);
    let bytes: Of<'_> = &|(histories, _)| Some(histories.bytes / count);
    add(
        "history_bytes_a_track",
        "",
        same,
        "history bytes a track",
        bytes,
    );
    let longest: Of<'_> = &|(histories, _)| Some(histories.longest);
    add(
        "longest_events",
        "",
        same,
        "events of the longest history",
        longest,
    );
    let largest: Of<'_> = &|(histories, _)| Some(histories.largest / 1e6);
    add("largest_mb", "MB", same, "the largest history", largest);
    let memory: Of<'_> = &|(_, ran)| Some(ran.peak.segue.memory / 1e6);
    add("segue_mb", "MB", less, "memory of Segue", memory);
    let engine: Of<'_> = &|(_, ran)| Some(ran.peak.engine.memory / 1e6);
    add("engine_mb", "MB", less, "memory of the engine", engine);
    for world in worlds {
        world.close().await?;
    }
    Ok(())
}

impl Ran {
    /// Tracks a second from one share of the way to another; nothing if it was too short to tell.
    fn rate(&self, from: f64, to: f64) -> Option<f64> {
        let at = |share: f64| {
            let tracks = share * self.tracks as f64;
            self.course
                .iter()
                .find(|(_, done)| *done >= tracks)
                .copied()
        };
        let (first, last) = (at(from)?, at(to)?);
        let time = last.0 - first.0;
        (time >= 5.0 * LOOK_EVERY.as_secs_f64()).then(|| (last.1 - first.1) / time)
    }
}

fn seconds(view: &Value) -> f64 {
    view["elapsed_seconds"].as_f64().unwrap_or_default()
}

fn done(view: &Value) -> f64 {
    let counts = &view["batch"]["counts"];
    let count = |name: &str| counts[name].as_f64().unwrap_or_default();
    count("total") - count("pending")
}
