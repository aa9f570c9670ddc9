//! The user, and the playlists of the user: `/v1/me`, `/v1/me/playlists`, `/v1/playlists/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Caller, JsonBody, Params};
use super::fields::Fields;
use super::paging::Page;
use super::{Answer, TookEffect};
use crate::sim::World;
use crate::sim::error::ApiError;
use crate::sim::ids::is_id;
use crate::sim::library::{MAX_PLAYLISTS, USER, entry_object, me_object, playlist_object};
use crate::sim::locked;
use crate::sim::playlist::{NewPlaylist, Playlist};

/// `GET /v1/me`
pub(crate) async fn me(State(world): State<Arc<World>>, _caller: Caller) -> Json<Value> {
    Json(me_object(&world.url))
}

/// `GET /v1/me/playlists`: owned and followed ones. Those that cannot be read are there too.
pub(crate) async fn mine(
    State(world): State<Arc<World>>,
    caller: Caller,
    params: Params,
) -> Answer {
    caller.needs("playlist-read-private")?;
    let page = Page::of_list(&params)?;
    let library = locked(&world.library);
    let collaborative_too = caller.has("playlist-read-collaborative");
    let visible: Vec<&Playlist> = library
        .newest_first()
        .filter(|list| collaborative_too || !list.collaborative)
        .collect();
    let shown = &visible[page.range(visible.len())];
    let items = shown
        .iter()
        .map(|list| simplified(list, &world.url))
        .collect();
    let url = format!("{}/v1/me/playlists", world.url);
    Ok(Json(page.object(&url, &[], items, visible.len())))
}

/// The body of `POST /v1/me/playlists`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Create {
    name: Option<String>,
    description: Option<String>,
    public: Option<bool>,
    collaborative: Option<bool>,
}

/// `POST /v1/me/playlists`
pub(crate) async fn create(
    State(world): State<Arc<World>>,
    caller: Caller,
    JsonBody(body): JsonBody<Create>,
) -> Result<impl IntoResponse, ApiError> {
    let name = body.name.filter(|name| !name.trim().is_empty());
    let name = name.ok_or(ApiError::bad_request("Missing required field: name"))?;
    let public = body.public.unwrap_or(true);
    let collaborative = body.collaborative.unwrap_or(false);
    if collaborative && public {
        return Err(ApiError::bad_request(
            "Collaborative playlists can only be private",
        ));
    }
    needs_to_modify(&caller, public)?;
    if collaborative {
        caller.needs("playlist-modify-public")?;
    }
    let mut library = locked(&world.library);
    if library.len() >= MAX_PLAYLISTS {
        return Err(ApiError::bad_request("Playlist limit reached"));
    }
    let playlist = Playlist::new(NewPlaylist {
        name,
        description: body.description.filter(|text| !text.is_empty()),
        owner: USER.to_owned(),
        public,
        collaborative,
    });
    let answer = full(&playlist, &world);
    library.insert(playlist);
    Ok((StatusCode::CREATED, Extension(TookEffect), Json(answer)))
}

/// `GET /v1/playlists/{id}`
pub(crate) async fn playlist(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let fields = Fields::of(&params)?;
    let library = locked(&world.library);
    let playlist = find(library.get(&id), &id)?;
    if !playlist.public {
        caller.needs("playlist-read-private")?;
    }
    let mut answer = full(playlist, &world);
    fields.trim(&mut answer);
    Ok(Json(answer))
}

/// What was found under `id`, or Spotify's refusal.
pub(crate) fn find<P>(found: Option<P>, id: &str) -> Result<P, ApiError> {
    if !is_id(id) {
        return Err(ApiError::bad_request("Invalid base62 id"));
    }
    found.ok_or_else(ApiError::not_found)
}

/// Changing a private playlist asks for another scope than changing a public one.
pub(crate) fn needs_to_modify(caller: &Caller, public: bool) -> Result<(), ApiError> {
    caller.needs(if public {
        "playlist-modify-public"
    } else {
        "playlist-modify-private"
    })
}

/// The document's `SimplifiedPlaylistObject`, with the deprecated twin of `items`.
fn simplified(playlist: &Playlist, base: &str) -> Value {
    let mut object = playlist_object(playlist, base);
    let items = json!({"href": items_url(playlist, base), "total": playlist.entries().len()});
    object["tracks"] = items.clone();
    object["items"] = items;
    object
}

/// The document's `PlaylistObject`. Its items are only there for who may read them.
fn full(playlist: &Playlist, world: &World) -> Value {
    let mut object = playlist_object(playlist, &world.url);
    if playlist.open_to(USER) {
        let items = items_page(
            playlist,
            Page {
                limit: 50,
                offset: 0,
            },
            world,
        );
        object["tracks"] = items.clone();
        object["items"] = items;
    }
    object
}

/// One page of a playlist's items.
pub(crate) fn items_page(playlist: &Playlist, page: Page, world: &World) -> Value {
    let total = playlist.entries().len();
    let entries = &playlist.entries()[page.range(total)];
    let items = entries
        .iter()
        .map(|entry| entry_object(entry, &world.shelf, &world.url))
        .collect();
    page.object(&items_url(playlist, &world.url), &[], items, total)
}

fn items_url(playlist: &Playlist, base: &str) -> String {
    format!("{base}/v1/playlists/{}/items", playlist.id)
}
