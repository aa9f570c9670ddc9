//! Which version of a song a title, an album or an artist's name speaks of.

use std::collections::BTreeSet;

use super::kind::Kind;
use super::vocabulary::{FILLER, IN_ALBUM, IN_ARTIST, IN_TITLE, Meaning, ONLY_LAST};

/// Everything a title, its album and its artists say about the version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// What sets it apart; empty for the usual recording.
    pub kinds: BTreeSet<Kind>,
    /// Who remade it, or what it is called: the words beside "remix", "mix", "edit", "version".
    pub names: BTreeSet<String>,
    /// Where and when it was played, for live takes.
    pub details: BTreeSet<String>,
    /// Whether it is marked as remastered.
    pub remastered: bool,
    /// The year of the remaster, where given.
    pub year: Option<u16>,
}

impl Version {
    /// Reads one bracketed or dashed part of a title (folded). `None` if the part says nothing
    /// about the version, so that it is a subtitle or a guest.
    pub fn read(part: &str) -> Option<Self> {
        let mut version = Version::default();
        let mut rest: Vec<&str> = part.split(' ').filter(|w| !w.is_empty()).collect();
        let mut found = false;
        for &(phrase, meaning) in IN_TITLE {
            while (!ONLY_LAST.contains(&phrase) || rest.last() == Some(&phrase))
                && take(&mut rest, phrase)
            {
                found = true;
                match meaning {
                    Meaning::Kind(kind) => {
                        version.kinds.insert(kind);
                    }
                    Meaning::Remaster => version.remastered = true,
                    Meaning::Packaging => {}
                }
            }
        }
        // "Zwette Edit", "RAC Mix", "Spanish Version": the name makes it a version of its own.
        let maker = rest.iter().any(|w| matches!(*w, "mix" | "edit"));
        let named = rest.iter().any(|w| matches!(*w, "version" | "ver"));
        let year = rest.iter().find_map(|w| year(w));
        let only_year = !rest.is_empty() && rest.iter().all(|w| self::year(w).is_some());
        let words: BTreeSet<String> = rest
            .iter()
            .filter(|w| !FILLER.contains(w) && self::year(w).is_none())
            .map(|w| (*w).to_owned())
            .collect();
        let anonymous = words.is_empty();
        if !(found || maker || named || only_year) {
            return None;
        }
        if version.remastered || only_year {
            version.year = year;
        }
        if version.kinds.contains(&Kind::Live) {
            version.details = words
                .into_iter()
                .chain(year.map(|y| y.to_string()))
                .collect();
            return Some(version);
        }
        if maker && !anonymous && !version.kinds.contains(&Kind::Remix) {
            version.kinds.insert(Kind::Remix);
        } else if maker && anonymous && version.kinds.is_empty() && !found {
            // A bare "Edit" is a shorter cut, and "2018 Mix" a new pressing of the same takes.
            let cut = if rest.contains(&"edit") {
                Kind::RadioEdit
            } else {
                Kind::Single
            };
            version.kinds.insert(cut);
        } else if named && !anonymous && version.kinds.iter().all(|k| k.is_cut()) {
            version.kinds.insert(Kind::Named);
        }
        if version.kinds.contains(&Kind::Remix) || version.kinds.contains(&Kind::Named) {
            version.names = words;
        }
        Some(version)
    }

    /// What an album's name (folded) says about every track on it.
    pub fn of_album(album: &str) -> Self {
        let mut version = Version::default();
        let words: Vec<&str> = album.split(' ').collect();
        for &(phrase, kind) in IN_ALBUM {
            if take(&mut words.clone(), phrase) {
                version.kinds.insert(kind);
            }
        }
        if names_a_concert(&words) {
            version.kinds.insert(Kind::Live);
        }
        version.remastered =
            words.iter().any(|w| w.starts_with("remaster")) || album.contains("re mastered");
        if version.remastered {
            version.year = words.iter().find_map(|w| year(w));
        }
        version
    }

    /// What an artist's name (folded) gives away.
    pub fn of_artist(artist: &str) -> Self {
        let words: Vec<&str> = artist.split(' ').collect();
        let kinds = IN_ARTIST
            .iter()
            .filter(|(p, _)| take(&mut words.clone(), p))
            .map(|&(_, k)| k);
        Version {
            kinds: kinds.collect(),
            ..Version::default()
        }
    }

    /// Adds what another text says about the same track.
    pub fn merge(&mut self, other: Version) {
        self.kinds.extend(other.kinds);
        self.names.extend(other.names);
        self.details.extend(other.details);
        self.remastered |= other.remastered;
        self.year = self.year.or(other.year);
    }

    /// Whether nothing sets it apart.
    pub fn is_plain(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The marks of another recording.
    pub(super) fn recordings(&self) -> BTreeSet<Kind> {
        self.kinds.iter().copied().filter(|k| !k.is_cut()).collect()
    }

    /// The marks of another cut of one recording.
    pub(super) fn cuts(&self) -> BTreeSet<Kind> {
        self.kinds.iter().copied().filter(|k| k.is_cut()).collect()
    }
}

/// Removes a phrase from the words, and says whether it was there.
///
/// A phrase in a script without spaces is looked for inside the words.
fn take(words: &mut Vec<&str>, phrase: &str) -> bool {
    if !phrase.is_ascii() {
        let before = words.len();
        words.retain(|w| !w.contains(phrase));
        return words.len() < before;
    }
    // Most phrases are not there, and their first word tells.
    if !phrase
        .split(' ')
        .next()
        .is_some_and(|first| words.contains(&first))
    {
        return false;
    }
    let parts: Vec<&str> = phrase.split(' ').collect();
    match words.windows(parts.len()).position(|w| w == parts) {
        Some(at) => {
            words.drain(at..at + parts.len());
            true
        }
        None => false,
    }
}

/// A year of recorded music.
fn year(word: &str) -> Option<u16> {
    word.parse()
        .ok()
        .filter(|y| word.len() == 4 && (1900..=2100).contains(y))
}

/// Whether an album's name says "live" in the sense of a concert: "Live at …", "Live 1969",
/// "666 Live", but not "Long Live" or "Live Your Life".
fn names_a_concert(words: &[&str]) -> bool {
    words.iter().enumerate().any(|(i, word)| {
        if *word != "live" {
            return false;
        }
        let before = i.checked_sub(1).map(|j| words[j]);
        let verb = before.is_some_and(|w| {
            matches!(
                w,
                "long" | "to" | "we" | "i" | "you" | "they" | "and" | "ill" | "lets" | "who"
            )
        });
        let place = words.get(i + 1).is_none_or(|next| {
            matches!(
                *next,
                "at" | "in"
                    | "from"
                    | "on"
                    | "around"
                    | "album"
                    | "version"
                    | "edition"
                    | "session"
                    | "sessions"
                    | "a"
                    | "aux"
            ) || next.chars().all(|c| c.is_ascii_digit())
        });
        !verb && place && (words.len() > 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::normalise::fold;

    #[test]
    fn parts_of_titles_are_read() {
        for (part, kind) in [
            ("Live at Wembley 1986", Kind::Live),
            ("En Vivo", Kind::Live),
            ("MTV Unplugged", Kind::Live),
            ("ライブ", Kind::Live),
            ("Karaoke Version", Kind::Karaoke),
            ("In the Style of Adele", Kind::Cover),
            ("Originally Performed by Adele", Kind::Cover),
            ("Tiësto Remix", Kind::Remix),
            ("Zwette Edit", Kind::Remix),
            ("Club Mix", Kind::Remix),
            ("Spanish Version", Kind::Named),
            ("Taylor's Version", Kind::Named),
            ("Instrumental", Kind::Instrumental),
            ("Re-Recorded", Kind::Rerecorded),
            ("sped up", Kind::SpedUp),
            ("slowed + reverb", Kind::Slowed),
            ("Radio Edit", Kind::RadioEdit),
            ("Extended Mix", Kind::Extended),
            ("Mono Version", Kind::Mono),
        ] {
            let version = Version::read(&fold(part)).unwrap_or_default();
            assert!(version.kinds.contains(&kind), "{part}: {version:?}");
        }
    }

    #[test]
    fn packaging_and_remasters_leave_the_usual_recording() {
        for part in [
            "Album Version Explicit",
            "Original Mix",
            "Remastered 2011",
            "2012",
            "Bonus Track",
        ] {
            let version = Version::read(&fold(part)).expect(part);
            assert!(version.is_plain(), "{part}: {version:?}");
        }
        let remaster = Version::read("2011 remastered version").expect("a remaster");
        assert_eq!((remaster.remastered, remaster.year), (true, Some(2011)));
    }

    #[test]
    fn subtitles_are_not_versions() {
        for part in [
            "Ghetto Anthem",
            "Single Ladies",
            "Take Me Home",
            "Cover Me Up",
            "Nightmare",
        ] {
            assert_eq!(Version::read(&fold(part)), None, "{part}");
        }
    }

    #[test]
    fn albums_speak_for_their_tracks_only_where_it_is_safe() {
        for (album, live) in [
            ("Live at Leeds", true),
            ("666 Live", true),
            ("MTV Unplugged in New York", true),
            ("Live 1969", true),
            ("Long Live", false),
            ("Live Through This", false),
            ("Live", false),
            ("Born to Live", false),
        ] {
            let kinds = Version::of_album(&fold(album)).kinds;
            assert_eq!(kinds.contains(&Kind::Live), live, "{album}");
        }
        assert!(Version::of_album("b sides and covers").is_plain());
        assert!(!Version::of_album("a tribute to queen").is_plain());
    }
}
