//! How a batch grows: events, bytes, memory and tracks a second at 1,000, 5,000 and 20,000 tracks, on a
//! simulated Spotify without latency. `cargo bench --bench batch`, or with numbers of tracks of your own:
//! `cargo bench --bench batch -- 500 2000`

#![expect(clippy::print_stdout, reason = "its figures are for people")]

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::Context;
use futures::TryStreamExt;
use segue::{
    client::{Launch, Server},
    config::Config,
    engine::{Engine, EngineOptions},
    home::Home,
};
use segue_spotify::sim::{CatalogSource, Sim, SimOptions};
use serde_json::{Value, json};
use sysinfo::{Pid, ProcessesToUpdate, System};
use temporalio_client::WorkflowListOptions;

/// Tracks of each run.
const SIZES: [usize; 3] = [1_000, 5_000, 20_000];
/// Time between two looks at the batch.
const LOOK_EVERY: Duration = Duration::from_millis(200);

fn main() -> anyhow::Result<()> {
    let asked: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let sizes = match asked.is_empty() {
        true => SIZES.to_vec(),
        false => asked,
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    println!(
        "| tracks | tracks/s | at 10 % | at 90 % | requests/track | events/track | \
         longest history | largest history | Segue's memory |\n|---|---|---|---|---|---|---|---|---|"
    );
    for tracks in sizes {
        println!("{}", runtime.block_on(run(tracks))?);
    }
    Ok(())
}

/// Runs a batch of so many tracks in a world of its own, and gives its row of the table.
async fn run(tracks: usize) -> anyhow::Result<String> {
    let scratch = tempfile::tempdir()?;
    let (catalog, rows) = songs(tracks);
    let file = scratch.path().join("catalog.csv");
    std::fs::write(&file, catalog)?;
    let sim = Sim::start(SimOptions {
        catalog: CatalogSource::File(file),
        ..SimOptions::default()
    })
    .await?;
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("segue-cache");
    let program = env!("CARGO_BIN_EXE_segue");
    let launch = Launch::new(program, scratch.path(), &cache, sim.ready())
        .with("SEGUE_UPSTREAM_BUDGET", "100000")
        .logging_to(scratch.path().join("server.log"));
    let server = Server::start(&launch).await?;
    let call = json!({"tracks": rows, "playlist": sim.empty_playlist_id()});
    let started = server.call("sync_playlist", call).await?;
    let id = started["sync_id"].as_str().context("no id")?.to_owned();

    let mut memory = 0;
    let mut course = Vec::new();
    let ended = loop {
        tokio::time::sleep(LOOK_EVERY).await;
        memory = memory.max(memory_of(server.pid().context("it has ended")?));
        let view = server
            .call("get_sync_progress", json!({"sync_id": id}))
            .await?;
        course.push((seconds(&view), done(&view)));
        if !view["success"].is_null() {
            break view;
        }
    };
    anyhow::ensure!(ended["success"] == true, "{ended:#}");
    let histories = histories(scratch.path(), &cache, program).await?;
    let requests = sim
        .requests()
        .iter()
        .filter(|request| request.path.starts_with("/v1/"))
        .count();
    server.end().await?;

    let percent = tracks as f64 / 100.0;
    let events: i64 = histories.iter().map(|(events, _)| events).sum();
    let longest = histories.iter().map(|(events, _)| *events).max();
    let largest = histories.iter().map(|(_, bytes)| *bytes).max();
    Ok(format!(
        "| {tracks} | {:.0} | {:.0} | {:.0} | {:.3} | {:.2} | {} events | {:.1} MB | {:.0} MB |",
        tracks as f64 / seconds(&ended),
        rate(&course, 5.0 * percent, 15.0 * percent),
        rate(&course, 85.0 * percent, 95.0 * percent),
        requests as f64 / tracks as f64,
        events as f64 / tracks as f64,
        longest.unwrap_or_default(),
        largest.unwrap_or_default() as f64 / 1e6,
        memory as f64 / 1e6,
    ))
}

fn seconds(view: &Value) -> f64 {
    view["elapsed_seconds"].as_f64().unwrap_or_default()
}

fn done(view: &Value) -> f64 {
    let counts = &view["batch"]["counts"];
    let count = |name: &str| counts[name].as_f64().unwrap_or_default();
    count("total") - count("pending")
}

/// Tracks a second on the way from one number of tracks to another.
fn rate(course: &[(f64, f64)], from: f64, to: f64) -> f64 {
    let at = |tracks: f64| {
        let reached = course.iter().find(|(_, done)| *done >= tracks);
        reached.copied().unwrap_or_default()
    };
    let (first, last) = (at(from), at(to));
    (last.1 - first.1) / (last.0 - first.0).max(0.001)
}

/// Events and bytes of every history there is.
async fn histories(home: &Path, cache: &Path, program: &str) -> anyhow::Result<Vec<(i64, i64)>> {
    let mut options: EngineOptions = Config::default().engine_options();
    options.cache_dir = Some(cache.to_owned());
    options.supervisor.program = program.into();
    let engine = Engine::connect(&options, &Home::at(home)?).await?;
    let of_the_batch = "WorkflowType IN ('BatchSync', 'BatchPage', 'PlacePage')";
    let all = engine
        .client()
        .list_workflows(of_the_batch, WorkflowListOptions::default());
    let sizes = all.map_ok(|workflow| {
        let info = workflow.raw();
        (info.history_length, info.history_size_bytes)
    });
    Ok(sizes.try_collect().await?)
}

/// Bytes of memory that the process holds.
fn memory_of(process: u32) -> u64 {
    let pid = Pid::from_u32(process);
    let mut system = System::new();
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    system.process(pid).map_or(0, sysinfo::Process::memory)
}

/// A playlist holds no more than this. Of more tracks several in a row are releases of one song: each is
/// searched and matched, one is added, and the others are left out; so the work is the same all the way.
const PLAYLIST_HOLDS: usize = 10_000;

/// A catalogue of so many invented songs, and how another service exports them.
fn songs(tracks: usize) -> (String, Vec<Value>) {
    let mut catalog =
        "id,name,artists,album,release_date,duration_ms,explicit,popularity,isrc\n".to_owned();
    let mut rows = Vec::new();
    for n in 0..tracks {
        let song = n * PLAYLIST_HOLDS.min(tracks) / tracks;
        let title = format!("{} {}", word(song), word(song / 7 + 31));
        let artist = word(song % 997 + 5_000);
        let isrc = format!("QZS{:02}{:07}", n % 90 + 10, n);
        let album = word(n % 499 + 9_000);
        let length = 120_000 + song * 7_919 % 240_000;
        let _ = writeln!(
            catalog,
            "{n:022},{title},{artist},{album},2019-01-01,{length},false,{},{isrc}",
            n % 100
        );
        rows.push(json!({"title": title, "artist": artist, "album": album,
            "duration_ms": length, "isrc": isrc}));
    }
    (catalog, rows)
}

/// A word of its own for each number.
fn word(n: usize) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "do", "ki", "lu", "me", "no", "pi", "ra", "su", "te", "va", "wo", "xi", "ya", "ze",
        "gu",
    ];
    let mut left = n + 256;
    let mut word = String::new();
    while left > 0 {
        word.push_str(SYLLABLES[left % 16]);
        left /= 16;
    }
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
