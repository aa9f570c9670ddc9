//! What was read so far, checked row by row and kept within bounds.

use std::collections::HashMap;

use super::{
    Format, Import, ImportError, ImportedPlaylist, ImportedRow, MAX_ROWS, UnreadableRow,
    fields::{artist_and_title, excerpt, isrcs},
    text::Text,
};
use crate::{track::SourceTrack, upstream::clean};

/// Bytes of text that are kept. A file has at most 60 MB of it as UTF-8, but a library may name one
/// track in all its playlists.
const MAX_KEPT: usize = 64_000_000;

/// The reason for a row at the end of a file that did not arrive whole.
pub(super) const CUT_OFF: &str = "The file ends in the middle of this row; export it once more.";
const NO_TITLE: &str = "It has no title.";
const NO_ARTIST: &str =
    "It has no artist, and its title is not of the form \"Artist - Title\" either.";
const BROKEN_CHARACTERS: &str =
    "Characters of its title or artist are broken; save the file as UTF-8 and import it again.";

/// A song as its fields have it.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// The title; artist and title, if the artist is empty.
    pub(super) title: &'a str,
    /// The artist.
    pub(super) artist: &'a str,
    /// The album.
    pub(super) album: &'a str,
    /// One ISRC or several.
    pub(super) isrc: &'a str,
    /// The length.
    pub(super) duration_ms: Option<u32>,
    /// Spotify's id of the track.
    pub(super) spotify_id: Option<&'a str>,
}

/// The playlists and the unreadable rows so far.
pub(super) struct Collected {
    playlists: Vec<ImportedPlaylist>,
    unreadable: Vec<UnreadableRow>,
    /// The name of the playlist that rows go to.
    name: Option<String>,
    /// Its place, once it has a row.
    place: Option<usize>,
    /// The places of the playlists by their names, since one was opened.
    places: HashMap<Option<String>, usize>,
    is_damaged: bool,
    rows: usize,
    kept: usize,
}

impl Collected {
    /// Nothing yet, of this file.
    pub(super) fn new(file: &Text) -> Self {
        Self {
            playlists: Vec::new(),
            unreadable: Vec::new(),
            name: None,
            place: None,
            places: HashMap::new(),
            is_damaged: file.is_damaged,
            rows: 0,
            kept: 0,
        }
    }

    /// Rows go to a new playlist from now on, even if there is one of this name.
    pub(super) fn open(&mut self, name: &str) {
        self.places.clear();
        self.choose(name);
    }

    /// Rows go to the playlist of this name from now on. It is a new one if none of this name was
    /// chosen since one was opened.
    pub(super) fn choose(&mut self, name: &str) {
        self.name = Some(clean(name)).filter(|name| !name.is_empty());
        self.place = self.places.get(&self.name).copied();
    }

    /// Takes a song, or reports it if it is none. `text` is how the row is written.
    pub(super) fn song(
        &mut self,
        line: u32,
        found: Found<'_>,
        text: &str,
    ) -> Result<(), ImportError> {
        match self.checked(line, found) {
            Ok(row) => self.keep(row),
            Err(reason) => self.unreadable(line, text, reason),
        }
    }

    /// Reports a row that is no song.
    pub(super) fn unreadable(
        &mut self,
        line: u32,
        text: &str,
        reason: impl Into<String>,
    ) -> Result<(), ImportError> {
        let row = UnreadableRow {
            line,
            playlist: self.name.clone(),
            text: excerpt(text),
            reason: reason.into(),
        };
        self.count(
            row.text.len() + row.reason.len() + row.playlist.as_ref().map_or(0, String::len),
        )?;
        self.unreadable.push(row);
        Ok(())
    }

    /// Rows that could be read, and rows of any kind.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.rows - self.unreadable.len(), self.rows)
    }

    /// All of it.
    ///
    /// # Errors
    /// There was no row at all.
    pub(super) fn finish(self, format: Format) -> Result<Import, ImportError> {
        if self.rows == 0 {
            return Err(ImportError::Empty);
        }
        Ok(Import {
            format,
            playlists: self.playlists,
            unreadable: self.unreadable,
        })
    }

    fn checked(&self, line: u32, found: Found<'_>) -> Result<ImportedRow, &'static str> {
        let mut title = clean(found.title.trim());
        let mut artist = clean(found.artist.trim());
        if title.is_empty() {
            return Err(NO_TITLE);
        }
        if artist.is_empty() {
            let (before, after) = artist_and_title(&title).ok_or(NO_ARTIST)?;
            (artist, title) = (before.to_owned(), after.to_owned());
        }
        let is_broken = |text: &str| self.is_damaged && text.contains(char::REPLACEMENT_CHARACTER);
        if is_broken(&title) || is_broken(&artist) {
            return Err(BROKEN_CHARACTERS);
        }
        let album = clean(found.album.trim());
        let (isrc, other_isrcs) = isrcs(found.isrc);
        Ok(ImportedRow {
            line,
            track: SourceTrack {
                title,
                artist,
                album: Some(album).filter(|album| !album.is_empty() && !is_broken(album)),
                duration_ms: found.duration_ms,
                isrc,
                other_isrcs,
                spotify_id: found.spotify_id.map(str::to_owned),
            },
        })
    }

    fn keep(&mut self, row: ImportedRow) -> Result<(), ImportError> {
        let track = &row.track;
        let album = track.album.as_ref().map_or(0, String::len);
        self.count(track.title.len() + track.artist.len() + album)?;
        let place = match self.place {
            Some(place) => place,
            None => self.begin_playlist(),
        };
        self.playlists[place].rows.push(row);
        Ok(())
    }

    fn begin_playlist(&mut self) -> usize {
        self.kept += self.name.as_ref().map_or(0, String::len);
        let place = self.playlists.len();
        self.playlists.push(ImportedPlaylist {
            name: self.name.clone(),
            rows: Vec::new(),
        });
        self.places.insert(self.name.clone(), place);
        self.place = Some(place);
        place
    }

    fn count(&mut self, bytes: usize) -> Result<(), ImportError> {
        self.rows += 1;
        self.kept += bytes;
        if self.rows > MAX_ROWS || self.kept > MAX_KEPT {
            return Err(ImportError::TooManyRows);
        }
        Ok(())
    }
}
