//! "Spotify was down for a minute, and I had just asked for two hundred songs."

use std::time::Duration;

use futures::{StreamExt, stream};
use segue_spotify::sim::catalog::{Catalog, Track};
use serde_json::{Value, json};

use crate::support::{CLOCKS, World, ended, song, stands, start, until};

const SYNCS: usize = 200;
const OUTAGE: Duration = Duration::from_secs(60);

/// Requests that reach a Spotify that is down: those that were under way when it went down (a
/// worker makes 40 calls at a time, and 20 searches at once), and one try each time a cool-down of
/// one of the two circuits is over (5, 10, 20, 40 s).
const MOST_REQUESTS: usize = 40 + 20 + 2 * 4;

fn songs() -> Vec<Track> {
    let catalog = Catalog::builtin();
    let known = |track: &&Track| track.isrc.is_some() && !track.name.is_empty();
    let mut songs: Vec<Track> = catalog.tracks().iter().filter(known).cloned().collect();
    songs.dedup_by(|one, other| one.isrc == other.isrc);
    songs.truncate(SYNCS);
    songs
}

#[tokio::test]
async fn two_hundred_syncs_outlast_an_outage_of_a_minute() {
    let world = World::new().await;
    let server = world.serve().await;
    let first = start(&server, song(CLOCKS, world.empty())).await;
    ended(&server, &first).await;
    let before = world.sim.requests().len();

    world
        .fault(json!({"endpoint": "any", "count": 0, "status": 503}))
        .await;
    let playlist = world.empty();
    let ids: Vec<String> = stream::iter(songs())
        .map(|track| {
            let call = json!({"title": track.name, "artist": track.artists[0],
                "isrc": track.isrc, "playlist": playlist});
            start(&server, call)
        })
        .buffered(8)
        .collect()
        .await;
    assert_eq!(ids.len(), SYNCS);
    tokio::time::sleep(OUTAGE).await;
    let during = world.sim.requests().len() - before;
    let health = server.call("get_health", json!({})).await.unwrap();
    world.lift_faults().await;
    assert!(
        during <= MOST_REQUESTS,
        "{during} requests while it was down"
    );
    assert!(
        health["problems"].to_string().contains("upstream"),
        "{health:#}"
    );
    assert_eq!(health["syncs"]["dead_lettered"], 0, "{health:#}");

    for id in &ids {
        let view = ended(&server, id).await;
        assert_eq!(
            (&view["status"], &view["success"]),
            (&json!("completed"), &json!(true)),
            "{view:#}"
        );
    }
    let dead = json!({"status": "dead_lettered"});
    let dead = server.call("list_syncs", dead).await.unwrap();
    assert_eq!(dead["syncs"], json!([]));
    println!(
        "{during} requests in the {} s of the outage",
        OUTAGE.as_secs()
    );
    server.end().await.unwrap();
}

/// Every attempt counts that has waited for an answer in vain, and the search within the workflow's own task does not
/// wait so long.
#[tokio::test]
async fn a_lone_sync_waits_for_an_upstream_that_stands_still() {
    let world = World::new().await;
    let server = world.serve().await;
    world
        .fault(json!({"endpoint": "search", "count": 0, "latency_ms": 60_000}))
        .await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    stands(&server, &id, "waiting_for_upstream").await;
    world.lift_faults().await;
    server.call("reset_circuit", json!({})).await.unwrap();
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_lone_sync_waits_for_the_upstream_in_sight_and_is_let_go_on() {
    let world = World::new().await;
    let server = world.serve().await;
    world
        .fault(json!({"endpoint": "search", "count": 0, "drop": "before"}))
        .await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    let view = stands(&server, &id, "waiting_for_upstream").await;
    assert!(view["waiting_until"].is_string(), "{view:#}");
    assert_eq!(view["error_code"], "upstream_unavailable", "{view:#}");
    let listed = server.call("list_syncs", json!({"status": "waiting_for_upstream"}));
    assert_eq!(
        listed.await.unwrap()["syncs"].as_array().map(Vec::len),
        Some(1)
    );

    let circuit = async || -> Value {
        let health = server.call("get_health", json!({})).await.unwrap();
        assert_eq!(health["healthy"], false, "{health:#}");
        health["circuits"][0].clone()
    };
    assert_eq!(circuit().await["group"], "search");
    until("the circuit has opened again and again", async || {
        circuit().await["times_opened"].as_u64() >= Some(2)
    })
    .await;

    // The circuit knows of its trial before the sync does.
    until("the sync waits again", async || {
        let listed = server.call("list_syncs", json!({"status": "waiting_for_upstream"}));
        listed.await.unwrap()["syncs"].as_array().map(Vec::len) == Some(1)
    })
    .await;

    // Two cool-downs more would take half a minute. Somebody who knows that it works again says so.
    world.lift_faults().await;
    let reset = server.call("reset_circuit", json!({})).await.unwrap();
    assert_eq!(reset["woken"], 1, "{reset:#}");
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    let health = server.call("get_health", json!({})).await.unwrap();
    assert_eq!(health["healthy"], true, "{health:#}");
    server.end().await.unwrap();
}
