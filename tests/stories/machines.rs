//! "My disk was full, my laptop slept, somebody tidied up." What machines do to a running sync.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use segue::client::Server;
use serde_json::json;

use crate::support::{
    CLOCKS, World, ended, engine_binary, engine_of, kill, processes, song, start, until,
};

/// A process that was asked to end does so in 5 s, and in this time on a machine that is busy: sooner than the call
/// that is held.
const SOON: Duration = Duration::from_secs(15);

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().unwrap()).unwrap()
}

/// A sync whose request at this endpoint is held for so long.
async fn held(world: &World, endpoint: &str, ms: u32) -> (Server, String) {
    world
        .fault(json!({"endpoint": endpoint, "count": 1, "latency_ms": ms}))
        .await;
    let server = world.serve().await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    world.until_asked(endpoint, 1).await;
    (server, id)
}

/// Waits until the process says that it was asked to stop.
async fn heard_of_the_end(world: &World) {
    let log = world.log();
    until("it has heard of it", async || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("asked to stop"))
    })
    .await;
}

async fn carried_through(world: &World, id: &str) {
    let server = world.serve().await;
    let view = ended(&server, id).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(world.effective_adds(), 1);
    server.end().await.unwrap();
}

#[tokio::test]
async fn sigterm_lets_a_short_call_finish() {
    let world = World::new().await;
    world.hold("my_playlists", "latency_ms").await;
    let server = world.serve().await;
    let id = start(&server, song(CLOCKS, "Fresh Start")).await;
    world.until_asked("my_playlists", 1).await;
    let process = server.pid().unwrap();
    kill_process(pid(process), Signal::TERM).unwrap();
    heard_of_the_end(&world).await;
    world.let_go().await;
    until("it has ended", async || processes_gone(process)).await;
    let asked = world.asked("my_playlists");
    assert_eq!(asked[0].status, Some(200), "it was let finish: {asked:?}");
    drop(server);
    carried_through(&world, &id).await;
    let asked = world.asked("my_playlists").len();
    assert_eq!(asked, 1, "and was not asked again");
}

#[tokio::test]
async fn sigterm_hands_a_long_call_back_and_the_next_worker_gets_it_at_once() {
    let world = World::new().await;
    // The first is given up after 2 s, and made again.
    world
        .fault(json!({"endpoint": "search", "count": 1, "latency_ms": 20_000}))
        .await;
    let (server, id) = held(&world, "search", 20_000).await;
    world.until_asked("search", 2).await;
    let (process, since) = (server.pid().unwrap(), Instant::now());
    kill_process(pid(process), Signal::TERM).unwrap();
    until("it has ended", async || processes_gone(process)).await;
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(world.asked("search")[1].status, None, "it did not wait");
    drop(server);
    carried_through(&world, &id).await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let world = World::new().await;
    let (server, id) = held(&world, "add_items", 20_000).await;
    let (process, since) = (server.pid().unwrap(), Instant::now());
    kill_process(pid(process), Signal::TERM).unwrap();
    heard_of_the_end(&world).await;
    kill_process(pid(process), Signal::TERM).unwrap();
    until("it has ended", async || processes_gone(process)).await;
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    let log = std::fs::read_to_string(world.log()).unwrap();
    // What it says when the time is over that the first signal leaves it.
    assert!(!log.contains("what is under way takes too long"), "{log}");
    drop(server);
    carried_through(&world, &id).await;
}

#[tokio::test]
async fn a_client_that_leaves_during_an_add_ends_the_process_soon() {
    let world = World::new().await;
    let (server, id) = held(&world, "add_items", 20_000).await;
    let since = Instant::now();
    server.end().await.unwrap();
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    carried_through(&world, &id).await;
}

/// Whether the process is gone, or waits only for its parent to notice.
fn processes_gone(process: u32) -> bool {
    use sysinfo::{Pid, ProcessStatus, ProcessesToUpdate, System};
    let mut system = System::new();
    let process = Pid::from_u32(process);
    system.refresh_processes(ProcessesToUpdate::Some(&[process]), true);
    let status = system.process(process).map(sysinfo::Process::status);
    status.is_none_or(|status| status == ProcessStatus::Zombie)
}

/// A process that may not let a file grow is told so as by a full disk.
#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_told() {
    let world = World::new().await;
    let (server, under_way) = held(&world, "search", 3_000).await;
    let engine = pid(engine_of(&world));
    let full = Rlimit {
        current: Some(4_096),
        maximum: None,
    };
    let before = prlimit(Some(engine), Resource::Fsize, full).unwrap();

    let call = song(("Kids", "MGMT", ""), world.empty());
    let refused = server.call_raw("sync_track", call).await.unwrap();
    assert_eq!(refused.is_error, Some(true), "{refused:?}");
    let told = refused.structured_content.unwrap_or_default().to_string();
    assert!(told.contains("engine_failed"), "{told}");
    let health = server.call("get_health", json!({})).await.unwrap();
    assert_eq!(health["healthy"], false, "{health:#}");

    prlimit(Some(engine), Resource::Fsize, before).unwrap();
    let view = ended(&server, &under_way).await;
    assert_eq!(view["success"], true, "{view:#}");
    let id = start(&server, song(("Toxic", "Kehlani", ""), world.empty())).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    server.end().await.unwrap();
    let there = world.in_playlist(world.empty());
    assert_eq!(there.iter().filter(|uri| *uri == CLOCKS.2).count(), 1);
}

/// All processes of a laptop that sleeps stop at once, and go on at once, when leases and heartbeats
/// are long over.
#[tokio::test]
async fn a_laptop_sleeps_in_the_middle_of_an_add() {
    let world = World::new().await;
    let (server, id) = held(&world, "add_items", 4_000).await;
    let home = world.home.path().display().to_string();
    let mut all = processes(server.pid(), "spotify");
    all.extend(processes(None, &home));
    all.extend(server.pid());
    for &process in &all {
        kill_process(pid(process), Signal::STOP).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    for &process in &all {
        kill_process(pid(process), Signal::CONT).unwrap();
    }
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(world.effective_adds(), 1);
    server.end().await.unwrap();
}

#[tokio::test]
async fn the_engine_s_binary_is_deleted_under_it_and_the_engine_dies() {
    let world = World::new().await;
    // A copy, because it is going to be deleted. When it is gone, the one in the cache is found.
    let binary = world.home.path().join("temporal");
    std::fs::copy(engine_binary().await, &binary).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [world.home.path().to_owned()]
        .into_iter()
        .chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).unwrap();
    let launch = world.launch().with("PATH", path.to_str().unwrap());
    let server = Server::start(&launch).await.unwrap();
    world
        .fault(json!({"endpoint": "search", "count": 1, "latency_ms": 2_000}))
        .await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    world.until_asked("search", 1).await;
    let engine = engine_of(&world);
    std::fs::remove_file(&binary).unwrap();
    kill(engine);
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(world.effective_adds(), 1);
    server.end().await.unwrap();
}
