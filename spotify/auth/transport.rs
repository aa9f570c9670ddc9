//! The wire to Spotify: one sender for every request that rspotify builds.
//!
//! rspotify's own HTTP client can't be configured, but lets a middleware take a request over. Ours
//! never passes it on: it sends the request itself, once, without following redirects, with our
//! timeout, and reads the answer up to a bound. It also puts the access token in here, so that the
//! headers that rspotify writes to its log hold none.

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use http::{
    HeaderValue,
    header::{AUTHORIZATION, DATE},
};
use reqwest::{Request, Response, redirect::Policy};
use reqwest_middleware::{Middleware, Next};
use rspotify::{AuthCodePkceSpotify, Config, Credentials as AppCredentials, OAuth, Token};
use secrecy::{ExposeSecret, SecretString};
use segue_spans::{attribute, failed};
use tracing::{Instrument, Span};
use url::Url;

use super::{HttpFailure, Settings};

/// The longest that one request may take. Shorter than the 30 s that Segue gives the activity
/// which adds tracks: when that activity is tried again, the first request is off the wire.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(20);

/// A host that does not accept within this time is away; the rest of [`HTTP_TIMEOUT`] is for the
/// answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read. A page of 50 tracks with every field takes about 200 kB.
pub const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// The length of Spotify's ids; no word in its paths is as long.
const SHORTEST_ID: usize = 22;

/// Builds rspotify clients that share one connection pool.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    config: Config,
}

impl Transport {
    pub(super) fn new(settings: &Settings) -> Result<Self, HttpFailure> {
        let mut builder = reqwest::Client::builder()
            .timeout(HTTP_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirected request would be a second one, and could lead anywhere.
            .redirect(Policy::none())
            .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")));
        if settings.is_local() {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            HttpFailure::Unavailable(format!("no HTTP client can be made: {error}"))
        })?;
        let config = Config {
            api_base_url: settings.api_url.to_string(),
            auth_base_url: settings.accounts_url.to_string(),
            // Renewing is ours (`Session`): rspotify would drop a refresh token that is not repeated.
            token_refreshing: false,
            ..Config::default()
        };
        Ok(Self { http, config })
    }

    /// What the clock at this address says, in seconds since 1970, if it says.
    pub(super) async fn time_at(&self, url: &Url) -> Result<Option<f64>, HttpFailure> {
        let unreachable =
            |_| HttpFailure::Unavailable("Spotify's Web API can't be reached".to_owned());
        let answer = self.http.get(url.clone()).send().await;
        let answer = answer.map_err(unreachable)?;
        let date = answer.headers().get(DATE);
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
        Ok(date.map(|date| date.timestamp() as f64))
    }

    /// A client for the accounts service, holding `token` (for a renewal) or none (for a login).
    pub(super) fn accounts_client(
        &self,
        client_id: &str,
        oauth: OAuth,
        token: Option<Token>,
    ) -> AuthCodePkceSpotify {
        let app = AppCredentials::new_pkce(client_id);
        let config = self.config.clone();
        let client = match token {
            Some(token) => AuthCodePkceSpotify::from_token_with_config(token, app, oauth, config),
            None => AuthCodePkceSpotify::with_config(app, oauth, config),
        };
        client.with_middleware(Sender {
            http: self.http.clone(),
            bearer: None,
        })
    }

    /// A client for the Web API that acts with `access_token`; `None` if no header can carry it.
    pub(super) fn api_client(
        &self,
        client_id: &str,
        access_token: &SecretString,
    ) -> Option<AuthCodePkceSpotify> {
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", access_token.expose_secret())).ok()?;
        bearer.set_sensitive(true);
        // rspotify refuses to work without a token, so it gets an empty one.
        let client = AuthCodePkceSpotify::from_token_with_config(
            Token::default(),
            AppCredentials::new_pkce(client_id),
            OAuth::default(),
            self.config.clone(),
        );
        Some(client.with_middleware_arc(Arc::new(Sender {
            http: self.http.clone(),
            bearer: Some(bearer),
        })))
    }
}

/// The middleware that sends.
struct Sender {
    http: reqwest::Client,
    bearer: Option<HeaderValue>,
}

#[async_trait::async_trait]
impl Middleware for Sender {
    async fn handle(
        &self,
        mut request: Request,
        _extensions: &mut http::Extensions,
        _next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        if let Some(bearer) = &self.bearer {
            request.headers_mut().insert(AUTHORIZATION, bearer.clone());
        }
        let span = span_of(&request);
        let answer = async { measured(self.http.execute(request).await?).await };
        let answer = answer.instrument(span.clone()).await;
        match &answer {
            Ok(answer) => {
                let status = answer.status();
                attribute(
                    &span,
                    "http.response.status_code",
                    i64::from(status.as_u16()),
                );
                if !status.is_success() {
                    failed(&span, status.as_str().to_owned());
                }
            }
            Err(reqwest_middleware::Error::Reqwest(error)) if error.is_timeout() => {
                failed(&span, "timeout");
            }
            Err(_) => failed(&span, "_OTHER"),
        }
        answer
    }
}

/// The span of a request. Of its address it has the host and the form of the path: what is searched stands in
/// the query. Spotify is not told of the trace.
fn span_of(request: &Request) -> Span {
    let (method, url) = (request.method().as_str(), request.url());
    let route = route(url.path());
    let span = tracing::info_span!(
        "spotify",
        otel.name = format!("{method} {route}"),
        otel.kind = "client",
    );
    attribute(&span, "http.request.method", method.to_owned());
    attribute(&span, "url.template", route);
    if let Some(host) = url.host_str() {
        attribute(&span, "server.address", host.to_owned());
    }
    if let Some(port) = url.port_or_known_default() {
        attribute(&span, "server.port", i64::from(port));
    }
    span
}

/// The path with a placeholder for each id. The words of Spotify's paths are small letters and hyphens.
fn route(path: &str) -> String {
    let is_word = |part: &str| {
        let mut bytes = part.bytes();
        part.len() < SHORTEST_ID && bytes.all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let parts = path.split('/').map(|part| match part {
        "" | "v1" => part,
        part if is_word(part) => part,
        _ => "{id}",
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Reads the answer's body within [`MAX_ANSWER_BYTES`], and gives the answer back with it.
async fn measured(mut response: Response) -> reqwest_middleware::Result<Response> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(reqwest_middleware::Error::middleware(AnswerTooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    let mut rebuilt = http::Response::new(body);
    *rebuilt.status_mut() = response.status();
    *rebuilt.headers_mut() = std::mem::take(response.headers_mut());
    Ok(rebuilt.into())
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is larger than {MAX_ANSWER_BYTES} bytes")]
pub(super) struct AnswerTooLarge;

#[cfg(test)]
mod tests {
    use super::route;

    #[test]
    fn a_route_has_no_id() {
        for (path, form) in [
            ("/v1/search", "/v1/search"),
            ("/v1/me/playlists", "/v1/me/playlists"),
            (
                "/v1/playlists/37i9dQZF1DXcBWIGoYBM5M/items",
                "/v1/playlists/{id}/items",
            ),
            (
                "/v1/playlists/abcdefghijklmnopqrstuv/items",
                "/v1/playlists/{id}/items",
            ),
            ("/api/token", "/api/token"),
        ] {
            assert_eq!(route(path), form);
        }
    }
}
