//! An assistant of either era: one that opens a session by `initialize`, or one of 2026-07-28 that says
//! with each request what it is. It hears of changes.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
};

use rmcp::{
    ClientHandler, Peer, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, CompletionInfo, ErrorCode, GetPromptRequestParams,
        Implementation, ProtocolVersion, ReadResourceRequestParams, ReadResourceResult,
        ResourceContents, ResourceUpdatedNotificationParam,
    },
    service::{
        ClientLifecycleMode, ClientServiceExt, NotificationContext, RunningService, ServiceError,
    },
    transport::{IntoTransport, StreamableHttpClientTransport},
};
use segue::client::Launch;
use serde_json::Value;
use tokio::{
    process::{Child, ChildStdin, ChildStdout},
    sync::mpsc,
    time::timeout,
};

use crate::support::{PATIENCE, until};

/// How an assistant opens a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// Up to 2025-11-25.
    Sessions,
    /// Since 2026-07-28.
    Requests,
}

pub(crate) const BOTH: [Era; 2] = [Era::Sessions, Era::Requests];

impl Era {
    /// What a resource that there is not is answered with.
    pub(crate) fn not_found(self) -> ErrorCode {
        match self {
            Self::Sessions => ErrorCode::RESOURCE_NOT_FOUND,
            Self::Requests => ErrorCode::INVALID_PARAMS,
        }
    }
}

/// What it hears outside of its calls.
struct Ears(mpsc::UnboundedSender<String>);

impl ClientHandler for Ears {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("an-assistant", "1"),
        )
    }

    async fn on_resource_updated(
        &self,
        update: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let _ = self.0.send(update.uri);
    }
}

/// An assistant with a server of its own.
pub(crate) struct Assistant {
    pub(crate) process: Child,
    client: RunningService<RoleClient, Ears>,
    /// The resources of whose changes it was told.
    pub(crate) heard: mpsc::UnboundedReceiver<String>,
}

impl Assistant {
    pub(crate) async fn start(launch: &Launch, era: Era) -> Self {
        let mut process = launch
            .command(&["serve"])
            .unwrap()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pipes: (ChildStdout, ChildStdin) = (
            process.stdout.take().unwrap(),
            process.stdin.take().unwrap(),
        );
        Self::speaking(process, pipes, era).await
    }

    /// The same over HTTP, with a server that logs into this file where it listens.
    pub(crate) async fn over_http(launch: &Launch, log: &Path, era: Era) -> Self {
        let launch = launch.clone().logging_to(log);
        let process = launch
            .command(&["serve", "--http", "127.0.0.1:0"])
            .unwrap()
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = None;
        until("it listens", async || {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let told = log.split_once("listening at ").map(|(_, told)| told);
            address = told
                .and_then(|told| told.split_once("/mcp"))
                .map(|(address, _)| format!("{address}/mcp"));
            address.is_some()
        })
        .await;
        let transport = StreamableHttpClientTransport::from_uri(address.unwrap());
        Self::speaking(process, transport, era).await
    }

    async fn speaking<T, E, A>(process: Child, transport: T, era: Era) -> Self
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let (tell, heard) = mpsc::unbounded_channel();
        let lifecycle = match era {
            Era::Sessions => ClientLifecycleMode::Initialize,
            Era::Requests => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
        };
        let opening = Ears(tell).serve_with_lifecycle(transport, lifecycle);
        let client = timeout(PATIENCE, opening).await.unwrap().unwrap();
        Self {
            process,
            client,
            heard,
        }
    }

    /// Closes the conversation with whatever is open in it, and waits until the server has ended.
    pub(crate) async fn leave(mut self) -> ExitStatus {
        self.client.cancel().await.unwrap();
        timeout(PATIENCE, self.process.wait())
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) fn peer(&self) -> &Peer<RoleClient> {
        self.client.peer()
    }

    pub(crate) async fn read(&self, uri: &str) -> Result<ReadResourceResult, ServiceError> {
        let params = ReadResourceRequestParams::new(uri);
        timeout(PATIENCE, self.client.read_resource(params))
            .await
            .unwrap()
    }

    /// The JSON of a resource.
    pub(crate) async fn json(&self, uri: &str) -> Value {
        let read = self.read(uri).await.unwrap();
        serde_json::from_str(text(&read.contents[0])).unwrap()
    }

    /// The words of a prompt: its texts, and those of what is embedded.
    pub(crate) async fn prompt(
        &self,
        name: &str,
        arguments: Value,
    ) -> Result<Vec<String>, ServiceError> {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let params = GetPromptRequestParams::new(name).with_arguments(arguments);
        let prompt = timeout(PATIENCE, self.peer().get_prompt(params))
            .await
            .unwrap()?;
        let words = prompt.messages.iter().map(|message| {
            let content = &message.content;
            match content.as_text() {
                Some(words) => words.text.clone(),
                None => text(&content.as_resource().unwrap().resource).to_owned(),
            }
        });
        Ok(words.collect())
    }

    /// What may be meant by the beginning of the argument of a template.
    pub(crate) async fn complete_uri(&self, template: &str, begun: &str) -> CompletionInfo {
        let asked = self
            .peer()
            .complete_resource_argument(template, "sync_id", begun, None);
        timeout(PATIENCE, asked).await.unwrap().unwrap()
    }

    /// Waits until it is told of a change.
    pub(crate) async fn hears(&mut self) -> String {
        let heard = timeout(PATIENCE, self.heard.recv()).await;
        heard.expect("a change").expect("a conversation")
    }
}

/// The text of a resource.
pub(crate) fn text(contents: &ResourceContents) -> &str {
    match contents {
        ResourceContents::TextResourceContents { text, .. } => text,
        other => panic!("no text: {other:?}"),
    }
}

/// The code of an error of the protocol.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> ErrorCode {
    match result {
        Err(ServiceError::McpError(error)) => error.code,
        other => panic!("no error of the protocol: {other:?}"),
    }
}
