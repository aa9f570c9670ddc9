//! Plain lines "Artist - Title", as people write and paste them.

use super::{
    Format, Import, ImportError,
    collected::{Collected, Found},
    fields::{artist_and_title, is_dash},
    text::Text,
};
use crate::upstream::clean;

/// What stands before an entry of a list.
const BULLETS: &[&str] = &[
    "- ", "– ", "— ", "* ", "+ ", "• ", "· ", "‣ ", "▪ ", "◦ ", "● ", "○ ", "→ ", "♪ ", "♫ ",
    "[ ] ", "[x] ", "[X] ", "> ",
];
/// Lines by which a table is known whose heading is not.
const FIRST_LINES: usize = 10;

const NO_SONG: &str = "It is not of the form \"Artist - Title\".";

/// Reads a list of lines.
///
/// # Errors
/// Fewer than one line in four is a song: then this is a text of another kind.
pub(super) fn read(file: &Text) -> Result<Import, ImportError> {
    if is_table(&file.text) {
        return Err(ImportError::UnknownForm);
    }
    let mut collected = Collected::new(file);
    for (text, number) in file.text.lines().zip(1..) {
        let line = clean(text.trim());
        if line.is_empty() || is_comment(&line) {
            continue;
        }
        let (_, entries) = collected.counts();
        let entry = without_bullet(&line, entries + 1);
        match artist_and_title(entry) {
            Some((artist, title)) => {
                let found = Found {
                    title,
                    artist,
                    ..Found::default()
                };
                collected.song(number, found, text)?;
            }
            None => collected.unreadable(number, text, NO_SONG)?,
        }
    }
    let (songs, entries) = collected.counts();
    if songs * 4 < entries {
        return Err(ImportError::UnknownForm);
    }
    collected.finish(Format::Lines)
}

/// Whether a line is a comment or a heading of Markdown. "#1" is a number.
fn is_comment(line: &str) -> bool {
    let is_number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    line.starts_with("//") || line.strip_prefix('#').is_some_and(|rest| !is_number(rest))
}

/// Whether all lines have the same two or more delimiters. Without a known heading it is anybody's
/// guess which column is which, and a dash in a title must not decide it.
fn is_table(text: &str) -> bool {
    let lines = || {
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .take(FIRST_LINES)
    };
    [',', ';', '\t', '|'].into_iter().any(|delimiter| {
        let mut counts = lines().map(|line| line.matches(delimiter).count());
        let first = counts.next().unwrap_or_default();
        // Names have commas too, and two lines may have two of them by chance.
        let enough = if delimiter == ',' { 3 } else { 2 };
        first >= 2 && lines().count() >= enough && counts.all(|count| count == first)
    })
}

/// An entry without bullet, number and time. `place` is the number that it would have.
fn without_bullet(line: &str, place: usize) -> &str {
    let mut entry = line;
    while let Some(rest) = BULLETS.iter().find_map(|bullet| entry.strip_prefix(bullet)) {
        entry = rest.trim_start();
    }
    if let Some(number) = entry.strip_prefix('#') {
        let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = rest.trim_start_matches(['.', ')', ':']).trim_start();
        return if rest.is_empty() { entry } else { rest };
    }
    let entry = without_number(entry, |number| number as usize == place);
    // The time of a track in a mix. A title may be a time too, so what is left has to be an entry.
    let (first, rest) = entry.split_once(' ').unwrap_or((entry, ""));
    let is_time = first.contains(':') && first.trim_matches(is_part_of_time).is_empty();
    if is_time && artist_and_title(rest).is_some() {
        return rest.trim_start();
    }
    entry
}

fn is_part_of_time(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, ':' | '[' | ']' | '(' | ')')
}

/// An entry without the number before it: `1. `, `1) `, `01 `. A number before a dash may be a name,
/// so `before_dash` says whether it is taken off, and only if artist and title are left.
pub(super) fn without_number(entry: &str, before_dash: impl Fn(u32) -> bool) -> &str {
    let unbracketed = entry.strip_prefix(['(', '[']).unwrap_or(entry);
    let end = unbracketed
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(unbracketed.len());
    let (digits, rest) = unbracketed.split_at(end);
    let Some(number) = digits.parse().ok().filter(|_| digits.len() <= 5) else {
        return entry;
    };
    if let Some(after) = rest.strip_prefix(['.', ')', ']', ':'])
        && after.starts_with(|c: char| c == ' ' || c.is_alphabetic())
    {
        return after.trim_start();
    }
    if unbracketed.len() != entry.len() {
        return entry;
    }
    let after = rest.trim_start().trim_start_matches(is_dash);
    let is_dashed = after.len() < rest.trim_start().len() && after.starts_with(' ');
    if is_dashed && before_dash(number) && artist_and_title(after).is_some() {
        return after.trim_start();
    }
    match rest.strip_prefix(' ') {
        Some(after) if digits.starts_with('0') => after.trim_start(),
        _ => entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bullets_numbers_and_times_are_taken_off_and_names_are_not() {
        for (line, expected) in [
            ("1. Blur - Song 2", "Blur - Song 2"),
            ("12) Blur - Song 2", "Blur - Song 2"),
            ("(3) Blur - Song 2", "Blur - Song 2"),
            ("1.Blur - Song 2", "Blur - Song 2"),
            ("#4 Blur - Song 2", "Blur - Song 2"),
            ("7 - Blur - Song 2", "Blur - Song 2"),
            ("07 Blur - Song 2", "Blur - Song 2"),
            ("• Blur - Song 2", "Blur - Song 2"),
            ("- [x] 2. Blur - Song 2", "Blur - Song 2"),
            ("[03:45] Blur - Song 2", "Blur - Song 2"),
            ("1:03:45 Blur - Song 2", "Blur - Song 2"),
            ("311 - Amber - Live", "311 - Amber - Live"),
            ("7 - Seconds", "7 - Seconds"),
            ("50 Cent - In da Club", "50 Cent - In da Club"),
            ("12:51 - The Strokes", "12:51 - The Strokes"),
            ("2.0 - Twice", "2.0 - Twice"),
            ("(hed) p.e. - Bartender", "(hed) p.e. - Bartender"),
            ("[bsdu] - lofi", "[bsdu] - lofi"),
            ("#9", "#9"),
        ] {
            assert_eq!(without_bullet(line, 7), expected);
        }
    }

    #[test]
    fn a_table_without_a_known_heading_is_no_list() {
        assert!(is_table("foo;bar;baz\n1;2 - 3;4\n"));
        assert!(is_table("foo,bar,baz\n1,2 - 3,4\n5,6,7\n"));
        assert!(!is_table("A, B, C - D\nE - F\nG - H\n"));
        assert!(!is_table("A, B, C - D\nE, F, G - H\n"));
    }
}
