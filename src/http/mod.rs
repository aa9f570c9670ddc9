//! `segue serve --http`: MCP for clients that come over a network, and the pages beside it.
//!
//! | path | what |
//! |---|---|
//! | `/mcp` | Streamable HTTP: stateless as of 2026-07-28, with sessions for clients that introduce themselves |
//! | `/sse`, `/messages` | the pair of 2024-11-05, for clients that know nothing newer |
//! | `/` | the view of syncs, for a browser |
//! | `/metrics` | the page of metrics |
//! | `/healthz` | whether the engine is there, for a balancer |
//! | `/.well-known/oauth-protected-resource` | where a client gets a token |
//!
//! A request passes the [`border`] and its [`door`], and is served by what belongs to its user alone ([`users`]).

mod border;
mod connections;
mod door;
mod pages;
mod sessions;
mod sse;
mod streams;
mod users;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware,
    response::Response,
    routing::{get, post},
};
use segue_tools::{EngineState, Segue};
use segue_workflows::metrics::Metrics;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use self::{border::Border, door::Door, users::Users};
use crate::{access::Access, metrics::Page};

pub(crate) use self::border::Names;

/// What is served, and to whom.
pub(crate) struct Site {
    /// The server, as of the user whom this process works for.
    pub server: Segue,
    /// Who may call, and as whom.
    pub access: Access,
    /// Where the engine stands.
    pub engine: watch::Receiver<EngineState>,
    /// What counts, and its page.
    pub metrics: Metrics,
    pub page: Page,
    /// The names by which it is called, and the web pages that may call it.
    pub names: Names,
}

/// Serves until `stop`; then calls that are under way have a few seconds to end, and streams end with a
/// reason.
///
/// # Errors
/// The listener does not know its own address.
pub(crate) async fn serve(
    listener: TcpListener,
    site: Site,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let ending = streams::Ending::on(stop.clone());
    let users = Arc::new(Users::new(site.server, site.engine.clone(), ending.clone()));
    let pages = pages::Pages {
        engine: site.engine,
        metrics: site.page,
        access: site.access.clone(),
    };
    tokio::spawn(users.clone().count(site.metrics, stop.clone()));
    let border = Border::new(site.names, address.ip(), Door::new(site.access));
    let router = Router::new()
        .route("/mcp", get(mcp).post(mcp).delete(mcp))
        .route(streams::SSE, get(open_sse))
        .route("/messages", post(take_message))
        .with_state(users)
        .merge(pages::router(pages))
        .layer(middleware::from_fn_with_state(border, border::pass))
        .layer(middleware::from_fn_with_state(ending, streams::end));
    tracing::info!("listening at http://{address}/mcp");
    connections::serve(listener, router, stop).await;
    Ok(())
}

async fn mcp(State(users): State<Arc<Users>>, request: Request) -> Response {
    users.of(&request).mcp(request).await
}

async fn open_sse(State(users): State<Arc<Users>>, request: Request) -> Response {
    users.of(&request).open_sse()
}

async fn take_message(State(users): State<Arc<Users>>, request: Request) -> Response {
    users.of(&request).take_message(request).await
}
