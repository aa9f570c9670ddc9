//! A stand-in for somebody else's MCP server, over HTTP, with the tool names and the answers of
//! hunarjain09/spotify-mcp-integration. It can be told to lie.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::header::CONTENT_TYPE,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};

/// The one playlist that it knows.
pub(crate) const PLAYLIST: &str = "37i9dQZF1DXcBWIGoYBM5M";
/// The one track that it finds: "Clocks" by Coldplay.
pub(crate) const URI: &str = "spotify:track:0BCPKOYdS2jbQ8iyB56Zns";

const TOOLS: [&str; 5] = [
    "search_track",
    "add_track_to_playlist",
    "verify_track_added",
    "get_user_playlists",
    "search_by_isrc",
];

/// The stand-in's state, and what a story wants of it.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) playlist: Vec<String>,
    /// The next search fails with this text.
    pub(crate) fail_search: Option<&'static str>,
    /// The answers of adds are held back while this is set.
    pub(crate) hold: bool,
    /// After so many adds the next fails, with this text.
    pub(crate) fail_add_after: Option<(usize, &'static str)>,
    /// Adds of this track are refused.
    pub(crate) fail_add_for: Option<String>,
    /// So many adds are reported as done, and are not.
    pub(crate) empty_promises: usize,
    /// The next so many searches answer an id that is none.
    pub(crate) wrong_ids: usize,
    /// A tool that it no longer has.
    pub(crate) vanished: Option<&'static str>,
    /// Its list of tools has another page behind every one.
    pub(crate) endless_list: bool,
    /// The `traceparent` of each call of a tool: in `_meta`, and in the headers.
    pub(crate) carried: Vec<[Option<String>; 2]>,
    /// Calls of a tool that get such a body in place of an answer, one each.
    pub(crate) bodies: Vec<(&'static str, Lie)>,
}

/// What is answered over HTTP in place of what the protocol asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lie {
    /// A proper answer, with 50 MB of text in it.
    Huge(Form),
    /// An answer that is never finished, a little at a time.
    Endless(Form),
    /// The first half of an answer.
    Truncated(Form),
    /// A page of HTML that claims to be an answer.
    NoJson(Form),
}

/// The two forms of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// A JSON body.
    Json,
    /// A stream of events.
    Events,
}

/// The server. Clones are one server.
#[derive(Clone, Default)]
pub(crate) struct StandIn(Arc<Mutex<Shelf>>);

impl StandIn {
    pub(crate) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap()
    }

    /// Serves it, and gives its URL.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let stand_in = self.clone();
        let service: StreamableHttpService<Self, LocalSessionManager> = StreamableHttpService::new(
            move || Ok(stand_in.clone()),
            Arc::default(),
            StreamableHttpServerConfig::default(),
        );
        let router = axum::Router::new()
            .nest_service("/mcp", service)
            .layer(axum::middleware::from_fn_with_state(self.clone(), lying));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn answer(&self, tool: &str, arguments: &Value) -> Result<Value, String> {
        let mut shelf = self.shelf();
        if shelf.vanished == Some(tool) {
            return Err(format!("Unknown tool: {tool}"));
        }
        match tool {
            "search_track" => {
                if let Some(failure) = shelf.fail_search.take() {
                    return Err(failure.to_owned());
                }
                let uri = match shelf.wrong_ids {
                    0 => URI,
                    _ => "https://open.spotify.com/track/0BCPKOYdS2jbQ8iyB56Zns",
                };
                shelf.wrong_ids = shelf.wrong_ids.saturating_sub(1);
                let id = uri.rsplit([':', '/']).next();
                Ok(
                    json!({"tracks": [{"id": id, "name": "Clocks", "artist": "Coldplay",
                    "album": "A Rush of Blood to the Head", "uri": uri, "duration_ms": 307_879,
                    "popularity": 89, "release_date": "2002-08-08", "isrc": null}]}),
                )
            }
            "search_by_isrc" => Ok(json!({"track": null, "found": false})),
            "add_track_to_playlist" => {
                if arguments["track_uri"].as_str() == shelf.fail_add_for.as_deref() {
                    return Err("http status: 400, code: -1 - no such track".to_owned());
                }
                match &mut shelf.fail_add_after {
                    Some((0, failure)) => {
                        let failure = failure.to_string();
                        shelf.fail_add_after = None;
                        return Err(failure);
                    }
                    Some((left, _)) => *left -= 1,
                    None => {}
                }
                match shelf.empty_promises.checked_sub(1) {
                    Some(left) => shelf.empty_promises = left,
                    None => {
                        let uri = arguments["track_uri"].as_str().unwrap().to_owned();
                        shelf.playlist.push(uri);
                    }
                }
                Ok(json!({"snapshot_id": "abc"}))
            }
            "verify_track_added" => {
                let uri = arguments["track_uri"].as_str().unwrap();
                Ok(json!({"is_added": shelf.playlist.iter().any(|there| there == uri)}))
            }
            "get_user_playlists" => Ok(json!({"playlists": [{"id": PLAYLIST, "name": "Mix",
                "description": "", "tracks_total": shelf.playlist.len(), "public": false}]})),
            other => Err(format!("Unknown tool: {other}")),
        }
    }
}

impl ServerHandler for StandIn {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({"type": "object"}).as_object().cloned().unwrap();
        let shelf = self.shelf();
        let tools = TOOLS
            .into_iter()
            .filter(|&name| shelf.vanished != Some(name))
            .map(|name| Tool::new(name, "", Arc::new(schema.clone())));
        let mut list = ListToolsResult::with_all_items(tools.collect());
        list.next_cursor = shelf.endless_list.then(|| "more".to_owned());
        Ok(list)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let header = context.extensions.get::<http::request::Parts>();
        let header = header.and_then(|parts| parts.headers.get("traceparent"));
        let header = header.map(|value| value.to_str().unwrap().to_owned());
        let carried = context.meta.get_traceparent().map(str::to_owned);
        self.shelf().carried.push([carried, header]);
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let answer = self.answer(&request.name, &arguments).unwrap_or_else(
            |error| json!({"error": error, "tool": request.name, "arguments": arguments}),
        );
        while request.name == "add_track_to_playlist" && self.shelf().hold {
            tokio::task::yield_now().await;
        }
        Ok(CallToolResult::success(vec![ContentBlock::text(answer.to_string())]).into())
    }
}

/// Answers a call for which a lie is due with that, before the server gets to see it.
async fn lying(State(stand_in): State<StandIn>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let due = {
        let bodies = &mut stand_in.shelf().bodies;
        let at = bodies.iter().position(|(tool, _)| {
            message["method"] == "tools/call" && message["params"]["name"] == *tool
        });
        at.map(|at| bodies.remove(at).1)
    };
    match due {
        Some(lie) => lie.answer(&message["id"]),
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    }
}

impl Lie {
    fn answer(self, id: &Value) -> Response {
        let (Self::Huge(form) | Self::Endless(form) | Self::Truncated(form) | Self::NoJson(form)) =
            self;
        let (kind, prefix, end) = match form {
            Form::Json => ("application/json", "", ""),
            Form::Events => ("text/event-stream", "data: ", "\n\n"),
        };
        let head = format!(
            r#"{prefix}{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":""#
        );
        let body = match self {
            Self::Huge(_) => {
                let piece = Bytes::from(vec![b'x'; 1_000_000]);
                let tail = format!(r#""}}]}}}}{end}"#);
                let pieces = std::iter::once(Bytes::from(head))
                    .chain(std::iter::repeat_n(piece, 50))
                    .chain([Bytes::from(tail)]);
                Body::from_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)))
            }
            Self::Endless(_) => {
                let drops = stream::repeat(Bytes::from_static(b"x")).then(|drop| async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    drop
                });
                let pieces = stream::iter([Bytes::from(head)]).chain(drops);
                Body::from_stream(pieces.map(Ok::<_, std::io::Error>))
            }
            Self::Truncated(_) => Body::from(head),
            Self::NoJson(_) => Body::from(format!("{prefix}<html>502 Bad Gateway</html>{end}")),
        };
        ([(CONTENT_TYPE, kind)], body).into_response()
    }
}
