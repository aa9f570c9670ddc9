//! `GET /authorize`: the consent page. The simulated user consents at once.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::{Host, Url};

use super::is_scope;
use super::tokens::Scopes;
use crate::sim::World;
use crate::sim::api::extract::Params;
use crate::sim::locked;

/// Answers with a redirect to the client's `redirect_uri`. A request whose client or redirect
/// cannot be trusted is answered on the spot instead, as OAuth demands.
pub(crate) async fn authorize(State(world): State<Arc<World>>, params: Params) -> Response {
    if params.get("client_id") != Some(world.client_id.as_str()) {
        return refuse("INVALID_CLIENT: Invalid client");
    }
    let redirect = params
        .get("redirect_uri")
        .and_then(|text| Some((text, redirect_target(text)?)));
    let Some((redirect_uri, mut target)) = redirect else {
        return refuse("INVALID_CLIENT: Invalid redirect URI");
    };
    let (name, value) = match consent(&world, &params, redirect_uri) {
        Ok(code) => ("code", code),
        Err(error) => ("error", error.to_owned()),
    };
    target.query_pairs_mut().append_pair(name, &value);
    if let Some(state) = params.get("state") {
        target.query_pairs_mut().append_pair("state", state);
    }
    (
        StatusCode::FOUND,
        [(header::LOCATION, String::from(target))],
    )
        .into_response()
}

/// The code for a request, or the OAuth error that the client is told.
fn consent(world: &World, params: &Params, redirect_uri: &str) -> Result<String, &'static str> {
    if params.get("response_type") != Some("code") {
        return Err("unsupported_response_type");
    }
    // Base64url of a SHA-256 digest, without padding, has 43 characters.
    let challenge = params
        .get("code_challenge")
        .filter(|challenge| challenge.len() == 43);
    let (Some(challenge), Some("S256")) = (challenge, params.get("code_challenge_method")) else {
        return Err("invalid_request");
    };
    let scope = params.get("scope").unwrap_or_default();
    let scopes: Scopes = scope.split_whitespace().map(str::to_owned).collect();
    if !scopes.iter().all(|scope| is_scope(scope)) {
        return Err("invalid_scope");
    }
    let mut tokens = locked(&world.tokens);
    if tokens.deny_consent {
        return Err("access_denied");
    }
    Ok(tokens.issue_code(
        redirect_uri.to_owned(),
        challenge.to_owned(),
        scopes,
        Instant::now(),
    ))
}

/// Spotify's rule since November 2025: HTTPS, or HTTP to a loopback address written as a number.
/// `localhost` is refused.
fn redirect_target(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let loopback = match url.host()? {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain("localhost") => return None,
        Host::Domain(_) => false,
    };
    let allowed = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    (allowed && url.fragment().is_none()).then_some(url)
}

fn refuse(message: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, message).into_response()
}

#[cfg(test)]
mod tests {
    use super::redirect_target;

    #[test]
    fn redirects_follow_spotifys_rule() {
        for good in [
            "http://127.0.0.1:8888/callback",
            "http://[::1]:1/",
            "https://example.com/cb",
        ] {
            assert!(redirect_target(good).is_some(), "{good}");
        }
        for bad in [
            "http://localhost:8888/",
            "http://example.com/",
            "myapp://cb",
            "https://a.b/#c",
            "",
        ] {
            assert!(redirect_target(bad).is_none(), "{bad}");
        }
    }
}
