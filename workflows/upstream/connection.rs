//! One live connection to an upstream MCP server.

use std::{collections::BTreeSet, fmt, time::Duration};

use rmcp::{
    RoleClient, ServiceError, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ClientRequest,
        ErrorCode as RpcCode, Implementation, ListToolsRequest, PaginatedRequestParams,
        ServerResult, Tool,
    },
    service::RunningService,
    transport::DynamicTransportError,
};
use secrecy::{ExposeSecret, SecretString};
use segue_spans::{failed, mcp};
use serde_json::{Map, Value};
use tokio::{process::Command, time::timeout};
use tracing::Instrument;

use super::{
    UpstreamError,
    bound::{LARGEST_MESSAGE, Overrun},
    child::ChildServer,
    http,
    profile::Profile,
    text::clean,
};
use crate::{error::ErrorCode, traces::LOG_ALONE};

/// Time for the server to start, to answer `initialize` and to list its tools. A Python server
/// with cold caches was seen to take 5 s.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// Tools, and pages of them, that a server may list: one that goes on for ever has no others either.
const MOST_TOOLS: usize = 1_000;
const MOST_TOOL_PAGES: usize = 50;

/// Secrets of ours that an upstream server has no use for; it gets the rest of the environment,
/// because that is where its own credentials are.
const KEPT_FROM_UPSTREAM: [&str; 8] = [
    "OPENAI_API_KEY",
    "SEGUE_WEBHOOK_SECRET",
    "SEGUE_WEBHOOK_URL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "TEMPORAL_API_KEY",
    "TEMPORAL_TLS_CLIENT_KEY_DATA",
    "TEMPORAL_TLS_CLIENT_KEY_PATH",
];

/// Where the upstream server is.
#[derive(Clone)]
pub enum Endpoint {
    /// A program that speaks MCP over its stdin and stdout.
    Command {
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables that it gets beside the inherited ones.
        env: Vec<(String, SecretString)>,
    },
    /// A Streamable HTTP endpoint.
    Url(SecretString),
}

/// As its label: arguments and URLs may hold secrets.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

impl Endpoint {
    /// The endpoint written as a command line or as an http(s) URL.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with("http://") || text.starts_with("https://") {
            return match url::Url::parse(text) {
                Ok(_) => Ok(Self::Url(text.into())),
                // Without the text, which may hold a secret.
                Err(error) => Err(format!("this is not a URL: {error}")),
            };
        }
        let mut words = shlex::split(text)
            .ok_or("this is not a command line: a quote is not closed")?
            .into_iter();
        let program = words
            .next()
            .filter(|program| !program.is_empty())
            .ok_or("neither a command line nor an http(s) URL")?;
        Ok(Self::Command {
            program,
            args: words.collect(),
            env: Vec::new(),
        })
    }

    /// What to call it in a message: the program or the host alone, because arguments and paths may
    /// hold secrets as well.
    pub fn label(&self) -> String {
        match self {
            Self::Command { program, args, .. } if args == &["spotify"] => {
                format!("`{} spotify`", file_name(program))
            }
            Self::Command { program, .. } => format!("`{}`", file_name(program)),
            Self::Url(url) => match url::Url::parse(url.expose_secret()) {
                Ok(url) => url.origin().ascii_serialization(),
                Err(_) => "the upstream".to_owned(),
            },
        }
    }
}

fn file_name(program: &str) -> &str {
    program.rsplit(['/', '\\']).next().unwrap_or(program)
}

/// A server that has said what tools it has, and the profile by which we speak to it.
pub(super) struct Connection {
    wire: Wire,
    tools: BTreeSet<String>,
    pub(super) profile: Profile,
}

impl Connection {
    /// Starts or reaches the server, and finds its profile.
    pub(super) async fn open(
        endpoint: &Endpoint,
        forced_profile: Option<&str>,
    ) -> Result<Self, UpstreamError> {
        let label = endpoint.label();
        let opening = async {
            let mut overrun = None;
            let service = match endpoint {
                Endpoint::Command { program, args, env } => {
                    let mut command = Command::new(program);
                    command.args(args);
                    for secret in KEPT_FROM_UPSTREAM {
                        command.env_remove(secret);
                    }
                    let env = env.iter();
                    command.envs(env.map(|(name, value)| (name, value.expose_secret())));
                    let lines = overrun.insert(Overrun::default()).clone();
                    let process = ChildServer::spawn(command, lines).map_err(|error| {
                        UpstreamError::unavailable(format!("{label} does not start: {error}"))
                    })?;
                    client_info().serve(process).await
                }
                Endpoint::Url(url) => {
                    let transport = http::transport(url.expose_secret()).map_err(|_| {
                        UpstreamError::unavailable(format!("there is no TLS to reach {label} by"))
                    })?;
                    client_info().serve(transport).await
                }
            }
            .map_err(|_| {
                // The transport's own words may repeat a URL with all that stands in it.
                UpstreamError::unavailable(format!(
                    "{label} cannot be reached, or does not speak MCP"
                ))
            })?;
            let wire = Wire { service, overrun };
            let tools = names(&wire.list_tools(&label).await?);
            let profile = Profile::choose(forced_profile, &tools).map_err(|error| {
                UpstreamError::new(ErrorCode::CapabilityMissing, format!("{label}: {error}"))
            })?;
            tracing::info!(upstream = %label, profile = %profile.name, tools = tools.len(), "upstream connected");
            Ok(Self {
                wire,
                tools,
                profile,
            })
        };
        // It outlives the call for which it is opened, and serves others: what happens in it belongs to none.
        let own = tracing::info_span!(target: LOG_ALONE, parent: None, "connection");
        let opening = timeout(START_TIMEOUT, opening).instrument(own);
        opening.await.unwrap_or_else(|_| {
            Err(UpstreamError::unavailable(format!(
                "{label} did not answer within {} s of its start",
                START_TIMEOUT.as_secs()
            )))
        })
    }

    /// Whether the server has this tool.
    pub(super) fn has(&self, tool: &str) -> bool {
        self.tools.contains(tool)
    }

    /// Whether these are the tools that it had when it was connected.
    pub(super) fn lists(&self, tools: &BTreeSet<String>) -> bool {
        self.tools == *tools
    }

    /// The names of the tools that the server has now.
    pub(super) async fn list_tools(&self, label: &str) -> Result<BTreeSet<String>, UpstreamError> {
        Ok(names(&self.tools_now(label).await?))
    }

    /// The tools that the server has now.
    pub(super) async fn tools_now(&self, label: &str) -> Result<Vec<Tool>, UpstreamError> {
        let listing = timeout(START_TIMEOUT, self.wire.list_tools(label));
        listing.await.unwrap_or_else(|_| {
            Err(UpstreamError::unavailable(format!(
                "{label} did not list its tools within {} s",
                START_TIMEOUT.as_secs()
            )))
        })
    }

    /// Whether the connection is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.wire.service.is_closed() || self.wire.service.is_transport_closed()
    }

    /// Calls a tool once. The caller decides whether to try again.
    pub(super) async fn call(
        &self,
        label: &str,
        tool: &str,
        arguments: Map<String, Value>,
        limit: Duration,
    ) -> Result<CallToolResult, UpstreamError> {
        let span = mcp::calling(tool, self.wire.overrun.is_none());
        let mut params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        mcp::carry(&span, &mut params.meta);
        let call = timeout(limit, self.wire.service.call_tool(params)).instrument(span.clone());
        let error = match call.await {
            Ok(Ok(result)) => {
                if result.is_error == Some(true) {
                    failed(&span, "tool_error");
                }
                return Ok(result);
            }
            Ok(Err(error)) => self.wire.in_our_words(label, tool, error),
            Err(_) => UpstreamError::unavailable(format!(
                "{label} did not answer {tool} within {} s",
                limit.as_secs()
            )),
        };
        failed(&span, error.code.as_str());
        Err(error)
    }
}

/// The client's end of a connection, and what is known of how it broke.
struct Wire {
    service: RunningService<RoleClient, ClientConfig>,
    /// Of a child process; the HTTP transport tells by its errors, if at all.
    overrun: Option<Overrun>,
}

impl Wire {
    /// The server's tools, read within bounds. They are asked for as they are now: `rmcp` may answer
    /// its own `list_tools` from a cache.
    async fn list_tools(&self, label: &str) -> Result<Vec<Tool>, UpstreamError> {
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..MOST_TOOL_PAGES {
            let page = PaginatedRequestParams::default().with_cursor(cursor);
            let request = ClientRequest::ListToolsRequest(ListToolsRequest::with_param(page));
            let page = match self.service.send_request(request).await {
                Ok(ServerResult::ListToolsResult(page)) => page,
                Ok(_) => return Err(no_mcp(label, "tools/list")),
                Err(error) => return Err(self.in_our_words(label, "tools/list", error)),
            };
            tools.extend(page.tools);
            cursor = page.next_cursor;
            if tools.len() > MOST_TOOLS {
                break;
            }
            if cursor.is_none() {
                return Ok(tools);
            }
        }
        Err(UpstreamError::bad_answer(format!(
            "{label} lists more than {MOST_TOOLS} tools, or more than {MOST_TOOL_PAGES} pages of \
             them"
        )))
    }

    fn in_our_words(&self, label: &str, tool: &str, error: ServiceError) -> UpstreamError {
        match error {
            ServiceError::McpError(error) => {
                let code = match error.code {
                    RpcCode::INVALID_PARAMS => ErrorCode::InvalidRequest,
                    RpcCode::METHOD_NOT_FOUND => ErrorCode::CapabilityMissing,
                    _ => ErrorCode::UpstreamUnavailable,
                };
                UpstreamError::new(
                    code,
                    format!("{label} refused {tool}: {}", clean(&error.message)),
                )
            }
            _ if self.overrun.as_ref().is_some_and(Overrun::happened) => too_large(label, tool),
            ServiceError::TransportSend(error) if is_too_large(&error) => too_large(label, tool),
            ServiceError::TransportSend(error) if is_no_mcp(&error) => no_mcp(label, tool),
            ServiceError::UnexpectedResponse => no_mcp(label, tool),
            // An event stream that was cut off at the bound looks like any other that ended.
            ServiceError::TransportClosed if self.overrun.is_none() => {
                UpstreamError::unavailable(format!(
                    "{label} broke off its answer to {tool}, or it was larger than \
                     {LARGEST_MESSAGE} bytes"
                ))
            }
            _ => UpstreamError {
                broke: true,
                ..UpstreamError::unavailable(format!(
                    "the connection to {label} broke during {tool}"
                ))
            },
        }
    }
}

fn names(tools: &[Tool]) -> BTreeSet<String> {
    tools.iter().map(|tool| tool.name.to_string()).collect()
}

fn no_mcp(label: &str, tool: &str) -> UpstreamError {
    UpstreamError::bad_answer(format!(
        "{label} answered {tool} with something else than MCP"
    ))
}

fn too_large(label: &str, tool: &str) -> UpstreamError {
    UpstreamError::bad_answer(format!(
        "{label} answered {tool} with more than {LARGEST_MESSAGE} bytes"
    ))
}

/// The HTTP transport's errors are of a type whose parameter has no name here. Their words are only
/// looked at, never passed on: they may repeat an answer.
fn is_too_large(error: &DynamicTransportError) -> bool {
    error
        .error
        .to_string()
        .contains("exceeded the maximum size")
}

fn is_no_mcp(error: &DynamicTransportError) -> bool {
    let words = error.error.to_string().to_lowercase();
    words.contains("could not parse") || words.contains("unexpected content type")
}

fn client_info() -> ClientConfig {
    ClientConfig::new(
        ClientCapabilities::default(),
        Implementation::new("segue", env!("CARGO_PKG_VERSION")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_command_line_or_a_url() {
        let Ok(Endpoint::Command { program, args, env }) =
            Endpoint::parse("uvx 'my server' --flag")
        else {
            panic!("a command line");
        };
        assert_eq!((&*program, args.len(), env.len()), ("uvx", 2, 0));
        assert_eq!(args, ["my server", "--flag"]);
        let url = Endpoint::parse("https://mcp.example/mcp");
        assert!(
            matches!(url, Ok(Endpoint::Url(url)) if url.expose_secret() == "https://mcp.example/mcp")
        );
        for wrong in ["", "''", "uvx 'open", "http://"] {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_label_tells_no_secret() {
        for (given, label) in [
            (
                "https://ada:pw@mcp.example/s/secret/mcp?token=abc",
                "https://mcp.example",
            ),
            ("/usr/bin/env TOKEN=abc server --key abc", "`env`"),
            ("/opt/segue spotify", "`segue spotify`"),
        ] {
            let endpoint = Endpoint::parse(given).expect("an endpoint");
            assert_eq!(endpoint.label(), label);
            assert_eq!(format!("{endpoint:?}"), label);
        }
    }
}
