//! (b) One song after the other: from the call of `sync_track` to its answer when the sync has ended. Each song
//! goes through every engine and over the floor in turn, so that all share the machine's moods.

use std::time::Instant;

use anyhow::ensure;
use serde_json::json;

use super::{
    figures::{Better, Figures, Sample, Values},
    floor::Floor,
    songs::Song,
    world::{Histories, Processes, World},
};
use crate::cli::BenchPart;

/// Songs before those that count: the upstream is started by the first, and everything is warm after some.
pub(super) const WARM_UP: usize = 5;
/// The workflows of a sync of one song.
const ITS_WORKFLOWS: &str = "WorkflowType IN ('MusicSync', 'PlaceTrack')";
/// How long a call waits for the end; none needs it.
const WAIT_SECONDS: u32 = 45;

/// What was seen of one engine.
#[derive(Default)]
struct Seen {
    times: Sample,
    requests: f64,
    events: f64,
    bytes: f64,
    cpu: [f64; 3],
}

/// Measures it, and gives the milliseconds that a song takes on the floor.
pub(super) async fn measure(
    worlds: &[World],
    floor: Option<&Floor>,
    songs: &[Song],
    figures: &mut Figures,
) -> anyhow::Result<Option<f64>> {
    let mut playlists = Vec::new();
    for world in worlds {
        playlists.push(world.stage.make_playlist("One by one", &[]).await?);
    }
    let on_floor = match floor {
        Some(floor) => Some((floor, floor.make_playlist().await?)),
        None => None,
    };
    let mut seen: Vec<Seen> = worlds.iter().map(|_| Seen::default()).collect();
    let mut before: Vec<(usize, Histories)> = Vec::new();
    let mut processes: Vec<Processes> = Vec::new();
    let (mut floor_times, mut floor_before) = (Sample::default(), 0);
    for (number, song) in songs.iter().enumerate() {
        if number == WARM_UP {
            floor_before = floor.map_or(0, Floor::requests);
            for world in worlds {
                let histories = world.histories(ITS_WORKFLOWS).await?;
                before.push((world.requests(), histories));
                processes.push(world.processes()?);
            }
        }
        for (at, (world, playlist)) in worlds.iter().zip(&playlists).enumerate() {
            // Only its own: an engine that rests while another has its turn uses some as well.
            let used = processes.get(at).map(|processes| processes.usage());
            let time = sync(world, song, playlist).await?;
            if let (Some(used), Some(processes)) = (used, processes.get(at)) {
                seen[at].times.add(time);
                let cpu = processes.usage().cpu_since(used);
                for (sum, cpu) in seen[at].cpu.iter_mut().zip(cpu) {
                    *sum += cpu;
                }
            }
        }
        if let Some((floor, playlist)) = &on_floor {
            let begun = Instant::now();
            floor.song(song, playlist).await?;
            if number >= WARM_UP {
                floor_times.add_ms(begun.elapsed());
            }
        }
    }
    let counted = (songs.len() - WARM_UP) as f64;
    for ((world, seen), before) in worlds.iter().zip(&mut seen).zip(&before) {
        let (requests, histories) = before;
        let after = world.histories(ITS_WORKFLOWS).await?;
        seen.requests = (world.requests() - requests) as f64 / counted;
        seen.events = (after.events - histories.events) / counted;
        seen.bytes = (after.bytes - histories.bytes) / counted;
        seen.cpu = seen.cpu.map(|sum| sum / counted);
    }
    let floor_requests = floor.map(|floor| (floor.requests() - floor_before) as f64 / counted);
    let floor_times = floor.map(|_| floor_times);
    let on_floor = floor_times.as_ref().and_then(Sample::median);
    show(worlds, &seen, floor_times, floor_requests, figures);
    Ok(on_floor)
}

/// Syncs a song, and gives the milliseconds that it took.
async fn sync(world: &World, song: &Song, playlist: &str) -> anyhow::Result<f64> {
    let mut call = song.row.clone();
    call["playlist"] = json!(playlist);
    call["wait_seconds"] = json!(WAIT_SECONDS);
    let begun = Instant::now();
    let view = world.server.call("sync_track", call).await?;
    let time = begun.elapsed().as_secs_f64() * 1000.0;
    let well = view["success"] == true && view["spotify_track_uri"] == song.uri.as_str();
    ensure!(well, "a song was not synced: {view:#}");
    Ok(time)
}

fn show(
    worlds: &[World],
    seen: &[Seen],
    floor_times: Option<Sample>,
    floor_requests: Option<f64>,
    figures: &mut Figures,
) {
    let part = match worlds.is_empty() {
        true => BenchPart::F,
        false => BenchPart::B,
    };
    let both = |value: &dyn Fn(&Seen) -> Option<f64>| super::of_worlds(worlds, seen, value);
    let (less, same) = (Better::Less, Better::Same);
    let floor = floor_times.as_ref();
    let p50 = Values {
        floor: floor.and_then(Sample::median),
        ..both(&|seen| seen.times.median())
    };
    let p95 = Values {
        floor: floor.and_then(|times| times.percentile(0.95)),
        ..both(&|seen| seen.times.percentile(0.95))
    };
    let what = "`sync_track` to its end, p50";
    figures.add(part, ("sync_p50_ms", "ms", less), what, p50);
    figures.add(part, ("sync_p95_ms", "ms", less), "the same, p95", p95);
    let over = |value: Option<f64>| Some(value? - p50.floor?);
    let overhead = Values {
        managed: over(p50.managed),
        stock: over(p50.stock),
        floor: None,
    };
    let what = "of that over the floor";
    figures.add(part, ("overhead_p50_ms", "ms", less), what, overhead);
    let requests = Values {
        floor: floor_requests,
        ..both(&|seen| Some(seen.requests))
    };
    let what = "Spotify requests a song";
    figures.add(part, ("requests_a_song", "", same), what, requests);
    let what = "history events a song";
    let events = both(&|seen| Some(seen.events));
    figures.add(part, ("events_a_song", "", same), what, events);
    let what = "history bytes a song";
    let bytes = both(&|seen| Some(seen.bytes));
    figures.add(part, ("history_bytes_a_song", "", same), what, bytes);
    for (at, (name, who)) in super::PROCESSES.into_iter().enumerate() {
        let name = format!("{name}_cpu_ms_a_song");
        let what = format!("CPU a song, {who}");
        let cpu = both(&|seen| Some(seen.cpu[at]));
        figures.add(part, (name, "ms", less), what, cpu);
    }
}
