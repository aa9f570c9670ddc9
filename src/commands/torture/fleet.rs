//! The processes under torture: two servers on one engine, each started again when it was killed.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::{
    sync::RwLock,
    time::{Instant, sleep},
};

use super::plan::Victim;
use crate::{
    client::{Launch, Server},
    processes,
};

/// Servers that run at a time: two assistants of one user.
const SERVERS: usize = 2;
/// How long a call is repeated, on one server after the other.
const PATIENCE: Duration = Duration::from_secs(180);
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// How long an upstream stands still.
const FREEZE: Duration = Duration::from_secs(4);

pub(super) struct Fleet {
    launch: Launch,
    home: String,
    servers: [RwLock<Arc<Server>>; SERVERS],
}

impl Fleet {
    pub(super) async fn start(launch: Launch, home: String) -> anyhow::Result<Self> {
        let one = Server::start(&launch).await?;
        let other = Server::start(&launch).await?;
        Ok(Self {
            launch,
            home,
            servers: [one, other].map(|server| RwLock::new(Arc::new(server))),
        })
    }

    /// Calls a tool until it answers, on one server after the other. An answer that says it is an
    /// error is an answer only if `enough` says so.
    pub(super) async fn call(
        &self,
        tool: &'static str,
        arguments: &Value,
        enough: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let end = Instant::now() + PATIENCE;
        let mut turn = 0;
        loop {
            let server = Arc::clone(&*self.servers[turn % SERVERS].read().await);
            let problem = match server.call_raw(tool, arguments.clone()).await {
                Ok(result) => {
                    let failed = result.is_error == Some(true);
                    let content = result.structured_content.unwrap_or_default();
                    if !failed || enough(&content) {
                        return Ok(content);
                    }
                    content["error"].to_string()
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() >= end {
                bail!("{tool} {arguments}: no answer within {PATIENCE:?}; the last: {problem}");
            }
            turn += 1;
            sleep(PAUSE).await;
        }
    }

    /// Kills a process; whether there was one. A killed server is started again.
    pub(super) async fn kill(&self, victim: Victim, number: usize) -> anyhow::Result<bool> {
        let slot = &self.servers[number % SERVERS];
        let server = slot.read().await.pid().context("a server without an id")?;
        match victim {
            Victim::Server => {
                let killed = processes::kill(server);
                *slot.write().await = Arc::new(Server::start(&self.launch).await?);
                Ok(killed)
            }
            Victim::Upstream => Ok(kill_first(&processes::find(Some(server), &["spotify"]))),
            Victim::Engine => Ok(kill_first(&processes::find(
                None,
                &["start-dev", &self.home],
            ))),
        }
    }

    /// Lets the upstream of a server stand still for a while.
    pub(super) async fn freeze_upstream(&self, number: usize) -> anyhow::Result<bool> {
        let server = self.servers[number % SERVERS].read().await.pid();
        let upstream = processes::find(server, &["spotify"]);
        let Some(&upstream) = upstream.first() else {
            return Ok(false);
        };
        let frozen = processes::freeze(upstream);
        sleep(FREEZE).await;
        processes::thaw(upstream);
        Ok(frozen)
    }

    pub(super) async fn end(self) -> anyhow::Result<()> {
        for slot in self.servers {
            if let Ok(server) = Arc::try_unwrap(slot.into_inner()) {
                server.end().await?;
            }
        }
        Ok(())
    }
}

fn kill_first(processes: &[u32]) -> bool {
    processes
        .first()
        .is_some_and(|&process| processes::kill(process))
}
