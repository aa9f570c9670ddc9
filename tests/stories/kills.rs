//! "My laptop crashed half way." The serving process, the upstream and the engine are killed at
//! every boundary of every step; the track is in the playlist once, and was added once.

use serde_json::{Value, json};

use crate::support::{
    CLOCKS, HELD_MS, HELD_ON, World, all, ended, engine_of, held, kill, processes, song, start,
    until,
};

/// A moment of a sync: the request of this number at this endpoint, held before it takes effect,
/// or after that and before its answer.
#[derive(Clone, Copy, Debug)]
struct Moment {
    endpoint: &'static str,
    number: usize,
    hold: &'static str,
}

const fn moment(endpoint: &'static str, number: usize, hold: &'static str) -> Moment {
    Moment {
        endpoint,
        number,
        hold,
    }
}

/// Every upstream call of a sync into an empty playlist, before and after: the search, the look,
/// the add, the verification; and the search that is made again because the first was held for so long.
const MOMENTS: [Moment; 9] = [
    moment("search", 1, "latency_ms"),
    moment("search", 1, "latency_after_ms"),
    moment("playlist_items", 1, "latency_ms"),
    moment("playlist_items", 1, "latency_after_ms"),
    moment("add_items", 1, "latency_ms"),
    moment("add_items", 1, "latency_after_ms"),
    moment("playlist_items", 2, "latency_ms"),
    moment("playlist_items", 2, "latency_after_ms"),
    moment("search", 2, "latency_ms"),
];

impl Moment {
    fn fault(self) -> Value {
        let skip = match self.endpoint {
            "search" => 0,
            _ => self.number - 1,
        };
        held(self.endpoint, skip, self.hold)
    }

    /// Waits until a sync is at this moment.
    async fn comes(self, world: &World) {
        world.until_asked(self.endpoint, self.number).await;
        if self.endpoint == "add_items" && self.hold == "latency_after_ms" {
            until("the add takes effect", async || world.effective_adds() == 1).await;
        }
    }
}

fn assert_once(world: &World, view: &Value, moment: Moment) {
    assert_eq!(view["status"], "completed", "{moment:?}: {view:#}");
    assert_eq!(view["success"], true, "{moment:?}: {view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2], "{moment:?}");
    assert_eq!(world.effective_adds(), 1, "{moment:?}");
}

/// Kills the serving process at this moment, starts another, and sees the sync end well.
async fn serving_process_is_killed(moment: Moment) {
    let world = World::new().await;
    world.fault(moment.fault()).await;
    let server = world.serve().await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    moment.comes(&world).await;
    server.kill().await.unwrap();

    let server = world.serve().await;
    world.let_go().await;
    let view = ended(&server, &id).await;
    assert_once(&world, &view, moment);
    server.end().await.unwrap();
}

#[tokio::test]
async fn the_serving_process_is_killed_while_it_searches_or_looks() {
    let searches_and_looks = MOMENTS[..4].iter().chain(&MOMENTS[8..]);
    all(searches_and_looks.map(|&moment| serving_process_is_killed(moment))).await;
}

#[tokio::test]
async fn the_serving_process_is_killed_while_it_adds_or_verifies() {
    all(MOMENTS[4..8]
        .iter()
        .map(|&moment| serving_process_is_killed(moment)))
    .await;
}

/// The lookup of a playlist by its name is a call of its own, before all others.
#[tokio::test]
async fn the_serving_process_is_killed_while_it_looks_up_the_playlist() {
    all(["latency_ms", "latency_after_ms"].map(|hold| async move {
        let moment = moment("my_playlists", 1, hold);
        let world = World::new().await;
        world.fault(moment.fault()).await;
        let server = world.serve().await;
        let id = start(&server, song(CLOCKS, "Fresh Start")).await;
        moment.comes(&world).await;
        server.kill().await.unwrap();

        let server = world.serve().await;
        world.let_go().await;
        assert_once(&world, &ended(&server, &id).await, moment);
        server.end().await.unwrap();
    }))
    .await;
}

#[tokio::test]
async fn the_serving_process_is_killed_while_it_undoes() {
    all(["latency_ms", "latency_after_ms"].map(|hold| async move {
        let undo = moment("remove_items", 1, hold);
        let world = World::new().await;
        world.fault(undo.fault()).await;
        world
            .fault(json!({"endpoint": "add_items", "latency_after_ms": HELD_MS}))
            .await;
        let server = world.serve().await;
        let id = start(&server, song(CLOCKS, world.empty())).await;
        until("the add takes effect", async || world.effective_adds() == 1).await;
        server
            .call("cancel_sync", json!({"sync_id": id}))
            .await
            .unwrap();
        tokio::time::sleep(HELD_ON).await;
        world.order("release", Value::Null).await;
        undo.comes(&world).await;
        server.kill().await.unwrap();

        let server = world.serve().await;
        world.let_go().await;
        let view = ended(&server, &id).await;
        assert_eq!(view["status"], "cancelled", "{hold}: {view:#}");
        assert!(world.in_playlist(world.empty()).is_empty(), "{hold}");
        assert_eq!(world.effective_adds(), 1, "{hold}");
        server.end().await.unwrap();
    }))
    .await;
}

#[tokio::test]
async fn the_serving_process_is_killed_at_once_and_after_the_end() {
    let world = World::new().await;
    let server = world.serve().await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    server.kill().await.unwrap();
    let server = world.serve().await;
    let view = ended(&server, &id).await;
    assert_once(&world, &view, MOMENTS[0]);

    server.kill().await.unwrap();
    let server = world.serve().await;
    assert_once(&world, &ended(&server, &id).await, MOMENTS[7]);
    server.end().await.unwrap();
}

#[tokio::test]
async fn the_upstream_is_killed_at_every_call() {
    all(MOMENTS
        .iter()
        .step_by(2)
        .chain([&MOMENTS[5]])
        .map(|&moment| async move {
            let world = World::new().await;
            world.fault(moment.fault()).await;
            let server = world.serve().await;
            let id = start(&server, song(CLOCKS, world.empty())).await;
            moment.comes(&world).await;
            let upstream = processes(server.pid(), "spotify");
            assert_eq!(upstream.len(), 1, "one upstream process");
            kill(upstream[0]);
            tokio::time::sleep(HELD_ON).await;
            world.let_go().await;
            let view = ended(&server, &id).await;
            assert_once(&world, &view, moment);
            assert!(view["retry_count"].as_u64().unwrap() >= 1, "{view:#}");
            server.end().await.unwrap();
        }))
    .await;
}

#[tokio::test]
async fn the_engine_is_killed_while_it_searches_and_around_the_add() {
    all(
        [MOMENTS[0], MOMENTS[4], MOMENTS[5], MOMENTS[6]].map(|moment| async move {
            let world = World::new().await;
            world.fault(moment.fault()).await;
            let server = world.serve().await;
            let id = start(&server, song(CLOCKS, world.empty())).await;
            moment.comes(&world).await;
            kill(engine_of(&world));
            tokio::time::sleep(HELD_ON).await;
            world.let_go().await;
            let view = ended(&server, &id).await;
            assert_once(&world, &view, moment);
            server.end().await.unwrap();
        }),
    )
    .await;
}
