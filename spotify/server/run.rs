//! Serving one client, over stdio or any other pair of streams.

use std::time::Duration;

use rmcp::{ServiceExt, service::ServerInitializeError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{SpotifyServer, watched::Watched};

/// How long the last answers may take to be written after the client closed its end. It bounds a
/// client that no longer reads; calls under way are cut off, not waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why serving ended other than by the client's or the caller's wish.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The client did not open the conversation as the protocol asks.
    #[error("the MCP client did not start the conversation properly: {0}")]
    Handshake(Box<ServerInitializeError>),
    /// The serving task broke.
    #[error("the MCP server broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// Serves the client at the other end of stdin and stdout, until it closes stdin or `shutdown`
/// completes. Requests to Spotify under way are dropped then.
///
/// # Errors
///
/// See [`RunError`].
pub async fn run_stdio(
    server: SpotifyServer,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let (input, output) = rmcp::transport::stdio_pipes();
    run(server, input, output, shutdown).await
}

/// As [`run_stdio`], over `input` and `output`.
///
/// # Errors
///
/// See [`RunError`].
pub async fn run(
    server: SpotifyServer,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    // Of this conversation alone, whatever else the server was cloned for.
    let gone = CancellationToken::new();
    let server = SpotifyServer {
        client_gone: gone.clone(),
        ..server
    };
    let input = Watched::new(input, gone.clone());
    let conversation = async {
        match server.serve((input, output)).await {
            Ok(running) => Ok(running.waiting().await.map(|_| ())?),
            // The client left before it said anything.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(RunError::Handshake(Box::new(error))),
        }
    };
    let after_end = async {
        gone.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        result = conversation => result,
        () = shutdown => {
            gone.cancel();
            Ok(())
        }
        () = after_end => Ok(()),
    }
}
