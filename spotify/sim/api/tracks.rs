//! `GET /v1/tracks/{id}`: one track.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::Answer;
use super::extract::Caller;
use crate::sim::World;
use crate::sim::error::ApiError;

/// Answers with the track, or 404.
pub(crate) async fn track(
    State(world): State<Arc<World>>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(ApiError::bad_request("Invalid base62 id"));
    }
    let at = world.shelf.position(&id).ok_or_else(ApiError::not_found)?;
    Ok(Json(world.shelf.track_object(at, &world.url)))
}
