//! "My agent is written in TypeScript." The official TypeScript SDK over each transport, and the inspector's
//! command line.

use std::path::{Path, PathBuf};

use segue::client::{HttpServer, Launch};
use serde_json::Value;
use tokio::{process::Command, sync::OnceCell};

use crate::{
    npm,
    python_client::{run, says_the_same},
    support::{NEVER_OPENS, PROGRAM, World, engine_cache},
};

const PACKAGE: &str = include_str!("../clients/typescript/package.json");
const LOCK: &str = include_str!("../clients/typescript/package-lock.json");
const STORY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/clients/typescript/story.mjs"
);
const INSPECTOR: &str = "node_modules/@modelcontextprotocol/inspector";

async fn clients() -> PathBuf {
    static ONCE: OnceCell<PathBuf> = OnceCell::const_new();
    let installed = ONCE.get_or_init(|| npm::installed("typescript-clients", PACKAGE, LOCK));
    installed.await.clone()
}

/// Node with these arguments, on this world, among the clients.
async fn node(world: &World, arguments: &[&str]) -> Command {
    let clients = clients().await;
    let launch = Launch::new(
        npm::node(&clients),
        world.home.path(),
        &engine_cache(),
        world.sim.ready(),
    );
    let launch = launch.with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    let mut command = launch.command(arguments).unwrap();
    command.current_dir(clients);
    command
}

#[tokio::test]
async fn the_official_typescript_sdk_tells_the_story_over_stdio() {
    let world = World::new().await;
    let arguments = [STORY, "stdio", PROGRAM, world.sim.url()];
    let told = run(&mut node(&world, &arguments).await).await;
    says_the_same(&world, &told);
}

#[tokio::test]
async fn the_official_typescript_sdk_tells_the_story_over_http_and_sse() {
    for transport in ["http", "sse"] {
        let world = World::new().await;
        let launch = world.launch().with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
        let server = HttpServer::start(&launch, &[]).await.unwrap();
        let arguments = [STORY, transport, server.url(), world.sim.url()];
        let told = run(&mut node(&world, &arguments).await).await;
        says_the_same(&world, &told);
    }
}

/// The inspector's program, as its package names it.
async fn inspector() -> String {
    let folder = clients().await.join(INSPECTOR);
    let package = std::fs::read_to_string(folder.join("package.json")).unwrap();
    let package: Value = serde_json::from_str(&package).unwrap();
    let program = package["bin"]["mcp-inspector"].as_str().unwrap();
    Path::new(&folder).join(program).display().to_string()
}

#[tokio::test]
async fn the_inspector_lists_and_calls_the_tools() {
    let world = World::new().await;
    let inspector = inspector().await;
    let server = HttpServer::start(&world.launch(), &[]).await.unwrap();
    let mcp = format!("{}/mcp", server.url());
    for target in [
        vec![PROGRAM, "serve"],
        vec![mcp.as_str(), "--transport", "http"],
    ] {
        let asked = async |more: &[&str]| {
            let arguments = [&[inspector.as_str(), "--cli"], target.as_slice(), more].concat();
            let told = run(&mut node(&world, &arguments).await).await;
            serde_json::from_str::<Value>(&told).expect("JSON")
        };
        let listed = asked(&["--method", "tools/list"]).await;
        let tools = listed["tools"].as_array().unwrap();
        assert!(tools.len() > 20 && tools.iter().any(|tool| tool["name"] == "sync_track"));
        let call = ["--method", "tools/call", "--tool-name", "list_syncs"];
        let called = asked(&call).await;
        assert!(
            called["structuredContent"]["syncs"].is_array(),
            "{called:#}"
        );
    }
}
