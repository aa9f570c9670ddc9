//! What stands in a single field: ISRCs, lengths, an artist and a title in one.

use super::MAX_EXCERPT;
use crate::{matching::normalise::isrc, upstream::clean};

/// The longest track that is believed, in milliseconds: 24 h, as everywhere in Segue.
const LONGEST_MS: f64 = 24.0 * 3_600_000.0;
/// A number without a unit is taken for milliseconds from here on: 20 seconds are a jingle, while
/// 20,000 seconds are five and a half hours.
const LEAST_LIKELY_MS: f64 = 20_000.0;
/// ISRCs of one song that are kept. Files that were tagged twice have two.
const MOST_ISRCS: usize = 10;

/// The ISRCs of a field, the first one apart. What is no ISRC is left out.
pub(super) fn isrcs(field: &str) -> (Option<String>, Vec<String>) {
    let mut found: Vec<String> = Vec::new();
    let mut keep = |code: String| {
        if found.len() < MOST_ISRCS && !found.contains(&code) {
            found.push(code);
        }
    };
    for part in field.split([',', ';', '/', '|']) {
        let part = clean(part);
        // One code may be written with spaces, and two may be separated by one.
        match isrc(&part) {
            Some(code) => keep(code),
            None => part.split_whitespace().filter_map(isrc).for_each(&mut keep),
        }
    }
    let mut found = found.into_iter();
    (found.next(), found.collect())
}

/// What a number without a unit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Milliseconds, because the column says so.
    Milliseconds,
    /// Seconds, because the format says so.
    Seconds,
    /// Either; the number has to tell.
    Untold,
}

/// The length in a field, in milliseconds: `225000`, `225`, `225s`, `3:45`, `1:02:03`.
pub(super) fn duration_ms(field: &str, unit: Unit) -> Option<u32> {
    let field = field.trim();
    if field.len() > 30 {
        return None;
    }
    if field.contains(':') {
        return in_bounds(clock_seconds(field)? * 1000.0);
    }
    let end = field.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (digits, suffix) = field.split_at(end.unwrap_or(field.len()));
    let unit = match suffix.trim().to_ascii_lowercase().as_str() {
        "" => unit,
        "s" | "sec" | "secs" | "seconds" => Unit::Seconds,
        "ms" | "msec" | "milliseconds" => Unit::Milliseconds,
        _ => return None,
    };
    number_ms(number(digits)?, unit)
}

/// The length that a number counts, in milliseconds.
pub(super) fn number_ms(number: f64, unit: Unit) -> Option<u32> {
    match unit {
        Unit::Seconds => in_bounds(number * 1000.0),
        Unit::Untold if number < LEAST_LIKELY_MS => in_bounds(number * 1000.0),
        Unit::Milliseconds | Unit::Untold => in_bounds(number),
    }
}

/// `3:45` and `1:02:03`, in seconds.
fn clock_seconds(field: &str) -> Option<f64> {
    let mut parts = field.split(':');
    let mut seconds = number(parts.next()?)?;
    for (part, count) in parts.zip(2..) {
        let part = number(part).filter(|part| *part < 60.0 && count <= 3)?;
        seconds = seconds * 60.0 + part;
    }
    Some(seconds)
}

/// A number of digits alone: what `f64` reads beside them ("inf", "1e9") is no length.
fn number(digits: &str) -> Option<f64> {
    let plain = |c: char| c.is_ascii_digit() || c == '.';
    digits.parse().ok().filter(|_| digits.chars().all(plain))
}

fn in_bounds(ms: f64) -> Option<u32> {
    let ms = ms.round();
    (1.0..=LONGEST_MS).contains(&ms).then_some(ms as u32)
}

/// Artist and title of a text "Artist - Title", with any dash; what follows a second dash belongs to
/// the title. A hyphen needs space on both sides, because names have hyphens; a longer dash on one.
pub(super) fn artist_and_title(text: &str) -> Option<(&str, &str)> {
    let mut second_best = None;
    let mut from = 0;
    while let Some(start) = text[from..].find(is_dash).map(|at| from + at) {
        let rest = &text[start..];
        let after = rest.trim_start_matches(is_dash);
        let dashes = &rest[..rest.len() - after.len()];
        from = start + dashes.len();
        let before = &text[..start];
        let (left, right) = (before.trim(), after.trim());
        if !is_name(left) || !is_name(right) {
            continue;
        }
        let space_before = before.ends_with(char::is_whitespace);
        let space_after = after.starts_with(char::is_whitespace);
        if space_before && space_after {
            return Some((left, right));
        }
        if (space_before || space_after) && !dashes.contains('-') && second_best.is_none() {
            second_best = Some((left, right));
        }
    }
    second_best
}

/// Dashes as people and keyboards write them: hyphen, figure, en and em dash, bar, minus, full width.
pub(super) fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}')
}

/// Whether a text can name something: not if it is empty or made of dashes.
fn is_name(text: &str) -> bool {
    text.contains(|c: char| !is_dash(c) && !c.is_whitespace())
}

/// The artists of a field in which `\,` is a comma within a name and `,` stands between two.
pub(super) fn unescaped_artists(field: &str) -> String {
    if !field.contains("\\,") {
        return field.to_owned();
    }
    let mut names = vec![String::new()];
    let mut characters = field.chars().peekable();
    while let Some(c) = characters.next() {
        if c == ',' {
            names.push(String::new());
            continue;
        }
        let escaped = characters.next_if(|next| c == '\\' && *next == ',');
        if let Some(name) = names.last_mut() {
            name.push(escaped.unwrap_or(c));
        }
    }
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    names.join("; ")
}

/// The beginning of a row, by which a user recognises it.
pub(super) fn excerpt(row: &str) -> String {
    let line = clean(row.trim_start().lines().next().unwrap_or_default());
    // Where fields are empty, tabs stand in a row.
    let whole = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match whole.char_indices().nth(MAX_EXCERPT) {
        None => whole,
        Some(_) => whole.chars().take(MAX_EXCERPT - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isrcs_are_found_however_they_are_joined() {
        let two = (
            Some("GBN9Y1100088".to_owned()),
            vec!["USUM72401994".to_owned()],
        );
        for field in [
            "GBN9Y1100088,USUM72401994",
            "gb-n9y-11-00088; us-um7-24-01994",
            "GBN9Y1100088 USUM72401994",
            "GBN9Y1100088/USUM72401994",
            "GB N9Y 11 00088|USUM72401994|GBN9Y1100088",
            "GBN9Y1100088;;broken;USUM72401994",
        ] {
            assert_eq!(isrcs(field), two, "{field}");
        }
        assert_eq!(isrcs("GBN9Y11"), (None, Vec::new()));
        let many: Vec<String> = (0..50).map(|n| format!("GBN9Y11000{n:02}")).collect();
        assert_eq!(isrcs(&many.join(";")).1.len(), MOST_ISRCS - 1);
    }

    #[test]
    fn lengths_are_read_in_every_spelling_and_only_if_they_can_be_true() {
        for (field, unit, expected) in [
            ("225000", Unit::Milliseconds, Some(225_000)),
            ("9000", Unit::Milliseconds, Some(9_000)),
            ("225", Unit::Seconds, Some(225_000)),
            ("225", Unit::Untold, Some(225_000)),
            ("225000", Unit::Untold, Some(225_000)),
            ("225.5", Unit::Seconds, Some(225_500)),
            ("225s", Unit::Milliseconds, Some(225_000)),
            ("225000 ms", Unit::Seconds, Some(225_000)),
            ("3:45", Unit::Milliseconds, Some(225_000)),
            ("1:02:03", Unit::Untold, Some(3_723_000)),
            ("75:30", Unit::Untold, Some(4_530_000)),
            ("3:75", Unit::Untold, None),
            ("1:2:3:4", Unit::Untold, None),
            ("0", Unit::Seconds, None),
            ("-1", Unit::Seconds, None),
            ("86400", Unit::Seconds, Some(86_400_000)),
            ("86401", Unit::Seconds, None),
            ("inf", Unit::Seconds, None),
            ("1e3", Unit::Seconds, None),
            ("about 3", Unit::Seconds, None),
            ("", Unit::Seconds, None),
            (":", Unit::Seconds, None),
        ] {
            assert_eq!(duration_ms(field, unit), expected, "{field}");
        }
    }

    #[test]
    fn artist_and_title_are_told_apart_at_the_first_dash_between_words() {
        for (text, expected) in [
            ("a-ha - Take On Me", Some(("a-ha", "Take On Me"))),
            ("Björk – Jóga", Some(("Björk", "Jóga"))),
            ("Sigur Rós— Hoppípolla", Some(("Sigur Rós", "Hoppípolla"))),
            ("Jay–Z - 99 Problems", Some(("Jay–Z", "99 Problems"))),
            ("Queen -- Innuendo", Some(("Queen", "Innuendo"))),
            ("Blur - Song 2 - Live", Some(("Blur", "Song 2 - Live"))),
            ("- Cupid - Twin", Some(("- Cupid", "Twin"))),
            ("Anti-Hero", None),
            ("Song 2 -", None),
            (" - ", None),
            ("", None),
        ] {
            assert_eq!(artist_and_title(text), expected, "{text}");
        }
    }

    #[test]
    fn an_escaped_comma_is_part_of_a_name() {
        for (field, expected) in [
            (
                "Tyler\\, The Creator, Kali Uchis",
                "Tyler, The Creator; Kali Uchis",
            ),
            ("Daft Punk,Pharrell Williams", "Daft Punk,Pharrell Williams"),
            ("A\\B\\, C", "A\\B, C"),
        ] {
            assert_eq!(unescaped_artists(field), expected);
        }
    }

    #[test]
    fn an_excerpt_is_one_short_line_without_hidden_characters() {
        assert_eq!(excerpt("\n \"a\u{202e}b\",c\nnext"), "\"ab\",c");
        let long = excerpt(&"ü".repeat(500));
        assert_eq!(
            (long.chars().count(), long.ends_with('…')),
            (MAX_EXCERPT, true)
        );
        assert_eq!(excerpt(&"ü".repeat(120)).chars().count(), MAX_EXCERPT);
    }
}
