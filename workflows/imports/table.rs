//! Tables: CSV of every tool, and the tab-separated text of Apple Music.

use std::borrow::Cow;

use super::{
    Format, Import, ImportError,
    collected::{CUT_OFF, Collected, Found},
    fields::{Unit, duration_ms, unescaped_artists},
    headings::{Column, Headings},
    records::{Record, Records},
    text::Text,
};
use crate::track::spotify_id;

const DELIMITERS: &[u8] = b",;\t|";
/// Records in which a heading is looked for: spreadsheets and some tools write a line or two before it.
const FIRST_RECORDS: usize = 5;

const BROKEN_QUOTES: &str =
    "A quotation mark opens in this row and does not close where it should.";
const ALBUM: &str = "It is an album, not a track.";
const ARTIST: &str = "It is an artist, not a track.";
const PLAYLIST: &str = "It is a playlist, not a track.";
const EPISODE: &str = "It is an episode of a podcast, not a track.";

/// A file that is a table, read up to its heading.
pub(super) struct Table<'a> {
    file: &'a Text,
    records: Records<'a>,
    headings: Headings,
    format: Format,
    /// The fields of the shortest whole record so far. Who writes by hand leaves out the last ones.
    shortest: usize,
    /// The fields that a record may have: those of the heading, and of the first record if that ends
    /// with more delimiters, as in files of some tools all do.
    longest: Option<usize>,
}

impl<'a> Table<'a> {
    /// The file as a table, if a heading is found that names title and artist.
    pub(super) fn find(file: &'a Text) -> Option<Self> {
        let tables = DELIMITERS.iter().filter_map(|&delimiter| {
            let mut records = Records::new(&file.text, delimiter);
            let headings = (0..FIRST_RECORDS)
                .map_while(|_| records.next())
                .find_map(|first| {
                    let headings = Headings::new(&first.fields);
                    Some(headings).filter(|headings| is_table(headings, delimiter))
                })?;
            Some((delimiter, records, headings))
        });
        // Of the delimiters by which there is a heading, the right one makes most sense.
        let (delimiter, records, mut headings) = tables.max_by_key(|table| table.2.known())?;
        let format = format(&headings, delimiter, file.has_mark);
        let records = if format == Format::AppleText {
            assume_apples_order(&mut headings);
            // Apple quotes nothing, so "Heroes" is a title with its quotation marks.
            records.unquoted()
        } else {
            records
        };
        Some(Self {
            file,
            records,
            shortest: headings.count(),
            longest: None,
            headings,
            format,
        })
    }

    /// Reads all rows.
    pub(super) fn read(mut self) -> Result<Import, ImportError> {
        let mut collected = Collected::new(self.file);
        let playlist = self.headings.place(Column::Playlist);
        let mut first_isrc = None;
        while let Some(record) = self.records.next() {
            if record.filled == 0 || self.headings.repeats(&record.fields) {
                continue;
            }
            if let Some(reason) = self.misshapen(&record) {
                collected.choose("");
                collected.unreadable(record.line, record.text, reason)?;
                if record.spans_lines() {
                    self.records.resume_after_first_line(&record);
                }
                continue;
            }
            collected.choose(record.field(playlist));
            if let Some(reason) = self.no_track(&record) {
                collected.unreadable(record.line, record.text, reason)?;
                continue;
            }
            let isrc = record.field(self.headings.place(Column::Isrc));
            if first_isrc.is_none() && !isrc.is_empty() {
                first_isrc = Some(isrc.to_owned());
            }
            self.song(&record, &mut collected)?;
        }
        let format = match first_isrc {
            Some(isrc)
                if self.may_be_roons() && isrc.contains(|c: char| c.is_ascii_lowercase()) =>
            {
                Format::Roon
            }
            _ => self.format,
        };
        collected.finish(format)
    }

    fn song(&self, record: &Record<'_>, collected: &mut Collected) -> Result<(), ImportError> {
        let field = |column| record.field(self.headings.place(column));
        let artists = match self.format {
            Format::Exportify => Cow::from(unescaped_artists(field(Column::Artist))),
            _ => Cow::from(field(Column::Artist)),
        };
        let found = Found {
            title: field(Column::Title),
            artist: &artists,
            album: field(Column::Album),
            isrc: field(Column::Isrc),
            duration_ms: duration_ms(field(Column::Milliseconds), Unit::Milliseconds)
                .or_else(|| duration_ms(field(Column::Duration), self.unit())),
            spotify_id: self
                .headings
                .ids()
                .iter()
                .find_map(|&place| spotify_id(record.field(Some(place)))),
        };
        collected.song(record.line, found, record.text)
    }

    /// What a column of seconds or anything else counts in.
    fn unit(&self) -> Unit {
        match self.format {
            Format::AppleText => Unit::Seconds,
            _ => Unit::Untold,
        }
    }

    /// Why the fields of a record cannot be told apart, if they cannot.
    fn misshapen(&mut self, record: &Record<'_>) -> Option<String> {
        let expected = self.headings.count();
        let longest = *self
            .longest
            .get_or_insert_with(|| match record.filled <= expected {
                true => expected.max(record.count),
                false => expected,
            });
        if record.spans_lines() && (record.count != expected || !record.is_soundly_quoted()) {
            return Some(BROKEN_QUOTES.to_owned());
        }
        if record.is_last && record.count < self.shortest {
            return Some(CUT_OFF.to_owned());
        }
        let needed = [Column::Title, Column::Artist].map(|column| self.headings.place(column));
        let least = match self.format {
            Format::Csv | Format::AppleText => needed.into_iter().flatten().max().map(|at| at + 1),
            // What a program writes has all its fields. With one too few, a delimiter was lost, and
            // nobody knows which.
            _ => Some(expected),
        };
        if record.count > longest || least.is_some_and(|least| record.count < least) {
            let columns = if record.count == 1 {
                "column"
            } else {
                "columns"
            };
            return Some(format!(
                "It has {} {columns} where the heading has {expected}.",
                record.count
            ));
        }
        self.shortest = self.shortest.min(record.count);
        None
    }

    /// Why a row is no track though it is whole, if it says so.
    fn no_track(&self, record: &Record<'_>) -> Option<&'static str> {
        let field = |column| record.field(self.headings.place(column)).trim();
        if self.headings.has("trackuri") {
            let is_episode =
                |&place: &usize| record.field(Some(place)).starts_with("spotify:episode:");
            return self
                .headings
                .ids()
                .iter()
                .any(is_episode)
                .then_some(EPISODE);
        }
        if self.format != Format::TuneMyMusic {
            return None;
        }
        // "Playlist" and "Favorite" say where a track comes from, and stand in nearly every row.
        match field(Column::Kind).to_ascii_lowercase().as_str() {
            "album" => Some(ALBUM),
            "artist" => Some(ARTIST),
            "playlist"
                if field(Column::Artist).is_empty()
                    && field(Column::Title) == field(Column::Playlist) =>
            {
                Some(PLAYLIST)
            }
            _ => None,
        }
    }

    /// Roon and Soundiiz write the same heading; Roon's ISRCs are in lower case.
    fn may_be_roons(&self) -> bool {
        self.format == Format::Soundiiz
            && !self.file.has_mark
            && self.headings.are(&["title", "artist", "album", "isrc"])
    }
}

/// Whether a row is a heading by which songs can be read.
fn is_table(headings: &Headings, delimiter: u8) -> bool {
    let named = |column| headings.place(column).is_some();
    (named(Column::Title) && named(Column::Artist)) || has_apples_shape(headings, delimiter)
}

/// Apple's heading is in the language of its user, but in the same order everywhere: about 30 columns,
/// title and artist first.
fn has_apples_shape(headings: &Headings, delimiter: u8) -> bool {
    let is_at = |column, place| headings.place(column).is_none_or(|known| known == place);
    delimiter == b'\t'
        && (25..=40).contains(&headings.count())
        && is_at(Column::Title, 0)
        && is_at(Column::Artist, 1)
}

/// Puts Apple's columns where they are, if their names are not known.
fn assume_apples_order(headings: &mut Headings) {
    headings.assume(Column::Title, 0);
    headings.assume(Column::Artist, 1);
    headings.assume(Column::Album, 3);
    // Before iTunes 12.5 there were no columns for works and movements.
    match headings.count() {
        31 => headings.assume(Column::Duration, 11),
        27 => headings.assume(Column::Duration, 7),
        _ => {}
    }
}

/// The tool that writes such a heading.
fn format(headings: &Headings, delimiter: u8, has_mark: bool) -> Format {
    let has = |keys: &[&str]| keys.iter().all(|key| headings.has(key));
    let soundiiz = [
        "addeddate",
        "addedby",
        "duration",
        "url",
        "platform",
        "trackid",
    ];
    if has_apples_shape(headings, delimiter) {
        Format::AppleText
    } else if has(&["trackuri", "trackname", "artistnames"]) {
        match has(&["artisturis"]) || has(&["trackdurationms"]) {
            true => Format::Exportify,
            false => Format::ExportifyNet,
        }
    } else if has(&["trackname", "artistname"]) && (has(&["playlistname"]) || has(&["type"])) {
        Format::TuneMyMusic
    } else if has(&["title", "artist", "album", "isrc"])
        && (soundiiz.iter().any(|key| headings.has(key))
            || (headings.count() == 4 && (delimiter == b';' || has_mark)))
    {
        Format::Soundiiz
    } else {
        Format::Csv
    }
}
