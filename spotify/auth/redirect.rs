//! The loopback address to which the browser comes back with the authorization code.

use std::{net::Ipv4Addr, sync::Arc};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderName, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Path of the redirect; registered in the Spotify app.
pub(super) const CALLBACK_PATH: &str = "/callback";

/// Spotify's codes have a few hundred characters.
const MAX_CODE_LENGTH: usize = 4096;

/// Waits for the browser. Ends when dropped, or, once it has answered, by [`RedirectListener::close`].
pub(super) struct RedirectListener {
    visits: mpsc::Receiver<Visit>,
    closing: CancellationToken,
    server: JoinHandle<()>,
    _ends_with_us: DropGuard,
}

/// The browser came back with the right state.
pub(super) struct Visit {
    /// The code, or the reason why the user or Spotify said no.
    pub(super) result: Result<String, String>,
    /// Decides which page the browser shows: signed in, or not.
    pub(super) signed_in: oneshot::Sender<bool>,
}

#[derive(Clone)]
struct Expected {
    state: Arc<str>,
    visits: mpsc::Sender<Visit>,
}

/// What the browser brings.
#[derive(Deserialize)]
pub(super) struct CallbackQuery {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

impl CallbackQuery {
    /// The code, or the reason why there is none; nothing if this is not the sign-in with this
    /// state.
    pub(super) fn outcome(self, state: &str) -> Option<Result<String, String>> {
        if self.state.as_deref() != Some(state) {
            return None;
        }
        Some(match (self.code, self.error) {
            (Some(code), None) if (1..=MAX_CODE_LENGTH).contains(&code.len()) => Ok(code),
            (_, Some(reason)) => Err(reason
                .chars()
                .filter(|c| !c.is_control())
                .take(100)
                .collect()),
            _ => Err("Spotify sent no code".to_owned()),
        })
    }
}

/// Reads the query of a visit, as the listener does.
pub(super) fn read(query: &str) -> Option<CallbackQuery> {
    let address = Uri::builder().path_and_query(format!("{CALLBACK_PATH}?{query}"));
    let Query(query) = Query::try_from_uri(&address.build().ok()?).ok()?;
    Some(query)
}

/// Binds a free port of 127.0.0.1; `localhost` is not allowed as a redirect any more.
pub(super) async fn bind() -> std::io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let uri = format!("http://{}{CALLBACK_PATH}", listener.local_addr()?);
    Ok((listener, uri))
}

impl RedirectListener {
    /// Serves the redirect on `listener`; only a visit with this `state` counts.
    pub(super) fn start(listener: TcpListener, state: &str) -> Self {
        let (sender, visits) = mpsc::channel(1);
        let closing = CancellationToken::new();
        let app = Router::new()
            .route(CALLBACK_PATH, get(callback))
            .with_state(Expected {
                state: state.into(),
                visits: sender,
            });
        let closed = closing.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(closed);
            if let Err(error) = served.await {
                tracing::warn!(%error, "the sign-in listener ended");
            }
        });
        Self {
            visits,
            server,
            _ends_with_us: closing.clone().drop_guard(),
            closing,
        }
    }

    /// The next visit; `None` if the listener broke.
    pub(super) async fn visit(&mut self) -> Option<Visit> {
        self.visits.recv().await
    }

    /// Takes no more visits and waits until the last page is delivered.
    pub(super) async fn close(mut self) {
        self.visits.close();
        self.closing.cancel();
        let _ = (&mut self.server).await;
    }
}

async fn callback(
    State(expected): State<Expected>,
    Query(query): Query<CallbackQuery>,
) -> Response {
    // A page from elsewhere can send the browser here with a code of its own, but can't know the
    // state. It is turned away, and the true visit is still awaited.
    let Some(result) = query.outcome(&expected.state) else {
        return page(
            StatusCode::BAD_REQUEST,
            "This is not the sign-in that Segue started.",
        );
    };
    let (signed_in, answer) = oneshot::channel();
    if expected
        .visits
        .send(Visit { result, signed_in })
        .await
        .is_err()
    {
        return page(StatusCode::GONE, "This sign-in is over.");
    }
    match answer.await {
        Ok(true) => page(
            StatusCode::OK,
            "You are signed in to Spotify. This page can be closed.",
        ),
        _ => page(
            StatusCode::OK,
            "The sign-in did not work. Segue says why in the terminal. This page can be closed.",
        ),
    }
}

fn page(status: StatusCode, sentence: &str) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        // The address holds the code; no other page is to learn it.
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("content-security-policy"),
            "default-src 'none'",
        ),
    ];
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Segue</title>\
         <p>{sentence}</p></html>"
    );
    (status, headers, Html(html)).into_response()
}
