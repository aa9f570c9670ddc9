//! A server over HTTP, and conversations with it in either era of MCP.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context, bail};
use rmcp::{
    model::{ClientCapabilities, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt},
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr},
    time::timeout,
};

use super::{CALL_TIMEOUT, Conversation, END_TIMEOUT, Launch, introduction};

/// The words of the log after which the address comes.
const LISTENING: &str = "listening at ";

/// A server over HTTP, on a port of its own choice.
pub struct HttpServer {
    process: Child,
    url: String,
}

impl HttpServer {
    /// Starts `segue serve --http 0` with these arguments more, and waits until it listens.
    ///
    /// # Errors
    /// It does not start, or ends before it listens; the error has what it said.
    pub async fn start(launch: &Launch, arguments: &[&str]) -> anyhow::Result<Self> {
        let arguments = [&["serve", "--http", "0"], arguments].concat();
        let mut process = launch
            .command(&arguments)?
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", launch.program.display()))?;
        let stderr = process.stderr.take().context("the server has no stderr")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                said.push(line);
                let address = said.last().and_then(|line| line.split_once(LISTENING));
                if let Some((_, address)) = address {
                    return anyhow::Ok(address.trim().to_owned());
                }
            }
            bail!("the server does not listen: {}", said.join("\n"));
        };
        let url = timeout(CALL_TIMEOUT, listening).await??;
        let url = url.strip_suffix("/mcp").unwrap_or(&url).to_owned();
        tokio::spawn(keep_log(launch.log.clone(), said, lines));
        Ok(Self { process, url })
    }

    /// Where it is, without a path: `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Begins a conversation as of 2026-07-28, in which each call stands for itself.
    ///
    /// # Errors
    /// It does not speak MCP, or does not know the token.
    pub async fn discover(&self, token: Option<&str>) -> anyhow::Result<Conversation> {
        discover(&self.url, token).await
    }

    /// Begins a conversation as of 2025-11-25, in a session.
    ///
    /// # Errors
    /// As there.
    pub async fn initialize(&self, token: Option<&str>) -> anyhow::Result<Conversation> {
        converse(&self.url, token, ClientLifecycleMode::Initialize).await
    }

    /// `kill -9`: nothing of it has a chance to tidy up.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        Ok(())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn ended(mut self) -> anyhow::Result<()> {
        let ended = timeout(END_TIMEOUT, self.process.wait()).await;
        ended.context("the server did not end")??;
        Ok(())
    }
}

/// Begins a conversation as of 2026-07-28 with whatever serves at this address.
///
/// # Errors
/// As of [`HttpServer::discover`].
pub async fn discover(url: &str, token: Option<&str>) -> anyhow::Result<Conversation> {
    let lifecycle = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    converse(url, token, lifecycle).await
}

async fn converse(
    url: &str,
    token: Option<&str>,
    lifecycle: ClientLifecycleMode,
) -> anyhow::Result<Conversation> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(format!("{url}/mcp"));
    if let Some(token) = token {
        config = config.auth_header(token);
    }
    let transport = StreamableHttpClientTransport::from_config(config);
    let begun =
        introduction(ClientCapabilities::default()).serve_with_lifecycle(transport, lifecycle);
    let client = timeout(CALL_TIMEOUT, begun).await??;
    Ok(Conversation { client })
}

/// Writes what the server says to where its log is kept.
async fn keep_log(
    log: Option<PathBuf>,
    said: Vec<String>,
    mut lines: Lines<BufReader<ChildStderr>>,
) -> anyhow::Result<()> {
    let mut file = match log {
        Some(log) => Some(
            tokio::fs::File::options()
                .create(true)
                .append(true)
                .open(log)
                .await?,
        ),
        None => None,
    };
    let mut before = said.into_iter();
    // Read to the end in any case, or the server would wait for somebody who reads.
    loop {
        let line = match before.next() {
            Some(line) => Some(line),
            None => lines.next_line().await?,
        };
        let Some(line) = line else { return Ok(()) };
        if let Some(file) = &mut file {
            file.write_all(format!("{line}\n").as_bytes()).await?;
        }
    }
}
