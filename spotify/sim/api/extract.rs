//! What handlers take from a request. Every refusal has Spotify's error body.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::sim::World;
use crate::sim::error::ApiError;
use crate::sim::locked;
use crate::sim::oauth::tokens::{AccessError, Scopes};

/// The caller, proven by a valid access token.
#[derive(Debug)]
pub(crate) struct Caller {
    scopes: Scopes,
}

impl Caller {
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }

    pub(crate) fn needs(&self, scope: &str) -> Result<(), ApiError> {
        if self.has(scope) {
            Ok(())
        } else {
            Err(ApiError::forbidden("Insufficient client scope"))
        }
    }
}

impl FromRequestParts<Arc<World>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, ApiError> {
        let Some(header) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(ApiError::unauthorized("No token provided"));
        };
        let bearer = header
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "));
        let Some(token) = bearer else {
            return Err(ApiError::bad_request(
                "Only valid bearer authentication supported",
            ));
        };
        let tokens = locked(&world.tokens);
        let scopes = tokens
            .check(token, Instant::now())
            .map_err(|error| match error {
                AccessError::Unknown => ApiError::unauthorized("Invalid access token"),
                AccessError::Expired => ApiError::unauthorized("The access token expired"),
            })?;
        Ok(Self {
            scopes: scopes.clone(),
        })
    }
}

/// The query of a request. Of a parameter given twice, the last counts.
#[derive(Debug)]
pub(crate) struct Params(HashMap<String, String>);

impl Params {
    /// The value of a parameter that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A whole number of at most `max`, or `default` if it is not given.
    pub(crate) fn number(
        &self,
        name: &str,
        default: usize,
        max: usize,
        refusal: &'static str,
    ) -> Result<usize, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| *number <= max);
        number.ok_or(ApiError::bad_request(refusal))
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        ))
    }
}

/// A JSON body of any content type. No body at all is `T`'s default, for the endpoints that take
/// everything from the query.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let unread = |_| ApiError::bad_request("The body could not be read");
        let body = Bytes::from_request(request, state).await.map_err(unread)?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        let read = serde_json::from_slice(&body);
        read.map(Self)
            .map_err(|error| ApiError::bad_request(format!("Error parsing JSON: {error}")))
    }
}
