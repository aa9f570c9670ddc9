//! The tracks of a call, checked at the border.

use schemars::JsonSchema;
use segue_workflows::{
    batch::{MOST_PACKED, MOST_ROWS, Packed, ROWS_A_PAGE, SourcePage},
    matching::normalise::isrc as normalise_isrc,
    track::{SourceTrack, spotify_id},
};
use serde::Deserialize;

use crate::{error::ToolError, text};

/// Characters of a title, an artist or an album: more than Spotify's longest.
const LONGEST_TEXT: usize = 500;
/// The longest track that is believed, in milliseconds: 24 h.
pub(crate) const LONGEST_TRACK_MS: u32 = 24 * 3_600_000;

/// A track as the user has it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Track {
    /// The title, with whatever the source says about the version.
    pub title: String,
    /// The artist, or all artists as the source joins them.
    pub artist: String,
    /// The album, if known.
    #[serde(default)]
    pub album: Option<String>,
    /// The length in milliseconds, if known.
    #[serde(default)]
    #[schemars(range(min = 1, max = LONGEST_TRACK_MS))]
    pub duration_ms: Option<u32>,
    /// The ISRC, if known; with it the match is exact.
    #[serde(default)]
    pub isrc: Option<String>,
    /// Spotify's id, URI or link of the track, if known; then nothing is searched.
    #[serde(default)]
    pub spotify_id: Option<String>,
}

impl Track {
    /// The track, if nothing is wrong with it.
    pub(crate) fn checked(self) -> Result<SourceTrack, ToolError> {
        if self
            .duration_ms
            .is_some_and(|ms| ms == 0 || ms > LONGEST_TRACK_MS)
        {
            return Err(ToolError::invalid(
                "duration_ms",
                "is out of range",
                "1 to 86400000 milliseconds (24 hours)",
            ));
        }
        let isrc = match self.isrc.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(given) => Some(normalise_isrc(given).ok_or_else(|| {
                ToolError::invalid(
                    "isrc",
                    "is not an ISRC",
                    "two letters, three letters or digits and seven digits, such as USUM71703861; \
                     leave it out if it is not known",
                )
            })?),
        };
        let spotify_id = match self.spotify_id.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(given) => Some(spotify_id(given).map(str::to_owned).ok_or_else(|| {
                ToolError::invalid(
                    "spotify_id",
                    "is not a track of Spotify's",
                    "a track's id (22 letters and digits), its spotify:track: URI or its \
                     open.spotify.com link; leave it out if it is not known",
                )
            })?),
        };
        Ok(SourceTrack {
            title: text::required("title", &self.title, LONGEST_TEXT)?,
            artist: text::required("artist", &self.artist, LONGEST_TEXT)?,
            album: text::optional("album", self.album.as_deref(), LONGEST_TEXT)?,
            duration_ms: self.duration_ms,
            isrc,
            other_isrcs: Vec::new(),
            spotify_id,
        })
    }
}

/// The confidence that a match needs: what was asked for, or the configured.
pub(crate) fn threshold(asked: Option<f64>, configured: f64) -> Result<f64, ToolError> {
    let threshold = asked.unwrap_or(configured);
    match (0.0..=1.0).contains(&threshold) {
        true => Ok(threshold),
        false => Err(ToolError::invalid(
            "match_threshold",
            "is out of range",
            "0.0 to 1.0",
        )),
    }
}

/// The tracks of a list; an error names the one that is wrong.
pub(crate) fn checked(tracks: Vec<Track>) -> Result<Vec<SourceTrack>, ToolError> {
    let allowed = format!("1 to {MOST_ROWS} tracks");
    if tracks.is_empty() {
        return Err(ToolError::invalid("tracks", "is empty", &allowed));
    }
    if tracks.len() > MOST_ROWS {
        return Err(ToolError::invalid("tracks", "is too long", &allowed));
    }
    let track = |(place, track): (usize, Track)| {
        track.checked().map_err(|error| ToolError {
            message: format!("tracks[{place}]: {}", error.message),
            ..error
        })
    };
    tracks.into_iter().enumerate().map(track).collect()
}

/// The tracks as the pages of a batch.
pub(crate) fn paged(tracks: &[SourceTrack]) -> Result<Vec<SourcePage>, ToolError> {
    let packed = |page: &[SourceTrack]| Packed::of(&page.to_vec());
    let pages: Result<Vec<_>, _> = tracks.chunks(ROWS_A_PAGE).map(packed).collect();
    let pages = pages.map_err(|error| ToolError::engine_failed("pack the tracks", &error))?;
    match pages.iter().map(SourcePage::size).sum::<usize>() {
        0..=MOST_PACKED => Ok(pages),
        _ => Err(ToolError::invalid(
            "tracks",
            "is too large for one batch",
            "about 20000 tracks with titles of usual length; split it, one batch after the other",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(title: &str) -> Track {
        Track {
            title: title.into(),
            artist: "Queen".into(),
            album: None,
            duration_ms: None,
            isrc: None,
            spotify_id: None,
        }
    }

    #[test]
    fn the_track_that_is_wrong_is_named() {
        let error = checked(vec![track("Halo"), track(" ")]).expect_err("refused");
        assert!(error.message.starts_with("tracks[1]:"), "{error}");
        assert_eq!(checked(vec![]).expect_err("refused").field, Some("tracks"));
    }

    #[test]
    fn twenty_thousand_tracks_of_usual_length_are_one_batch() {
        let tracks: Vec<SourceTrack> = (0..MOST_ROWS)
            .map(|n| SourceTrack {
                title: format!("A song of usual length, no. {n} of many"),
                artist: format!("Artist {} & The Others", n * 7919 % 10_000),
                album: Some(format!("The album {}", n * 104_729 % 5_000)),
                duration_ms: Some(120_000 + (n as u32 * 7_907) % 240_000),
                isrc: Some(format!("USRC1{:07}", n * 48_611 % 10_000_000)),
                ..SourceTrack::default()
            })
            .collect();
        let pages = paged(&tracks).expect("accepted");
        assert_eq!(pages.len(), MOST_ROWS / ROWS_A_PAGE);
        let mut long = tracks;
        for (n, track) in long.iter_mut().enumerate() {
            track.title = (0..40).map(|i| format!("{:x}", n * 31 + i * 17)).collect();
        }
        assert_eq!(paged(&long).expect_err("refused").field, Some("tracks"));
    }
}
