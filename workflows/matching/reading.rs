//! One side of a comparison, read once: the user's track or the upstream's.

use std::collections::BTreeSet;

use super::artists::Artists;
use super::normalise::{fold, isrc, transliterate};
use super::title::Title;
use super::version::Version;
use crate::track::{Candidate, SourceTrack};

/// One side of a comparison, read once.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) title: Title,
    pub(super) artists: Artists,
    pub(super) version: Version,
    pub(super) album: Option<String>,
    pub(super) duration_ms: Option<u32>,
    pub(super) isrc: Option<String>,
    /// Further codes of the same song; of the user's track alone.
    pub(super) other_isrcs: Vec<String>,
}

impl Reading {
    /// Reads a source track.
    pub(super) fn of_source(source: &SourceTrack) -> Self {
        let (title, artist) = untangle(source);
        let (title, artists) = (Title::parse(&title), Artists::from_text(&artist));
        let others = source.other_isrcs.iter();
        Self {
            other_isrcs: others.filter_map(|code| isrc(code)).collect(),
            ..Self::new(
                title,
                artists,
                source.album.as_deref(),
                source.duration_ms,
                source.isrc.as_deref(),
            )
        }
    }

    /// Reads a candidate.
    pub(super) fn of_candidate(candidate: &Candidate) -> Self {
        let artists = Artists::from_list(candidate.artists.iter().map(String::as_str));
        Self::new(
            Title::parse(&candidate.title),
            artists,
            candidate.album.as_deref(),
            candidate.duration_ms,
            candidate.isrc.as_deref(),
        )
    }

    fn new(
        title: Title,
        artists: Artists,
        album: Option<&str>,
        duration_ms: Option<u32>,
        code: Option<&str>,
    ) -> Self {
        let album = album.map(str::trim).filter(|a| !a.is_empty());
        let mut version = title.version.clone();
        if let Some(album) = album {
            // A single names its version on the cover, and not always in the title.
            let cover = Title::parse(album);
            if cover.base == title.base && title.version.is_plain() {
                version.merge(cover.version);
            }
            version.merge(Version::of_album(&fold(album)));
        }
        for name in &artists.entries {
            version.merge(Version::of_artist(name));
        }
        Reading {
            title,
            artists,
            version,
            album: album.map(str::to_owned),
            duration_ms: duration_ms.filter(|&ms| ms > 0),
            isrc: code.and_then(isrc),
            other_isrcs: Vec::new(),
        }
    }

    /// The words of the album's name, in Latin letters.
    pub(super) fn album_words(&self) -> BTreeSet<String> {
        let folded = transliterate(&fold(self.album.as_deref().unwrap_or_default()));
        folded
            .split(' ')
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// The title and the artist of a source, each in its place.
///
/// Exports of videos write "Artist - Title" where the title belongs, with or without an artist
/// beside it. A band's song of its own name ("Bad Company - Remastered") stays as it is.
pub(super) fn untangle(source: &SourceTrack) -> (String, String) {
    let whole = || (source.title.clone(), source.artist.clone());
    let Some((first, rest)) = source.title.split_once(" - ") else {
        return whole();
    };
    let song = Title::parse(rest).base;
    if song.is_empty() || Version::read(&song).is_some() {
        return whole();
    }
    let named = Artists::from_text(&source.artist);
    let first_artist = Artists::from_text(first);
    if named.is_empty() {
        return (rest.to_owned(), first.to_owned());
    }
    let same = first_artist
        .names
        .iter()
        .any(|name| named.names.contains(name));
    if same {
        (rest.to_owned(), source.artist.clone())
    } else {
        whole()
    }
}
