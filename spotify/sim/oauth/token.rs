//! `POST /api/token`: codes and refresh tokens become access tokens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::tokens::{ACCESS_TOKEN_LIFE, CodeError, Issued, RefreshError};
use crate::sim::World;
use crate::sim::error::OAuthError;
use crate::sim::locked;

type Form = HashMap<String, String>;

/// Answers a form with `grant_type` `authorization_code` or `refresh_token`.
pub(crate) async fn token(
    State(world): State<Arc<World>>,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let form: Form = form_urlencoded::parse(&body).into_owned().collect();
    let grant_type = field(&form, "grant_type")?;
    if form.get("client_id") != Some(&world.client_id) {
        return Err(OAuthError::new("invalid_client", "Invalid client"));
    }
    let issued = match grant_type {
        "authorization_code" => redeem(&world, &form)?,
        "refresh_token" => refresh(&world, &form)?,
        _ => {
            let description = "grant_type parameter must be authorization_code or refresh_token";
            return Err(OAuthError::new("unsupported_grant_type", description));
        }
    };
    let mut answer = json!({
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": ACCESS_TOKEN_LIFE.as_secs(),
        "scope": Vec::from_iter(issued.scopes).join(" "),
    });
    if let Some(refresh_token) = issued.refresh_token {
        answer["refresh_token"] = refresh_token.into();
    }
    // RFC 6749, section 5.1: tokens are never cached.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

fn redeem(world: &World, form: &Form) -> Result<Issued, OAuthError> {
    let code = field(form, "code")?;
    let redirect_uri = field(form, "redirect_uri")?;
    let verifier = field(form, "code_verifier")?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let redeemed =
        locked(&world.tokens).redeem_code(code, redirect_uri, &challenge, Instant::now());
    redeemed.map_err(|error| {
        OAuthError::invalid_grant(match error {
            CodeError::Unknown => "Invalid authorization code",
            CodeError::OtherRedirect => "Invalid redirect URI",
            CodeError::WrongVerifier => "code_verifier was incorrect",
        })
    })
}

fn refresh(world: &World, form: &Form) -> Result<Issued, OAuthError> {
    let refresh_token = field(form, "refresh_token")?;
    let refreshed = locked(&world.tokens).refresh(refresh_token, Instant::now());
    refreshed.map_err(|error| {
        OAuthError::invalid_grant(match error {
            RefreshError::Unknown => "Invalid refresh token",
            RefreshError::Revoked => "Refresh token revoked",
        })
    })
}

fn field<'a>(form: &'a Form, name: &str) -> Result<&'a str, OAuthError> {
    let value = form.get(name).filter(|value| !value.is_empty());
    let missing = || OAuthError::new("invalid_request", "A required parameter is missing");
    value.map(String::as_str).ok_or_else(missing)
}
