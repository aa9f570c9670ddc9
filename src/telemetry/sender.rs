//! What sends spans to the receiver: our own client, since the exporter's would bring another TLS. Nobody
//! waits for it, and a receiver that cannot be reached is told once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::redirect::Policy;
use tokio::runtime::Handle;

/// Time for a receiver to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read; a receiver has little to say.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Sends from whatever thread the exporter has, on this runtime.
#[derive(Debug)]
pub(super) struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    /// The last attempt failed, and that was told.
    failing: AtomicBool,
}

impl Sender {
    /// A sender that gives up after `patience`.
    ///
    /// # Errors
    /// There is no TLS.
    pub(super) fn new(patience: Duration) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(patience)
            .connect_timeout(CONNECT_PATIENCE)
            // Spans, and a key to the receiver perhaps, are for the one that was named.
            .redirect(Policy::none())
            .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            runtime: Handle::current(),
            failing: AtomicBool::new(false),
        })
    }

    fn note(&self, sent: &Result<Response<Bytes>, String>) {
        match sent {
            Ok(_) if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::warn!("the receiver of traces takes them again");
            }
            Err(reason) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    reason,
                    "traces are lost: the receiver at OTEL_EXPORTER_OTLP_ENDPOINT does not take them"
                );
            }
            Ok(_) | Err(_) => {}
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = send(self.client.clone(), request);
        let sent = match self.runtime.spawn(sending).await {
            Ok(sent) => sent,
            Err(_) => Err("the process ends".to_owned()),
        };
        self.note(&sent);
        sent.map_err(Into::into)
    }
}

/// Sends, and gives the answer; an error says what is wrong without the address, which may hold a secret.
async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let in_our_words = |error: reqwest::Error| {
        if error.is_timeout() {
            "it does not answer in time".to_owned()
        } else if error.is_connect() {
            "it cannot be reached".to_owned()
        } else {
            error.without_url().to_string()
        }
    };
    let request = reqwest::Request::try_from(request).map_err(in_our_words)?;
    let mut answer = client.execute(request).await.map_err(in_our_words)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("it answers {status}"));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(in_our_words)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err("its answer is too large".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    let mut read = Response::new(Bytes::from(body));
    *read.status_mut() = status;
    Ok(read)
}
