//! The Web API: one file for each group of endpoints.

pub(crate) mod edit_items;
pub(crate) mod extract;
pub(crate) mod fields;
pub(crate) mod paging;
pub(crate) mod playlist_items;
pub(crate) mod playlists;
pub(crate) mod search;
pub(crate) mod tracks;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::Value;

use crate::sim::error::ApiError;

/// Marks an answer whose request created or changed a playlist, for the request log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TookEffect;

/// What an endpoint answers with when all is well.
pub(crate) type Answer = Result<Json<Value>, ApiError>;

/// Any path and method that Spotify does not serve.
pub(crate) async fn unknown() -> impl IntoResponse {
    ApiError::new(StatusCode::NOT_FOUND, "Service not found")
}

/// What development-mode apps get since February 2026 on the paths that it deprecated.
pub(crate) async fn deprecated() -> impl IntoResponse {
    ApiError::forbidden("Forbidden")
}
