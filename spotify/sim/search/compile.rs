//! From a parsed query to one that Tantivy runs, in three degrees of strictness.

use std::collections::HashSet;

use tantivy::Term;
use tantivy::query::{
    BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, Occur, PhraseQuery, Query, RangeQuery,
    TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::schema::Fields;
use super::syntax::{self, Filter, Phrase};
use super::vocabulary::Vocabulary;
use super::words::{self, Word};

/// The most words of a query that are looked up.
const MAX_WORDS: usize = 48;

/// What a word weighs in each field: a title is what people ask for.
const TITLE_WEIGHT: f32 = 3.0;
const ARTIST_WEIGHT: f32 = 2.0;
const ALBUM_WEIGHT: f32 = 1.0;

/// What a word counts that is in several fields (a song that names its album): its best field, and this
/// share of the others.
const OTHER_FIELDS: f32 = 0.1;

/// Added for a title asked for from its first word to its last, and for such an artist.
const WHOLE_TITLE_BONUS: f32 = 8.0;
const WHOLE_ARTIST_BONUS: f32 = 4.0;

/// How strictly a query is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// All words as they are spelt; words in quotes in their order.
    Exact,
    /// All words, but for small slips in their spelling.
    Spelling,
    /// Most words, but for small slips.
    Loose,
}

/// A query whose words are known, ready to be compiled.
pub(super) struct Asked {
    groups: Vec<Group>,
    isrcs: Vec<String>,
    years: Vec<std::ops::RangeInclusive<u64>>,
    impossible: bool,
}

/// Words asked for together: the free text, or the value of one filter.
struct Group {
    scope: Scope,
    phrases: Vec<Vec<Word>>,
    /// Which of `phrases` are in quotes.
    quoted: Vec<bool>,
}

/// Where a group's words are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Anywhere,
    Title,
    Artist,
    Album,
}

impl Asked {
    pub(super) fn new(query: syntax::Query) -> Self {
        let mut asked = Self { groups: Vec::new(), isrcs: Vec::new(), years: Vec::new(), impossible: false };
        let mut words_left = MAX_WORDS;
        let mut group = |scope, phrases: Vec<Phrase>| {
            let mut group = Group { scope, phrases: Vec::new(), quoted: Vec::new() };
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
        self.impossible || (self.groups.is_empty() && self.isrcs.is_empty() && self.years.is_empty())
    }

    /// Whether no filter narrows the search.
    pub(super) fn is_free_text(&self) -> bool {
        self.isrcs.is_empty() && self.years.is_empty() && self.groups.iter().all(|group| group.scope == Scope::Anywhere)
    }

    /// Whether taking the query less strictly could find more.
    pub(super) fn has_words(&self) -> bool {
        !self.groups.is_empty()
    }
}

/// Compiles queries for one index.
pub(super) struct Compiler<'a> {
    pub(super) fields: Fields,
    pub(super) vocabulary: &'a Vocabulary,
}

impl Compiler<'_> {
    pub(super) fn compile(&self, asked: &Asked, strictness: Strictness) -> Box<dyn Query> {
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for isrc in &asked.isrcs {
            clauses.push((Occur::Must, constant(term(self.fields.isrc, isrc), 1.0)));
        }
        for years in &asked.years {
            let bound = |year: &u64| std::ops::Bound::Included(Term::from_field_u64(self.fields.year, *year));
            let range: Box<dyn Query> = if years.is_empty() {
                Box::new(EmptyQuery)
            } else {
                Box::new(RangeQuery::new(bound(years.start()), bound(years.end())))
            };
            clauses.push((Occur::Must, constant(range, 1.0)));
        }
        for group in &asked.groups {
            clauses.push((Occur::Must, self.group(group, strictness)));
            clauses.extend(self.whole_names(group).into_iter().map(|query| (Occur::Should, query)));
        }
        Box::new(BooleanQuery::new(clauses))
    }

    /// The tracks that have a group's words.
    fn group(&self, group: &Group, strictness: Strictness) -> Box<dyn Query> {
        let (mut required, mut optional) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        let all = || group.phrases.iter().flatten();
        let last = all().next_back().map(|word| word.text.as_str());
        let only_connectors = all().all(Word::is_connector);
        for word in all().filter(|word| seen.insert(word.text.as_str())) {
            let unfinished = group.scope == Scope::Anywhere && Some(word.text.as_str()) == last;
            let query = self.word(group.scope, &word.text, unfinished, strictness);
            let bucket = if word.is_connector() && !only_connectors { &mut optional } else { &mut required };
            bucket.push(query);
        }
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        if strictness == Strictness::Loose {
            let enough = required.len() - group.scope.words_to_spare(required.len());
            clauses.push((Occur::Must, Box::new(BooleanQuery::union_with_minimum_required_clauses(required, enough))));
        } else {
            clauses.extend(required.into_iter().map(|query| (Occur::Must, query)));
        }
        clauses.extend(optional.into_iter().map(|query| (Occur::Should, query)));
        let in_order = if strictness == Strictness::Exact { Occur::Must } else { Occur::Should };
        for (phrase, _) in group.phrases.iter().zip(&group.quoted).filter(|(_, quoted)| **quoted) {
            clauses.extend(self.phrase(group.scope, phrase).map(|query| (in_order, query)));
        }
        Box::new(BooleanQuery::new(clauses))
    }

    /// The tracks that have a word in one of the fields.
    fn word(&self, scope: Scope, word: &str, unfinished: bool, strictness: Strictness) -> Box<dyn Query> {
        let mut spellings = vec![(word.to_owned(), 1.0)];
        let loosely = strictness != Strictness::Exact && !self.vocabulary.is_common(word);
        if loosely || self.vocabulary.tracks(word) == 0 {
            let near = self.vocabulary.near(word, unfinished);
            spellings.extend(near.into_iter().map(|near| (near.text, near.likeness)));
        }
        let mut disjuncts: Vec<Box<dyn Query>> = Vec::new();
        for (spelling, likeness) in &spellings {
            for (field, weight) in scope.fields(&self.fields) {
                disjuncts.push(Box::new(BoostQuery::new(term(field, spelling), weight * likeness)));
            }
        }
        Box::new(DisjunctionMaxQuery::with_tie_breaker(disjuncts, OTHER_FIELDS))
    }

    /// The tracks that have two or more words in this order in one of the fields.
    fn phrase(&self, scope: Scope, words: &[Word]) -> Option<Box<dyn Query>> {
        if words.len() < 2 {
            return None;
        }
        let in_field = |(field, weight)| {
            let terms = words.iter().map(|word| (word.position, Term::from_field_text(field, &word.text))).collect();
            let phrase = Box::new(PhraseQuery::new_with_offset(terms));
            // The words have counted already: only a hint that their order is right.
            Box::new(BoostQuery::new(phrase, weight * 0.1)) as Box<dyn Query>
        };
        Some(Box::new(DisjunctionMaxQuery::new(scope.fields(&self.fields).into_iter().map(in_field).collect())))
    }

    /// The tracks whose whole title, or one of whose artists, is written out in the group: at the
    /// start or the end of a free text, or as the value of a filter.
    fn whole_names(&self, group: &Group) -> Vec<Box<dyn Query>> {
        let words: Vec<Word> = group.phrases.iter().flatten().cloned().collect();
        let mut spans = vec![words.as_slice()];
        if group.scope == Scope::Anywhere {
            for middle in 1..words.len() {
                spans.extend([&words[..middle], &words[middle..]]);
            }
        }
        let keys: HashSet<String> = spans.into_iter().map(words::key).collect();
        let one_of = |field: Field, bonus: f32| {
            let terms = keys.iter().map(|key| term(field, key)).collect();
            constant(Box::new(BooleanQuery::union(terms)), bonus)
        };
        let title = || one_of(self.fields.whole_title, WHOLE_TITLE_BONUS);
        let artist = || one_of(self.fields.whole_artist, WHOLE_ARTIST_BONUS);
        match group.scope {
            Scope::Anywhere => vec![title(), artist()],
            Scope::Title => vec![title()],
            Scope::Artist => vec![artist()],
            Scope::Album => Vec::new(),
        }
    }
}

impl Scope {
    fn fields(self, fields: &Fields) -> Vec<(Field, f32)> {
        let title = (fields.title, TITLE_WEIGHT);
        let artist = (fields.artist, ARTIST_WEIGHT);
        let album = (fields.album, ALBUM_WEIGHT);
        match self {
            Self::Anywhere => vec![title, artist, album],
            Self::Title => vec![title],
            Self::Artist => vec![artist],
            Self::Album => vec![album],
        }
    }

    /// How many of `words` may be missing when a query is taken loosely: about half of them, since titles
    /// are decorated ("Remastered 2011", "Album Version"). But an artist's name is short, and half of it
    /// is another artist.
    fn words_to_spare(self, words: usize) -> usize {
        match (self, words) {
            (_, 0 | 1) | (Self::Artist, 2) => 0,
            (_, 2 | 3) => 1,
            (_, 4..) => words / 2,
        }
    }
}

fn term(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}

fn constant(query: Box<dyn Query>, score: f32) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, score))
}
