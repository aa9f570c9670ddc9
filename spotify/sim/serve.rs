//! Connections: accepted on loopback, served by the router, closed on order or at shutdown.
//!
//! `axum::serve` always answers. A fault that drops the connection needs the layer below it, hyper,
//! where a service that fails ends its connection without a byte.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::uri::{PathAndQuery, Uri};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::intercept::CloseConnection;

/// How long requests in flight may take to end after the shutdown began.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait when the system has no descriptors left for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The service's refusal to answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed, as ordered")]
struct Closed;

/// Serves `router` on `listener` until `shutdown`, then ends open connections: those that are idle
/// at once, those with a request in flight after its answer, for which they have two seconds.
///
/// # Errors
/// When `listener` is not bound to a loopback address.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let message = format!("the simulator serves loopback only, not {address}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), closing.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    closing.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

/// Serves one connection until it ends, or until `closing`.
async fn connection(stream: TcpStream, router: Router, closing: CancellationToken) {
    // Answers are small and awaited: never hold one back to fill a packet.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = service_fn(move |request| answer(router.clone(), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = closing.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    // Clients that hang up and ordered faults end here too; neither is an error of the simulator.
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(router: Router, mut request: Request<Incoming>) -> Result<Response, Closed> {
    tidy(request.uri_mut());
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    match response.extensions().get::<CloseConnection>() {
        Some(CloseConnection) => Err(Closed),
        None => Ok(response),
    }
}

/// Drops doubled and trailing slashes from the path. Clients join a base address and a path in
/// every way there is; rspotify asks for `/v1/me/`.
fn tidy(uri: &mut Uri) {
    let parts: Vec<&str> = uri
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let mut path = format!("/{}", parts.join("/"));
    if path == uri.path() {
        return;
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    // The parts come from a valid URI, so the new one is valid as well; if not, the old one stays.
    if let Ok(path) = PathAndQuery::try_from(path) {
        *uri = Uri::from(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_tidied_and_the_query_stays() {
        for (given, tidied) in [
            ("//api/token", "/api/token"),
            ("/v1/me/", "/v1/me"),
            ("/v1//search/?q=a//b", "/v1/search?q=a//b"),
            ("/", "/"),
        ] {
            let mut uri = Uri::from_static(given);
            tidy(&mut uri);
            assert_eq!(uri, Uri::from_static(tidied));
        }
    }
}
