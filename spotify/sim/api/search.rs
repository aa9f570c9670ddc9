//! `GET /v1/search`: tracks by text and field filters.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use super::Answer;
use super::extract::{Caller, Params};
use super::paging::Page;
use crate::sim::World;
use crate::sim::error::ApiError;

/// What Spotify can be asked to search for. The catalogue holds tracks only.
const TYPES: [&str; 7] = [
    "album",
    "artist",
    "playlist",
    "track",
    "show",
    "episode",
    "audiobook",
];

/// Answers with one page of tracks.
pub(crate) async fn search(
    State(world): State<Arc<World>>,
    _caller: Caller,
    params: Params,
) -> Answer {
    // Spotify's own links to the next page say `query`.
    let query = params.get("q").or(params.get("query"));
    let query = query.ok_or(ApiError::bad_request("No search query"))?;
    let types = params
        .get("type")
        .ok_or(ApiError::bad_request("Missing parameter type"))?;
    if let Some(unknown) = types.split(',').find(|name| !TYPES.contains(name)) {
        return Err(ApiError::bad_request(format!(
            "Bad search type field {unknown}"
        )));
    }
    if types != "track" {
        return Err(ApiError::bad_request("The simulator searches tracks only"));
    }
    let page = Page::of_search(&params)?;
    let hits = world.shelf.search(query, page.limit, page.offset);
    let tracks = hits
        .ids
        .iter()
        .map(|&at| world.shelf.track_object(at, &world.url))
        .collect();
    let url = format!("{}/v1/search", world.url);
    let asked = [("query", query), ("type", types)];
    Ok(Json(
        json!({"tracks": page.object(&url, &asked, tracks, hits.total)}),
    ))
}
