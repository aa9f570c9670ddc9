//! A title taken apart: what the song is called, and what is said beside it.
//!
//! `Get Lucky (feat. Pharrell Williams) - Radio Edit` is the song "get lucky", the guest
//! "pharrell williams" and the version *radio edit*. Services put the same parts in different
//! places (Spotify after a dash, Apple in brackets), so titles are compared part by part.

use super::normalise::{MAX_CHARS, fold};
use super::version::Version;

/// The parts of a title, folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Title {
    /// What the song is called, without anything in brackets or after a dash.
    pub base: String,
    /// What is said beside it and is neither a guest nor a version: "(Ghetto Anthem)".
    pub subtitles: Vec<String>,
    /// The guests, as folded names.
    pub features: Vec<String>,
    /// What the title says about the version.
    pub version: Version,
    /// The title with its punctuation, lower-case: only to tell "In the Flesh?" from "In the Flesh".
    pub literal: String,
}

/// More subtitles or guests than this are not kept: each is compared with each of the other side.
pub const MAX_PARTS: usize = 16;

/// Words that announce guests.
const GUEST_WORDS: &[&str] = &["feat", "ft", "featuring", "with", "con", "avec", "w"];
/// Guest words that may stand in a title without brackets.
const OPEN_GUEST_WORDS: &[&str] = &["feat", "ft", "featuring"];
/// Words that announce a credit, a film or a show: nothing that sets the recording apart.
const ORIGIN_WORDS: &[&str] = &[
    "from",
    "prod",
    "produced",
    "theme",
    "soundtrack",
    "aus",
    "tiré",
];
/// Version phrases that people write without brackets or dash.
const OPEN_VERSIONS: &[&str] = &[
    "radio edit",
    "karaoke version",
    "instrumental version",
    "acoustic version",
    "live version",
    "album version",
    "single version",
    "extended mix",
    "extended version",
    "original mix",
];

impl Title {
    /// Takes a title apart. Never fails: a title without parts is all base.
    pub fn parse(raw: &str) -> Self {
        let text = plain_brackets(raw);
        let (outside, brackets) = split_brackets(&text);
        let mut segments = split_dashes(&outside).into_iter();
        let mut title = Title {
            literal: literal(&text),
            ..Title::default()
        };
        let base = segments.next().unwrap_or_default();
        for part in brackets.iter().map(String::as_str).chain(segments) {
            title.read_part(part);
        }
        title.read_base(base);
        title.subtitles.truncate(MAX_PARTS);
        title.features.truncate(MAX_PARTS);
        if title.base.is_empty() {
            // Nothing but brackets: then the brackets are the title.
            title = Title {
                base: fold(raw),
                literal: title.literal,
                ..Title::default()
            };
        }
        title
    }

    /// Reads a bracket's or a dash's content, which may hold several parts.
    fn read_part(&mut self, part: &str) {
        for piece in part.split(['/', ';', '(', ')']).flat_map(split_dashes) {
            let trimmed = piece.trim();
            let folded = fold(piece);
            let words: Vec<&str> = folded.split(' ').collect();
            let at = if trimmed.starts_with('&') || GUEST_WORDS.contains(&words[0]) {
                Some(0)
            } else {
                words.iter().position(|w| OPEN_GUEST_WORDS.contains(w))
            };
            let (before, guests) = words.split_at(at.unwrap_or(words.len()));
            self.features.extend(guest_names(guests));
            self.read_words(&before.join(" "));
        }
    }

    fn read_words(&mut self, part: &str) {
        let first = part.split(' ').next().unwrap_or_default();
        if part.is_empty() || ORIGIN_WORDS.contains(&first) || part.ends_with("soundtrack") {
            return;
        }
        match Version::read(part) {
            Some(version) => self.version.merge(version),
            None => self.subtitles.push(part.to_owned()),
        }
    }

    /// The base itself may end in guests or in a version that nobody put in brackets.
    fn read_base(&mut self, base: &str) {
        let folded = fold(base);
        let words: Vec<&str> = folded.split(' ').collect();
        let guest = words
            .iter()
            .skip(1)
            .position(|w| OPEN_GUEST_WORDS.contains(w))
            .map(|i| i + 1);
        let (name, guests) = words.split_at(guest.unwrap_or(words.len()));
        self.features.extend(guest_names(guests));
        let mut name = name.join(" ");
        for phrase in OPEN_VERSIONS {
            if let Some(rest) = name.strip_suffix(phrase).map(str::trim_end)
                && !rest.is_empty()
            {
                self.version
                    .merge(Version::read(phrase).unwrap_or_default());
                name = rest.to_owned();
            }
        }
        let words: Vec<&str> = name.split(' ').collect();
        if let Some(at) = words
            .iter()
            .skip(1)
            .position(|w| *w == "remastered")
            .map(|i| i + 1)
        {
            let (song, mark) = words.split_at(at);
            self.version
                .merge(Version::read(&mark.join(" ")).unwrap_or_default());
            name = song.join(" ");
        }
        self.base = name;
    }
}

/// Names after a guest word: "feat. a, b & c".
fn guest_names(words: &[&str]) -> Vec<String> {
    words
        .split(|w| GUEST_WORDS.contains(w) || *w == "and")
        .filter(|name| !name.is_empty())
        .map(|name| name.join(" "))
        .collect()
}

/// All kinds of brackets and dashes as the plain ones.
fn plain_brackets(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    for c in raw.chars().take(MAX_CHARS) {
        match c {
            '[' | '{' | '（' | '［' | '【' | '〔' | '《' | '〈' => text.push_str(" ("),
            ']' | '}' | '）' | '］' | '】' | '〕' | '》' | '〉' => text.push_str(") "),
            '–' | '—' | '‐' | '‑' | '−' => text.push('-'),
            c if c.is_whitespace() => text.push(' '),
            _ => text.push(c),
        }
    }
    text
}

/// The text outside brackets, and each bracket's content.
///
/// A bracket before the first word belongs to the title ("(I Can't Get No) Satisfaction"), and so
/// does one that is never closed.
fn split_brackets(text: &str) -> (String, Vec<String>) {
    let mut outside = String::new();
    let mut groups = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('(') {
        let (before, from) = rest.split_at(open);
        outside.push_str(before);
        let Some(close) = closing(from) else {
            outside.push(' ');
            rest = &from[1..];
            continue;
        };
        let inner = &from[1..close];
        if outside.trim().is_empty() && !fold(&from[close + 1..]).is_empty() {
            outside.push_str(inner);
        } else {
            groups.push(inner.to_owned());
        }
        outside.push(' ');
        rest = &from[close + 1..];
    }
    outside.push_str(rest);
    (outside, groups)
}

/// Where the bracket that opens the text closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

/// The parts between dashes that have a space on both sides.
fn split_dashes(text: &str) -> Vec<&str> {
    text.split(" - ")
        .filter(|part| !part.trim().is_empty())
        .collect()
}

fn literal(text: &str) -> String {
    let (outside, _) = split_brackets(text);
    let first = split_dashes(&outside).first().copied().unwrap_or_default();
    first
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::kind::Kind;

    #[test]
    fn the_base_is_what_the_song_is_called() {
        for (raw, base) in [
            (
                "Get Lucky (feat. Pharrell Williams) - Radio Edit",
                "get lucky",
            ),
            (
                "(I Can't Get No) Satisfaction - Mono Version",
                "i cant get no satisfaction",
            ),
            ("Hello/Goodbye (Uncool) [feat. Unkle]", "hello goodbye"),
            ("Heroes ft. Somebody", "heroes"),
            ("A Milli (Album Version (Explicit))", "a milli"),
            ("Come Together（Remastered 2009）", "come together"),
            ("Titanium Radio Edit", "titanium"),
            ("Help Remastered 2009", "help"),
            ("(Intro)", "intro"),
            ("Song 2", "song 2"),
            ("Unclosed (bracket", "unclosed bracket"),
            ("", ""),
        ] {
            assert_eq!(Title::parse(raw).base, base, "{raw}");
        }
    }

    #[test]
    fn guests_versions_and_subtitles_are_told_apart() {
        let title = Title::parse("Bad (feat. Rihanna & Drake) (Live at Leeds) [Ghetto Anthem]");
        assert_eq!(title.features, ["rihanna", "drake"]);
        assert!(title.version.kinds.contains(&Kind::Live));
        assert_eq!(title.subtitles, ["ghetto anthem"]);
    }

    #[test]
    fn a_bracket_may_hold_several_parts() {
        let title =
            Title::parse("Lucky (Radio Edit - feat. Nile Rodgers) - Mono / Remastered 2002");
        assert_eq!(title.features, ["nile rodgers"]);
        assert_eq!(title.version.kinds, [Kind::RadioEdit, Kind::Mono].into());
        assert_eq!(
            (title.version.remastered, title.version.year),
            (true, Some(2002))
        );
    }

    #[test]
    fn films_and_credits_are_nothing() {
        for raw in [
            "Bailamos (From \"Wild Wild West\")",
            "Bailamos (prod. Somebody)",
            "Bailamos (Original Motion Picture Soundtrack)",
            "Bailamos (Official Video)",
        ] {
            let title = Title::parse(raw);
            assert!(
                title.subtitles.is_empty() && title.version.is_plain(),
                "{raw}: {title:?}"
            );
        }
    }
}
