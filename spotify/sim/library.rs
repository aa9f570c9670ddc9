//! The playlists of the simulated service, and the user who is signed in.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::playlist::{Editor, Entry, NewPlaylist, Playlist};
use super::shelf::{Shelf, external_urls};

/// The id of the user who is signed in.
pub(crate) const USER: &str = "segue_listener";
/// The name that user goes by.
pub(crate) const USER_NAME: &str = "Segue Listener";
/// The owner of playlists that belong to somebody else.
pub(crate) const STRANGER: &str = "somebody_else";
/// How many playlists a user may have, as Spotify's document says.
pub(crate) const MAX_PLAYLISTS: usize = 11_000;

/// All playlists, found by id, listed newest first as Spotify does.
#[derive(Debug, Default)]
pub(crate) struct Library {
    playlists: HashMap<String, Playlist>,
    /// The ids in the order of their making.
    order: Vec<String>,
}

impl Library {
    /// Makes a private playlist of the user's, and returns its id.
    pub(crate) fn add_for_user(&mut self, name: &str, tracks: &[usize]) -> String {
        let mut playlist = Playlist::new(NewPlaylist {
            name: name.to_owned(),
            description: None,
            owner: USER.to_owned(),
            public: false,
            collaborative: false,
        });
        playlist.replace(tracks, &user_now());
        let id = playlist.id.clone();
        self.insert(playlist);
        id
    }

    pub(crate) fn insert(&mut self, playlist: Playlist) {
        self.order.push(playlist.id.clone());
        self.playlists.insert(playlist.id.clone(), playlist);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Playlist> {
        self.playlists.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Playlist> {
        self.playlists.get_mut(id)
    }

    /// The playlists that the user owns or follows, which here is all of them, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Playlist> {
        self.order
            .iter()
            .rev()
            .filter_map(|id| self.playlists.get(id))
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

/// The user who is signed in, editing now.
pub(crate) fn user_now() -> Editor {
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    Editor {
        user: USER.to_owned(),
        now: now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    }
}

/// The document's `PlaylistUserObject`.
fn user_object(id: &str, base: &str) -> Value {
    json!({
        "external_urls": external_urls("user", id),
        "href": format!("{base}/v1/users/{id}"),
        "id": id,
        "type": "user",
        "uri": format!("spotify:user:{id}"),
    })
}

/// The document's `PrivateUserObject`, without the withdrawn fields.
pub(crate) fn me_object(base: &str) -> Value {
    let mut me = user_object(USER, base);
    me["account_id"] = "sg8kQ2mW4x".into();
    me["display_name"] = USER_NAME.into();
    me["images"] = json!([]);
    me
}

/// What the document's full and simplified playlist objects have in common.
pub(crate) fn playlist_object(playlist: &Playlist, base: &str) -> Value {
    let Playlist {
        id,
        name,
        description,
        owner,
        public,
        collaborative,
        ..
    } = playlist;
    let mut owner_object = user_object(owner, base);
    owner_object["display_name"] = if owner == USER { USER_NAME } else { owner }.into();
    json!({
        "collaborative": collaborative,
        "description": description.as_deref().unwrap_or_default(),
        "external_urls": external_urls("playlist", id),
        "href": format!("{base}/v1/playlists/{id}"),
        "id": id,
        "images": [],
        "name": name,
        "owner": owner_object,
        "public": public,
        "snapshot_id": playlist.snapshot_id(),
        "type": "playlist",
        "uri": format!("spotify:playlist:{id}"),
    })
}

/// The document's `PlaylistTrackObject`, with the deprecated twin of `item`.
pub(crate) fn entry_object(entry: &Entry, shelf: &Shelf, base: &str) -> Value {
    let track = shelf.track_object(entry.track, base);
    json!({
        "added_at": entry.added_at,
        "added_by": user_object(&entry.added_by, base),
        "is_local": false,
        "item": track,
        "track": track,
    })
}
