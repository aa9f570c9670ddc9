//! (c) Many songs at once into one playlist: from the first call until the engine has closed the last sync.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde_json::json;

use super::{
    figures::{Better, Figures, Sample, Values},
    songs::Song,
    world::World,
};
use crate::{cli::BenchPart, commands::stage::is_ended};

/// Views that are read at a time when all is over.
const AT_ONCE: usize = 8;
/// How long a look waits, in seconds.
const WAIT_SECONDS: u32 = 45;

#[derive(Default)]
struct Seen {
    rates: Sample,
    accepted: Sample,
    requests: Sample,
}

pub(super) async fn measure(
    worlds: &[World],
    songs: &[Song],
    rounds: u32,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut seen: Vec<Seen> = worlds.iter().map(|_| Seen::default()).collect();
    for _ in 0..rounds {
        for (world, seen) in worlds.iter().zip(&mut seen) {
            flood(world, songs, seen).await?;
        }
    }
    let both =
        |value: fn(&Seen) -> &Sample| super::of_worlds(worlds, &seen, &|seen| value(seen).median());
    let mut add = |name, unit, better, what: String, values: Values| {
        figures.add(BenchPart::C, (name, unit, better), what, values);
    };
    let what = format!("{} at once: syncs a second", songs.len());
    let rates = both(|seen| &seen.rates);
    add("syncs_a_second", "/s", Better::More, what, rates);
    let what = "all of them accepted after".to_owned();
    let accepted = both(|seen| &seen.accepted);
    add("accepted_ms", "ms", Better::Less, what, accepted);
    let what = "Spotify requests a song".to_owned();
    let requests = both(|seen| &seen.requests);
    add("requests_a_song_at_once", "", Better::Same, what, requests);
    Ok(())
}

async fn flood(world: &World, songs: &[Song], seen: &mut Seen) -> anyhow::Result<()> {
    let playlist = world.stage.make_playlist("All at once", &[]).await?;
    let requests = world.requests();
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let begun = Instant::now();
    let calls = songs.iter().map(|song| {
        let mut call = song.row.clone();
        call["playlist"] = json!(playlist);
        world.server.call("sync_track", call)
    });
    let views = try_join_all(calls).await?;
    seen.accepted.add_ms(begun.elapsed());
    // Whoever looks meanwhile takes time of the engine's; it knows itself when each ended.
    let ids: Result<Vec<&str>, _> = views
        .iter()
        .map(|view| view["sync_id"].as_str().context("no sync_id"))
        .collect();
    let all = format!("WorkflowType = 'MusicSync' AND PlaylistId = '{playlist}'");
    stream::iter(ids?.into_iter().rev())
        .map(|id| async move {
            while !is_ended(&world.look(id, WAIT_SECONDS).await?) {}
            Ok::<_, anyhow::Error>(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    let closed = world.histories(&all).await?;
    let uris = world.stage.sim.playlist_uris(&playlist).unwrap_or_default();
    ensure!(
        uris.len() == songs.len() && closed.workflows == songs.len(),
        "{} songs were asked for, {} syncs ended, {} songs are there",
        songs.len(),
        closed.workflows,
        uris.len()
    );
    let count = songs.len() as f64;
    seen.rates
        .add(count / (closed.last_closed - since).max(1e-3));
    seen.requests
        .add((world.requests() - requests) as f64 / count);
    Ok(())
}
