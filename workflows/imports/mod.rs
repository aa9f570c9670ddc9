//! Reads music export files: what other tools write when a user takes lists of songs out of them.
//!
//! Pure, as the matcher is: bytes in, playlists out, and neither Temporal nor MCP nor I/O. The format
//! is told by the content, never by a file's name. A row that cannot be read is told with its line and
//! a reason, and the rest is read all the same. Only a file in which no rows can be told apart is
//! refused as a whole.

mod apple_library;
mod choice;
mod collected;
mod error;
mod fields;
mod headings;
mod json;
mod lines;
mod m3u;
#[cfg(test)]
mod properties;
mod records;
mod table;
#[cfg(test)]
mod tests;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    choice::{Chosen, NotChosen, Wrong, told},
    error::ImportError,
};
use self::{table::Table, text::Text};
use crate::track::SourceTrack;

/// Bytes of a file that are read. A text export of 100,000 songs has about 15 MB.
pub const MAX_BYTES: usize = 20_000_000;
/// Rows that are read, those that cannot be used included: ten times Spotify's longest playlist.
pub const MAX_ROWS: usize = 100_000;
/// Characters of the excerpt by which a user recognises a row.
const MAX_EXCERPT: usize = 120;

/// What a file held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Import {
    /// The form in which the file was read.
    pub format: Format,
    /// The playlists that have at least one row, in the order of their first appearance.
    pub playlists: Vec<ImportedPlaylist>,
    /// The rows that could not be read, in the order in which they were come upon.
    pub unreadable: Vec<UnreadableRow>,
}

/// A playlist of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedPlaylist {
    /// Its name, if the file tells one. Most exports have it only in their file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its songs, in the order of the file.
    pub rows: Vec<ImportedRow>,
}

/// A song of a playlist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedRow {
    /// The line of the file on which it begins, from 1. In XML and JSON, where lines mean nothing, its
    /// position in the playlist, from 1.
    pub line: u32,
    /// The song, as the file describes it.
    pub track: SourceTrack,
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnreadableRow {
    /// Where it is, as in [`ImportedRow`].
    pub line: u32,
    /// The playlist it belongs to, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playlist: Option<String>,
    /// How it begins: at most 120 characters, without hidden ones.
    pub text: String,
    /// Why it could not be read, in a sentence.
    pub reason: String,
}

/// The forms of export files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// TuneMyMusic's CSV.
    TuneMyMusic,
    /// Soundiiz's CSV.
    Soundiiz,
    /// The CSV of Exportify by watsonbox.
    Exportify,
    /// The CSV of Exportify by pavelkomarov (exportify.net), which has no ISRCs.
    ExportifyNet,
    /// Roon's CSV.
    Roon,
    /// The text file of Apple Music or iTunes, in any language.
    AppleText,
    /// The XML file of Apple Music or iTunes: a library, or one playlist.
    AppleLibrary,
    /// A list of files, M3U or M3U8.
    M3u,
    /// Lines of the form "Artist - Title".
    Lines,
    /// JSON with the usual names.
    Json,
    /// Any other table whose heading names the columns for title and artist.
    Csv,
}

impl Format {
    /// The name by which a user knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TuneMyMusic => "TuneMyMusic CSV",
            Self::Soundiiz => "Soundiiz CSV",
            Self::Exportify => "Exportify CSV",
            Self::ExportifyNet => "exportify.net CSV",
            Self::Roon => "Roon CSV",
            Self::AppleText => "Apple Music text",
            Self::AppleLibrary => "Apple Music XML",
            Self::M3u => "M3U",
            Self::Lines => "lines of \"Artist - Title\"",
            Self::Json => "JSON",
            Self::Csv => "CSV",
        }
    }
}

/// Reads a file, whatever tool wrote it.
///
/// # Errors
/// Nothing can be made of the file as a whole; the error says what to do.
pub fn read(bytes: &[u8]) -> Result<Import, ImportError> {
    if bytes.len() > MAX_BYTES {
        return Err(ImportError::TooLarge { bytes: bytes.len() });
    }
    let file = Text::decode(bytes)?;
    let start = file.text.trim_start();
    if start.is_empty() {
        return Err(ImportError::Empty);
    }
    if json::fits(start) {
        return json::read(&file);
    }
    if apple_library::fits(start) {
        return apple_library::read(&file);
    }
    if is_markup(start) {
        return Err(ImportError::UnknownForm);
    }
    if m3u::has_directives(&file.text) {
        return m3u::read(&file);
    }
    // Before a bare list of files: the last column of a table may hold paths.
    if let Some(table) = Table::find(&file) {
        return table.read();
    }
    if m3u::lists_files(&file.text) {
        return m3u::read(&file);
    }
    lines::read(&file)
}

/// Whether a text is HTML or XML: a dash somewhere in it makes no song.
fn is_markup(start: &str) -> bool {
    let tag = start.strip_prefix('<');
    tag.is_some_and(|tag| tag.starts_with(|c: char| c.is_alphabetic() || matches!(c, '!' | '?')))
}
