//! The server under test, and what may stand between it and the suite: a proxy that hands on one request after the
//! other, and before each kills what is to be killed, and starts it again.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, StatusCode, header},
};
use segue::processes;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, ChildStdout, Command},
    sync::Mutex,
    task::JoinHandle,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_segue-conformance");

/// What is killed, by `kill -9`, between each two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Killed {
    Nothing,
    Server,
    /// And before every third also the engine and its supervisor.
    Everything,
}

/// A server, behind a proxy if it is to be killed.
pub(crate) struct Proxy {
    url: String,
    shared: Arc<Mutex<Behind>>,
    serving: Option<JoinHandle<()>>,
}

/// What is behind the proxy.
struct Behind {
    killed: Killed,
    home: TempDir,
    client: reqwest::Client,
    server: Option<Server>,
    requests: u32,
    kills: u32,
    engine_kills: u32,
}

struct Server {
    process: Child,
    url: String,
    _stdout: BufReader<ChildStdout>,
}

impl Proxy {
    /// A server that has just been started, and what becomes of it between requests.
    pub(crate) async fn start(killed: Killed) -> Self {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(home.path()).await;
        let straight = server.url.clone();
        let shared = Arc::new(Mutex::new(Behind {
            killed,
            home,
            client: reqwest::Client::new(),
            server: Some(server),
            requests: 0,
            kills: 0,
            engine_kills: 0,
        }));
        let (url, serving) = match killed {
            Killed::Nothing => (straight, None),
            _ => Self::listen(shared.clone()).await,
        };
        Self {
            url,
            shared,
            serving,
        }
    }

    async fn listen(shared: Arc<Mutex<Behind>>) -> (String, Option<JoinHandle<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(hand_on).with_state(shared);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        (url, Some(serving))
    }

    /// Where the suite finds it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends all of it; how many servers were killed, and how many engines.
    pub(crate) async fn end(self) -> (u32, u32) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
        let mut behind = self.shared.lock().await;
        if let Some(mut server) = behind.server.take() {
            server.process.kill().await.unwrap();
        }
        (behind.kills, behind.engine_kills)
    }
}

impl Behind {
    /// Kills what is to be killed before this request, and gives the URL of what lives.
    async fn ready(&mut self) -> String {
        self.requests += 1;
        if self.requests > 1 {
            let mut server = self.server.take().unwrap();
            server.process.kill().await.unwrap();
            self.kills += 1;
            if self.killed == Killed::Everything && self.requests.is_multiple_of(3) {
                self.kill_engine();
                self.engine_kills += 1;
            }
        }
        if self.server.is_none() {
            self.server = Some(Server::start(self.home.path()).await);
        }
        self.server.as_ref().unwrap().url.clone()
    }
}

impl Behind {
    /// Kills the engine, and first its supervisor, which would start it again.
    fn kill_engine(&self) {
        let home = self.home.path().display().to_string();
        for kind in ["engine-supervisor", "start-dev"] {
            let found = processes::find(None, &[kind, &home]);
            assert_eq!(found.len(), 1, "one {kind}");
            assert!(processes::kill(found[0]), "it runs");
        }
    }
}

impl Server {
    async fn start(home: &Path) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(home.join("server.log"))
            .unwrap();
        let mut process = Command::new(PROGRAM)
            .args(["serve", "--home"])
            .arg(home)
            .arg("--engine-cache")
            .arg(engine_cache())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut url = String::new();
        stdout.read_line(&mut url).await.unwrap();
        let log = std::fs::read_to_string(home.join("server.log")).unwrap();
        assert!(url.starts_with("http"), "the server does not start: {log}");
        Self {
            process,
            url: url.trim_end().to_owned(),
            _stdout: stdout,
        }
    }
}

/// Where tests keep the engine's binary, so that it is fetched once.
fn engine_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("segue-cache")
}

async fn hand_on(
    State(shared): State<Arc<Mutex<Behind>>>,
    method: Method,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    // One request has to have its answer before the next comes and kills.
    let mut behind = shared.lock().await;
    let url = behind.ready().await;
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let request = behind
        .client
        .request(method, url)
        .headers(headers)
        .body(body);
    let answered = async {
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
    };
    let (status, mut headers, body) = match answered.await {
        Ok(answered) => answered,
        Err(error) => return broken(&error.to_string()),
    };
    headers.remove(header::TRANSFER_ENCODING);
    let mut handed_on = Response::new(Body::from(body));
    *handed_on.status_mut() = status;
    *handed_on.headers_mut() = headers;
    handed_on
}

fn broken(why: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(why.to_owned()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
