//! A world of its own for each engine that is measured: a simulated Spotify, the engine, and a server that
//! works on it.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, bail, ensure};
use futures::TryStreamExt;
use segue_spotify::sim::{CatalogSource, SimOptions};
use serde_json::{Value, json};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, Url, WorkflowCountOptions,
    WorkflowListOptions,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::{Instant, sleep},
};

use super::songs::{Song, songs};
use crate::{
    client::Server,
    commands::stage::{Stage, engine_cache},
    config::Config,
    engine::stock::StockServer,
    home::Home,
    processes,
};

/// Far more calls than are ever made: the simulated Spotify limits nothing.
const BUDGET: &str = "100000";
/// How long the engine gets to write down what has ended.
const RECORD_PATIENCE: Duration = Duration::from_secs(20);
/// Time between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An engine that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The one that Segue starts and tunes.
    Managed,
    /// A dev server as it comes.
    Stock,
}

/// What all worlds of a run have in common.
pub(super) struct Setting<'a> {
    pub(super) config: &'a Config,
    pub(super) home: &'a Home,
    pub(super) stock_in_memory: bool,
    pub(super) songs: Vec<Song>,
    catalog: PathBuf,
    _folder: tempfile::TempDir,
}

impl<'a> Setting<'a> {
    /// One with so many songs in its catalogue.
    pub(super) fn new(
        config: &'a Config,
        home: &'a Home,
        stock_in_memory: bool,
        tracks: usize,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no scratch folder")?;
        let catalog = folder.path().join("catalog.csv");
        let (text, songs) = songs(tracks);
        std::fs::write(&catalog, text)?;
        Ok(Self {
            config,
            home,
            stock_in_memory,
            songs,
            catalog,
            _folder: folder,
        })
    }

    /// A simulated Spotify that has these songs, and an empty home.
    pub(super) async fn stage(&self) -> anyhow::Result<Stage> {
        let options = SimOptions {
            catalog: CatalogSource::File(self.catalog.clone()),
            ..SimOptions::default()
        };
        let mut stage = Stage::set(self.config, self.home, options).await?;
        let log = stage.home().join("servers.log");
        stage.launch = stage
            .launch
            .with("SEGUE_UPSTREAM_BUDGET", BUDGET)
            .logging_to(log);
        if let Some(encrypts) = self.config.encrypt_payloads {
            let encrypts = encrypts.to_string();
            stage.launch = stage.launch.with("SEGUE_ENCRYPT_PAYLOADS", encrypts);
        }
        if let Some(temporal) = &self.config.temporal_cli {
            let temporal = temporal.display().to_string();
            stage.launch = stage.launch.with("SEGUE_TEMPORAL_CLI", temporal);
        }
        Ok(stage)
    }
}

/// A world.
pub(super) struct World {
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    pub(super) server: Server,
    /// The version of the engine's server.
    pub(super) engine_version: String,
    engine: Client,
    stock: Option<StockServer>,
}

impl World {
    /// Starts the engine and a server on it, and waits until that has taken a call.
    pub(super) async fn open(setting: &Setting<'_>, kind: Kind) -> anyhow::Result<Self> {
        let mut stage = setting.stage().await?;
        let stock = match kind {
            Kind::Managed => None,
            Kind::Stock => {
                let options = setting.config.engine_options();
                let cache = engine_cache(setting.config, setting.home)?;
                let in_memory = setting.stock_in_memory;
                Some(StockServer::start(&options, &cache, stage.home(), in_memory).await?)
            }
        };
        if let Some(stock) = &stock {
            stage.launch = stage.launch.with("TEMPORAL_ADDRESS", stock.address());
        }
        let mut keeper = stage
            .launch
            .command(&["engine"])?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = keeper.stdout.take().context("no stdout")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let line = line.context("`segue engine` said nothing")?;
        let mut words = line.split(' ');
        let (Some("address"), Some(address), Some(owner)) =
            (words.next(), words.next(), words.next())
        else {
            bail!("no engine: {line}");
        };
        let engine_version = words.next().unwrap_or_default().to_owned();
        // Temporal's own settings may name a server in a file; nobody wants that measured.
        ensure!(
            (owner == "Managed") == (kind == Kind::Managed),
            "Temporal's settings name the server {address}, which is not to be measured: \
             set TEMPORAL_CONFIG_FILE to an empty file"
        );
        let target = Url::parse(address)?;
        let connection = Connection::connect(ConnectionOptions::new(target).build()).await?;
        let engine = Client::new(connection, ClientOptions::new("default").build())?;
        let server = Server::start(&stage.launch).await?;
        server.call("list_syncs", json!({})).await?;
        drop(keeper.stdin.take());
        keeper.wait().await?;
        Ok(Self {
            kind,
            stage,
            server,
            engine_version,
            engine,
            stock,
        })
    }

    /// Ends the server, and the engine with it.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.server.end().await?;
        if let Some(stock) = self.stock {
            stock.end().await;
        }
        until_engine_is_gone(&self.stage).await
    }

    /// Requests of the Web API so far.
    pub(super) fn requests(&self) -> usize {
        web_requests(&self.stage)
    }

    /// Its processes. The upstream is there once the first sync has needed it.
    pub(super) fn processes(&self) -> anyhow::Result<Processes> {
        let segue = self.server.pid().context("the server has ended")?;
        let engine = match &self.stock {
            Some(stock) => stock.pid(),
            None => engine_of(&self.stage),
        };
        Ok(Processes {
            segue,
            upstream: processes::find(Some(segue), &["spotify"]).first().copied(),
            engine: engine.context("the engine has ended")?,
        })
    }

    /// What its processes hold and have used.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Ok(self.processes()?.usage())
    }

    /// The histories of all workflows for which the query holds, once none of them is open any more.
    pub(super) async fn histories(&self, query: &str) -> anyhow::Result<Histories> {
        let open = format!("({query}) AND ExecutionStatus = 'Running'");
        let end = Instant::now() + RECORD_PATIENCE;
        loop {
            let counting = self
                .engine
                .count_workflows(open.as_str(), WorkflowCountOptions::default());
            if counting.await?.count() == 0 {
                break;
            }
            ensure!(Instant::now() < end, "workflows stay open: {query}");
            sleep(LOOK_EVERY).await;
        }
        let mut all = Histories::default();
        let mut listed = std::pin::pin!(
            self.engine
                .list_workflows(query, WorkflowListOptions::default())
        );
        while let Some(workflow) = listed.try_next().await? {
            let info = workflow.raw();
            let (events, bytes) = (info.history_length as f64, info.history_size_bytes as f64);
            all.workflows += 1;
            all.events += events;
            all.bytes += bytes;
            all.longest = all.longest.max(events);
            all.largest = all.largest.max(bytes);
            let closed = info.close_time.as_ref();
            let closed = closed.map_or(0.0, |at| at.seconds as f64 + f64::from(at.nanos) / 1e9);
            all.last_closed = all.last_closed.max(closed);
        }
        Ok(all)
    }

    /// Looks at a sync; one that has ended must have succeeded.
    pub(super) async fn look(&self, sync_id: &str, wait_seconds: u32) -> anyhow::Result<Value> {
        let call = json!({"sync_id": sync_id, "wait_seconds": wait_seconds});
        let view = self.server.call("get_sync_progress", call).await?;
        ensure!(view["success"] != false, "a sync failed: {view:#}");
        Ok(view)
    }
}

/// Waits until nothing of the stage's managed engine runs, so that the next measurement has the machine.
pub(super) async fn until_engine_is_gone(stage: &Stage) -> anyhow::Result<()> {
    let end = Instant::now() + RECORD_PATIENCE;
    while engine_of(stage).is_some() {
        ensure!(Instant::now() < end, "the engine does not end");
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn engine_of(stage: &Stage) -> Option<u32> {
    let home = stage.home().display().to_string();
    processes::find(None, &["start-dev", &home])
        .first()
        .copied()
}

/// Requests of the Web API that this stage's Spotify has had.
pub(super) fn web_requests(stage: &Stage) -> usize {
    let all = stage.sim.requests();
    all.iter().filter(|r| r.path.starts_with("/v1/")).count()
}

/// What histories hold.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Histories {
    pub(super) workflows: usize,
    pub(super) events: f64,
    pub(super) bytes: f64,
    pub(super) longest: f64,
    pub(super) largest: f64,
    /// When the last of them ended, in seconds since 1970.
    pub(super) last_closed: f64,
}

/// The processes of a world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Processes {
    segue: u32,
    upstream: Option<u32>,
    engine: u32,
}

impl Processes {
    /// Whether the upstream is among them.
    pub(super) fn is_complete(self) -> bool {
        self.upstream.is_some()
    }

    /// What they hold and have used.
    pub(super) fn usage(self) -> Usage {
        Usage {
            segue: Used::of(Some(self.segue)),
            upstream: Used::of(self.upstream),
            engine: Used::of(Some(self.engine)),
        }
    }
}

/// What the processes of a world hold and have used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) segue: Used,
    pub(super) upstream: Used,
    pub(super) engine: Used,
}

/// What a process holds and has used. A process that is not there: nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    /// Resident memory, in bytes.
    pub(super) memory: f64,
    /// Time of a core, in milliseconds.
    pub(super) cpu_ms: f64,
}

impl Used {
    fn of(process: Option<u32>) -> Self {
        let Some(process) = process.map(Pid::from_u32) else {
            return Self::default();
        };
        let mut system = System::new();
        let kind = ProcessRefreshKind::nothing()
            .with_memory()
            .with_cpu()
            .without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[process]), true, kind);
        let found = system.process(process);
        found.map_or_else(Self::default, |process| Self {
            memory: process.memory() as f64,
            cpu_ms: process.accumulated_cpu_time() as f64,
        })
    }
}

impl Usage {
    /// The time of a core that each has used since, in milliseconds.
    pub(super) fn cpu_since(self, before: Self) -> [f64; 3] {
        [
            self.segue.cpu_ms - before.segue.cpu_ms,
            self.upstream.cpu_ms - before.upstream.cpu_ms,
            self.engine.cpu_ms - before.engine.cpu_ms,
        ]
    }

    /// The larger memory of each.
    pub(super) fn peak(self, other: Self) -> Self {
        let peak = |one: Used, two: Used| Used {
            memory: one.memory.max(two.memory),
            ..one
        };
        Self {
            segue: peak(self.segue, other.segue),
            upstream: peak(self.upstream, other.upstream),
            engine: peak(self.engine, other.engine),
        }
    }
}
