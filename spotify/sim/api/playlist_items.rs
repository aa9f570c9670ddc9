//! `GET /v1/playlists/{id}/items`: what is in a playlist.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::Answer;
use super::extract::{Caller, Params};
use super::fields::Fields;
use super::paging::Page;
use super::playlists::{find, items_page};
use crate::sim::World;
use crate::sim::error::ApiError;
use crate::sim::library::USER;
use crate::sim::locked;

/// Answers with one page. Only the owner and collaborators may read it, as since February 2026.
pub(crate) async fn list(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    caller.needs("playlist-read-private")?;
    let (page, fields) = (Page::of_list(&params)?, Fields::of(&params)?);
    let library = locked(&world.library);
    let playlist = find(library.get(&id), &id)?;
    if !playlist.open_to(USER) {
        return Err(ApiError::forbidden("Forbidden"));
    }
    let mut answer = items_page(playlist, page, &world);
    fields.trim(&mut answer);
    Ok(Json(answer))
}
