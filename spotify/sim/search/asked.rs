//! What a query asks for: the words of its text and of each filter, where each is looked for, and how
//! many of them may be missing.

use std::ops::RangeInclusive;

use super::syntax::{self, Filter, Phrase};
use super::words::{self, Word};

/// The most words of a query that are looked up.
const MAX_WORDS: usize = 48;

/// A query whose words are known, ready to be compiled.
pub(super) struct Asked {
    pub(super) groups: Vec<Group>,
    pub(super) isrcs: Vec<String>,
    pub(super) years: Vec<RangeInclusive<u64>>,
    impossible: bool,
}

/// Words asked for together: the free text, or the value of one filter.
pub(super) struct Group {
    pub(super) scope: Scope,
    pub(super) phrases: Vec<Vec<Word>>,
    /// Which of `phrases` are in quotes.
    pub(super) quoted: Vec<bool>,
}

/// Where a group's words are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Anywhere,
    Title,
    Artist,
    Album,
}

impl Asked {
    pub(super) fn new(query: syntax::Query) -> Self {
        let mut asked = Self {
            groups: Vec::new(),
            isrcs: Vec::new(),
            years: Vec::new(),
            impossible: false,
        };
        let mut words_left = MAX_WORDS;
        let mut group = |scope, phrases: Vec<Phrase>| {
            let mut group = Group {
                scope,
                phrases: Vec::new(),
                quoted: Vec::new(),
            };
            for phrase in phrases {
                let mut words = words::asked(&phrase.text);
                words.truncate(words_left);
                words_left -= words.len();
                if !words.is_empty() {
                    group.phrases.push(words);
                    group.quoted.push(phrase.quoted);
                }
            }
            (!group.phrases.is_empty()).then_some(group)
        };
        for filter in query.filters {
            match filter {
                Filter::Track(value) => asked.groups.extend(group(Scope::Title, vec![value])),
                Filter::Artist(value) => asked.groups.extend(group(Scope::Artist, vec![value])),
                Filter::Album(value) => asked.groups.extend(group(Scope::Album, vec![value])),
                Filter::Isrc(value) => asked.isrcs.push(words::isrc(&value)),
                Filter::Year(years) => asked.years.push(years),
                Filter::Unknown => asked.impossible = true,
            }
        }
        asked.groups.extend(group(Scope::Anywhere, query.text));
        asked
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.impossible
            || (self.groups.is_empty() && self.isrcs.is_empty() && self.years.is_empty())
    }

    /// Whether no filter narrows the search.
    pub(super) fn is_free_text(&self) -> bool {
        self.isrcs.is_empty()
            && self.years.is_empty()
            && self
                .groups
                .iter()
                .all(|group| group.scope == Scope::Anywhere)
    }

    /// Whether taking the query less strictly could find more.
    pub(super) fn has_words(&self) -> bool {
        !self.groups.is_empty()
    }
}

impl Scope {
    /// How many of `words` may be missing when a query is taken loosely: about half of them, since titles
    /// are decorated ("Remastered 2011", "Album Version"). But an artist's name is short, and half of it
    /// is another artist.
    pub(super) fn words_to_spare(self, words: usize) -> usize {
        match (self, words) {
            (_, 0 | 1) | (Self::Artist, 2) => 0,
            (_, 2 | 3) => 1,
            (_, 4..) => words / 2,
        }
    }
}
