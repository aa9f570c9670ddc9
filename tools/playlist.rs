//! How a person names a playlist: by id, URI, URL or exact name.

use segue_workflows::{sync::PlaylistRef, upstream::is_spotify_id};
use url::Url;

use crate::{error::ToolError, text};

const ALLOWED: &str = "a playlist's id (22 letters and digits), its spotify:playlist: URI, its \
                       open.spotify.com URL, or its exact name as list_playlists shows it";
/// Spotify's longest playlist name is 100 characters; the rest is room for URLs.
const LONGEST: usize = 300;

/// Reads what the user gave. What looks like a URI or a URL must be one of a playlist.
pub(crate) fn parse(given: &str) -> Result<PlaylistRef, ToolError> {
    parse_as("playlist", given)
}

/// The same of an argument with another name.
pub(crate) fn parse_as(field: &'static str, given: &str) -> Result<PlaylistRef, ToolError> {
    let given = text::required(field, given, LONGEST)?;
    let refused = |problem: &str| Err(ToolError::invalid(field, problem, ALLOWED));
    if let Some(rest) = given.strip_prefix("spotify:") {
        return match rest.strip_prefix("playlist:") {
            Some(id) if is_spotify_id(id) => Ok(PlaylistRef::Id(id.to_owned())),
            _ => refused("is not the URI of a playlist"),
        };
    }
    if given.starts_with("http://") || given.starts_with("https://") {
        return match id_in_url(&given) {
            Some(id) => Ok(PlaylistRef::Id(id)),
            None => refused("is not the URL of a Spotify playlist"),
        };
    }
    Ok(match is_spotify_id(&given) {
        true => PlaylistRef::Id(given),
        false => PlaylistRef::Name(given),
    })
}

fn id_in_url(given: &str) -> Option<String> {
    let url = Url::parse(given).ok()?;
    if url.host_str() != Some("open.spotify.com") {
        return None;
    }
    let mut segments = url
        .path_segments()?
        .skip_while(|&segment| segment != "playlist");
    segments.next()?;
    segments
        .next()
        .filter(|id| is_spotify_id(id))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "37i9dQZF1DXcBWIGoYBM5M";

    #[test]
    fn a_playlist_is_given_as_id_uri_url_or_name() {
        for given in [
            ID.to_owned(),
            format!(" {ID} "),
            format!("spotify:playlist:{ID}"),
            format!("https://open.spotify.com/playlist/{ID}?si=abc"),
            format!("https://open.spotify.com/intl-de/playlist/{ID}"),
        ] {
            assert_eq!(parse(&given), Ok(PlaylistRef::Id(ID.to_owned())), "{given}");
        }
        for name in ["Road trip", "80s", "https is a song"] {
            assert_eq!(parse(name), Ok(PlaylistRef::Name(name.to_owned())));
        }
    }

    #[test]
    fn what_is_no_playlist_is_refused_by_name() {
        for wrong in [
            "",
            "   ",
            "spotify:track:4uLU6hMCjMI75M1A2tKUQC",
            "https://open.spotify.com/album/4uLU6hMCjMI75M1A2tKUQC",
            "https://evil.example/playlist/37i9dQZF1DXcBWIGoYBM5M",
        ] {
            let error = parse(wrong).expect_err("refused");
            assert_eq!(error.field, Some("playlist"), "{wrong}");
        }
    }
}
