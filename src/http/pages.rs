//! The pages beside MCP: the view of syncs for a browser, the metrics, and whether all is well.

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{
        HeaderName, StatusCode,
        header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY},
    },
    response::{Html, IntoResponse, Response},
    routing::get,
};
use segue_tools::{EngineState, app};
use tokio::sync::watch;

use crate::{access::Access, metrics::Page};

/// What the pages tell of.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) engine: watch::Receiver<EngineState>,
    pub(super) metrics: Page,
    pub(super) access: Access,
}

pub(super) fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(view))
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/.well-known/oauth-protected-resource", get(resource))
        // Behind it stands the path at which a proxy has put us.
        .route(
            "/.well-known/oauth-protected-resource/{*path}",
            get(resource),
        )
        .with_state(pages)
}

/// For a client without a token: where it gets one.
async fn resource(State(pages): State<Pages>) -> Response {
    match pages.access.protected_resource_metadata() {
        Some(metadata) => Json(metadata).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The view, which speaks MCP with us by itself. There is nothing of anybody's in it, so it is for everybody.
async fn view() -> ([(HeaderName, String); 2], Html<&'static str>) {
    let headers = [
        (CONTENT_SECURITY_POLICY, app::page_policy()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (headers, Html(app::PROGRESS_HTML))
}

async fn metrics(State(pages): State<Pages>) -> Response {
    pages.metrics.response().await.map(Body::from)
}

/// For a balancer: a process whose engine is not there is sent no calls.
async fn health(State(pages): State<Pages>) -> Response {
    match &*pages.engine.borrow() {
        EngineState::Ready(_) => (StatusCode::OK, "ok\n").into_response(),
        EngineState::Starting(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the engine is starting\n").into_response()
        }
        // Why it failed is in the log: it may name what is nobody's business here.
        EngineState::Failed(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the engine is not there\n").into_response()
        }
    }
}
