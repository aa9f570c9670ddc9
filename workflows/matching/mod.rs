//! Matching: which of the upstream's tracks is the one the user has, if any.
//!
//! Pure: no I/O, no clock, no chance, so that workflow code may call it. The path of a track:
//!
//! 1. [`queries`] says what to ask the upstream, the most exact question first, and [`find`] asks
//!    until an answer is good enough.
//! 2. `reading` takes both sides apart: [`title`] into the song's name, its guests and its
//!    version, [`version`] by the words of `vocabulary`, [`artists`] into names. All text goes
//!    through [`normalise`].
//! 3. [`mod@score`] weighs the parts: [`likeness`] of the titles (50 %), [`artists`] (35 %), [`album`]
//!    (15 %), then [`agreement`] of the versions and the length as factors. A shared ISRC outranks
//!    it all.
//! 4. [`decide`] ranks the candidates and takes the best if it reaches the threshold and no `rival`,
//!    another recording, fits as well.
//!
//! `song_key` knows the same song again under another id, and `differences` says to a person what sets
//! a candidate apart.

pub mod agreement;
pub mod album;
pub mod artists;
pub mod decide;
mod differences;
pub mod find;
pub mod kind;
pub mod likeness;
pub mod normalise;
mod numerals;
pub mod queries;
mod reading;
mod rival;
pub mod score;
mod song_key;
pub mod title;
pub mod version;
mod vocabulary;

#[cfg(test)]
mod properties;

pub use decide::{Decision, Match, best};
pub use differences::differences;
pub use find::find_match;
pub use queries::{Query, ladder};
pub use score::{DEFAULT_THRESHOLD, MatchMethod, Score, ScoreParts, score};
pub use song_key::{SongKeys, song_keys, source_key};
