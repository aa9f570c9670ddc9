//! Who plays: artists as a source joins them, against the list a service gives.
//!
//! Sources name one artist or several, in any order, joined by commas, "&", "feat." or "x", while
//! "Earth, Wind & Fire" and "Tyler, The Creator" are one. So nothing is split for good: the whole
//! text and its pieces are both compared, and the best reading counts.

use std::collections::BTreeSet;

use super::normalise::{MAX_CHARS, compact, fold, similarity, transliterate};

/// Artists, folded and in Latin letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Artists {
    /// The entries as given: the source's one text, or the service's list.
    pub entries: Vec<String>,
    /// The entries and everything they may consist of, the main artist first.
    pub names: Vec<String>,
}

/// Marks between two artists. A comma may be part of a name, which `entries` remembers.
const SEPARATORS: &[&str] = &[
    " feat. ",
    " feat ",
    " ft. ",
    " ft ",
    " featuring ",
    " with ",
    " and ",
    " vs. ",
    " vs ",
    " x ",
    " × ",
    " & ",
    " + ",
    " / ",
    ";",
    ",",
    "、",
    "×",
    "，",
];

/// Names that stand for "nobody in particular".
const NOBODY: &[&str] = &[
    "",
    "various artists",
    "various",
    "unknown artist",
    "unknown",
    "va",
];

impl Artists {
    /// The artists of a source: one text.
    pub fn from_text(text: &str) -> Self {
        Self::from_list(std::iter::once(text))
    }

    /// The artists as a list.
    pub fn from_list<'a>(list: impl IntoIterator<Item = &'a str>) -> Self {
        let mut artists = Artists::default();
        for entry in list.into_iter().take(MAX_ARTISTS) {
            let whole = name(entry);
            if NOBODY.contains(&whole.as_str()) {
                continue;
            }
            push(&mut artists.entries, whole.clone());
            push(&mut artists.names, whole);
            for piece in split(entry) {
                let piece = name(&piece);
                if !piece.is_empty() {
                    push(&mut artists.names, piece);
                }
            }
        }
        artists
    }

    /// Whether no artist is named.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The main artist of a source: the first piece of its text.
    pub fn main(&self) -> Option<&str> {
        let pieces = self.names.get(1).or(self.names.first());
        pieces.map(String::as_str)
    }

    /// All words of all names.
    pub fn words(&self) -> BTreeSet<String> {
        self.names
            .iter()
            .flat_map(|n| n.split(' '))
            .map(str::to_owned)
            .collect()
    }
}

/// More artists than this are not read: musicals list their whole cast.
const MAX_ARTISTS: usize = 40;

/// More names than this are not kept. Every name of one side is compared with every name of the
/// other, so an answer made of commas would hold up the workflow for minutes.
pub const MAX_NAMES: usize = 100;

/// How well the artists agree: 0.0 to 1.0. `guests` are names that the candidate's title gives.
///
/// The main artist has to be there, at any place; the others count little, because many services
/// name the main artist alone.
pub fn compare(asked: &Artists, offered: &Artists, guests: &[String]) -> f64 {
    let joined = offered.entries.join(" ");
    let whole = asked.entries.join(" ");
    if same_words(&whole, &joined) {
        return 1.0;
    }
    let best = |name: &str| {
        offered
            .names
            .iter()
            .enumerate()
            .map(|(i, other)| same_name(name, other) * if i == 0 { 1.0 } else { 0.99 })
            .fold(0.0, f64::max)
    };
    let main = best(&whole).max(asked.main().map_or(0.0, best));
    // The others that the source names should be somewhere. If none is, the first piece of "Earth,
    // Wind & Fire" may be taken for the band Earth, so then the album has to agree as well.
    let others: Vec<&String> = asked.names.iter().skip(2).collect();
    if others.is_empty() || best(&whole) >= 0.99 {
        return main;
    }
    let found = others
        .iter()
        .filter(|n| best(n) >= 0.85 || guests.iter().any(|g| same_name(n, g) >= 0.85))
        .count();
    let missing = 1.0 - found as f64 / others.len() as f64;
    main * (1.0
        - if found == 0 {
            NO_OTHER_FOUND
        } else {
            0.08 * missing
        })
}

/// The cost when the source names several artists and only the first is there.
const NO_OTHER_FOUND: f64 = 0.3;

/// How alike two names are.
fn same_name(a: &str, b: &str) -> f64 {
    if compact(a) == compact(b) {
        return 1.0;
    }
    if same_words(a, b) {
        return 0.97;
    }
    let (wa, wb): (BTreeSet<&str>, BTreeSet<&str>) =
        (a.split(' ').collect(), b.split(' ').collect());
    let (short, long) = if wa.len() <= wb.len() {
        (&wa, &wb)
    } else {
        (&wb, &wa)
    };
    // "Jimi Hendrix" in "Jimi Hendrix Experience"; one word is too little: Future, Future Islands.
    if short.len() >= 2 && short.is_subset(long) {
        return 0.93;
    }
    let s = similarity(a, b);
    // Two names that differ in a letter of a short word are two people: Dave, Davo.
    let letters = a.chars().count().min(b.chars().count());
    let strict = if letters < 5 { 0.9 } else { 0.8 };
    if s >= strict { s } else { s * 0.6 }
}

/// Whether two names consist of the same words, small ones aside.
fn same_words(a: &str, b: &str) -> bool {
    let words = |t: &str| -> BTreeSet<String> {
        t.split(' ')
            .filter(|w| !matches!(*w, "the" | "of" | "and" | "a"))
            .map(str::to_owned)
            .collect()
    };
    let (a, b) = (words(a), words(b));
    !a.is_empty() && a == b
}

/// A name for comparing: folded, in Latin letters, without a leading article or a channel's suffix.
fn name(raw: &str) -> String {
    let folded = transliterate(&fold(raw));
    let folded = if folded.is_empty() { fold(raw) } else { folded };
    let folded = folded.strip_suffix(" topic").unwrap_or(&folded);
    let folded = match folded.strip_suffix("vevo") {
        Some(rest) if !rest.is_empty() => rest.trim_end(),
        _ => folded,
    };
    for article in ["the ", "a "] {
        if let Some(rest) = folded.strip_prefix(article)
            && !rest.is_empty()
        {
            return rest.to_owned();
        }
    }
    folded.to_owned()
}

/// The pieces of a joined text, or nothing if it is one name.
fn split(text: &str) -> Vec<String> {
    let text: String = text.chars().take(MAX_CHARS).collect();
    let mut marked = format!(" {} ", text.to_lowercase());
    for separator in SEPARATORS {
        marked = marked.replace(separator, " \u{1} ");
    }
    let pieces: Vec<String> = marked
        .split('\u{1}')
        .map(|piece| piece.trim().to_owned())
        .filter(|piece| !piece.is_empty())
        .collect();
    // One piece is the name itself, such as "Lil Nas X".
    if pieces.len() > 1 { pieces } else { Vec::new() }
}

fn push(list: &mut Vec<String>, name: String) {
    if list.len() < MAX_NAMES && !list.contains(&name) {
        list.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(asked: &str, offered: &[&str]) -> f64 {
        let offered = Artists::from_list(offered.iter().copied());
        compare(&Artists::from_text(asked), &offered, &[])
    }

    #[test]
    fn one_artist_is_found_however_joined_and_spelt() {
        for (asked, offered) in [
            ("JAY Z", &["JAY-Z", "Linkin Park"][..]),
            ("Simon & Garfunkel", &["Simon & Garfunkel"]),
            ("Simon and Garfunkel", &["Simon", "Garfunkel"]),
            ("Earth, Wind & Fire", &["Earth, Wind & Fire"]),
            ("Tyler, The Creator", &["Tyler, The Creator", "Kali Uchis"]),
            ("The Jimi Hendrix Experience", &["Jimi Hendrix"]),
            ("Lil Nas X", &["Lil Nas X", "Jack Harlow"]),
            ("Metro Boomin x Future", &["Future", "Metro Boomin"]),
            ("Queen; David Bowie", &["David Bowie", "Queen"]),
            ("Rihanna feat. JAY-Z", &["Rihanna", "JAY-Z"]),
            ("Кино", &["Kino"]),
            ("RickAstleyVEVO", &["Rick Astley"]),
            ("ABBA - Topic", &["ABBA"]),
        ] {
            assert!(
                agree(asked, offered) > 0.9,
                "{asked}: {}",
                agree(asked, offered)
            );
        }
    }

    #[test]
    fn another_artist_is_another() {
        for (asked, offered) in [
            ("Future", &["Future Islands"][..]),
            ("Queen", &["Queens of the Stone Age"]),
            ("Dave", &["Davo"]),
            ("Earth, Wind & Fire", &["Fire"]),
            ("Adele", &["Sing King"]),
            ("The Beatles", &["The Rolling Stones"]),
        ] {
            assert!(
                agree(asked, offered) < 0.7,
                "{asked}: {}",
                agree(asked, offered)
            );
        }
        assert!(agree("Earth, Wind & Fire", &["Earth"]) <= 0.7);
    }

    #[test]
    fn nobody_in_particular_is_nobody() {
        for name in ["", "  ", "Various Artists", "Unknown Artist"] {
            assert!(Artists::from_text(name).is_empty(), "{name}");
        }
    }
}
