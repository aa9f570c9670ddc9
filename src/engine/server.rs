//! One Temporal dev server: its command line, its process, and whether it answers.

use std::{
    ffi::{OsStr, OsString},
    io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use segue_workflows::names::search_attributes;
use temporalio_client::{
    Connection, ConnectionOptions, Url,
    grpc::WorkflowService,
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::{
    files::EngineFiles,
    process::{self, Pid},
};

/// Ports are chosen from here, not by the system: the range lies below the ephemeral ports of
/// Linux (32768), macOS and Windows (49152), so no outgoing connection takes the engine's port
/// while it restarts, and the workers find it again where it was.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// How many ports are tried before the system is said to have none.
const PORT_TRIES: usize = 100;

/// What the server gets to end by itself after SIGTERM. It takes about 2.5 s when idle; after
/// this it is killed, which the database (`synchronous=full`) survives as well.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// How often a process that is not our child is looked at.
const ADOPTED_POLL: Duration = Duration::from_millis(250);

/// A request to a server on this machine that takes longer is as good as refused.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// Server settings that differ from a server's own. Both were measured: a server polls its transfer queue at
/// most 20 times a second, which makes each hop of a workflow wait up to 50 ms, and hands no activity to the
/// worker that asked for it.
const DYNAMIC_CONFIG: [&str; 2] = [
    "history.transferProcessorMaxPollRPS=2000",
    "system.enableActivityEagerExecution=true",
];

/// What a dev server sets and another does not, set back: to read the names of search attributes from the database
/// each time that it meets one. That is 30 times a song, on the one connection that all its work shares. It learns of
/// new ones within [`LEARNT_WITHIN`](super::namespace::LEARNT_WITHIN).
const UNDONE: &str = "system.forceSearchAttributesCacheRefreshOnRead=false";

/// SQLite settings: a log that is written once, and on the disk before an answer is given.
const PRAGMAS: [&str; 2] = ["journal_mode=wal", "synchronous=full"];

/// A running dev server.
#[derive(Debug)]
pub(super) struct Server {
    process: Process,
    pub(super) port: u16,
}

#[derive(Debug)]
enum Process {
    /// Started by this supervisor.
    Child(Child),
    /// Started by a supervisor that was killed; found by its command line.
    Adopted(Pid),
}

impl Server {
    /// Starts a server on `port`. It is not ready yet; see [`answers`].
    pub(super) fn start(temporal: &Path, files: &EngineFiles, port: u16) -> io::Result<Self> {
        let mut command = Command::new(temporal);
        command
            .args(arguments(files, port))
            .current_dir(files.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // A file, not a pipe: the server outlives a killed supervisor, and a broken pipe
            // would end it at its next line.
            .stderr(files.open_log().map_err(io::Error::other)?);
        process::only_plain_environment(command.as_std_mut());
        Ok(Self {
            process: Process::Child(command.spawn()?),
            port,
        })
    }

    /// Takes over the server that a killed supervisor left behind, if it answers. Others that
    /// hold the same database are stopped: two servers on one database would corrupt it.
    pub(super) async fn adopt(files: &EngineFiles) -> Option<Self> {
        let mut adopted: Option<Self> = None;
        for found in process::find(|command_line| serves(command_line, files)) {
            let mut server = Self {
                process: Process::Adopted(found.pid),
                port: port_of(&found.command_line).unwrap_or_default(),
            };
            if adopted.is_none() && answers(server.port, &files.marker()).await.is_ok() {
                adopted = Some(server);
            } else {
                server.stop().await;
            }
        }
        adopted
    }

    /// The server's process id, while it lives.
    pub(super) fn pid(&self) -> Option<u32> {
        match &self.process {
            Process::Child(child) => child.id(),
            Process::Adopted(pid) => Some(pid.as_u32()),
        }
    }

    /// Waits until the process has ended, and says how. May be dropped and called again.
    pub(super) async fn exited(&mut self) -> String {
        match &mut self.process {
            Process::Child(child) => match child.wait().await {
                Ok(status) => format!("the engine ended ({status})"),
                Err(error) => format!("the engine cannot be waited for ({error})"),
            },
            Process::Adopted(pid) => {
                while process::is_alive(*pid) {
                    sleep(ADOPTED_POLL).await;
                }
                "the engine ended".to_owned()
            }
        }
    }

    /// Ends the process: politely, then by force. Returns when it is gone.
    pub(super) async fn stop(&mut self) {
        let Some(pid) = self.pid().map(Pid::from_u32) else {
            return;
        };
        process::terminate(pid);
        if timeout(STOP_PATIENCE, self.exited()).await.is_err() {
            tracing::warn!(%pid, "the engine did not end when asked, and is killed");
            process::kill(pid);
            // However long it takes: another server on its database would corrupt it.
            self.exited().await;
        }
    }
}

/// The dev server's command line.
fn arguments(files: &EngineFiles, port: u16) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["server", "start-dev", "--headless"].map(Into::into).into();
    let mut option = |name: &str, value: &OsStr| {
        arguments.push(name.into());
        arguments.push(value.into());
    };
    option("--ip", OsStr::new("127.0.0.1"));
    option("--port", OsStr::new(&port.to_string()));
    option("--db-filename", files.database().as_os_str());
    option("--namespace", OsStr::new(&files.marker()));
    option("--log-level", OsStr::new("warn"));
    for pragma in PRAGMAS {
        option("--sqlite-pragma", OsStr::new(pragma));
    }
    // Of a database that is new. One that is not has what was added to it (see `namespace.rs`).
    for name in search_attributes() {
        option("--search-attribute", OsStr::new(&format!("{name}=Keyword")));
    }
    for value in DYNAMIC_CONFIG.into_iter().chain([UNDONE]) {
        option("--dynamic-config-value", OsStr::new(value));
    }
    arguments
}

/// Whether this command line is a dev server on our database.
fn serves(command_line: &[OsString], files: &EngineFiles) -> bool {
    command_line.iter().any(|argument| argument == "start-dev")
        && value_of(command_line, "--db-filename") == Some(files.database().as_os_str())
}

fn port_of(command_line: &[OsString]) -> Option<u16> {
    value_of(command_line, "--port")?.to_str()?.parse().ok()
}

fn value_of<'a>(command_line: &'a [OsString], option: &str) -> Option<&'a OsStr> {
    let position = command_line
        .iter()
        .position(|argument| argument == option)?;
    command_line.get(position + 1).map(OsString::as_os_str)
}

/// A free port on 127.0.0.1: `wanted` if it is free, else one at random from the range.
pub(super) fn free_port(wanted: Option<u16>) -> io::Result<u16> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let random = std::iter::repeat_with(|| {
        let [high, low, ..] = uuid::Uuid::new_v4().into_bytes();
        let width = PORTS.end - PORTS.start;
        PORTS.start + u16::from_be_bytes([high, low]) % width
    });
    wanted
        // From a file: it may say anything.
        .filter(|port| PORTS.contains(port))
        .into_iter()
        .chain(random.take(PORT_TRIES))
        .find(is_free)
        .ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no free port was found"))
}

/// Whether the server at `port` answers and is the one that has the namespace `marker`.
pub(super) async fn answers(port: u16, marker: &str) -> Result<(), String> {
    let ask = async {
        let target = Url::parse(&format!("http://127.0.0.1:{port}")).map_err(|e| e.to_string())?;
        let options = ConnectionOptions::new(target)
            .identity("segue-engine-check")
            .connect_timeout(ANSWER_PATIENCE)
            .build();
        let connection = Connection::connect(options)
            .await
            .map_err(|error| error.to_string())?;
        let request = DescribeNamespaceRequest {
            namespace: marker.to_owned(),
            ..Default::default()
        };
        WorkflowService::describe_namespace(
            &mut *connection.workflow_service(),
            request.into_request(),
        )
        .await
        .map_err(|status: Status| status.message().to_owned())?;
        Ok(())
    };
    timeout(ANSWER_PATIENCE, ask)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {ANSWER_PATIENCE:?}")))
}

/// Waits until the server at `port` answers, at most `patience`; the last refusal otherwise.
pub(super) async fn answers_within(
    port: u16,
    marker: &str,
    patience: Duration,
) -> Result<(), String> {
    /// A dev server is ready about 0.35 s after its start; asking costs well under 1 ms.
    const POLL: Duration = Duration::from_millis(20);

    let deadline = Instant::now() + patience;
    loop {
        match answers(port, marker).await {
            Err(_) if Instant::now() < deadline => sleep(POLL).await,
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_command_line_is_recognised_by_its_database() {
        let ours = EngineFiles::new("/home/a/engine".into());
        let other = EngineFiles::new("/home/b/engine".into());
        let command_line = arguments(&ours, 20_123);
        assert!(serves(&command_line, &ours));
        assert!(!serves(&command_line, &other));
        assert_eq!(port_of(&command_line), Some(20_123));
        assert!(!serves(
            &["vi".into(), "/home/a/engine/engine.db".into()],
            &ours
        ));
        assert_eq!(port_of(&["--port".into()]), None);
    }

    #[test]
    fn the_wanted_port_is_kept_while_it_is_free() {
        let port = free_port(None).unwrap();
        assert!(PORTS.contains(&port));
        assert_eq!(free_port(Some(port)).unwrap(), port);
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(free_port(Some(port)).unwrap(), port);
        assert!(PORTS.contains(&free_port(Some(0)).unwrap()));
    }

    #[tokio::test]
    async fn a_stranger_on_the_port_is_not_the_engine() {
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = stranger.local_addr().unwrap().port();
        drop(stranger);
        assert!(answers(port, "segue-engine-0").await.is_err());
    }
}
