//! Arguments that several tools take, checked: playlists, tracks, numbers in a range.

use std::ops::RangeInclusive;

use rspotify::model::{Id, PlaylistId, TrackId};

use crate::server::ToolError;

/// The most tracks that one request can add or remove.
pub(super) const MAX_TRACKS: usize = 100;

/// Spotify's ids have 22 characters; anything this much longer is none.
const MAX_ID_LENGTH: usize = 64;

/// A playlist by its id, URI or link.
pub(in crate::server) fn playlist_id(text: &str) -> Result<PlaylistId<'static>, ToolError> {
    bare_id(text, "playlist")
        .and_then(|id| PlaylistId::from_id(id.to_owned()).ok())
        .ok_or_else(|| {
            ToolError::invalid_request(
                "`playlist_id` is not a Spotify playlist: give an id such as \
                 `37i9dQZF1DXcBWIGoYBM5M`, a `spotify:playlist:` URI or a link",
            )
        })
}

/// A track by its URI, id or link.
pub(in crate::server) fn track_id(text: &str) -> Result<TrackId<'static>, ToolError> {
    bare_id(text, "track")
        .and_then(|id| TrackId::from_id(id.to_owned()).ok())
        .ok_or_else(|| {
            ToolError::invalid_request(
                "a track URI is not right: give URIs such as \
                 `spotify:track:4iV5W9uYEdYUVa79Axb7Rh`",
            )
        })
}

/// Between 1 and [`MAX_TRACKS`] tracks, in the order given.
pub(super) fn track_ids(texts: &[String]) -> Result<Vec<TrackId<'static>>, ToolError> {
    if !(1..=MAX_TRACKS).contains(&texts.len()) {
        return Err(ToolError::invalid_request(format!(
            "`track_uris` has {} entries; give 1 to {MAX_TRACKS} at once",
            texts.len()
        )));
    }
    texts.iter().map(|text| track_id(text)).collect()
}

/// The URI of a track.
pub(super) fn uri(track: &TrackId<'_>) -> String {
    track.uri()
}

/// Checks that `value` lies in `range`.
pub(super) fn in_range(
    name: &'static str,
    value: u32,
    range: RangeInclusive<u32>,
) -> Result<u32, ToolError> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (start, end) = range.into_inner();
    Err(ToolError::invalid_request(format!(
        "`{name}` is {value}; it must be {start} to {end}"
    )))
}

/// Checks the length of a text, in characters.
pub(super) fn of_length<'a>(
    name: &'static str,
    text: &'a str,
    range: RangeInclusive<usize>,
) -> Result<&'a str, ToolError> {
    if range.contains(&text.chars().count()) {
        return Ok(text);
    }
    let (start, end) = range.into_inner();
    Err(ToolError::invalid_request(format!(
        "`{name}` must have {start} to {end} characters"
    )))
}

/// The id in `text`: as it stands, or out of a `spotify:` URI or an `open.spotify.com` link.
fn bare_id<'a>(text: &'a str, kind: &str) -> Option<&'a str> {
    let text = text.trim();
    let id = if let Some(uri) = text.strip_prefix("spotify:") {
        uri.strip_prefix(kind)?.strip_prefix(':')?
    } else if let Some(link) = text.strip_prefix("https://open.spotify.com/") {
        let path = link.split(['?', '#']).next()?;
        // Links may begin with a language, such as `intl-de/`.
        let (parent, id) = path.rsplit_once('/')?;
        (parent.rsplit('/').next() == Some(kind)).then_some(id)?
    } else {
        text
    };
    // rspotify takes the empty string for an id.
    (1..=MAX_ID_LENGTH).contains(&id.len()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4iV5W9uYEdYUVa79Axb7Rh";

    #[test]
    fn ids_uris_and_links_are_understood() {
        for text in [
            ID.to_owned(),
            format!(" {ID} "),
            format!("spotify:track:{ID}"),
            format!("https://open.spotify.com/track/{ID}?si=abc"),
            format!("https://open.spotify.com/intl-de/track/{ID}"),
        ] {
            assert_eq!(
                uri(&track_id(&text).unwrap()),
                format!("spotify:track:{ID}")
            );
        }
        let link = format!("https://open.spotify.com/playlist/{ID}");
        assert_eq!(playlist_id(&link).unwrap().id(), ID);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "spotify:track:",
            "spotify:album:4iV5W9uYEdYUVa79Axb7Rh",
            "spotify:local:X:Y:Z:200",
            "https://open.spotify.com/album/4iV5W9uYEdYUVa79Axb7Rh",
            "https://example.com/track/4iV5W9uYEdYUVa79Axb7Rh",
            "../../me",
            "a b",
            &"a".repeat(MAX_ID_LENGTH + 1),
        ] {
            assert!(track_id(text).is_err(), "{text:?}");
            assert!(playlist_id(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_batch_has_1_to_100_tracks() {
        assert!(track_ids(&[]).is_err());
        assert_eq!(track_ids(&vec![ID.to_owned(); 100]).unwrap().len(), 100);
        assert!(track_ids(&vec![ID.to_owned(); 101]).is_err());
    }
}
