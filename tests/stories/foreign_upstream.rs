//! "I already have a Spotify MCP server." A stand-in with the tool names and the answers of
//! hunarjain09/spotify-mcp-integration, reached over HTTP: it answers errors as JSON text without
//! `isError`, and can neither list a playlist nor remove from one.

use std::sync::{Arc, Mutex};

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

use crate::support::{World, ended, until};

const PLAYLIST: &str = "37i9dQZF1DXcBWIGoYBM5M";
const URI: &str = "spotify:track:0BCPKOYdS2jbQ8iyB56Zns";

/// The stand-in's state, and what a story wants of it.
#[derive(Default)]
struct Shelf {
    playlist: Vec<String>,
    /// The next search fails with this text.
    fail_search: Option<&'static str>,
    /// The answers of adds are held back while this is set.
    hold: bool,
}

#[derive(Clone, Default)]
struct StandIn(Arc<Mutex<Shelf>>);

impl StandIn {
    fn answer(&self, tool: &str, arguments: &Value) -> Result<Value, String> {
        let mut shelf = self.0.lock().unwrap();
        let track = json!({"id": &URI[14..], "name": "Clocks", "artist": "Coldplay",
            "album": "A Rush of Blood to the Head", "uri": URI, "duration_ms": 307_879,
            "popularity": 89, "release_date": "2002-08-08", "isrc": null});
        match tool {
            "search_track" => match shelf.fail_search.take() {
                Some(failure) => Err(failure.to_owned()),
                None => Ok(json!({"tracks": [track]})),
            },
            "search_by_isrc" => Ok(json!({"track": null, "found": false})),
            "add_track_to_playlist" => {
                shelf
                    .playlist
                    .push(arguments["track_uri"].as_str().unwrap().to_owned());
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
        let names = [
            "search_track",
            "add_track_to_playlist",
            "verify_track_added",
            "get_user_playlists",
            "search_by_isrc",
        ];
        let tools = names.map(|name| Tool::new(name, "", Arc::new(schema.clone())));
        Ok(ListToolsResult::with_all_items(tools.to_vec()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let answer = self.answer(&request.name, &arguments).unwrap_or_else(
            |error| json!({"error": error, "tool": request.name, "arguments": arguments}),
        );
        while request.name == "add_track_to_playlist" && self.0.lock().unwrap().hold {
            tokio::task::yield_now().await;
        }
        Ok(CallToolResult::success(vec![ContentBlock::text(answer.to_string())]).into())
    }
}

/// Serves the stand-in, and gives its URL.
async fn serve(stand_in: StandIn) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let service: StreamableHttpService<StandIn, LocalSessionManager> = StreamableHttpService::new(
        move || Ok(stand_in.clone()),
        Arc::default(),
        StreamableHttpServerConfig::default(),
    );
    let router = axum::Router::new().nest_service("/mcp", service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_song_is_synced_through_it_and_its_errors_are_understood() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let launch = world
        .launch()
        .with("SEGUE_UPSTREAM", serve(stand_in.clone()).await);
    let server = segue::client::Server::start(&launch).await.unwrap();

    let call = json!({"title": "Clocks", "artist": "Coldplay", "playlist": "Mix"});
    let id = crate::support::start(&server, call.clone()).await;
    let view = ended(&server, &id).await;
    assert_eq!(
        (&view["status"], &view["success"]),
        (&json!("completed"), &json!(true)),
        "{view:#}"
    );
    let id = crate::support::start(&server, call.clone()).await;
    assert_eq!(ended(&server, &id).await["already_present"], true);
    assert_eq!(stand_in.0.lock().unwrap().playlist, [URI]);

    for (failure, status, code) in [
        (
            "http status: 401, code: -1 - The access token expired",
            "failed",
            json!("auth_expired"),
        ),
        ("Connection aborted.", "completed", Value::Null),
    ] {
        stand_in.0.lock().unwrap().fail_search = Some(failure);
        let id = crate::support::start(&server, call.clone()).await;
        let view = ended(&server, &id).await;
        assert_eq!(
            (&view["status"], &view["error_code"]),
            (&json!(status), &code),
            "{view:#}"
        );
    }
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_cancellation_says_that_nothing_can_be_removed() {
    let world = World::new().await;
    let stand_in = StandIn::default();
    let launch = world
        .launch()
        .with("SEGUE_UPSTREAM", serve(stand_in.clone()).await);
    let server = segue::client::Server::start(&launch).await.unwrap();

    // The add takes effect, but its answer comes after the cancellation.
    stand_in.0.lock().unwrap().hold = true;
    let call = json!({"title": "Clocks", "artist": "Coldplay", "playlist": PLAYLIST});
    let id = crate::support::start(&server, call).await;
    until("the add has taken effect", async || {
        !stand_in.0.lock().unwrap().playlist.is_empty()
    })
    .await;
    server
        .call("cancel_sync", json!({"sync_id": id}))
        .await
        .unwrap();
    stand_in.0.lock().unwrap().hold = false;
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "cancelled", "{view:#}");
    let undone = view["undone"].as_str().unwrap();
    assert!(undone.contains("cannot remove tracks"), "{view:#}");
    assert_eq!(
        stand_in.0.lock().unwrap().playlist,
        [URI],
        "it was left, and the user told so"
    );
    server.end().await.unwrap();
}
