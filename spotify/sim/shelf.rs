//! The catalogue as the Web API shows it: tracks as JSON objects, and the albums they form.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::catalog::{Catalog, Track};
use super::ids::id_from_name;
use super::locked;
use super::search::{Hits, SearchError, SearchIndex};

/// The tracks on offer, indexed for searching. Costly to make and never changed.
pub(crate) struct Shelf {
    catalog: Catalog,
    index: SearchIndex,
    albums: Vec<Album>,
    /// For each track: its album's index, and its number there.
    places: Vec<(usize, u32)>,
}

/// An album, as far as the catalogue tells: the tracks with the same album title, date and first
/// artist.
#[derive(Debug)]
struct Album {
    id: String,
    total_tracks: u32,
}

impl Shelf {
    /// # Errors
    /// When the tracks cannot be indexed.
    pub(crate) fn new(catalog: Catalog) -> Result<Self, SearchError> {
        let mut albums: Vec<Album> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut places = Vec::with_capacity(catalog.tracks().len());
        for track in catalog.tracks() {
            let artist = track.artists.first().map_or("", String::as_str);
            let key = [artist, &track.album, &track.release_date].join("\0");
            let at = *known.entry(key).or_insert_with_key(|key| {
                albums.push(Album {
                    id: id_from_name("album", key),
                    total_tracks: 0,
                });
                albums.len() - 1
            });
            albums[at].total_tracks += 1;
            places.push((at, albums[at].total_tracks));
        }
        let index = SearchIndex::build(catalog.tracks())?;
        Ok(Self {
            catalog,
            index,
            albums,
            places,
        })
    }

    /// The built-in catalogue on its shelf, made once in the life of the process.
    pub(crate) fn builtin() -> Result<Arc<Self>, SearchError> {
        static SHELF: Mutex<Option<Arc<Shelf>>> = Mutex::new(None);
        let mut shelf = locked(&SHELF);
        if let Some(made) = &*shelf {
            return Ok(made.clone());
        }
        let made = Arc::new(Self::new(Catalog::builtin())?);
        *shelf = Some(made.clone());
        Ok(made)
    }

    pub(crate) fn tracks(&self) -> &[Track] {
        self.catalog.tracks()
    }

    /// The tracks that a query finds, the best first: their indices, and how many there are in all.
    pub(crate) fn search(&self, query: &str, limit: usize, offset: usize) -> Hits {
        self.index.search(query, limit, offset)
    }

    /// The index of the track with this id.
    pub(crate) fn position(&self, id: &str) -> Option<usize> {
        self.catalog.position(id)
    }

    /// The URI of the track at an index.
    pub(crate) fn uri(&self, at: usize) -> String {
        format!("spotify:track:{}", self.catalog.tracks()[at].id)
    }

    /// The track at an index as the document's `TrackObject`, without the fields that Spotify
    /// withdrew in 2026. `base` is the URL of the simulator.
    pub(crate) fn track_object(&self, at: usize, base: &str) -> Value {
        let track = &self.catalog.tracks()[at];
        let (album, number) = self.places[at];
        let Track {
            id,
            name,
            duration_ms,
            explicit,
            ..
        } = track;
        let artists: Vec<Value> = track
            .artists
            .iter()
            .map(|name| artist_object(name, base))
            .collect();
        let external_ids = track
            .isrc
            .as_ref()
            .map_or(json!({}), |isrc| json!({"isrc": isrc}));
        json!({
            "album": self.album_object(track, &self.albums[album], &artists, base),
            "artists": artists,
            "disc_number": 1,
            "duration_ms": duration_ms,
            "explicit": explicit,
            "external_ids": external_ids,
            "external_urls": external_urls("track", id),
            "href": format!("{base}/v1/tracks/{id}"),
            "id": id,
            "is_local": false,
            "name": name,
            "preview_url": null,
            "track_number": number,
            "type": "track",
            "uri": format!("spotify:track:{id}"),
        })
    }

    fn album_object(&self, track: &Track, album: &Album, artists: &[Value], base: &str) -> Value {
        let Album { id, total_tracks } = album;
        // Spotify writes year 0000 where it knows no date.
        let date = if track.release_date.is_empty() {
            "0000"
        } else {
            &track.release_date
        };
        let precision = match date.len() {
            4 => "year",
            7 => "month",
            _ => "day",
        };
        json!({
            "album_type": if *total_tracks == 1 { "single" } else { "album" },
            "artists": artists.get(..1).unwrap_or_default(),
            "external_urls": external_urls("album", id),
            "href": format!("{base}/v1/albums/{id}"),
            "id": id,
            "images": [],
            "name": track.album,
            "release_date": date,
            "release_date_precision": precision,
            "total_tracks": total_tracks,
            "type": "album",
            "uri": format!("spotify:album:{id}"),
        })
    }
}

fn artist_object(name: &str, base: &str) -> Value {
    let id = id_from_name("artist", name);
    json!({
        "external_urls": external_urls("artist", &id),
        "href": format!("{base}/v1/artists/{id}"),
        "id": id,
        "name": name,
        "type": "artist",
        "uri": format!("spotify:artist:{id}"),
    })
}

/// The page of an object in Spotify's web player. It is only ever written down, never visited.
pub(crate) fn external_urls(kind: &str, id: &str) -> Value {
    json!({"spotify": format!("https://open.spotify.com/{kind}/{id}")})
}
