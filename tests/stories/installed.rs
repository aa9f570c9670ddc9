//! An assistant that has just been told of Segue: it starts what its configuration says, with an environment and
//! a home of its own, and asks who is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
};

use rmcp::ServiceExt;
use tokio::{process::Command, time::timeout};

use crate::support::{PATIENCE, engine_cache};

/// What a configuration says of a program to start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) command: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: BTreeMap<String, String>,
}

/// Who answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) tools: BTreeSet<String>,
}

impl Entry {
    /// Starts it, says `initialize`, asks for the tools, and leaves. The home is the only folder that it knows.
    pub(crate) async fn answer(&self, home: &Path) -> Answered {
        let mut process = Command::new(&self.command)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            // The engine's binary is fetched once for all tests.
            .env("SEGUE_ENGINE_CACHE", engine_cache())
            .envs(&self.variables)
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{self:?}: {error}"));
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let pipes = (stdout.unwrap(), stdin.unwrap());
        let client = timeout(PATIENCE, ().serve(pipes)).await;
        let client = client
            .unwrap()
            .unwrap_or_else(|error| panic!("{self:?}: {error}"));
        let tools = client.list_all_tools().await.unwrap();
        let server = client.peer_info().unwrap().server_info.clone().unwrap();
        client.cancel().await.unwrap();
        let ended = timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{self:?}: {ended}");
        Answered {
            name: server.name,
            version: server.version,
            tools: tools
                .into_iter()
                .map(|tool| tool.name.into_owned())
                .collect(),
        }
    }
}

/// The tools that there are.
pub(crate) fn tools() -> BTreeSet<String> {
    let tools = segue_tools::Segue::router().list_all().into_iter();
    tools.map(|tool| tool.name.into_owned()).collect()
}
