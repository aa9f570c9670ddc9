//! Why nothing can be made of a file as a whole.

use super::{MAX_BYTES, MAX_ROWS};

/// A file that cannot be read. Each message says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// There is nothing in it, or no row below its heading.
    #[error("The file has no songs in it. Export the playlist once more, and import the new file.")]
    Empty,
    /// It has more than [`MAX_BYTES`].
    #[error(
        "The file has {bytes} bytes, and at most {} MB are read. Export fewer playlists at a time.",
        MAX_BYTES / 1_000_000
    )]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// It has more than [`MAX_ROWS`], or repeats so much text that it would fill the memory.
    #[error("The file has more than {MAX_ROWS} rows. Export fewer playlists at a time.")]
    TooManyRows,
    /// It is no text.
    #[error("The file is {kind}, not text. Export the playlist as CSV, XML, M3U, JSON or text.")]
    NotText {
        /// What it is, with its article.
        kind: &'static str,
    },
    /// It is text, but no songs can be told apart in it.
    #[error(
        "The form of the file is not known. What can be read: exports of TuneMyMusic, Soundiiz, \
         Exportify, Roon and Apple Music; M3U; JSON; a table whose first line names the columns \
         title and artist; lines of the form \"Artist - Title\"."
    )]
    UnknownForm,
    /// It is JSON or XML, but broken, so that nothing after the break can be trusted.
    #[error(
        "The file is not well-formed {form}: line {line}, {problem}. Export it once more, and look \
         whether the whole file arrived."
    )]
    NotWellFormed {
        /// What it was taken for: JSON or XML.
        form: &'static str,
        /// The line on which reading stopped, from 1.
        line: u32,
        /// What is wrong there.
        problem: String,
    },
}
