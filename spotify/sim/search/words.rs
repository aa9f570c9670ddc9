//! Text to searchable words: the same folding for what is indexed and for what is asked.
//!
//! `Beyoncé`, `BEYONCE` and `beyonce` become one word; so do `don't`, `don’t` and `dont`, `&` and
//! `and`, `R.E.M.` and `REM`, `A$AP` and `asap`. Scripts that don't put spaces between words are cut
//! into overlapping pairs of characters.

use unicode_normalization::UnicodeNormalization;

/// The longest word kept, in characters. Longer ones are cut on both sides alike, so they still meet.
const MAX_WORD_CHARS: usize = 64;

/// Words that join names and can be written in several ways or left out ("A & B", "A, B", "A feat. B").
/// A search asks for them last.
const CONNECTORS: [&str; 2] = ["and", "feat"];

/// One folded word and its place in the text, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) position: usize,
}

impl Word {
    /// Whether the word only joins others ("and", "feat.").
    pub(super) fn is_connector(&self) -> bool {
        CONNECTORS.contains(&self.text.as_str())
    }
}

/// The words of a query. A run of characters without spaces (`花道`) gives its pairs, a single one itself.
pub(super) fn asked(text: &str) -> Vec<Word> {
    split(text, false)
}

/// The words of a text to index: those of [`asked`], and each character of a run without spaces, so
/// that one character can be asked for as well.
pub(super) fn indexed(text: &str) -> Vec<Word> {
    split(text, true)
}

/// A text as one key, to tell whether two are the same but for case, accents and punctuation.
pub(super) fn key(words: &[Word]) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    texts.join(" ")
}

/// An ISRC as it is compared: letters and digits only, upper case (`gb-aye-75-00076` is `GBAYE7500076`).
pub(super) fn isrc(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

fn split(text: &str, singles: bool) -> Vec<Word> {
    let chars = fold(text);
    let mut splitter = Splitter {
        singles,
        ..Splitter::default()
    };
    for (i, &c) in chars.iter().enumerate() {
        let before = |n: usize| {
            i.checked_sub(n)
                .and_then(|at| chars.get(at))
                .copied()
                .unwrap_or(' ')
        };
        let after = |n: usize| chars.get(i + n).copied().unwrap_or(' ');
        match c {
            '&' => splitter.whole_word("and"),
            '+' if before(1) == ' ' && after(1) == ' ' => splitter.whole_word("and"),
            // Ke$ha, A$AP, Bada$$; but not $100.
            '$' if (is_letter_or_dollar(before(1)) || is_letter_or_dollar(after(1)))
                && !after(1).is_ascii_digit() =>
            {
                splitter.push('s');
            }
            // P!nk.
            '!' if before(1).is_alphabetic() && after(1).is_alphabetic() => splitter.push('i'),
            // R.E.M.: a dot between single letters joins them.
            '.' if before(1).is_alphabetic()
                && !before(2).is_alphanumeric()
                && after(1).is_alphabetic()
                && !after(2).is_alphanumeric() => {}
            _ if c.is_alphanumeric() => splitter.push(c),
            _ => splitter.end_word(),
        }
    }
    splitter.end_word();
    if splitter.words.is_empty() {
        // A title of symbols alone ("???", "÷") is still something to ask for.
        let symbols: String = text
            .nfkc()
            .filter(|c| !c.is_whitespace() && !c.is_control())
            .take(MAX_WORD_CHARS)
            .collect();
        if !symbols.is_empty() {
            splitter.words.push(Word {
                text: symbols,
                position: 0,
            });
        }
    }
    splitter.words
}

fn is_letter_or_dollar(c: char) -> bool {
    c.is_alphabetic() || c == '$'
}

/// Collects words character by character.
#[derive(Default)]
struct Splitter {
    /// Whether the characters of a run without spaces are words too.
    singles: bool,
    words: Vec<Word>,
    position: usize,
    /// The word being read: either all of spaced script, or all of unspaced.
    word: Vec<char>,
}

impl Splitter {
    fn push(&mut self, c: char) {
        if self
            .word
            .last()
            .is_some_and(|last| is_unspaced(*last) != is_unspaced(c))
        {
            self.end_word();
        }
        self.word.push(c);
    }

    fn whole_word(&mut self, text: &str) {
        self.end_word();
        self.emit(text.to_owned(), 0);
        self.position += 1;
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        let Some(first) = word.first() else { return };
        if !is_unspaced(*first) {
            let text: String = word.into_iter().take(MAX_WORD_CHARS).collect();
            let text = match text.as_str() {
                "ft" | "featuring" => "feat".to_owned(),
                _ => text,
            };
            self.emit(text, 0);
            self.position += 1;
            return;
        }
        if self.singles || word.len() == 1 {
            for (offset, c) in word.iter().enumerate() {
                self.emit(c.to_string(), offset);
            }
        }
        for (offset, pair) in word.windows(2).enumerate() {
            self.emit(pair.iter().collect(), offset);
        }
        self.position += word.len();
    }

    fn emit(&mut self, text: String, offset: usize) {
        self.words.push(Word {
            text,
            position: self.position + offset,
        });
    }
}

/// Lower case, without accents, in compatibility form (full-width Latin, ligatures), without apostrophes.
fn fold(text: &str) -> Vec<char> {
    if text.is_ascii() {
        // Most titles are, and building an index is mostly this.
        return text
            .chars()
            .filter(|c| !is_apostrophe(*c))
            .map(|c| c.to_ascii_lowercase())
            .collect();
    }
    let folded = text
        .chars()
        .filter(|c| !is_apostrophe(*c))
        .nfkd()
        .filter(|c| !is_accent(*c));
    folded
        .flat_map(char::to_lowercase)
        .flat_map(plain_letters)
        .nfc()
        .collect()
}

fn is_apostrophe(c: char) -> bool {
    matches!(
        c,
        '\'' | '`' | '´' | '‘' | '’' | '‛' | 'ʻ' | 'ʼ' | '′' | '＇'
    )
}

/// Marks that people leave out when they type: accents, Hebrew points, Arabic vowels and the tatweel.
/// Marks that make another letter (Japanese が, Indic vowels) stay.
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}' | '\u{591}'..='\u{5c7}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

/// Letters that Unicode doesn't take apart but that people type without their stroke or tie.
fn plain_letters(c: char) -> impl Iterator<Item = char> {
    let plain = match c {
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ŧ' => "t",
        'æ' => "ae",
        'œ' => "oe",
        'ß' => "ss",
        'þ' => "th",
        'ς' => "σ",
        _ => "",
    };
    plain.chars().chain(plain.is_empty().then_some(c))
}

/// Whether words of this character's script run together: Chinese, Japanese, Thai, Lao, Khmer,
/// Burmese; and Korean, whose spaces fall differently from one writer to the next.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3100}'..='\u{318f}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}'
        | '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> String {
        key(&asked(text))
    }

    #[test]
    fn spellings_of_one_name_fold_to_one() {
        for (one, other) in [
            ("Beyoncé", "BEYONCE"),
            ("Don’t Stop", "dont stop"),
            ("Don't Stop", "Dont Stop"),
            ("Simon & Garfunkel", "simon and garfunkel"),
            ("R.E.M.", "REM"),
            ("A$AP Rocky", "asap rocky"),
            ("Joey Bada$$", "joey badass"),
            ("P!nk", "Pink"),
            ("Sigur Rós", "sigur ros"),
            ("Røyksopp", "Royksopp"),
            ("Straße", "STRASSE"),
            ("Ａｄｏ　ﾊﾞﾝﾄﾞ", "Ado バンド"),
            ("Ёлка", "елка"),
            ("İstanbul", "istanbul"),
            ("أغنية", "اغنية"),
            ("Madcon (feat. Ray Dalton)", "madcon ft ray dalton"),
            ("JAY-Z", "Jay Z"),
            ("Hello/Goodbye [Live]", "hello goodbye live"),
        ] {
            assert_eq!(texts(one), texts(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn letters_that_differ_stay_apart() {
        for (one, other) in [
            ("が", "か"),
            ("7/11", "711"),
            ("Pt. 1", "Pt. 2"),
            ("$100", "s100"),
            ("J. Cole", "JCole"),
        ] {
            assert_ne!(texts(one), texts(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn scripts_without_spaces_become_pairs_that_keep_their_places() {
        assert_eq!(texts("自由愛 Skypeace雨"), "自由 由愛 skypeace 雨");
        let places: Vec<_> = indexed("自由 ok")
            .into_iter()
            .map(|word| (word.text, word.position))
            .collect();
        let expected = [("自", 0), ("由", 1), ("自由", 0), ("ok", 2)];
        assert_eq!(
            places,
            expected.map(|(text, position)| (text.to_owned(), position))
        );
    }

    #[test]
    fn symbols_alone_are_a_word_and_nothing_is_none() {
        assert_eq!(texts("???"), "???");
        assert_eq!(texts("÷ (Deluxe)"), "deluxe");
        assert_eq!(texts(" \t\u{0}"), "");
        assert_eq!(texts("'"), "'");
    }

    #[test]
    fn an_isrc_is_compared_without_dashes_and_case() {
        assert_eq!(isrc("gb-aye-75-00076"), "GBAYE7500076");
    }
}
