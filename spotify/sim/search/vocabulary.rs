//! Every word of the catalogue: how common it is, and which words are spelt nearly like another.

use std::collections::HashMap;

/// The most near words tried in place of one.
const MAX_NEAR: usize = 8;

/// Shorter words have too many neighbours (`love`, `live`, `dove`) for one letter more to be allowed.
const TWO_ERRORS_FROM_CHARS: usize = 8;
const ONE_ERROR_FROM_CHARS: usize = 4;

/// A word that more than one track in so many has is meant as it is spelt: `love` isn't a slip for `live`.
const COMMON_SHARE: usize = 1_000;

/// A word being typed is completed from this many letters on.
const COMPLETED_FROM_CHARS: usize = 3;

/// The words of the catalogue, in order.
pub(super) struct Vocabulary {
    words: Vec<Entry>,
    /// How many tracks there are.
    tracks: usize,
    /// The words of each number of characters: their letters as bits (see [`letters`]), and their
    /// places in `words`. Two words far apart in their letters are far apart in spelling, so a glance
    /// along this list spares comparing all but a few.
    by_length: Vec<Vec<(u64, u32)>>,
}

struct Entry {
    text: String,
    /// In how many tracks the word is, in the field where it is most common.
    tracks: u32,
}

/// A word of the catalogue near the one asked for.
#[derive(Debug)]
pub(super) struct Near {
    pub(super) text: String,
    /// How likely it is what was meant: 1 would be the word itself.
    pub(super) likeness: f32,
}

impl Vocabulary {
    /// Sorts the words that `counts` gives with their numbers of tracks, out of `tracks` in all.
    pub(super) fn new(counts: HashMap<String, u32>, tracks: usize) -> Self {
        let mut words: Vec<Entry> = counts
            .into_iter()
            .map(|(text, tracks)| Entry { text, tracks })
            .collect();
        words.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        let mut by_length: Vec<Vec<(u64, u32)>> = Vec::new();
        for (at, entry) in (0..).zip(&words) {
            let chars = entry.text.chars().count();
            if by_length.len() <= chars {
                by_length.resize_with(chars + 1, Vec::new);
            }
            by_length[chars].push((letters(&entry.text), at));
        }
        Self {
            words,
            tracks,
            by_length,
        }
    }

    /// In how many tracks `word` is, in the field where it is most common.
    pub(super) fn tracks(&self, word: &str) -> u32 {
        let found = self
            .words
            .binary_search_by(|entry| entry.text.as_str().cmp(word));
        found
            .ok()
            .and_then(|at| self.words.get(at))
            .map_or(0, |entry| entry.tracks)
    }

    /// Whether so many tracks have `word` that no other word is meant.
    pub(super) fn is_common(&self, word: &str) -> bool {
        self.tracks(word) as usize * COMMON_SHARE > self.tracks
    }

    /// The words nearest to `word`, the likeliest first: one letter wrong, missing, too many or
    /// swapped with the next, two such errors in a long word; and when it may be `unfinished`, also
    /// the words that begin with it.
    pub(super) fn near(&self, word: &str, unfinished: bool) -> Vec<Near> {
        let chars = word.chars().count();
        let errors = match chars {
            TWO_ERRORS_FROM_CHARS.. => 2,
            ONE_ERROR_FROM_CHARS.. => 1,
            _ => 0,
        };
        let mut found: Vec<(f32, &Entry)> = Vec::new();
        if errors > 0 {
            let asked = letters(word);
            let lengths = self
                .by_length
                .iter()
                .skip(chars - errors)
                .take(2 * errors + 1)
                .flatten();
            // A wrong letter takes one bit away and adds another.
            let alike = lengths
                .filter(|(letters, _)| (letters ^ asked).count_ones() as usize <= 2 * errors);
            for entry in alike.filter_map(|(_, at)| self.words.get(*at as usize)) {
                let distance = strsim::osa_distance(&entry.text, word);
                if (1..=errors).contains(&distance) {
                    found.push((if distance == 1 { 0.6 } else { 0.35 }, entry));
                }
            }
        }
        if unfinished && chars >= COMPLETED_FROM_CHARS {
            let from = self
                .words
                .partition_point(|entry| entry.text.as_str() <= word);
            let completions = self
                .words
                .iter()
                .skip(from)
                .take_while(|entry| entry.text.starts_with(word));
            found.extend(completions.map(|entry| (0.5, entry)));
        }
        found.sort_unstable_by(|(a_likeness, a), (b_likeness, b)| {
            b_likeness
                .total_cmp(a_likeness)
                .then(b.tracks.cmp(&a.tracks))
                .then_with(|| a.text.cmp(&b.text))
        });
        found.dedup_by(|a, b| a.1.text == b.1.text);
        found.truncate(MAX_NEAR);
        found
            .into_iter()
            .map(|(likeness, entry)| Near {
                text: entry.text.clone(),
                likeness,
            })
            .collect()
    }
}

/// A set of letters as bits; letters outside a to z and 0 to 9 share the remaining ones.
fn letters(text: &str) -> u64 {
    text.chars().fold(0, |set, c| {
        let bit = match c {
            'a'..='z' => u32::from(c) - u32::from('a'),
            '0'..='9' => 26 + u32::from(c) - u32::from('0'),
            _ => 36 + u32::from(c) % 28,
        };
        set | (1 << bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(words: &[&str]) -> Vocabulary {
        let counts = words
            .iter()
            .zip(1..)
            .map(|(word, tracks)| ((*word).to_owned(), tracks))
            .collect();
        Vocabulary::new(counts, 1_500)
    }

    fn near(words: &[&str], word: &str, unfinished: bool) -> Vec<String> {
        vocabulary(words)
            .near(word, unfinished)
            .into_iter()
            .map(|near| near.text)
            .collect()
    }

    #[test]
    fn slips_of_the_finger_are_near_and_other_words_are_not() {
        let words = [
            "bohemian", "rhapsody", "queen", "queens", "quern", "quiet", "bohemia",
        ];
        assert_eq!(near(&words, "bohemain", false), ["bohemian", "bohemia"]);
        assert_eq!(near(&words, "rapsody", false), ["rhapsody"]);
        assert_eq!(near(&words, "qeen", false), ["queen"]);
        assert_eq!(near(&words, "queen", false), ["quern", "queens"]);
        assert_eq!(near(&words, "rhapsody", false), [""; 0]);
    }

    #[test]
    fn two_slips_are_forgiven_in_long_words_only() {
        assert_eq!(near(&["symphony", "silence"], "simfony", false), [""; 0]);
        assert_eq!(
            near(&["symphonies", "silence"], "simphonyes", false),
            ["symphonies"]
        );
        assert_eq!(near(&["am", "an"], "at", false), [""; 0]);
    }

    #[test]
    fn an_unfinished_word_is_completed_with_the_most_common_first() {
        let words = ["bohemian", "rhapsody", "rhapsodies", "rhap"];
        assert_eq!(
            near(&words, "rha", true),
            ["rhap", "rhapsodies", "rhapsody"]
        );
        assert_eq!(near(&words, "rh", true), [""; 0]);
        assert_eq!(near(&words, "rha", false), [""; 0]);
    }

    #[test]
    fn letters_of_any_script_may_be_mistyped() {
        assert_eq!(near(&["группа", "кино"], "група", false), ["группа"]);
    }

    #[test]
    fn a_word_knows_its_tracks() {
        let vocabulary = vocabulary(&["one", "two"]);
        assert_eq!(
            (vocabulary.tracks("two"), vocabulary.tracks("three")),
            (2, 0)
        );
        assert!(
            vocabulary.is_common("two")
                && !vocabulary.is_common("one")
                && !vocabulary.is_common("three")
        );
    }
}
