//! How much an album says for or against a match.
//!
//! Sources often name another release than the upstream: the single, a best-of, a deluxe edition.
//! So another album costs little, and the same album breaks ties.

use super::normalise::{fold, similarity};
use super::title::Title;

/// The album score of an altogether different album. At the weight of 15 % it costs a sixteenth
/// of the confidence, so that a right song on another release stays above the threshold.
pub const OTHER_ALBUM: f64 = 0.6;

/// Words of an edition, which do not make another album.
const EDITION: &[&str] = &[
    "deluxe",
    "edition",
    "expanded",
    "version",
    "remaster",
    "remastered",
    "anniversary",
    "super",
    "single",
    "ep",
    "special",
    "international",
    "bonus",
    "track",
    "tracks",
    "reissue",
    "digital",
    "explicit",
    "album",
    "the",
    "re",
    "mastered",
    "digitally",
    "limited",
    "complete",
    "legacy",
    "original",
    "motion",
    "picture",
    "soundtrack",
    "ost",
];

/// How well two albums agree: [`OTHER_ALBUM`] to 1.0. Symmetric.
pub fn compare(a: &str, b: &str) -> f64 {
    let (fa, fb) = (fold(a), fold(b));
    if fa == fb {
        return 1.0;
    }
    let (ta, tb) = (Title::parse(a), Title::parse(b));
    let (ca, cb) = (core(&fa), core(&fb));
    let alike = if ca == cb {
        0.95
    } else if ta.base == tb.base {
        0.9
    } else {
        // Below 0.6 of likeness two names have only common letters.
        ((similarity(&ca, &cb).max(similarity(&ta.base, &tb.base)) - 0.6) / 0.4).max(0.0) * 0.9
    };
    OTHER_ALBUM + (1.0 - OTHER_ALBUM) * alike
}

/// An album's name without the words and years of its edition.
fn core(folded: &str) -> String {
    let keep = |w: &&str| {
        !EDITION.contains(w)
            && !(w.len() == 4 && (w.starts_with("19") || w.starts_with("20")))
            && !w.ends_with("th")
    };
    let words: Vec<&str> = folded.split(' ').filter(keep).collect();
    if words.is_empty() {
        folded.to_owned()
    } else {
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editions_of_an_album_stay_close() {
        for (a, b) in [
            ("The Wall", "The Wall (Remastered)"),
            ("Abbey Road", "Abbey Road (Super Deluxe Edition)"),
            ("Thriller", "Thriller 25th Anniversary"),
            ("1989", "1989 (Deluxe)"),
        ] {
            assert!(compare(a, b) > 0.95, "{a} and {b}: {}", compare(a, b));
            assert!((compare(a, b) - compare(b, a)).abs() < 1e-9);
        }
    }

    #[test]
    fn another_album_costs_and_the_same_album_does_not() {
        assert!((compare("Thriller", "THRILLER") - 1.0).abs() < 1e-9);
        assert!(compare("Thriller", "Bad") < 0.7);
    }
}
