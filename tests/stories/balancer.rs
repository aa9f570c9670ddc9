//! A plain balancer: each request goes to the next of its servers in turn, and to the one after that if there
//! is nobody.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header::HOST},
    response::{IntoResponse, Response},
};
use futures::stream;
use tokio::net::TcpListener;

/// A balancer that serves until it is dropped with its test.
pub(crate) struct Balancer {
    address: SocketAddr,
    turn: Arc<Turn>,
}

struct Turn {
    servers: Mutex<Vec<String>>,
    next: AtomicUsize,
    http: reqwest::Client,
}

impl Balancer {
    /// One before these servers.
    pub(crate) async fn before(servers: Vec<String>) -> Self {
        let turn = Arc::new(Turn {
            servers: Mutex::new(servers),
            next: AtomicUsize::new(0),
            http: reqwest::Client::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass).with_state(turn.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, turn }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A server that has come back, elsewhere.
    pub(crate) fn replace(&self, place: usize, url: &str) {
        self.turn.servers.lock().unwrap()[place] = url.to_owned();
    }
}

async fn pass(State(turn): State<Arc<Turn>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    // The servers are called by addresses of their own.
    parts.headers.remove(HOST);
    let servers = turn.servers.lock().unwrap().clone();
    for _ in 0..servers.len() {
        let place = turn.next.fetch_add(1, Ordering::Relaxed) % servers.len();
        let url = format!("{}{}", servers[place], parts.uri);
        let asked = turn
            .http
            .request(parts.method.clone(), url)
            .headers(parts.headers.clone())
            .body(body.clone());
        match asked.send().await {
            Ok(answer) => {
                let mut response = Response::builder().status(answer.status());
                *response.headers_mut().unwrap() = answer.headers().clone();
                return response.body(streamed(answer)).unwrap();
            }
            // Nobody has heard it.
            Err(error) if error.is_connect() => {}
            Err(_) => break,
        }
    }
    StatusCode::BAD_GATEWAY.into_response()
}

fn streamed(answer: reqwest::Response) -> Body {
    Body::from_stream(stream::unfold(answer, |mut answer| async {
        let chunk = answer.chunk().await.ok()??;
        Some((Ok::<_, Infallible>(chunk), answer))
    }))
}
