//! What a request must be before anything reads it: addressed to us, from no web page but those that may,
//! and of a size that is bearable.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;
use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            CACHE_CONTROL, CONTENT_LENGTH, HOST, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
        },
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use url::Url;

use super::door::{self, Door};
use crate::access::Admitted;

/// The names of the machine itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// Bytes of a request's body: an export of the largest size that is read, and what JSON adds to it.
const LONGEST_BODY: usize = 24 * 1024 * 1024;
/// Bytes of a body that needs no place among the large ones.
pub(super) const SMALL_BODY: u64 = 256 * 1024;
/// Large bodies that are held in memory at a time, from their first byte until the call is answered.
const MOST_LARGE: usize = 8;
/// Those of one user.
const MOST_LARGE_OF_ONE: usize = 2;
/// Time to wait for such a place.
const PLACE: Duration = Duration::from_secs(45);
/// Time for a client to send a body.
const BODY: Duration = Duration::from_secs(30);
/// How long a browser may remember what it may send, in seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// By which names the server is called, and which web pages may call it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Names {
    /// Names and addresses, each with a port or good for any.
    pub hosts: Vec<String>,
    /// Origins as a browser sends them, such as `https://app.example`.
    pub origins: Vec<String>,
}

impl Names {
    /// Names as they are configured.
    ///
    /// # Errors
    /// One that is none.
    pub(crate) fn checked(hosts: &[String], origins: &[String]) -> anyhow::Result<Self> {
        for host in hosts {
            if host.parse::<Authority>().is_err() || host.contains('@') {
                bail!("http_hosts has {host:?}; it must be a name such as segue.example.com");
            }
        }
        for origin in origins {
            let whole = Url::parse(origin).map(|url| url.origin().ascii_serialization());
            if whole.as_deref() != Ok(origin) || !origin.starts_with("http") {
                bail!(
                    "http_origins has {origin:?}; it must be as https://app.example, without a path"
                );
            }
        }
        Ok(Self {
            hosts: hosts.iter().map(|host| host.to_lowercase()).collect(),
            origins: origins.to_vec(),
        })
    }
}

/// Who a request is from: put among its extensions by the border.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Caller {
    pub(super) user_id: String,
}

/// The places of a call: of its body in memory, and among its user's calls. They are free again when the last clone
/// is dropped.
#[derive(Debug, Clone)]
pub(super) struct Held {
    _body: Option<Arc<Place>>,
    _call: Arc<Admitted>,
}

/// What is checked. Clones share the places for large bodies.
#[derive(Clone)]
pub(super) struct Border {
    names: Arc<Names>,
    door: Door,
    large: Arc<Semaphore>,
    users: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// A large body's place among its user's, and among all.
type Place = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Border {
    /// The border of a server that listens at this address. Until others are named, it is called by the
    /// names of the machine itself, and by that address.
    pub(super) fn new(mut names: Names, address: IpAddr, door: Door) -> Self {
        names.hosts.extend(LOOPBACK.map(str::to_owned));
        if !address.is_unspecified() {
            // As an authority spells it: an address of IPv6 stands in brackets.
            let spelled = SocketAddr::new(address, 0).to_string();
            names
                .hosts
                .extend(spelled.strip_suffix(":0").map(str::to_owned));
        }
        Self {
            names: Arc::new(names),
            door,
            large: Arc::new(Semaphore::new(MOST_LARGE)),
            users: Arc::default(),
        }
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let host = host(uri, headers)?;
        let called = self.names.hosts.iter().any(|name| {
            name.eq_ignore_ascii_case(host.as_str()) || name.eq_ignore_ascii_case(host.host())
        });
        if !called {
            // A page of another name that has made its name lead here (DNS rebinding).
            return Err(Refused::Host);
        }
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(());
        };
        let origin = origin.to_str().unwrap_or_default();
        let own = ["http://", "https://"].iter().any(|scheme| {
            let rest = origin.strip_prefix(scheme);
            rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_str()))
        });
        if own || self.may_call(origin) {
            return Ok(());
        }
        Err(Refused::Origin)
    }

    fn may_call(&self, origin: &str) -> bool {
        self.names.origins.iter().any(|allowed| allowed == origin)
    }

    /// Asks who the request is from, reads it, and serves it.
    async fn enter(&self, request: Request, next: Next) -> Response {
        let admitted = match self.door.admit(request.uri(), request.headers()).await {
            Ok(admitted) => admitted,
            Err(refused) => return refused.response().map(Body::from),
        };
        let Some(admitted) = admitted else {
            // Nothing of a stranger's is held in memory.
            return next.run(request.map(|_| Body::empty())).await;
        };
        let user_id = admitted.user_id.clone();
        let (mut request, place) = match self.read(request, &user_id).await {
            Ok(read) => read,
            Err(refused) => return refused.into_response(),
        };
        request.extensions_mut().insert(Caller { user_id });
        // In a session the response comes before the answer: the call itself keeps its places.
        let admitted = Arc::new(admitted);
        request.extensions_mut().insert(Held {
            _body: place.map(Arc::new),
            _call: admitted.clone(),
        });
        let response = next.run(request).await;
        door::hold(response, admitted)
    }

    /// The request with its body in memory, and the place that it takes there.
    async fn read(
        &self,
        request: Request,
        user_id: &str,
    ) -> Result<(Request, Option<Place>), Refused> {
        let (parts, body) = request.into_parts();
        let length = parts.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > LONGEST_BODY as u64) {
            return Err(Refused::TooLarge);
        }
        // Neither has anything to say.
        if matches!(parts.method, Method::GET | Method::DELETE) {
            return Ok((Request::from_parts(parts, Body::empty()), None));
        }
        let place = match length {
            Some(0..=SMALL_BODY) => None,
            _ => Some(self.place(user_id).await?),
        };
        match timeout(BODY, to_bytes(body, LONGEST_BODY)).await {
            Ok(Ok(body)) => {
                // One that did not say how small it is.
                let place = place.filter(|_| body.len() as u64 > SMALL_BODY);
                Ok((Request::from_parts(parts, Body::from(body)), place))
            }
            Ok(Err(_)) => Err(Refused::TooLarge),
            Err(_) => Err(Refused::TooSlow),
        }
    }

    /// A place for a large body: first among the user's own, so that nobody keeps the others waiting.
    async fn place(&self, user_id: &str) -> Result<Place, Refused> {
        let theirs = {
            let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
            users.retain(|_, places| Arc::strong_count(places) > 1);
            let places = users.entry(user_id.to_owned());
            places
                .or_insert_with(|| Arc::new(Semaphore::new(MOST_LARGE_OF_ONE)))
                .clone()
        };
        let wait = async {
            let theirs = theirs.acquire_owned().await.ok()?;
            let among_all = self.large.clone().acquire_owned().await.ok()?;
            Some((theirs, among_all))
        };
        match timeout(PLACE, wait).await {
            Ok(Some(place)) => Ok(place),
            _ => Err(Refused::TooMany),
        }
    }
}

/// The name by which we are called. Two of them, or none, are no name.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refused> {
    let mut given = headers.get_all(HOST).iter();
    let (first, more) = (given.next(), given.next());
    let named = first.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let named = named.filter(|host| more.is_none() && !host.as_str().contains('@'));
    let named = named.ok_or(Refused::NoHost)?;
    // A request line with a whole address must say the same.
    match uri.authority() {
        Some(other) if other != &named => Err(Refused::NoHost),
        _ => Ok(named),
    }
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Refused {
    NoHost,
    Host,
    Origin,
    TooLarge,
    TooMany,
    TooSlow,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::NoHost => (
                StatusCode::BAD_REQUEST,
                "The request does not say once, in its Host header, whom it is for.",
            ),
            Self::Host => (
                StatusCode::FORBIDDEN,
                "This server does not answer to that Host. Its operator names more with --http-host.",
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                "Pages of that Origin may not call this server. Its operator names those that may with \
                 --http-origin.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request is larger than 24 MiB. Split a long export.",
            ),
            Self::TooMany => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many large requests are being read. Send it again in a moment.",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "The request did not come whole within 30 seconds.",
            ),
        };
        refusal(status, message)
    }
}

/// A refusal in the form in which MCP's clients expect an error.
pub(super) fn refusal(status: StatusCode, message: &str) -> Response {
    // -32600 is JSON-RPC's "invalid request".
    let error = json!({ "code": -32600, "message": message });
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": error });
    (status, Json(body)).into_response()
}

/// Lets the request pass, or answers it.
pub(super) async fn pass(State(border): State<Border>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = match border.check(request.uri(), request.headers()) {
        Ok(()) if request.method() == Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => border.enter(request, next).await,
        Err(refused) => refused.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let allowed = origin.filter(|origin| origin.to_str().is_ok_and(|o| border.may_call(o)));
    if let Some(origin) = allowed {
        tell_browser(headers, origin);
    }
    response
}

/// What a browser wants to hear before it lets a page of another origin call us.
fn tell_browser(headers: &mut HeaderMap, origin: HeaderValue) {
    let sent = HeaderValue::from_static(
        "accept, authorization, content-type, last-event-id, mcp-method, mcp-name, \
         mcp-protocol-version, mcp-session-id",
    );
    let told = HeaderValue::from_static("mcp-protocol-version, mcp-session-id, www-authenticate");
    let methods = HeaderValue::from_static("GET, POST, DELETE");
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, sent);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, told);
    headers.insert(ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    headers.append(VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;
    use crate::{access::Access, config::Config, home::Home};

    fn border(address: [u8; 4], hosts: &[&str], origins: &[&str]) -> Border {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let names = Names::checked(&owned(hosts), &owned(origins)).expect("names");
        let home = tempfile::tempdir().expect("a home");
        let home = Home::at(home.path()).expect("a home");
        let access = Access::open(&Config::default(), &home).expect("access");
        Border::new(names, address.into(), Door::new(access))
    }

    fn checked(border: &Border, uri: &str, headers: &[(HeaderName, &str)]) -> Result<(), Refused> {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.parse().expect("a value")));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        border.check(&uri.parse().expect("a uri"), &map)
    }

    #[test]
    fn it_is_called_by_the_names_of_this_machine_and_by_those_that_are_configured() {
        let border = border(
            [10, 0, 0, 7],
            &["segue.example.com", "other.example:8443"],
            &[],
        );
        for (host, answer) in [
            ("localhost:8620", Ok(())),
            ("LOCALHOST", Ok(())),
            ("127.0.0.1:1", Ok(())),
            ("[::1]:8620", Ok(())),
            ("10.0.0.7:8620", Ok(())),
            ("Segue.example.com", Ok(())),
            ("segue.example.com:443", Ok(())),
            ("other.example:8443", Ok(())),
            ("other.example:8444", Err(Refused::Host)),
            ("evil.example", Err(Refused::Host)),
            ("localhost.evil.example", Err(Refused::Host)),
            ("x@localhost", Err(Refused::NoHost)),
            ("", Err(Refused::NoHost)),
        ] {
            assert_eq!(checked(&border, "/mcp", &[(HOST, host)]), answer, "{host}");
        }
        assert_eq!(checked(&border, "/mcp", &[]), Err(Refused::NoHost));
        let twice = [(HOST, "localhost"), (HOST, "evil.example")];
        assert_eq!(checked(&border, "/mcp", &twice), Err(Refused::NoHost));
        let elsewhere = "http://evil.example/mcp";
        let answer = checked(&border, elsewhere, &[(HOST, "localhost")]);
        assert_eq!(answer, Err(Refused::NoHost));
    }

    #[test]
    fn a_web_page_calls_only_if_it_is_ours_or_named() {
        let border = border([127, 0, 0, 1], &[], &["https://app.example"]);
        for (origin, answer) in [
            ("http://localhost:8620", Ok(())),
            ("https://localhost:8620", Ok(())),
            ("https://app.example", Ok(())),
            ("http://app.example", Err(Refused::Origin)),
            ("http://localhost:3000", Err(Refused::Origin)),
            ("https://evil.example", Err(Refused::Origin)),
            ("null", Err(Refused::Origin)),
            ("", Err(Refused::Origin)),
        ] {
            let headers = [(HOST, "localhost:8620"), (ORIGIN, origin)];
            assert_eq!(checked(&border, "/mcp", &headers), answer, "{origin}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for host in ["", "a b", "x@y", "http://x"] {
            Names::checked(&[host.to_owned()], &[]).expect_err(host);
        }
        for origin in ["", "app.example", "https://app.example/", "null", "*"] {
            Names::checked(&[], &[origin.to_owned()]).expect_err(origin);
        }
    }
}
