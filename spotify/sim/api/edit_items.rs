//! `POST`, `PUT` and `DELETE /v1/playlists/{id}/items`: adding, replacing, moving, removing.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::TookEffect;
use super::extract::{Caller, JsonBody, Params};
use super::playlists::{find, needs_to_modify};
use crate::sim::World;
use crate::sim::error::ApiError;
use crate::sim::intercept::Pretence;
use crate::sim::library::{USER, user_now};
use crate::sim::locked;
use crate::sim::playlist::{EditError, Playlist};
use crate::sim::shelf::Shelf;

/// How many URIs one request may carry.
const MAX_URIS: usize = 100;

/// The body of an add.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Add {
    uris: Option<Vec<String>>,
    position: Option<i64>,
}

/// `POST`: inserts tracks at a position, or at the end.
pub(crate) async fn add(
    State(world): State<Arc<World>>,
    caller: Caller,
    pretence: Option<Extension<Pretence>>,
    Path(id): Path<String>,
    params: Params,
    JsonBody(body): JsonBody<Add>,
) -> Result<Response, ApiError> {
    // What the query says counts, and the body's URIs are then ignored (the document's words).
    let uris = uris_in_query(&params).or(body.uris).unwrap_or_default();
    if uris.is_empty() {
        return Err(ApiError::bad_request("No uris provided"));
    }
    let position = match params.get("position") {
        Some(text) => Some(
            text.parse()
                .map_err(|_| ApiError::bad_request("Invalid position"))?,
        ),
        None => body.position,
    };
    let position = position.map(index).transpose()?;
    let tracks = known_tracks(&world.shelf, &uris)?;
    let by = (&caller, pretence.is_some());
    edit(&world, by, &id, StatusCode::CREATED, |playlist| {
        playlist.add(&tracks, position, &user_now())
    })
}

/// The body of a replacement or a move.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Update {
    uris: Option<Vec<String>>,
    range_start: Option<i64>,
    insert_before: Option<i64>,
    range_length: Option<i64>,
    snapshot_id: Option<String>,
}

/// `PUT`: replaces all items with `uris`, or moves a range of them; never both.
pub(crate) async fn update(
    State(world): State<Arc<World>>,
    caller: Caller,
    pretence: Option<Extension<Pretence>>,
    Path(id): Path<String>,
    params: Params,
    JsonBody(body): JsonBody<Update>,
) -> Result<Response, ApiError> {
    let uris = uris_in_query(&params).or(body.uris);
    let by = (&caller, pretence.is_some());
    match (uris, body.range_start, body.insert_before) {
        (Some(uris), None, None) => {
            let tracks = known_tracks(&world.shelf, &uris)?;
            edit(&world, by, &id, StatusCode::OK, |playlist| {
                playlist.replace(&tracks, &user_now());
                Ok(())
            })
        }
        (None, Some(start), Some(before)) => {
            let (start, before) = (index(start)?, index(before)?);
            let length = index(body.range_length.unwrap_or(1))?;
            edit(&world, by, &id, StatusCode::OK, |playlist| {
                playlist.reorder(start, length, before, body.snapshot_id.as_deref())
            })
        }
        (Some(_), _, _) => Err(ApiError::bad_request(
            "Items are replaced or reordered, not both",
        )),
        (None, _, _) => Err(ApiError::bad_request(
            "Missing uris, or range_start and insert_before",
        )),
    }
}

/// The body of a removal. `positions`, which the document no longer has, are ignored like any
/// other unknown field: every occurrence goes.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Remove {
    items: Option<Vec<Item>>,
    snapshot_id: Option<String>,
}

/// One item to remove.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    uri: String,
}

/// `DELETE`: removes every occurrence of tracks.
pub(crate) async fn remove(
    State(world): State<Arc<World>>,
    caller: Caller,
    pretence: Option<Extension<Pretence>>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<Remove>,
) -> Result<Response, ApiError> {
    let items = body.items.filter(|items| !items.is_empty());
    let items = items.ok_or(ApiError::bad_request("Missing items"))?;
    let uris: Vec<String> = items.into_iter().map(|item| item.uri).collect();
    let tracks = known_tracks(&world.shelf, &uris)?;
    let by = (&caller, pretence.is_some());
    edit(&world, by, &id, StatusCode::OK, |playlist| {
        playlist
            .remove(&tracks, body.snapshot_id.as_deref())
            .map(|_| ())
    })
}

/// Edits a playlist that the caller may change, and answers with its snapshot id. If that is only
/// pretended, a copy is edited, so that the answer is the one that the edit would have had.
fn edit(
    world: &World,
    (caller, pretended): (&Caller, bool),
    id: &str,
    status: StatusCode,
    change: impl FnOnce(&mut Playlist) -> Result<(), EditError>,
) -> Result<Response, ApiError> {
    let mut library = locked(&world.library);
    let playlist = find(library.get_mut(id), id)?;
    needs_to_modify(caller, playlist.public)?;
    if !playlist.open_to(USER) {
        return Err(ApiError::forbidden(
            "You cannot change a playlist you don't own.",
        ));
    }
    let mut copy;
    let playlist = if pretended {
        copy = playlist.clone();
        &mut copy
    } else {
        playlist
    };
    let before = playlist.snapshot_id().to_owned();
    change(playlist).map_err(|error| {
        ApiError::bad_request(match error {
            EditError::OutOfBounds => "Index out of bounds.",
            EditError::Full => "Playlist size limit reached",
            EditError::UnknownSnapshot => "Invalid snapshot id",
        })
    })?;
    let answer = Json(json!({"snapshot_id": playlist.snapshot_id()}));
    Ok(if pretended || playlist.snapshot_id() == before {
        (status, answer).into_response()
    } else {
        (status, Extension(TookEffect), answer).into_response()
    })
}

/// The URIs of a query such as `uris=spotify:track:a,spotify:track:b`.
pub(crate) fn uris_in_query(params: &Params) -> Option<Vec<String>> {
    let uris = params.get("uris")?;
    Some(uris.split(',').map(|uri| uri.trim().to_owned()).collect())
}

/// The catalogue's index of each URI. One that is wrong refuses them all.
pub(crate) fn known_tracks(shelf: &Shelf, uris: &[String]) -> Result<Vec<usize>, ApiError> {
    if uris.len() > MAX_URIS {
        let message = "You can add a maximum of 100 tracks per request.";
        return Err(ApiError::bad_request(message));
    }
    uris.iter().map(|uri| known_track(shelf, uri)).collect()
}

/// The catalogue's index of the track with this URI.
pub(crate) fn known_track(shelf: &Shelf, uri: &str) -> Result<usize, ApiError> {
    let Some(id) = uri.strip_prefix("spotify:track:") else {
        return Err(ApiError::bad_request(format!(
            "Unsupported URL / URI: {uri}"
        )));
    };
    shelf
        .position(id)
        .ok_or(ApiError::bad_request("Payload contains a non-existing ID"))
}

fn index(number: i64) -> Result<usize, ApiError> {
    usize::try_from(number).map_err(|_| ApiError::bad_request("Index out of bounds."))
}
