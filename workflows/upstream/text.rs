//! Text that comes from outside: no hidden characters, no endless names.

/// Characters that are kept of a name or a message. Spotify's longest titles have a few hundred.
const LONGEST: usize = 500;

/// The text without control, zero-width, direction and tag characters, trimmed and cut.
///
/// Such characters show nothing to a person and can hide orders from the person but not from the
/// model that reads the result.
pub fn clean(text: &str) -> String {
    let visible: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|&c| !is_hidden(c))
        .take(LONGEST)
        .collect();
    visible.trim().to_owned()
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}'                   // soft hyphen
            | '\u{034F}'                 // combining grapheme joiner
            | '\u{061C}'                 // Arabic letter mark
            | '\u{115F}' | '\u{1160}'    // Hangul fillers
            | '\u{17B4}' | '\u{17B5}'    // Khmer inherent vowels
            | '\u{180B}'..='\u{180F}'    // Mongolian variation selectors, vowel separator
            | '\u{200B}'..='\u{200F}'    // zero width, direction marks
            | '\u{202A}'..='\u{202E}'    // direction embeddings and overrides
            | '\u{2060}'..='\u{206F}'    // invisible operators, isolates
            | '\u{3164}' | '\u{FFA0}'    // Hangul fillers
            | '\u{FE00}'..='\u{FE0F}'    // variation selectors
            | '\u{FEFF}'                 // byte order mark
            | '\u{FFF0}'..='\u{FFFB}'    // unassigned but hidden, interlinear annotation
            | '\u{1BCA0}'..='\u{1BCA3}'  // shorthand format controls
            | '\u{1D173}'..='\u{1D17A}'  // musical format controls
            | '\u{E0000}'..='\u{E0FFF}') // tags, more variation selectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_taken_out_and_visible_ones_stay() {
        for (dirty, expected) in [
            ("Halo\u{200B}", "Halo"),
            ("\u{202E}olaH\u{202C}", "olaH"),
            ("a\u{E0041}\u{E0042}b", "ab"),
            ("line\nbreak\ttab", "line break tab"),
            ("Beyoncé – Déjà Vu", "Beyoncé – Déjà Vu"),
            ("花道 ∞ Go All Out!!", "花道 ∞ Go All Out!!"),
            ("\u{7}bell\u{1b}[31m", "bell[31m"),
        ] {
            assert_eq!(clean(dirty), expected);
        }
        assert_eq!(clean(&"x".repeat(10_000)).len(), LONGEST);
    }
}
