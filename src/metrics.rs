//! The page of metrics: Temporal's of the worker and ours, as Prometheus reads them.
//!
//! What counts is the SDK's own exporter. It serves its page by itself, but takes as many connections as
//! there are, for as long as they like, and can be mounted nowhere. So it stands on a loopback port of its
//! own, and the page is fetched from it by whoever serves it: the server here, or one with other pages.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use segue_workflows::metrics::{Metrics, buckets};
use temporalio_common::telemetry::{
    HistogramBucketOverrides, PrometheusExporterOptions, start_prometheus_metric_exporter,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Where the page is.
const PATH: &str = "/metrics";
/// What it is: Prometheus's text.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Time for the exporter to give the page: it has it in memory.
const FETCH: Duration = Duration::from_secs(5);
/// Time for a client to send the head of its request.
const HEAD: Duration = Duration::from_secs(5);
/// Time for a connection, which is good for one request.
const CONNECTION: Duration = Duration::from_secs(15);
/// Bytes of a request's head; hyper takes no fewer.
const LONGEST_HEAD: usize = 8 * 1024;
/// Header fields of a request.
const MOST_FIELDS: usize = 50;
/// Connections at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 32;
/// Time before the next connection is accepted when the system has no descriptors left for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The page. Clones are the same page.
#[derive(Debug, Clone)]
pub struct Page {
    http: reqwest::Client,
    exporter: SocketAddr,
    _exporting: Arc<Exporting>,
}

/// The exporter ends with the last who could read from it.
#[derive(Debug)]
struct Exporting(AbortHandle);

impl Drop for Exporting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Page {
    /// An empty page, and what counts on it.
    ///
    /// # Errors
    /// There is no port left on the loopback address.
    pub fn new() -> anyhow::Result<(Self, Metrics)> {
        let overrides = buckets().map(|(name, bounds)| (name.to_owned(), bounds.to_vec()));
        // Names stay as they are given: no `_total` and no unit is put behind them.
        let options = PrometheusExporterOptions::builder()
            .socket_addr(([127, 0, 0, 1], 0).into())
            .use_seconds_for_durations(true)
            .histogram_bucket_overrides(HistogramBucketOverrides {
                overrides: overrides.collect::<HashMap<_, _>>(),
            })
            .build();
        let started = start_prometheus_metric_exporter(options)?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(FETCH)
            .build()?;
        let page = Self {
            http,
            exporter: started.bound_addr,
            _exporting: Arc::new(Exporting(started.abort_handle)),
        };
        Ok((page, Metrics::on(started.meter)))
    }

    /// The page as an answer, for any server.
    pub async fn response(&self) -> Response<String> {
        match self.text().await {
            Ok(text) => answer(StatusCode::OK, TEXT, text),
            Err(error) => {
                tracing::warn!("the page of metrics cannot be read: {error:#}");
                refusal(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    async fn text(&self) -> anyhow::Result<String> {
        let url = format!("http://{}{PATH}", self.exporter);
        let answer = self.http.get(url).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }

    /// Listens at this address, and serves the page there until `stop`.
    async fn open(&self, address: SocketAddr, stop: &CancellationToken) -> anyhow::Result<()> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("{address} cannot be listened at"))?;
        let bound = listener.local_addr()?;
        tracing::info!("metrics at http://{bound}{PATH}");
        tokio::spawn(self.clone().serve(listener, stop.clone()));
        Ok(())
    }

    /// Serves the page, and nothing else, until `stop`.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let accepted = async {
                let place = room.clone().acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                accepted = accepted => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let page = self.clone();
                    tokio::spawn(async move {
                        let _place = place;
                        page.converse(stream).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn converse(&self, stream: TcpStream) {
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, std::convert::Infallible>(match (request.method(), request.uri().path()) {
                (&Method::GET, PATH) => self.response().await,
                (_, PATH) => refusal(StatusCode::METHOD_NOT_ALLOWED),
                _ => refusal(StatusCode::NOT_FOUND),
            })
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LONGEST_HEAD)
            .max_headers(MOST_FIELDS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        match timeout(CONNECTION, served).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
            Err(_) => tracing::debug!("a connection took too long"),
        }
    }
}

fn answer(status: StatusCode, content: &'static str, body: String) -> Response<String> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let content = hyper::header::HeaderValue::from_static(content);
    answer.headers_mut().insert(CONTENT_TYPE, content);
    answer
}

fn refusal(status: StatusCode) -> Response<String> {
    answer(status, "text/plain; charset=utf-8", format!("{status}\n"))
}

/// Counts from now on and serves the page until `stop`, if the configuration asks for it. Where the page
/// is, is logged. A port that another process holds costs the page, not the work: whoever looks at the
/// page sees that it is not there.
///
/// # Errors
/// The address cannot be read.
pub(crate) async fn start(config: &Config, stop: &CancellationToken) -> anyhow::Result<Metrics> {
    let Some(address) = config.metrics_address()? else {
        return Ok(Metrics::off());
    };
    let counting = async {
        let (page, metrics) = Page::new()?;
        page.open(address, stop).await?;
        anyhow::Ok(metrics)
    };
    counting.await.or_else(|error| {
        tracing::error!("no metrics: {error:#}; choose another address for --metrics");
        Ok(Metrics::off())
    })
}

/// The same for a server that has the page among its own: it counts in any case.
///
/// # Errors
/// The address cannot be read, or no port is left on the loopback address.
pub(crate) async fn start_with_page(
    config: &Config,
    stop: &CancellationToken,
) -> anyhow::Result<(Page, Metrics)> {
    let (page, metrics) = Page::new()?;
    if let Some(address) = config.metrics_address()?
        && let Err(error) = page.open(address, stop).await
    {
        tracing::error!("no metrics there: {error:#}; choose another address for --metrics");
    }
    Ok((page, metrics))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A page that is served, and where.
    async fn served() -> (SocketAddr, Metrics, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (page, metrics) = Page::new().expect("a page");
        let stop = CancellationToken::new();
        tokio::spawn(page.serve(listener, stop.clone()));
        (address, metrics, stop)
    }

    async fn said(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        // It may be told off before it has said all.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    }

    const GET: &str = "GET /metrics HTTP/1.1\r\nhost: me\r\n\r\n";

    #[tokio::test]
    async fn what_was_counted_is_on_the_page_under_the_name_it_was_given() {
        let (address, metrics, _stop) = served().await;
        let open = metrics.open_session();
        let page = said(address, GET).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(page.contains("\nmcp_sessions_open 1\n"), "{page}");
        let zero = "\nspotify_rate_limit_hits_total{endpoint=\"search\"} 0\n";
        assert!(page.contains(zero), "{page}");
        drop(open);
        let page = said(address, GET).await;
        assert!(page.contains("\nmcp_sessions_open 0\n"), "{page}");
    }

    #[tokio::test]
    async fn there_is_no_other_page_and_nothing_to_send_to_it() {
        let (address, _metrics, stop) = served().await;
        for (request, status) in [
            ("GET / HTTP/1.1\r\nhost: me\r\n\r\n".to_owned(), "404"),
            (
                "GET /metrics/ HTTP/1.1\r\nhost: me\r\n\r\n".to_owned(),
                "404",
            ),
            (
                "POST /metrics HTTP/1.1\r\nhost: me\r\ncontent-length: 9999999999\r\n\r\n"
                    .to_owned(),
                "405",
            ),
            (
                format!(
                    "GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n",
                    "y".repeat(100_000)
                ),
                "431",
            ),
            (
                format!("GET /metrics HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(1_000)),
                "431",
            ),
        ] {
            let answer = said(address, &request).await;
            let expected = format!("HTTP/1.1 {status}");
            // A client that still sends may find the connection closed before it reads why.
            let closed = answer.is_empty() && status == "431";
            assert!(
                answer.starts_with(&expected) || closed,
                "{status}: {answer}"
            );
        }
        stop.cancel();
        let refused = async {
            while TcpStream::connect(address).await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(HEAD, refused)
            .await
            .expect("closed with the process");
    }

    #[tokio::test]
    async fn clients_that_say_nothing_keep_nobody_else_out() {
        let (address, _metrics, _stop) = served().await;
        let mut silent = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream.write_all(b"GET /met").await.expect("sent");
            silent.push(stream);
        }
        let page = timeout(HEAD * 2, said(address, GET)).await;
        assert!(page.expect("in time").starts_with("HTTP/1.1 200"));
    }
}
