//! "I use another client." The official Python SDK, installed by the test itself under `target/`.

use std::path::{Path, PathBuf};

use segue::client::{HttpServer, Launch};
use tokio::{process::Command, sync::Mutex};

use crate::support::{CLOCKS, NEVER_OPENS, PROGRAM, World, engine_cache};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python/story.py");
const ELICITATION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/clients/python/elicitation.py"
);
const REQUIREMENTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/clients/python/requirements.txt"
);

pub(crate) async fn run(command: &mut Command) -> String {
    let output = command.output().await.expect("it starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

/// A virtual environment with the pinned SDK.
async fn python() -> PathBuf {
    python_with(REQUIREMENTS).await
}

/// A virtual environment with what this file pins. It is made once for each pin: the folder is named
/// after what is in it, and only a finished one is ready.
pub(crate) async fn python_with(requirements: &str) -> PathBuf {
    // Stories run at the same time, and one of them makes it for all.
    static MAKING: Mutex<()> = Mutex::const_new(());
    let _alone = MAKING.lock().await;
    let pins = std::fs::read_to_string(requirements).unwrap();
    let pin = pins
        .lines()
        .find(|line| line.contains("=="))
        .expect("a pin");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{pin}"));
    let ready = folder.join("ready");
    if !ready.exists() {
        let _ = std::fs::remove_dir_all(&folder);
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await;
        let pip = folder.join("bin/pip");
        run(Command::new(pip).args(["install", "--quiet", "--requirement", requirements])).await;
        std::fs::write(ready, pin).unwrap();
    }
    folder.join("bin/python")
}

/// Tells the story over this transport, to a server of this kind.
async fn tell(world: &World, transport: &str, server: &str) {
    // The script passes its environment, and so the program's settings, on.
    let launch = Launch::new(
        python().await,
        world.home.path(),
        &engine_cache(),
        world.sim.ready(),
    );
    // The script wants a dead letter, and not to wait for the upstream until it is back.
    let launch = launch.with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    let script = [SCRIPT, transport, server, world.sim.url()];
    let told = run(&mut launch.command(&script).unwrap()).await;
    says_the_same(world, &told);
}

#[tokio::test]
async fn the_official_python_sdk_syncs_polls_cancels_and_retries() {
    let world = World::new().await;
    tell(&world, "stdio", PROGRAM).await;
}

#[tokio::test]
async fn the_official_python_sdk_does_the_same_over_http_in_both_eras_and_over_sse() {
    for transport in ["http", "http-2026", "sse"] {
        let world = World::new().await;
        let launch = world.launch().with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
        let server = HttpServer::start(&launch, &[]).await.unwrap();
        tell(&world, transport, server.url()).await;
    }
}

/// The story has come to its end, and the playlist has what it says.
pub(crate) fn says_the_same(world: &World, told: &str) {
    assert!(told.contains("\"the end\""), "{told}");
    let there = world.in_playlist(world.empty());
    assert_eq!(
        there.iter().filter(|uri| *uri == CLOCKS.2).count(),
        1,
        "{there:?}"
    );
    assert_eq!(there.len(), 2, "Clocks and Kids: {there:?}");
}

/// Asks a user through a client that connects so.
async fn asked_in_place(mode: &str) {
    let python = python().await;
    let world = World::new().await;
    let launch = Launch::new(
        python,
        world.home.path(),
        &engine_cache(),
        world.sim.ready(),
    );
    let script = [ELICITATION, PROGRAM, world.empty(), mode];
    let told = run(&mut launch.command(&script).unwrap()).await;
    assert!(told.contains("\"the end\""), "{told}");
    assert_eq!(world.in_playlist(world.empty()).len(), 2, "{told}");
}

#[tokio::test]
async fn a_user_is_asked_in_place_by_a_client_of_the_first_era() {
    asked_in_place("legacy").await;
}

#[tokio::test]
async fn a_user_is_asked_in_place_by_a_client_of_2026() {
    asked_in_place("2026-07-28").await;
}
