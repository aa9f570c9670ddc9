//! Where Spotify's answers and a client's ids come in, for the fuzz targets in `fuzz/`. No API: it
//! changes with them.

use rspotify::model::Id;
use serde_json::Result;

use super::{
    Playlist, PlaylistItem, Track,
    tools::input,
    wire::{Page, PlaylistEntry, SearchAnswer, WirePlaylist, WireUser},
};

/// The tracks in the answer to a search.
///
/// # Errors
/// The answer is none.
pub fn found(answer: &str) -> Result<Vec<Track>> {
    let answer: SearchAnswer = serde_json::from_str(answer)?;
    let tracks = answer.tracks.items.into_iter().flatten();
    Ok(tracks.filter_map(Track::from_wire).collect())
}

/// The entries on a page of a playlist that began at `offset`, and where the next one begins.
///
/// # Errors
/// The answer is none.
pub fn entries(answer: &str, offset: u32) -> Result<(Vec<PlaylistItem>, Option<u32>)> {
    let page: Page<PlaylistEntry> = serde_json::from_str(answer)?;
    let next = page.next_offset(offset);
    let entries = page.items.into_iter().flatten();
    Ok((entries.filter_map(PlaylistItem::from_wire).collect(), next))
}

/// The playlists on a page of the library of the user in `me`.
///
/// # Errors
/// One of the answers is none.
pub fn playlists(answer: &str, me: &str) -> Result<Vec<Playlist>> {
    let page: Page<WirePlaylist> = serde_json::from_str(answer)?;
    let me: WireUser = serde_json::from_str(me)?;
    let playlists = page.items.into_iter().flatten();
    Ok(playlists
        .map(|playlist| Playlist::from_wire(playlist, &me))
        .collect())
}

/// The id of the playlist that a client names.
#[must_use]
pub fn playlist_id(text: &str) -> Option<String> {
    let id = input::playlist_id(text).ok()?;
    Some(id.id().to_owned())
}

/// The id of the track that a client names.
#[must_use]
pub fn track_id(text: &str) -> Option<String> {
    let id = input::track_id(text).ok()?;
    Some(id.id().to_owned())
}
