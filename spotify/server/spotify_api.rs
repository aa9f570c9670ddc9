//! The Web API calls that the tools are made of.
//!
//! rspotify signs in, checks ids, and makes the requests, by the methods on which its typed calls
//! rest; the typed calls themselves don't fit, as their models refuse what Spotify sends today (see
//! `wire`). A call sends one request, and one more only if Spotify answered 401, which means that
//! the first took no effect.

use std::time::Duration;

use rspotify::{
    AuthCodePkceSpotify,
    clients::BaseClient,
    http::Query,
    model::{Id, PlaylistId, TrackId},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    error::{Subject, ToolError},
    wire::{Changed, Page, PlaylistEntry, SearchAnswer, WirePlaylist, WireTrack, WireUser},
};
use crate::auth::{HttpFailure, Session};

/// The longest that one request may take together with the renewal of the access token before it,
/// or after a 401. Like the timeout of a single request, below the 30 s of Segue's activity.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// The most results of one search. (Spotify: 0 to 10 since February 2026.)
pub(super) const MAX_SEARCH_LIMIT: u32 = 10;
/// The last place that a search can begin at.
pub(super) const MAX_SEARCH_OFFSET: u32 = 1000;
/// The most entries of one page of playlist items or playlists.
pub(super) const MAX_PAGE_LIMIT: u32 = 50;

/// The Web API, in the name of one user.
#[derive(Clone, Debug)]
pub(super) struct SpotifyApi {
    session: Session,
}

impl SpotifyApi {
    pub(super) fn new(session: Session) -> Self {
        Self { session }
    }

    pub(super) async fn search_tracks(
        &self,
        query: &str,
        limit: u32,
        offset: u32,
    ) -> Result<Page<WireTrack>, ToolError> {
        let (limit, offset) = (limit.to_string(), offset.to_string());
        let parameters = Query::from([
            ("q", query),
            ("type", "track"),
            ("limit", &limit),
            ("offset", &offset),
        ]);
        let request = Request::Get("search", &parameters);
        let answer: SearchAnswer = self.call(Subject::Other, request).await?;
        Ok(answer.tracks)
    }

    pub(super) async fn playlist_items(
        &self,
        playlist: &PlaylistId<'_>,
        limit: u32,
        from: u32,
    ) -> Result<Page<PlaylistEntry>, ToolError> {
        let (limit, offset) = (limit.to_string(), from.to_string());
        let parameters = Query::from([("limit", &*limit), ("offset", &*offset)]);
        let request = Request::Get(&items_path(playlist), &parameters);
        believable(self.call(Subject::Playlist, request).await?, from)
    }

    pub(super) async fn my_playlists(&self, from: u32) -> Result<Page<WirePlaylist>, ToolError> {
        let (limit, offset) = (MAX_PAGE_LIMIT.to_string(), from.to_string());
        let parameters = Query::from([("limit", &*limit), ("offset", &*offset)]);
        let request = Request::Get("me/playlists", &parameters);
        believable(self.call(Subject::Other, request).await?, from)
    }

    pub(super) async fn me(&self) -> Result<WireUser, ToolError> {
        self.call(Subject::Other, Request::Get("me", &Query::new()))
            .await
    }

    /// Adds the tracks in order; the playlist's new snapshot id.
    pub(super) async fn add_items(
        &self,
        playlist: &PlaylistId<'_>,
        tracks: &[TrackId<'_>],
        position: Option<u32>,
    ) -> Result<String, ToolError> {
        let uris: Vec<_> = tracks.iter().map(Id::uri).collect();
        let mut body = json!({ "uris": uris });
        if let Some(position) = position {
            body["position"] = position.into();
        }
        let request = Request::Post(&items_path(playlist), &body);
        let changed: Changed = self.call(Subject::Playlist, request).await?;
        Ok(changed.snapshot_id)
    }

    /// Removes every occurrence of the tracks; the playlist's new snapshot id.
    pub(super) async fn remove_items(
        &self,
        playlist: &PlaylistId<'_>,
        tracks: &[TrackId<'_>],
        snapshot_id: Option<&str>,
    ) -> Result<String, ToolError> {
        let items: Vec<_> = tracks
            .iter()
            .map(|track| json!({ "uri": track.uri() }))
            .collect();
        let mut body = json!({ "items": items });
        if let Some(snapshot_id) = snapshot_id {
            body["snapshot_id"] = snapshot_id.into();
        }
        let request = Request::Delete(&items_path(playlist), &body);
        let changed: Changed = self.call(Subject::Playlist, request).await?;
        Ok(changed.snapshot_id)
    }

    pub(super) async fn create_playlist(
        &self,
        name: &str,
        description: Option<&str>,
        public: bool,
    ) -> Result<WirePlaylist, ToolError> {
        // `public` always goes along: left out, Spotify would make the playlist public.
        let mut body = json!({ "name": name, "public": public });
        if let Some(description) = description {
            body["description"] = description.into();
        }
        self.call(Subject::Other, Request::Post("me/playlists", &body))
            .await
    }

    /// Sends one request, and reads its answer.
    async fn call<T: DeserializeOwned>(
        &self,
        subject: Subject,
        request: Request<'_>,
    ) -> Result<T, ToolError> {
        let answer = tokio::time::timeout(CALL_TIMEOUT, self.send(subject, request))
            .await
            .map_err(|_| ToolError::unavailable("Spotify did not answer in time"))??;
        // serde's message is not passed on: it may quote the answer.
        serde_json::from_str(&answer).map_err(|_| ToolError::of(HttpFailure::unreadable(), subject))
    }

    /// Sends one request. If Spotify does not accept the access token, gets another and sends the
    /// request once more.
    async fn send(&self, subject: Subject, request: Request<'_>) -> Result<String, ToolError> {
        let first = self.session.client().await?;
        match request.send(&first.client).await {
            Err(refused) if refused.status() == Some(401) => {
                let second = self.session.client_after(&first).await?;
                request.send(&second.client).await
            }
            other => other,
        }
        .map_err(|failure| ToolError::of(failure, subject))
    }
}

/// A request to the Web API: the path below its base address, and what goes along.
#[derive(Clone, Copy)]
enum Request<'a> {
    Get(&'a str, &'a Query<'a>),
    Post(&'a str, &'a Value),
    Delete(&'a str, &'a Value),
}

impl Request<'_> {
    async fn send(self, spotify: &AuthCodePkceSpotify) -> Result<String, HttpFailure> {
        let result = match self {
            Self::Get(path, parameters) => spotify.api_get(path, parameters).await,
            Self::Post(path, body) => spotify.api_post(path, body).await,
            Self::Delete(path, body) => spotify.api_delete(path, body).await,
        };
        match result {
            Ok(answer) => Ok(answer),
            Err(error) => Err(HttpFailure::of(error).await),
        }
    }
}

/// The page, unless it hides what is on it: whoever looked for a track there would take it for
/// absent.
fn believable<T>(page: Page<T>, from: u32) -> Result<Page<T>, ToolError> {
    match page.is_hollow(from) {
        true => Err(ToolError::unavailable(
            "Spotify answered an empty page in the middle of a list; try again",
        )),
        false => Ok(page),
    }
}

fn items_path(playlist: &PlaylistId<'_>) -> String {
    format!("playlists/{}/items", playlist.id())
}
