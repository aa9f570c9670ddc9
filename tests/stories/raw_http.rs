//! `segue serve --http` as a process, and clients of it that are no HTTP library: they send whatever they like.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use segue::client::Launch;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Child,
    time::timeout,
};

use crate::support::{World, until};

/// Time for one answer: longer than any client may take.
const ANSWER: Duration = Duration::from_secs(60);

/// A server over HTTP. It is killed when this is dropped.
pub(crate) struct HttpServer {
    pub(crate) address: SocketAddr,
    process: Child,
}

impl HttpServer {
    /// Starts one, which logs into the world's log.
    pub(crate) async fn start(world: &World, launch: &Launch) -> Self {
        let before = std::fs::read_to_string(world.log())
            .unwrap_or_default()
            .len();
        let mut command = launch.command(&["serve", "--http", "127.0.0.1:0"]).unwrap();
        let process = command.stdin(Stdio::null()).spawn().unwrap();
        let mut address = None;
        until("the server listens", async || {
            let log = std::fs::read_to_string(world.log()).unwrap_or_default();
            let told = log.get(before..).unwrap_or_default();
            let mut at = told.split("listening at http://").skip(1);
            let found = at.next().and_then(|rest| rest.split("/mcp").next());
            address = found.and_then(|text| text.parse().ok());
            address.is_some()
        })
        .await;
        Self {
            address: address.unwrap(),
            process,
        }
    }

    /// Sends these bytes, and gives all that is answered until the connection closes.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // It may be told off before it has said all.
        let _ = stream.write_all(bytes.as_ref()).await;
        let mut answer = Vec::new();
        let read = timeout(ANSWER, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "no answer in time");
        Answer(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Posts this body to `/mcp`, with these fields beside the usual ones.
    pub(crate) async fn post(&self, fields: &[(&str, &str)], body: &Value) -> Answer {
        self.send(self.request(fields, body)).await
    }

    /// What [`Self::post`] sends. A field of a name that is usual stands in its place.
    pub(crate) fn request(&self, fields: &[(&str, &str)], body: &Value) -> String {
        let host = self.address.to_string();
        let method = body["method"].as_str().unwrap_or_default();
        let name = &body["params"]["name"];
        let mut head = "POST /mcp HTTP/1.1\r\n".to_owned();
        let usual = [
            ("host", host.as_str()),
            ("connection", "close"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
            ("mcp-name", name.as_str().unwrap_or_default()),
        ];
        let is_given = |name: &str| fields.iter().any(|(given, _)| *given == name);
        let usual = usual
            .into_iter()
            .filter(|(name, value)| !is_given(name) && !value.is_empty());
        for (name, value) in usual.chain(fields.iter().copied()) {
            head += &format!("{name}: {value}\r\n");
        }
        let body = body.to_string();
        format!("{head}content-length: {}\r\n\r\n{body}", body.len())
    }

    /// Lists the tools with this token.
    pub(crate) async fn list_tools(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.post(&[("authorization", &bearer)], &list_tools())
            .await
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id().unwrap()
    }
}

/// A request without a session, as 2026-07-28 has it.
pub(crate) fn call(method: &str, params: Value) -> Value {
    let mut params = params;
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// The list of tools.
pub(crate) fn list_tools() -> Value {
    call("tools/list", json!({}))
}

/// What a server said on one connection.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    /// The status of the first answer; 0 if there is none.
    pub(crate) fn status(&self) -> u16 {
        let status = self
            .0
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The field of this name, in small letters, of the first answer's head.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let (head, _) = self.0.split_once("\r\n\r\n")?;
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields.find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Whether tools are listed in it.
    pub(crate) fn lists_tools(&self) -> bool {
        self.status() == 200 && self.0.contains("sync_track")
    }

    /// How many answers there are on the connection.
    pub(crate) fn answers(&self) -> usize {
        self.0.matches("HTTP/1.1 ").count()
    }
}
