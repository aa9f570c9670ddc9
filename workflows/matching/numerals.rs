//! Numbers and small words that titles write in several ways: "Pt. 2", "Part II", "Part Two".

use std::collections::BTreeSet;

/// Words that are written in several ways, in one way; a leading article goes.
pub(super) fn same_words(folded: &str) -> String {
    let words: Vec<&str> = folded.split(' ').collect();
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    for (i, &word) in words.iter().enumerate() {
        let counted = out.last().is_some_and(|w| COUNTED.contains(&w.as_str()));
        let word = match word {
            "the" if i == 0 && words.len() > 1 => continue,
            "pt" | "pts" | "parts" | "teil" | "parte" | "partie" => "part".to_owned(),
            "vol" => "volume".to_owned(),
            "no" if words.get(i + 1).is_some_and(|w| is_number(w)) => "number".to_owned(),
            "nr" => "number".to_owned(),
            "n" | "nd" if i > 0 => "and".to_owned(),
            _ => match roman(word, counted).or_else(|| spelled(word, counted)) {
                Some(n) => n.to_string(),
                None => word.to_owned(),
            },
        };
        out.push(word);
    }
    out.join(" ")
}

/// Words after which a numeral is a numeral, whatever it looks like.
const COUNTED: &[&str] = &[
    "part", "volume", "number", "act", "chapter", "book", "op", "scene",
];

fn roman(word: &str, counted: bool) -> Option<u32> {
    let value = match word {
        "ii" => 2,
        "iii" => 3,
        "iv" => 4,
        "vi" => 6,
        "vii" => 7,
        "viii" => 8,
        "ix" => 9,
        "xi" => 11,
        "xii" => 12,
        "i" if counted => 1,
        "v" if counted => 5,
        "x" if counted => 10,
        _ => return None,
    };
    Some(value)
}

fn spelled(word: &str, counted: bool) -> Option<u32> {
    const WORDS: &[&str] = &[
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ];
    let at = WORDS.iter().position(|w| *w == word)?;
    if counted {
        u32::try_from(at + 1).ok()
    } else {
        None
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.len() < 8 && word.chars().all(|c| c.is_ascii_digit())
}

/// The numbers in a text that has been through [`same_words`].
pub(super) fn numbers(text: &str) -> BTreeSet<u32> {
    text.split(' ')
        .filter(|w| is_number(w))
        .filter_map(|w| w.parse().ok())
        .collect()
}
