//! Text, made comparable: two spellings of the same words should come out as the same string.
//!
//! [`fold`] is for comparing, [`transliterate`] for what is written in another script, and
//! [`similarity`] says how alike two folded texts are.

use rapidfuzz::fuzz;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest text that is looked at, in characters. The longest real titles (classical movements,
/// lists of guests) stay under 300; anything after the limit is noise or an attack.
pub const MAX_CHARS: usize = 400;

/// Folds a text to lower-case words separated by one space.
///
/// Accents, case, full-width forms and punctuation disappear; `&` and `+` become `and`; `R.E.M.`
/// becomes `rem`; `P!nk` and `A$AP` read as they are spoken. A text of nothing but symbols (`÷`,
/// `?`) is kept as it is, because then the symbols are the title.
pub fn fold(text: &str) -> String {
    let letters: Vec<char> = fold_letters(text);
    let mut out = String::with_capacity(letters.len());
    for (i, &c) in letters.iter().enumerate() {
        let before = i.checked_sub(1).map(|j| letters[j]);
        let after = letters.get(i + 1).copied();
        let inside = before.is_some_and(is_word) && after.is_some_and(is_word);
        match c {
            c if is_word(c) => out.push(c),
            // Between letters these stand for the letter they look like.
            '$' if before.is_some_and(is_word) || after.is_some_and(is_word) => out.push('s'),
            '!' if inside => out.push('i'),
            // "don't" and "dont" are one word.
            '\'' | '’' | '‘' | 'ʼ' | '`' | '´' => {}
            '.' if is_initial(&letters, i) => {}
            '&' | '+' if !inside => out.push_str(" and "),
            _ => out.push(' '),
        }
    }
    let folded = out.split_whitespace().collect::<Vec<_>>().join(" ");
    if folded.is_empty() {
        letters.into_iter().filter(|c| !c.is_whitespace()).collect()
    } else {
        folded
    }
}

/// Lower-case characters without accents, at most [`MAX_CHARS`] of them.
fn fold_letters(text: &str) -> Vec<char> {
    text.chars()
        .take(MAX_CHARS)
        .nfkd()
        // The voicing marks of kana are letters of their own: か is not が.
        .filter(|&c| !is_combining_mark(c) || matches!(c, '\u{3099}' | '\u{309a}'))
        .nfc()
        .flat_map(char::to_lowercase)
        .flat_map(|c| {
            plain_letter(c)
                .chars()
                .chain((plain_letter(c).is_empty()).then_some(c))
        })
        // A decomposition can be long (U+FDFA is 18 letters), so the bound holds here too.
        .take(MAX_CHARS)
        .collect()
}

/// The plain spelling of letters that Unicode does not decompose, or an empty string.
fn plain_letter(c: char) -> &'static str {
    match c {
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'ı' => "i",
        'ħ' => "h",
        'æ' => "ae",
        'œ' => "oe",
        'ß' => "ss",
        'þ' => "th",
        // Lower-casing İ leaves a combining dot.
        '\u{307}' => " ",
        _ => "",
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '\u{3099}' | '\u{309a}')
}

/// Whether the full stop at `i` follows a single letter, as in `B.o.B` or `Warren G.`
fn is_initial(letters: &[char], i: usize) -> bool {
    let Some(letter) = i.checked_sub(1) else {
        return false;
    };
    letters[letter].is_alphabetic() && letter.checked_sub(1).is_none_or(|j| !is_word(letters[j]))
}

/// A folded text in Latin letters: Cyrillic, Greek, kana, Hangul and Chinese are spelt out.
///
/// Chinese comes out in pinyin, so that traditional and simplified characters meet. A character can
/// become a whole word, so the result is cut at [`MAX_CHARS`] once more.
pub fn transliterate(folded: &str) -> String {
    if folded.is_ascii() {
        return folded.to_owned();
    }
    let latin = deunicode::deunicode_with_tofu(folded, " ").to_lowercase();
    let mut words = latin
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    words.truncate(MAX_CHARS);
    words.truncate(words.trim_end().len());
    words
}

/// Whether a text has letters and none of them is Latin.
pub fn is_foreign(text: &str) -> bool {
    let mut letters = text.chars().filter(|c| c.is_alphabetic()).peekable();
    letters.peek().is_some() && letters.all(|c| !is_latin(c))
}

/// Whether a letter belongs to the Latin script, accented letters included.
pub fn is_latin(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

/// How alike two folded texts are: 0.0 (nothing in common) to 1.0 (the same). Symmetric.
///
/// The best of three readings: as written, with the words sorted ("Smith John"), and without
/// spaces ("hand clap", "handclap").
pub fn similarity(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let plain = ratio(a, b);
    let sorted = ratio(&sorted_words(a), &sorted_words(b));
    let compact = ratio(&compact(a), &compact(b));
    plain.max(sorted).max(compact)
}

fn ratio(a: &str, b: &str) -> f64 {
    fuzz::ratio(a.chars(), b.chars())
}

/// The words in alphabetical order, each once.
fn sorted_words(folded: &str) -> String {
    let mut words: Vec<&str> = folded.split(' ').collect();
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

/// A folded text without its spaces.
pub fn compact(folded: &str) -> String {
    folded.replace(' ', "")
}

/// An ISRC in its canonical form (12 upper-case characters), or `None` if it is not one.
///
/// Exports write it with hyphens, spaces or in lower case. The form is that of ISO 3901: two
/// letters, three letters or digits, seven digits.
pub fn isrc(text: &str) -> Option<String> {
    let code: String = text
        .chars()
        .take(MAX_CHARS)
        .filter(|c| !matches!(c, '-' | ' ' | '\t'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let valid = code.len() == 12
        && code.chars().enumerate().all(|(i, c)| match i {
            0 | 1 => c.is_ascii_uppercase(),
            2..=4 => c.is_ascii_uppercase() || c.is_ascii_digit(),
            _ => c.is_ascii_digit(),
        });
    valid.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_fold_to_one_text() {
        for (a, b) in [
            ("Beyoncé", "BEYONCE"),
            ("P!nk", "Pink"),
            ("A$AP Rocky", "ASAP Rocky"),
            ("R.E.M.", "REM"),
            ("B.o.B", "BoB"),
            ("Don’t Stop", "Don't Stop"),
            ("Simon & Garfunkel", "simon and garfunkel"),
            ("Ｆｕｌｌ　Ｗｉｄｔｈ", "full width"),
            ("Mø", "MO"),
            ("Sigur Rós", "sigur ros"),
            ("Straße", "STRASSE"),
            ("İstanbul", "Istanbul"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} and {b}");
        }
    }

    #[test]
    fn symbols_are_kept_when_they_are_all_there_is() {
        assert_eq!(fold("÷"), "÷");
        assert_eq!(fold("???"), "???");
        assert_eq!(fold("Help!"), "help");
    }

    #[test]
    fn voiced_kana_stay_different() {
        assert_ne!(fold("カキ"), fold("ガギ"));
    }

    #[test]
    fn other_scripts_meet_in_latin_letters() {
        assert_eq!(transliterate(&fold("Кино")), "kino");
        assert_eq!(
            transliterate(&fold("周杰倫")),
            transliterate(&fold("周杰伦"))
        );
        assert!(is_foreign("강남스타일"));
        assert!(!is_foreign("Gangnam 스타일"));
        assert!(!is_foreign("1979"));
    }

    #[test]
    fn similarity_is_symmetric_and_bounded() {
        let texts = [
            "",
            "a",
            "hand clap",
            "handclap",
            "clap hand",
            "夜に駆ける",
            "÷",
        ];
        for a in texts {
            for b in texts {
                let s = similarity(a, b);
                assert!((0.0..=1.0).contains(&s));
                assert!((s - similarity(b, a)).abs() < 1e-9, "{a} {b}");
            }
        }
        assert!((similarity("hand clap", "handclap") - 1.0).abs() < 1e-9);
        assert!((similarity("hand clap", "clap hand") - 1.0).abs() < 1e-9);
    }

    #[test]
    fn isrcs_are_read_in_every_spelling_and_refused_otherwise() {
        assert_eq!(isrc("gb-n9y-11-00088").as_deref(), Some("GBN9Y1100088"));
        assert_eq!(isrc(" USUM72401994 ").as_deref(), Some("USUM72401994"));
        for bad in [
            "",
            "GBN9Y110008",
            "GBN9Y11000888",
            "1BN9Y1100088",
            "GBN9Y11000É8",
        ] {
            assert_eq!(isrc(bad), None, "{bad}");
        }
    }

    #[test]
    fn length_is_bounded() {
        assert!(fold(&"ﷺ".repeat(100_000)).chars().count() <= MAX_CHARS);
    }
}
