//! A stand-in for an assistant that shows views (`tests/app/host.html`), beside a real server: what its page asks
//! of MCP goes to that server, and what the view says is kept.

use std::sync::{Arc, Mutex};

use axum::{Json, extract::State, response::Html, routing};
use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, ReadResourceRequestParams},
    service::{Peer, ServiceError},
};
use segue::client::Server;
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

const PAGE: &str = include_str!("../app/host.html");

/// The stand-in.
pub(crate) struct Host {
    url: Url,
    state: Arc<Inside>,
}

#[derive(Default)]
struct Inside {
    server: Mutex<Option<Peer<RoleClient>>>,
    heard: Mutex<Vec<Value>>,
}

impl Host {
    /// One whose MCP server is this.
    pub(crate) async fn beside(server: &Server) -> Self {
        let state = Arc::new(Inside::default());
        let router = axum::Router::new()
            .route("/", routing::get(async || Html(PAGE)))
            .route("/rpc", routing::post(rpc))
            .route("/heard", routing::post(hear))
            .with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let host = Self {
            url: format!("http://{address}").parse().unwrap(),
            state,
        };
        host.turn_to(server);
        host
    }

    /// From now on its MCP server is this.
    pub(crate) fn turn_to(&self, server: &Server) {
        *self.state.server.lock().unwrap() = Some(server.peer().clone());
    }

    /// The page on which the model calls this tool, and the view shows what comes of it.
    pub(crate) fn page(&self, tool: &str, arguments: &Value) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("tool", tool)
            .append_pair("arguments", &arguments.to_string());
        url
    }

    /// Whether this address is its own.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        url.starts_with(self.url.as_str())
    }

    /// What the view has said by this method.
    pub(crate) fn heard(&self, method: &str) -> Vec<Value> {
        let mut heard = self.state.heard.lock().unwrap().clone();
        heard.retain(|message| message["method"] == method);
        heard
    }

    /// How often the view has called this tool.
    pub(crate) fn calls(&self, tool: &str) -> usize {
        let calls = self.heard("tools/call").into_iter();
        calls.filter(|call| call["params"]["name"] == tool).count()
    }

    /// What the view has answered to the request of this id.
    pub(crate) fn answer_to(&self, id: &str) -> Option<Value> {
        let heard = self.state.heard.lock().unwrap();
        let mut answers = heard.iter().filter(|message| message["method"].is_null());
        answers.find(|message| message["id"] == id).cloned()
    }
}

async fn hear(State(inside): State<Arc<Inside>>, Json(message): Json<Value>) -> Json<Value> {
    inside.heard.lock().unwrap().push(message);
    Json(Value::Null)
}

async fn rpc(State(inside): State<Arc<Inside>>, Json(request): Json<Value>) -> Json<Value> {
    let peer = inside.server.lock().unwrap().clone();
    let peer = peer.expect("a server");
    let params = request["params"].clone();
    let answer = match request["method"].as_str() {
        Some("tools/list") => told(peer.list_tools(None).await),
        Some("tools/call") => {
            let call: CallToolRequestParams = serde_json::from_value(params).expect("a call");
            told(peer.call_tool(call).await)
        }
        Some("resources/read") => {
            let read: ReadResourceRequestParams = serde_json::from_value(params).expect("a name");
            told(peer.read_resource(read).await)
        }
        other => panic!("no {other:?} is asked of this server"),
    };
    Json(answer)
}

fn told<T: Serialize>(answer: Result<T, ServiceError>) -> Value {
    match answer {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "error": { "code": -32000, "message": error.to_string() } }),
    }
}
