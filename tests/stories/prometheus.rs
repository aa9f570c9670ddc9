//! A real Prometheus and its promtool, for the stories that need one: Debian's packages, fetched by the test
//! itself under `target/` with apt and unpacked there. Nothing is installed, and nobody has to be root.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::OnceCell,
};
use url::Url;

use crate::support::until;

/// The packages with both programs in them, by the Debian release and its architecture, with their version and
/// SHA-256: read on 2026-11-26 with `apt-get download` and `sha256sum`. When Debian has a newer version, apt
/// says that it does not know this one: read the new digests in the same way, and look at the changes.
const PACKAGES: [(&str, &str, &str, &str, &str); 6] = [
    (
        "bookworm",
        "x86_64",
        "prometheus",
        "2.42.0+ds-5+deb12u1",
        "81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55",
    ),
    (
        "bookworm",
        "aarch64",
        "prometheus",
        "2.42.0+ds-5+deb12u1",
        "ca131aa102390083398afbc80be9c8dd1dda78f9f92154fc00df8f7f1f4556e9",
    ),
    (
        "trixie",
        "x86_64",
        "prometheus",
        "2.53.3+ds1-2",
        "58c3e6a86c56cb3bfd71032fa48d65945d526441a212f5815dfe5ed9cb787ecc",
    ),
    (
        "trixie",
        "x86_64",
        "promtool",
        "2.53.3+ds1-2",
        "ff27654eacc95abd846d344e91fe4ba3b4f0588a50d606ed1d2f09ad3408722f",
    ),
    (
        "trixie",
        "aarch64",
        "prometheus",
        "2.53.3+ds1-2",
        "59b459dee0ceef9c645a98166ea00f0d10946391a5d486505360e2d21cd1ddec",
    ),
    (
        "trixie",
        "aarch64",
        "promtool",
        "2.53.3+ds1-2",
        "cc1d5889b4d2e2ef92a6984039d88c11993ad3c73f5e74acd3ee15adaefb764c",
    ),
];

/// What the shipped configuration says, and how often it is looked at here.
const SHIPPED_INTERVAL: &str = "15s";
const INTERVAL: &str = "1s";

/// The folder of the shipped configuration.
pub(crate) fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/prometheus")
}

/// The folder with `prometheus` and `promtool` in it.
async fn programs() -> PathBuf {
    static ONCE: OnceCell<PathBuf> = OnceCell::const_new();
    ONCE.get_or_init(find_or_fetch).await.clone()
}

/// Debian's, where this is a Debian that we know; else what is on `PATH`.
async fn find_or_fetch() -> PathBuf {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let names = |codename: &str| {
        let mut lines = release.lines();
        lines.any(|line| line == format!("VERSION_CODENAME={codename}"))
    };
    let packages: Vec<_> = PACKAGES
        .into_iter()
        .filter(|(codename, arch, ..)| names(codename) && *arch == std::env::consts::ARCH)
        .map(|(_, _, package, version, digest)| (package, version, digest))
        .collect();
    let Some((_, version, _)) = packages.first() else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let has_both = |folder: &PathBuf| {
            ["prometheus", "promtool"]
                .iter()
                .all(|name| folder.join(name).is_file())
        };
        return std::env::split_paths(&path).find(has_both).expect(
            "Prometheus on PATH, with promtool beside it: this system is none that it is fetched for",
        );
    };
    // Only a finished folder gets its name, so a fetch that was cut short is begun anew.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.join(format!("prometheus-{version}"));
    if !folder.exists() {
        let scratch = tempfile::tempdir_in(target).unwrap();
        let unpacked = scratch.path().join("unpacked");
        let apt = Apt::in_folder(scratch.path());
        apt.run(&["update"]).await;
        for (package, version, digest) in packages {
            let deb = apt.download(package, version).await;
            let found = Sha256::digest(std::fs::read(&deb).unwrap());
            let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, digest, "{package} {version} is not the pinned one");
            run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&unpacked)).await;
        }
        std::fs::rename(unpacked.join("usr/bin"), &folder).unwrap();
    }
    folder
}

/// apt with lists and a cache of its own, so that it changes nothing of the system's.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn in_folder(folder: &Path) -> Self {
        for place in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(folder.join(place)).unwrap();
        }
        let folder = folder.to_owned();
        Self { folder }
    }

    async fn run(&self, arguments: &[&str]) {
        let place = |name: &str| self.folder.join(name).display().to_string();
        let mut command = Command::new("apt-get");
        command
            .args(["-o", &format!("Dir::State::Lists={}", place("lists"))])
            .args(["-o", &format!("Dir::Cache={}", place("cache"))])
            .args(["-o", "Dir::State::Status=/dev/null"])
            // Its own user may not read a folder under root's home.
            .args(["-o", "APT::Sandbox::User=root"])
            .arg("-qq")
            .args(arguments)
            .current_dir(&self.folder);
        run(&mut command).await;
    }

    async fn download(&self, package: &str, version: &str) -> PathBuf {
        self.run(&["download", &format!("{package}={version}")])
            .await;
        let names = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
        };
        let mut files = std::fs::read_dir(&self.folder).unwrap();
        let mut paths = files.by_ref().map(|entry| entry.unwrap().path());
        paths.find(names).expect("the package")
    }
}

async fn run(command: &mut Command) -> String {
    let output = command.kill_on_drop(true).output().await;
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success(), "{command:?}\n{told}");
    told
}

/// Runs promtool in the shipped folder; fails as it does.
pub(crate) async fn promtool(arguments: &[&str]) -> String {
    let mut command = Command::new(programs().await.join("promtool"));
    run(command.args(arguments).current_dir(shipped())).await
}

/// Starts Prometheus in this folder, and waits until it is ready; nothing if it ended instead.
async fn start(programs: &Path, folder: &Path) -> Option<(Child, Url)> {
    // It cannot say which port it was given, so it gets one that is free now. Somebody may be faster.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut process = Command::new(programs.join("prometheus"))
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg(format!("--web.listen-address={address}"))
        .current_dir(folder)
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let url: Url = format!("http://{address}").parse().unwrap();
    let ready = url.join("/-/ready").unwrap();
    let mut ended = false;
    until("Prometheus is ready, or has ended", async || {
        ended = process.try_wait().unwrap().is_some();
        let answer = reqwest::get(ready.clone()).await;
        ended || answer.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    (!ended).then_some((process, url))
}

/// Starts before it is given up.
const STARTS: usize = 5;

/// A Prometheus that runs by the shipped configuration, only more often. It ends when it is dropped.
pub(crate) struct Prometheus {
    _process: Child,
    _folder: TempDir,
    url: Url,
    since: Instant,
}

impl Prometheus {
    /// Watches these pages.
    pub(crate) async fn of(pages: &[SocketAddr]) -> Self {
        let programs = programs().await;
        let folder = tempfile::tempdir().unwrap();
        for file in ["prometheus.yml", "rules.yml", "alerts.yml"] {
            let text = std::fs::read_to_string(shipped().join(file)).unwrap();
            let sooner = text.replace(SHIPPED_INTERVAL, INTERVAL);
            assert_eq!(file == "prometheus.yml", text != sooner, "{file}");
            std::fs::write(folder.path().join(file), sooner).unwrap();
        }
        let lines: Vec<String> = pages.iter().map(|page| format!("    - {page}\n")).collect();
        let targets = format!("- targets:\n{}", lines.concat());
        std::fs::write(folder.path().join("targets.yml"), targets).unwrap();

        for _ in 0..STARTS {
            if let Some((process, url)) = start(&programs, folder.path()).await {
                return Self {
                    _process: process,
                    _folder: folder,
                    url,
                    since: Instant::now(),
                };
            }
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        panic!("Prometheus does not start: {log}");
    }

    /// What it answers at this path of its API.
    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let mut url = self.url.join("/api/v1/").unwrap().join(path).unwrap();
        url.query_pairs_mut().extend_pairs(parameters);
        let answer = reqwest::get(url).await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer:#}");
        answer["data"].clone()
    }

    /// The series of a query since it watches: the labels of each, and its values.
    pub(crate) async fn series(&self, query: &str) -> Vec<Series> {
        let now = jiff::Timestamp::now().as_second();
        let start = now - i64::try_from(self.since.elapsed().as_secs()).unwrap();
        let parameters = [
            ("query", query),
            ("start", &start.to_string()),
            ("end", &now.to_string()),
            ("step", INTERVAL),
        ];
        let answer = self.get("query_range", &parameters).await;
        let series = answer["result"].as_array().unwrap().iter();
        series.map(Series::read).collect()
    }
}

/// A series that a query gave.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Value,
    /// Without what is no number.
    pub(crate) values: Vec<f64>,
}

impl Series {
    fn read(series: &Value) -> Self {
        let values = series["values"].as_array().unwrap().iter();
        let numbers = values.filter_map(|at| at[1].as_str()?.parse().ok());
        Self {
            labels: series["metric"].clone(),
            values: numbers.filter(|value: &f64| value.is_finite()).collect(),
        }
    }
}

/// Time for Prometheus to have looked a few times.
pub(crate) const SOME_LOOKS: Duration = Duration::from_secs(4);
