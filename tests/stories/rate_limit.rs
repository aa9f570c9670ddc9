//! "Spotify told us to slow down."

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use segue_spotify::sim::LoggedRequest;
use serde_json::{Value, json};

use crate::support::{CLOCKS, World, ended, engine_of, kill, song, stands, start, until};

#[tokio::test]
async fn a_rate_limit_is_waited_out_in_sight_and_burns_no_attempt() {
    let world = World::new().await;
    let server = world.serve().await;
    // More refusals than a search has attempts: they must not count.
    world
        .fault(json!({"endpoint": "search", "count": 4, "status": 429, "retry_after": 2}))
        .await;
    world
        .fault(json!({"endpoint": "add_items", "count": 1, "status": 429, "retry_after": 3}))
        .await;
    let id = start(&server, song(CLOCKS, world.empty())).await;

    let view = async || {
        server
            .call("get_sync_progress", json!({"sync_id": id}))
            .await
            .unwrap()
    };
    let listed = async || {
        let page = server
            .call("list_syncs", json!({"status": "waiting_for_rate_limit"}))
            .await
            .unwrap();
        page["syncs"].as_array().unwrap().len()
    };
    until("the wait of the search is shown", async || {
        view().await["waiting_until"].is_string()
    })
    .await;
    until("and listed", async || listed().await == 1).await;
    world.until_asked("add_items", 1).await;
    until("the wait of the add is shown", async || {
        let view = view().await;
        view["status"] == "waiting_for_rate_limit" && view["current_step"] == "add"
    })
    .await;

    let view = ended(&server, &id).await;
    assert_eq!(
        (&view["status"], &view["success"]),
        (&json!("completed"), &json!(true)),
        "{view:#}"
    );
    assert_eq!(view["retry_count"], 0, "waiting is no retry: {view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(listed().await, 0);
    // Nobody asked before the time was up.
    let times: Vec<u64> = world
        .asked("search")
        .iter()
        .map(|request| request.at_ms)
        .collect();
    for pair in times[..5].windows(2) {
        assert!(pair[1] - pair[0] >= 2_000, "{times:?}");
    }
    server.end().await.unwrap();
}

/// 22 h: the longest wait that was seen in the field.
const LONG: i64 = 79_200;

fn wakes_in(view: &Value) -> Option<SignedDuration> {
    let until: Timestamp = view["waiting_until"].as_str()?.parse().ok()?;
    Some(until.duration_since(Timestamp::now()))
}

/// The clock is the real one, so the 22 hours are not waited for: what is seen is that nobody calls,
/// that the time is shown and kept, and that no attempt is burnt. That the time then comes is seen
/// with short waits above, and with 22 h on a wound clock in `workflows/gate/limiter.rs`.
#[tokio::test]
async fn after_a_429_of_22_hours_nobody_calls_and_a_restart_forgets_nothing() {
    let world = World::new().await;
    let server = world.serve().await;
    world
        .fault(json!({"endpoint": "search", "count": 1, "status": 429, "retry_after": LONG}))
        .await;
    let first = start(&server, song(CLOCKS, world.empty())).await;
    let before = stands(&server, &first, "waiting_for_rate_limit").await;
    let wakes = wakes_in(&before).expect("a wake-up time");
    let (least, most) = (LONG - 60, LONG + 5);
    assert!((least..=most).contains(&wakes.as_secs()), "{before:#}");
    assert_eq!(before["retry_count"], 0, "{before:#}");

    // Everything dies, and comes back.
    let engine = engine_of(&world);
    server.kill().await.unwrap();
    kill(engine);
    let server = world.serve().await;
    let after = stands(&server, &first, "waiting_for_rate_limit").await;
    assert_eq!(
        after["waiting_until"], before["waiting_until"],
        "22 hours are not forgotten"
    );
    // A new sync knows of it as well, though it met no 429 itself, and waits for the same time.
    let second = start(&server, song(("Kids", "MGMT", ""), world.empty())).await;
    let view = stands(&server, &second, "waiting_for_rate_limit").await;
    let wakes = wakes_in(&view).expect("a wake-up time");
    assert!((least..=most).contains(&wakes.as_secs()), "{view:#}");
    assert_eq!(view["retry_count"], 0, "{view:#}");
    let health = server.call("get_health", json!({})).await.unwrap();
    assert_eq!(health["healthy"], false, "{health:#}");
    assert!(health["limiter"]["blocked_until"].is_string(), "{health:#}");
    assert_eq!(health["syncs"]["waiting_for_rate_limit"], 2, "{health:#}");
    assert_eq!(world.asked("search").len(), 1, "nobody called meanwhile");

    // Somebody who has signed in with another app need not wait.
    let reset = json!({"part": "rate_limit"});
    let reset = server.call("reset_circuit", reset).await.unwrap();
    assert_eq!(reset["woken"], 2, "{reset:#}");
    for id in [first, second] {
        let view = ended(&server, &id).await;
        assert_eq!(view["success"], true, "{view:#}");
        assert_eq!(view["retry_count"], 0, "{view:#}");
    }
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_limit_that_one_process_met_holds_for_the_other() {
    let world = World::new().await;
    let (one, other) = (world.serve().await, world.serve().await);
    for (server, title) in [(&one, CLOCKS), (&other, ("Kids", "MGMT", ""))] {
        let id = start(server, song(title, world.empty())).await;
        ended(server, &id).await;
    }
    world
        .fault(json!({"endpoint": "search", "count": 1, "status": 429, "retry_after": LONG}))
        .await;
    let limited = start(&one, song(("Up", "Cardi B", ""), world.empty())).await;
    stands(&one, &limited, "waiting_for_rate_limit").await;
    let refused = |request: &LoggedRequest| request.status == Some(429);
    let requests = world.sim.requests();
    let met = requests.iter().find(|request| refused(request)).unwrap();
    // The other process hears of it when it renews its share: 8.5 s later at most, if it believes to
    // be alone, as it does when all work so far has come to the first.
    tokio::time::sleep(Duration::from_secs(10)).await;
    // The work of both goes to both: some of these are taken by the process that met no limit.
    let mut others = Vec::new();
    for title in [
        "Creep",
        "No Surprises",
        "Karma Police",
        "Mask Off",
        "Roxanne",
    ] {
        others.push(start(&other, song((title, "Radiohead", ""), world.empty())).await);
    }
    for id in &others {
        stands(&other, id, "waiting_for_rate_limit").await;
    }
    let later: Vec<_> = world
        .sim
        .requests()
        .into_iter()
        .filter(|request| request.seq > met.seq)
        .collect();
    assert!(later.is_empty(), "{later:?}");
    one.end().await.unwrap();
    other.end().await.unwrap();
}

#[tokio::test]
async fn a_budget_is_kept_and_what_is_over_it_waits_its_turn() {
    let world = World::new().await;
    let launch = world.launch().with("SEGUE_UPSTREAM_BUDGET", "40");
    let server = segue::client::Server::start(&launch).await.unwrap();
    let mut ids = Vec::new();
    for title in [
        "Creep", "Clocks", "Kids", "Up", "Mask Off", "Roxanne", "Halo", "Toxic",
    ] {
        let call =
            json!({"title": title, "artist": "Nobody Of That Name", "playlist": world.empty()});
        ids.push(start(&server, call).await);
    }
    for id in ids {
        assert_eq!(ended(&server, &id).await["status"], "completed");
    }
    let mut times: Vec<u64> = world
        .asked("search")
        .iter()
        .map(|request| request.at_ms)
        .collect();
    times.sort_unstable();
    let in_window = |from: u64| {
        let within = |&&at: &&u64| at >= from && at < from + 30_000;
        times.iter().filter(within).count()
    };
    let most = times.iter().map(|&from| in_window(from)).max();
    assert!(times.len() >= 16, "several queries each: {}", times.len());
    assert!(most <= Some(40), "{most:?} calls in 30 s");
    server.end().await.unwrap();
}
