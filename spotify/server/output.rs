//! The objects in answers: a track, an entry of a playlist, a playlist.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wire::{PlaylistEntry, WirePlaylist, WireTrack, WireUser};

/// Names are cut here, in characters. Spotify's longest titles have a few hundred.
const MAX_NAME_CHARS: usize = 1000;

/// Artists of a track beyond this are left out.
const MAX_ARTISTS: usize = 100;

/// A track of Spotify's catalogue. Fields that Spotify did not send are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Track {
    /// Spotify id; of something without one (a local file in a playlist), its URI.
    pub id: String,
    /// Spotify URI, for example `spotify:track:4iV5W9uYEdYUVa79Axb7Rh`.
    pub uri: String,
    /// Title.
    pub name: String,
    /// Names of the artists, main artist first.
    pub artists: Vec<String>,
    /// Name of the album.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// Length in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// International Standard Recording Code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isrc: Option<String>,
    /// Release date of the album: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_date: Option<String>,
    /// Whether the lyrics are marked explicit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explicit: Option<bool>,
}

impl Track {
    /// `None` for something with neither URI nor id: no client could do anything with it.
    pub(super) fn from_wire(wire: WireTrack) -> Option<Self> {
        let uri = wire.uri.or_else(|| {
            let id = wire.id.as_ref()?;
            Some(format!("spotify:track:{id}"))
        })?;
        let (album, release_date) = match wire.album {
            Some(album) => (album.name, album.release_date),
            None => (None, None),
        };
        Some(Self {
            id: bounded(wire.id.unwrap_or_else(|| uri.clone())),
            uri: bounded(uri),
            name: bounded(wire.name.unwrap_or_default()),
            artists: wire
                .artists
                .unwrap_or_default()
                .into_iter()
                .flatten()
                .filter_map(|artist| artist.name)
                .take(MAX_ARTISTS)
                .map(bounded)
                .collect(),
            album: album.map(bounded),
            duration_ms: wire.duration_ms,
            isrc: wire.external_ids.and_then(|ids| ids.isrc).map(bounded),
            release_date: release_date.map(bounded),
            explicit: wire.explicit,
        })
    }
}

/// One entry of a playlist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaylistItem {
    /// The track.
    #[serde(flatten)]
    pub track: Track,
    /// When it was added, as an ISO 8601 time in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_at: Option<String>,
}

impl PlaylistItem {
    pub(super) fn from_wire(wire: PlaylistEntry) -> Option<Self> {
        let (added_at, item) = wire.into_parts();
        Some(Self {
            track: Track::from_wire(item?)?,
            added_at: added_at.map(bounded),
        })
    }
}

/// A playlist of the user's library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Playlist {
    /// Spotify id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Description; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Spotify id of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// Whether the user can read and change its items: it is their own, or collaborative.
    pub writable: bool,
    /// Whether others may change it too.
    pub collaborative: bool,
    /// Whether it is on the owner's profile; left out if Spotify does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// Number of items.
    pub total_tracks: u32,
}

impl Playlist {
    /// A playlist of `me`'s library.
    pub(super) fn from_wire(wire: WirePlaylist, me: &WireUser) -> Self {
        let own = wire.owner.as_ref().is_some_and(|owner| owner.is(me));
        Self::new(wire, own)
    }

    /// A playlist that the user has just created, and so owns.
    pub(super) fn created(wire: WirePlaylist) -> Self {
        Self::new(wire, true)
    }

    fn new(wire: WirePlaylist, own: bool) -> Self {
        let collaborative = wire.collaborative.unwrap_or(false);
        Self {
            total_tracks: wire.total(),
            id: bounded(wire.id),
            name: bounded(wire.name.unwrap_or_default()),
            description: wire
                .description
                .filter(|text| !text.is_empty())
                .map(bounded),
            owner_id: wire.owner.and_then(|owner| owner.id).map(bounded),
            writable: own || collaborative,
            collaborative,
            public: wire.public,
        }
    }
}

/// Cuts `text` to [`MAX_NAME_CHARS`].
fn bounded(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_NAME_CHARS) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn track(wire: Value) -> Option<Value> {
        let track = Track::from_wire(serde_json::from_value(wire).unwrap())?;
        Some(serde_json::to_value(track).unwrap())
    }

    #[test]
    fn what_spotify_leaves_out_is_left_out() {
        assert_eq!(
            track(json!({"id": "a", "name": "Song"})),
            Some(json!({"id": "a", "uri": "spotify:track:a", "name": "Song", "artists": []}))
        );
        assert_eq!(track(json!({"name": "Song"})), None);
    }

    #[test]
    fn a_local_file_is_known_by_its_uri() {
        let track = track(json!({
            "id": null, "uri": "spotify:local:X:Y:Z:200", "name": "Z", "artists": [null, {"name": "X"}],
            "album": {"name": "Y", "release_date": null}, "external_ids": {}
        }))
        .unwrap();
        assert_eq!(track["id"], "spotify:local:X:Y:Z:200");
        assert_eq!(track["artists"], json!(["X"]));
        assert_eq!(track["album"], "Y");
        assert!(track.get("isrc").is_none() && track.get("release_date").is_none());
    }

    #[test]
    fn names_are_cut_between_characters() {
        let long = "é".repeat(MAX_NAME_CHARS + 5);
        let track = track(json!({"id": "a", "name": long})).unwrap();
        assert_eq!(
            track["name"].as_str().unwrap().chars().count(),
            MAX_NAME_CHARS
        );
    }
}
