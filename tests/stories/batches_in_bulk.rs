//! A thousand songs at once: what they cost, and that a process killed every few seconds costs little
//! more.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    batches::{playlist_of, rows, songs, uri_of},
    support::{World, ended, start_batch},
};

/// Songs that are in the playlist before, and songs that are asked for.
const SONGS: usize = 1000;

/// Requests at most that a kill costs: a group of rows, if none of it was told in a heartbeat.
const MOST_AGAIN: usize = 25;

/// Kills at most. Each costs the four searches that are under way and what was not yet told in a heartbeat,
/// and on a slow machine, where a batch takes longer, it would be killed without end.
const MOST_KILLS: u32 = 6;

/// Requests that Spotify has got, those for tokens left out.
fn requests(world: &World) -> usize {
    let all = world.sim.requests();
    all.iter()
        .filter(|request| request.path.starts_with("/v1/"))
        .count()
}

/// Asks for the songs, kills as often as it is told, and gives what became of them and what it cost.
async fn sync(kill_every: Option<Duration>) -> (Vec<String>, usize, Value, u32) {
    let world = World::new().await;
    let songs = songs();
    let (there, new) = songs[..2 * SONGS].split_at(SONGS);
    let playlist = playlist_of(&world, there).await;
    let mut server = world.serve().await;
    let asked = requests(&world);
    let id = start_batch(&server, json!({"tracks": rows(new), "playlist": playlist})).await;
    let mut kills = 0;
    if let Some(pause) = kill_every {
        while kills < MOST_KILLS {
            tokio::time::sleep(pause).await;
            let call = json!({"sync_id": id});
            let view = server.call("get_sync_progress", call).await;
            if view.is_ok_and(|view| view["status"] != "running") {
                break;
            }
            server.kill().await.unwrap();
            kills += 1;
            server = world.serve().await;
        }
    }
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "completed", "{view:#}");
    let before: Vec<String> = there.iter().map(uri_of).collect();
    let after = world.in_playlist(&playlist);
    assert_eq!(after[..SONGS], before, "what was there is there");
    let cost = requests(&world) - asked;
    server.end().await.unwrap();
    (after[SONGS..].to_vec(), cost, view, kills)
}

#[tokio::test]
async fn a_thousand_songs_cost_little_more_than_a_search_each_also_under_kills() {
    let songs = songs();
    let wanted: Vec<String> = songs[SONGS..2 * SONGS].iter().map(uri_of).collect();
    let (added, cost, view, _) = sync(None).await;
    println!(
        "{cost} requests for {SONGS} songs: {:.3} each",
        cost as f64 / SONGS as f64
    );
    println!(
        "{} s, {}",
        view["execution_time_seconds"], view["batch"]["counts"]
    );
    // In the order asked for, and none twice: what was added is what was wanted, but for the few that
    // have no certain match.
    let places: HashMap<&String, usize> = wanted.iter().zip(0..).collect();
    let right: Vec<usize> = added
        .iter()
        .filter_map(|uri| places.get(uri).copied())
        .collect();
    println!(
        "{} added, {} of them the right one",
        added.len(),
        right.len()
    );
    assert!(right.is_sorted_by(|a, b| a < b), "not in order, or twice");
    let right = right.len();
    assert!(right >= SONGS * 97 / 100, "{right} of {}", added.len());
    let distinct: BTreeSet<&String> = added.iter().collect();
    assert_eq!(distinct.len(), added.len());
    assert!(cost <= SONGS * 115 / 100, "{cost} requests");

    let (same, more, view, kills) = sync(Some(Duration::from_secs(5))).await;
    println!(
        "{kills} kills: {more} requests, {} s",
        view["execution_time_seconds"]
    );
    assert!(kills > 0);
    assert_eq!(same, added, "the same end state");
    assert!(
        more <= cost + kills as usize * MOST_AGAIN,
        "{more} requests after {kills} kills, {cost} without"
    );
}
