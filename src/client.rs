//! A client of our own server: this program as a process of its own, spoken to over stdio or HTTP as any
//! assistant does, and killed like any process. The demo, the benches and the tests use it.

mod over_http;

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use rmcp::{
    RoleClient, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation,
        ReadResourceRequestParams, ResourceContents,
    },
    service::{Peer, RunningService},
};
use secrecy::{ExposeSecret, SecretString};
use segue_spotify::sim::Ready;
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

pub use self::over_http::{HttpServer, discover};

/// Time for one call: far more than any takes, but an end.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// Time for the server to end by itself once its client has gone.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// Variables that would lead the server away from the parts that it is given here.
const LEADING_ASTRAY: [&str; 5] = ["OPENAI_", "OTEL_", "SEGUE_", "SPOTIFY_", "TEMPORAL_"];

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    variables: Vec<(String, SecretString)>,
    log: Option<PathBuf>,
    capabilities: ClientCapabilities,
}

impl Launch {
    /// This program as a server with its files under `home`, on this Spotify, with the engine's
    /// binary kept in `engine_cache`.
    pub fn new(
        program: impl Into<PathBuf>,
        home: &Path,
        engine_cache: &Path,
        spotify: &Ready,
    ) -> Self {
        let variables = [
            ("SEGUE_HOME", home.display().to_string()),
            ("SEGUE_ENGINE_CACHE", engine_cache.display().to_string()),
            ("SEGUE_TOKEN_STORE", "file".to_owned()),
            // The simulated Spotify limits nothing of its own accord.
            ("SEGUE_UPSTREAM_BUDGET", "3000".to_owned()),
            ("SPOTIFY_API_URL", spotify.api_url.clone()),
            ("SPOTIFY_ACCOUNTS_URL", spotify.accounts_url.clone()),
            ("SPOTIFY_CLIENT_ID", spotify.client_id.clone()),
            ("SPOTIFY_REFRESH_TOKEN", spotify.refresh_token.clone()),
        ];
        Self {
            program: program.into(),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.into()))
                .to_vec(),
            log: None,
            capabilities: ClientCapabilities::default(),
        }
    }

    /// The same with one variable more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let value: String = value.into();
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// The same for a client that declares this.
    #[must_use]
    pub fn declaring(mut self, capabilities: ClientCapabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same with stderr at the end of this file.
    #[must_use]
    pub fn logging_to(mut self, file: impl Into<PathBuf>) -> Self {
        self.log = Some(file.into());
        self
    }

    /// The command with these arguments, and no variable of the environment that would mislead it.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            let misleads =
                |name: &str| LEADING_ASTRAY.iter().any(|prefix| name.starts_with(prefix));
            if name.to_str().is_some_and(misleads) {
                command.env_remove(&name);
            }
        }
        let variables = self.variables.iter();
        let variables = variables.map(|(name, value)| (name, value.expose_secret()));
        command.args(arguments).envs(variables).kill_on_drop(true);
        if let Some(log) = &self.log {
            let log = std::fs::File::options()
                .create(true)
                .append(true)
                .open(log)?;
            command.stderr(log);
        }
        Ok(command)
    }
}

/// What this client says of itself.
fn introduction(capabilities: ClientCapabilities) -> ClientConfig {
    ClientConfig::new(
        capabilities,
        Implementation::new("segue-client", env!("CARGO_PKG_VERSION")),
    )
}

/// A conversation with a server.
pub struct Conversation {
    client: RunningService<RoleClient, ClientConfig>,
}

impl Conversation {
    /// The client's side of it.
    pub fn peer(&self) -> &Peer<RoleClient> {
        self.client.peer()
    }

    /// Calls a tool, and gives whatever it answers.
    ///
    /// # Errors
    /// A fault of the protocol, or no answer.
    pub async fn call_raw(
        &self,
        tool: &'static str,
        arguments: Value,
    ) -> anyhow::Result<CallToolResult> {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let params = CallToolRequestParams::new(tool).with_arguments(arguments);
        Ok(timeout(CALL_TIMEOUT, self.client.call_tool(params)).await??)
    }

    /// Calls a tool, and gives its structured content.
    ///
    /// # Errors
    /// Also an answer that says it is an error.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> anyhow::Result<Value> {
        let result = self.call_raw(tool, arguments).await?;
        let content = result.structured_content.unwrap_or_default();
        if result.is_error == Some(true) {
            bail!("{tool}: {}", content["error"]);
        }
        Ok(content)
    }

    /// Reads a resource, and gives its text.
    ///
    /// # Errors
    /// There is no such resource, or it is no text.
    pub async fn read(&self, uri: &str) -> anyhow::Result<String> {
        let params = ReadResourceRequestParams::new(uri);
        let read = timeout(CALL_TIMEOUT, self.client.read_resource(params)).await??;
        match read.contents.into_iter().next() {
            Some(ResourceContents::TextResourceContents { text, .. }) => Ok(text),
            _ => bail!("{uri} is no text"),
        }
    }

    /// Ends it, as a client does that has nothing more to say.
    ///
    /// # Errors
    /// It broke before.
    pub async fn end(self) -> anyhow::Result<()> {
        self.client.cancel().await?;
        Ok(())
    }
}

/// A server over stdio that serves us.
pub struct Server {
    process: Child,
    conversation: Conversation,
}

impl Deref for Server {
    type Target = Conversation;

    fn deref(&self) -> &Conversation {
        &self.conversation
    }
}

impl Server {
    /// Starts it, and opens the conversation.
    ///
    /// # Errors
    /// It does not start, or does not speak MCP.
    pub async fn start(launch: &Launch) -> anyhow::Result<Self> {
        Self::start_as(launch, "serve").await
    }

    /// The same with another command that serves MCP over stdio, such as the bundled upstream.
    ///
    /// # Errors
    /// It does not start, or does not speak MCP.
    pub async fn start_as(launch: &Launch, command: &str) -> anyhow::Result<Self> {
        let mut process = launch
            .command(&[command])?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", launch.program.display()))?;
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the server has no stdin or stdout");
        };
        let introduction = introduction(launch.capabilities.clone());
        let client = timeout(CALL_TIMEOUT, introduction.serve((stdout, stdin))).await??;
        Ok(Self {
            process,
            conversation: Conversation { client },
        })
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// `kill -9`: nothing of it has a chance to tidy up.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        Ok(())
    }

    /// Ends it as a client does, by closing its stdin.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.conversation.end().await?;
        timeout(END_TIMEOUT, self.process.wait())
            .await
            .context("the server did not end when its client left")??;
        Ok(())
    }
}
