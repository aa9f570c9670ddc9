//! A home of its own for each test of the engine, and processes that use the engine in it.

use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use sysinfo::{
    Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, Signal, System, UpdateKind,
};

/// Long enough for the first test to fetch the Temporal CLI; a test that works never waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A home in a temporary folder. Its processes end with it, whatever the test did.
pub(crate) struct Sandbox {
    pub(crate) home: tempfile::TempDir,
    pub(crate) cache: PathBuf,
}

/// A process that uses the engine.
pub(crate) struct User {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Sandbox {
    /// A new home, with the cache that all tests share under `target/`.
    pub(crate) fn new() -> Self {
        Self::with_cache(target_dir().join("segue-cache"))
    }

    /// A new home, with a cache of its own.
    pub(crate) fn with_cache(cache: PathBuf) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        Self { home, cache }
    }

    /// Starts a process that uses the engine.
    pub(crate) fn user(&self) -> User {
        self.user_with(|_| {})
    }

    /// Starts a process that uses the engine, after `change` to its command.
    pub(crate) fn user_with(&self, change: impl FnOnce(&mut Command)) -> User {
        let mut command = Command::new(env!("CARGO_BIN_EXE_segue"));
        command
            .args(["engine", "--engine-cache"])
            .arg(&self.cache)
            .env("PATH", path_without_temporal())
            .env("SEGUE_HOME", self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("TEMPORAL_")) {
            command.env_remove(name);
        }
        // No temporal.toml of whoever runs the tests.
        command
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path());
        change(&mut command);
        let mut child = command.spawn().expect("the user starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        User { child, lines }
    }

    pub(crate) fn engine_dir(&self) -> PathBuf {
        self.home
            .path()
            .canonicalize()
            .expect("the home")
            .join("engine")
    }

    /// What `engine.json` says, if it is there and whole.
    pub(crate) fn state(&self) -> Option<serde_json::Value> {
        let text = std::fs::read(self.engine_dir().join("engine.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The dev servers on this home's database.
    pub(crate) fn engines(&self) -> Vec<Pid> {
        let database = self.engine_dir().join("engine.db");
        processes(|line| {
            line.iter().any(|word| word == "start-dev")
                && line.iter().any(|word| Path::new(word) == database)
        })
    }

    /// The supervisors of this home.
    pub(crate) fn supervisors(&self) -> Vec<Pid> {
        let folder = self.engine_dir();
        processes(|line| {
            line.iter().any(|word| word == "--detached")
                && line.iter().any(|word| Path::new(word) == folder)
        })
    }

    /// The one dev server and the one supervisor, once there is one of each.
    pub(crate) fn the_pair(&self) -> (Pid, Pid) {
        until("one engine and one supervisor", || {
            match (self.engines().as_slice(), self.supervisors().as_slice()) {
                ([engine], [supervisor]) => Some((*engine, *supervisor)),
                _ => None,
            }
        })
    }

    /// Waits until nothing of the engine runs.
    pub(crate) fn wait_until_gone(&self) {
        until("the end of engine and supervisor", || {
            (self.engines().is_empty() && self.supervisors().is_empty()).then_some(())
        });
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.home.path().join("engine").exists() {
            return;
        }
        // Supervisors first, or they start the engine again.
        for pid in self.supervisors().into_iter().chain(self.engines()) {
            signal(pid, Signal::Kill);
        }
    }
}

impl User {
    /// Waits for the line that starts with `word`, and returns the rest of it.
    pub(crate) fn hears(&self, word: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("the user never said '{word}'"));
            match line.split_once(' ') {
                Some((first, rest)) if first == word => return rest.to_owned(),
                Some(("error", rest)) => panic!("instead of '{word}': {rest}"),
                _ => {}
            }
        }
    }

    /// Waits until it is connected, and returns the engine's address.
    pub(crate) fn address(&self) -> String {
        let line = self.hears("address");
        line.split(' ').next().expect("an address").to_owned()
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("collected");
    }

    /// Lets it end by itself.
    pub(crate) fn leave(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("collected").success());
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `what` to the process.
pub(crate) fn signal(pid: Pid, what: Signal) {
    let mut system = System::new();
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    if let Some(process) = system.process(pid) {
        process.kill_with(what);
    }
}

/// Waits until `condition` gives a value; panics with `what` if it takes too long.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn processes(wanted: impl Fn(&[OsString]) -> bool) -> Vec<Pid> {
    let mut system = System::new();
    system.refresh_processes_specifics(
        ProcessesToUpdate::All,
        true,
        ProcessRefreshKind::nothing()
            .with_cmd(UpdateKind::Always)
            .without_tasks(),
    );
    let alive = |process: &&sysinfo::Process| process.status() != ProcessStatus::Zombie;
    let found = system.processes().values().filter(alive);
    found
        .filter(|process| wanted(process.cmd()))
        .map(sysinfo::Process::pid)
        .collect()
}

/// `target/`: this test's program is in `target/debug/deps/`.
fn target_dir() -> PathBuf {
    let program = env::current_exe().expect("this program");
    program.ancestors().nth(3).expect("target").to_owned()
}

/// `PATH` without a Temporal CLI of whoever runs the tests: they fetch their own.
fn path_without_temporal() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).filter(|folder| !folder.join("temporal").exists());
    env::join_paths(folders).expect("a PATH")
}
