//! "I run it for others, in containers." No container engine runs here: the files are linted, and each thing that
//! they say of Segue, of its folders and of its neighbours is held to what there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Output,
};

use clap::Parser;
use segue::cli::Cli;
use segue_packaging::repository;
use serde_json::Value;
use tokio::{process::Command, sync::OnceCell};

use crate::{
    dashboards::page_of,
    prometheus::promtool,
    support::{World, engine_binary, until},
};

/// What the linters are, with their digests.
const REQUIREMENTS: &str = "packaging/lint/requirements.txt";
/// The port of the metrics in a container, which is free there.
const METRICS: &str = "9464";

/// The folder of the linters' programs, installed once for each list of what they are.
async fn linters() -> PathBuf {
    static ONCE: OnceCell<PathBuf> = OnceCell::const_new();
    ONCE.get_or_init(install).await.clone()
}

async fn install() -> PathBuf {
    let requirements = repository().join(REQUIREMENTS);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linters");
    let ready = folder.join("requirements.txt");
    let wanted = std::fs::read(&requirements).unwrap();
    if std::fs::read(&ready).is_ok_and(|found| found == wanted) {
        return folder.join("bin");
    }
    let _ = std::fs::remove_dir_all(&folder);
    good(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--require-hashes", "--requirement"]);
    good(pip.arg(&requirements)).await;
    std::fs::write(ready, wanted).unwrap();
    folder.join("bin")
}

async fn output(command: &mut Command) -> Output {
    let output = command.current_dir(repository()).output().await;
    output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs it, and gives what it says; it must succeed.
async fn good(command: &mut Command) -> String {
    let output = output(command).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}{wrong}");
    said
}

/// A file of YAML as JSON, by the linter's own reader.
async fn yaml(file: &str) -> Value {
    const READ: &str = "import json, sys
from ruamel.yaml import YAML
json.dump(YAML(typ='safe').load(open(sys.argv[1], encoding='utf-8')), sys.stdout)";
    let mut python = Command::new(linters().await.join("python"));
    serde_json::from_str(&good(python.args(["-c", READ, file])).await).unwrap()
}

fn text(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn strings(value: &Value) -> Vec<&str> {
    let list = value.as_array().into_iter().flatten();
    list.map(|item| item.as_str().expect("a text")).collect()
}

fn is_pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    tag.contains('.') && tag.contains(char::is_numeric)
}

#[tokio::test]
async fn the_linters_find_nothing_and_would_find_something() {
    let bin = linters().await;
    let hadolint = || Command::new(bin.join("hadolint"));
    good(hadolint().arg("Dockerfile")).await;
    let schema = ["--builtin-schema", "vendor.compose-spec"];
    let compose = || Command::new(bin.join("check-jsonschema"));
    good(compose().args(schema).arg("compose.yaml")).await;
    for script in std::fs::read_dir(repository().join("ops/compose")).unwrap() {
        let script = script.unwrap().path();
        if script.extension().is_some_and(|is| is == "sh") {
            good(Command::new(bin.join("shellcheck")).arg(script)).await;
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let broken = |name: &str, from: &str, to: &str| {
        let sound = text(name);
        assert!(sound.contains(from), "{name} has {from:?}");
        let file = folder.path().join(name);
        std::fs::write(&file, sound.replacen(from, to, 1)).unwrap();
        file
    };
    let untagged = broken("Dockerfile", "debian:12.12-slim", "debian");
    let found = output(hadolint().arg(untagged)).await;
    assert!(String::from_utf8_lossy(&found.stdout).contains("DL3006"));
    let misspelt = broken("compose.yaml", "healthcheck:", "healthchek:");
    let found = output(compose().args(schema).arg(misspelt)).await;
    assert!(String::from_utf8_lossy(&found.stdout).contains("healthchek"));
}

#[tokio::test]
async fn every_image_is_pinned_and_every_mounted_file_is_there() {
    let compose = yaml("compose.yaml").await;
    let dockerfile = text("Dockerfile");
    let bases = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "));
    for base in bases {
        let image = base.split_whitespace().next().unwrap();
        assert!(is_pinned(image), "{image}");
    }
    let volumes: BTreeSet<&String> = compose["volumes"].as_object().unwrap().keys().collect();
    for (name, service) in compose["services"].as_object().unwrap() {
        let image = service["image"].as_str().unwrap();
        assert!(is_pinned(image), "{name}: {image}");
        for volume in strings(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            let is_there = match source.strip_prefix("./") {
                Some(path) => repository().join(path).exists(),
                None => volumes.contains(&source.to_owned()),
            };
            assert!(is_there, "{name} mounts {volume}");
        }
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        let needs = &service["depends_on"];
        let with_condition = needs.as_object().into_iter().flat_map(|needs| needs.keys());
        let with_condition = with_condition.map(String::as_str);
        for needed in with_condition.chain(strings(needs)) {
            assert!(
                compose["services"].get(needed).is_some(),
                "{name} needs {needed}"
            );
        }
    }
    let version = concat!("segue:", env!("CARGO_PKG_VERSION"));
    assert_eq!(compose["services"]["segue"]["image"], version);
}

/// No secret stands in a file or in a layer: all come from `.env`, which the guide lists, and which neither git
/// nor the build of the image takes in.
#[tokio::test]
async fn every_secret_comes_from_outside() {
    let compose = yaml("compose.yaml").await;
    for (service, described) in compose["services"].as_object().unwrap() {
        let variables = described["environment"].as_object().into_iter().flatten();
        for (name, value) in variables {
            let words = ["PASSWORD", "PWD", "TOKEN", "KEY"];
            let is_secret = words.iter().any(|word| name.contains(word));
            let from_outside = value.as_str().is_some_and(|value| value.starts_with("${"));
            assert!(!is_secret || from_outside, "{service}: {name}");
        }
    }
    let file = text("compose.yaml");
    let asked = file.split("${").skip(1).map(|rest| {
        let end = rest.find([':', '}']).unwrap();
        rest[..end].to_owned()
    });
    let asked: BTreeSet<String> = asked.collect();
    let guide = text("docs/install/containers.md");
    let (_, listed) = guide.split_once("```dotenv").unwrap();
    let (listed, _) = listed.split_once("```").unwrap();
    let listed = listed
        .lines()
        .filter_map(|line| line.trim().strip_suffix('='));
    assert_eq!(asked, listed.map(str::to_owned).collect());

    assert!(text(".gitignore").lines().any(|line| line == "/.env"));
    assert!(text(".dockerignore").lines().any(|line| line == ".*"));
    let settings = environment_of_the_image();
    assert!(
        settings.keys().all(|name| name.starts_with("SEGUE_")),
        "{settings:?}"
    );
}

/// What `ENV` says in the Dockerfile.
fn environment_of_the_image() -> BTreeMap<String, String> {
    let dockerfile = text("Dockerfile").replace("\\\n", " ");
    let lines = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("ENV "));
    let pairs = lines.flat_map(|line| shlex::split(line).unwrap());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// The words behind an instruction whose arguments are a list.
fn list_of(dockerfile: &str, instruction: &str) -> Vec<String> {
    let line = dockerfile.lines().map(str::trim_start).find_map(|line| {
        let list = line.strip_prefix(instruction)?.trim_start();
        list.starts_with('[').then(|| list.to_owned())
    });
    serde_json::from_str(&line.unwrap()).unwrap()
}

#[tokio::test]
async fn every_process_of_segue_is_started_by_a_command_that_there_is() {
    let dockerfile = text("Dockerfile");
    let program = list_of(&dockerfile, "ENTRYPOINT");
    assert_eq!(program, ["segue"]);
    let compose = yaml("compose.yaml").await;
    let mut commands = vec![list_of(&dockerfile, "CMD")];
    for service in ["segue", "worker"] {
        let command = &compose["services"][service]["command"];
        if !command.is_null() {
            commands.push(strings(command).into_iter().map(str::to_owned).collect());
        }
    }
    assert_eq!(
        commands.len(),
        3,
        "the image's own, and one of each service"
    );
    for command in commands {
        let words = program.iter().chain(&command);
        Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
}

/// The health check of the image is run as it stands there, against a worker with the settings of the image.
#[tokio::test]
async fn the_health_check_tells_a_worker_that_is_there_from_one_that_is_gone() {
    let world = World::new().await;
    let mut launch = world.launch();
    for (name, value) in environment_of_the_image() {
        let value = match name.as_str() {
            "SEGUE_HOME" => continue,
            "SEGUE_METRICS" => value.replace(METRICS, "0").replace("0.0.0.0", "127.0.0.1"),
            _ => value,
        };
        launch = launch.with(&name, value);
    }
    let mut worker = launch.command(&["worker"]).unwrap().spawn().unwrap();
    let port = page_of(&world.log()).await.port().to_string();

    let dockerfile = text("Dockerfile");
    let (_, check) = dockerfile.split_once("HEALTHCHECK").unwrap();
    let check: Vec<String> = list_of(check, "CMD")
        .into_iter()
        .map(|word| word.replace(METRICS, &port))
        .collect();
    let is_healthy = async || {
        let mut check_now = Command::new(&check[0]);
        output(check_now.args(&check[1..])).await.status.success()
    };
    assert!(is_healthy().await, "{check:?}");
    worker.kill().await.unwrap();
    assert!(!is_healthy().await, "{check:?}");
}

#[tokio::test]
async fn prometheus_takes_the_configuration_and_finds_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let compose = yaml("compose.yaml").await;
    for volume in strings(&compose["services"]["prometheus"]["volumes"]) {
        if let Some((from, to)) = volume.split_once(":/etc/prometheus/") {
            let to = folder.path().join(to.trim_end_matches(":ro"));
            std::fs::copy(repository().join(from), to).unwrap();
        }
    }
    let file = folder.path().join("prometheus.yml");
    let said = promtool(&["check", "config", file.to_str().unwrap()]).await;
    assert!(said.contains("alerts.yml"), "{said}");

    let scraped = yaml("ops/compose/prometheus.yml").await;
    let found = &scraped["scrape_configs"][0]["dns_sd_configs"][0];
    for name in strings(&found["names"]) {
        assert!(compose["services"].get(name).is_some(), "{name}");
    }
    assert_eq!(found["port"].to_string(), METRICS);
    assert_eq!(
        environment_of_the_image()["SEGUE_METRICS"],
        format!("0.0.0.0:{METRICS}")
    );
}

#[tokio::test]
async fn grafana_finds_prometheus_and_the_dashboard_where_they_are() {
    let compose = yaml("compose.yaml").await;
    let mounts = strings(&compose["services"]["grafana"]["volumes"]);
    let provider = &yaml("ops/compose/grafana/dashboards/segue.yml").await["providers"][0];
    let path = provider["options"]["path"].as_str().unwrap();
    assert!(
        mounts.contains(&format!("./ops/grafana:{path}:ro").as_str()),
        "{mounts:?}"
    );
    assert!(repository().join("ops/grafana/segue.json").is_file());

    let source = &yaml("ops/compose/grafana/datasources/prometheus.yml").await["datasources"][0];
    assert_eq!(source["type"], "prometheus");
    assert_eq!(source["isDefault"], true);
    assert_eq!(source["url"], "http://prometheus:9090");
    assert!(compose["services"].get("prometheus").is_some());
}

/// The script that makes the namespace is run as it stands there, twice, against a real engine.
#[tokio::test]
async fn the_namespace_is_made_once_and_remembers_for_thirty_days() {
    let world = World::new().await;
    let engine = world.engine().await;
    let cli = engine_binary().await;
    let address = engine.address().trim_start_matches("http://").to_owned();
    let path = std::env::var_os("PATH").unwrap();
    let path =
        std::iter::once(cli.parent().unwrap().to_owned()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).unwrap();
    let told = |program: &str| {
        let mut command = Command::new(program);
        command
            .env("PATH", &path)
            .env("TEMPORAL_ADDRESS", &address)
            .env("TEMPORAL_NAMESPACE", "made-here");
        command
    };
    let describe = async || {
        let mut describe = told("temporal");
        describe.args(["operator", "namespace", "describe", "--output", "json"]);
        output(describe.args(["--namespace", "made-here"])).await
    };
    assert!(!describe().await.status.success(), "it is not there yet");
    for _ in 0..2 {
        good(told("sh").arg("ops/compose/temporal-namespace.sh")).await;
        // A namespace is known to all parts of the server some seconds after it was made.
        until("it is there", async || describe().await.status.success()).await;
    }
    let described: Value = serde_json::from_slice(&describe().await.stdout).unwrap();
    let retention = &described["config"]["workflowExecutionRetentionTtl"];
    assert_eq!(retention, "2592000s", "{described:#}");
}

#[tokio::test]
async fn temporal_is_tuned_as_the_managed_engine_is() {
    let tuned = yaml("ops/compose/temporal.yml").await;
    let managed = text("src/engine/server.rs");
    for (key, values) in tuned.as_object().unwrap() {
        let value = format!("\"{key}={}\"", values[0]["value"]);
        assert!(managed.contains(&value), "{value}");
    }
    let (_, rest) = managed.split_once("DYNAMIC_CONFIG: [&str; ").unwrap();
    assert!(rest.starts_with(&tuned.as_object().unwrap().len().to_string()));
}
