//! From a parsed query to one that Tantivy runs, in three degrees of strictness.

use std::collections::HashSet;
use std::ops::Bound;

use tantivy::Term;
use tantivy::query::{
    BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, Occur, PhraseQuery,
    Query, RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::asked::{Asked, Group, Scope};
use super::schema::Fields;
use super::vocabulary::Vocabulary;
use super::words::{self, Word};

/// How many words decide what a query taken loosely finds: its rarest. The others only rank it. ("The",
/// "version" and "remastered" say little, and are in a large share of all tracks.)
const DECIDING_WORDS: usize = 6;

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
            let bound = |year: &u64| Bound::Included(Term::from_field_u64(self.fields.year, *year));
            let range: Box<dyn Query> = if years.is_empty() {
                Box::new(EmptyQuery)
            } else {
                Box::new(RangeQuery::new(bound(years.start()), bound(years.end())))
            };
            clauses.push((Occur::Must, constant(range, 1.0)));
        }
        for group in &asked.groups {
            clauses.push((Occur::Must, self.group(group, strictness)));
            clauses.extend(
                self.whole_names(group)
                    .into_iter()
                    .map(|query| (Occur::Should, query)),
            );
        }
        Box::new(BooleanQuery::new(clauses))
    }

    /// The tracks that have a group's words.
    fn group(&self, group: &Group, strictness: Strictness) -> Box<dyn Query> {
        let all = || group.phrases.iter().flatten();
        let last = all().next_back().map(|word| word.text.as_str());
        let only_connectors = all().all(Word::is_connector);
        let (mut required, mut optional) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for word in all().filter(|word| seen.insert(word.text.as_str())) {
            let unfinished = group.scope == Scope::Anywhere && Some(word.text.as_str()) == last;
            let query = self.word(group.scope, &word.text, unfinished, strictness);
            if word.is_connector() && !only_connectors {
                optional.push(query);
            } else {
                required.push((self.vocabulary.tracks(&word.text), query));
            }
        }
        let mut to_spare = 0;
        if strictness == Strictness::Loose {
            required.sort_by_key(|(tracks, _)| *tracks);
            let deciding = required.len().min(DECIDING_WORDS);
            optional.extend(required.drain(deciding..).map(|(_, query)| query));
            to_spare = group.scope.words_to_spare(deciding);
        }
        let required: Vec<_> = required.into_iter().map(|(_, query)| query).collect();
        let enough = required.len() - to_spare;
        let words: Box<dyn Query> = if to_spare == 0 {
            Box::new(BooleanQuery::intersection(required))
        } else {
            Box::new(BooleanQuery::union_with_minimum_required_clauses(
                required, enough,
            ))
        };
        let mut clauses = vec![(Occur::Must, words)];
        clauses.extend(optional.into_iter().map(|query| (Occur::Should, query)));
        let in_order = match strictness {
            Strictness::Exact => Occur::Must,
            Strictness::Spelling | Strictness::Loose => Occur::Should,
        };
        let phrases = group.phrases.iter().zip(&group.quoted);
        for (phrase, _) in phrases.filter(|(_, quoted)| **quoted) {
            let query = self.phrase(group.scope, phrase);
            clauses.extend(query.map(|query| (in_order, query)));
        }
        Box::new(BooleanQuery::new(clauses))
    }

    /// The fields a scope looks in, and what a word weighs in each.
    fn fields_of(&self, scope: Scope) -> Vec<(Field, f32)> {
        let title = (self.fields.title, TITLE_WEIGHT);
        let artist = (self.fields.artist, ARTIST_WEIGHT);
        let album = (self.fields.album, ALBUM_WEIGHT);
        match scope {
            Scope::Anywhere => vec![title, artist, album],
            Scope::Title => vec![title],
            Scope::Artist => vec![artist],
            Scope::Album => vec![album],
        }
    }

    /// The tracks that have a word in one of the fields.
    fn word(
        &self,
        scope: Scope,
        word: &str,
        unfinished: bool,
        strictness: Strictness,
    ) -> Box<dyn Query> {
        let mut spellings = vec![(word.to_owned(), 1.0)];
        let loosely = strictness != Strictness::Exact && !self.vocabulary.is_common(word);
        if loosely || self.vocabulary.tracks(word) == 0 {
            let near = self.vocabulary.near(word, unfinished);
            spellings.extend(near.into_iter().map(|near| (near.text, near.likeness)));
        }
        let mut disjuncts: Vec<Box<dyn Query>> = Vec::new();
        for (spelling, likeness) in &spellings {
            for (field, weight) in self.fields_of(scope) {
                disjuncts.push(Box::new(BoostQuery::new(
                    term(field, spelling),
                    weight * likeness,
                )));
            }
        }
        Box::new(DisjunctionMaxQuery::with_tie_breaker(
            disjuncts,
            OTHER_FIELDS,
        ))
    }

    /// The tracks that have two or more words in this order in one of the fields.
    fn phrase(&self, scope: Scope, words: &[Word]) -> Option<Box<dyn Query>> {
        if words.len() < 2 {
            return None;
        }
        let in_field = |(field, weight)| {
            let terms = words
                .iter()
                .map(|word| (word.position, Term::from_field_text(field, &word.text)))
                .collect();
            let phrase = Box::new(PhraseQuery::new_with_offset(terms));
            // The words have counted already: only a hint that their order is right.
            Box::new(BoostQuery::new(phrase, weight * 0.1)) as Box<dyn Query>
        };
        let disjuncts = self.fields_of(scope).into_iter().map(in_field).collect();
        Some(Box::new(DisjunctionMaxQuery::new(disjuncts)))
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

fn term(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(
        Term::from_field_text(field, text),
        IndexRecordOption::WithFreqs,
    ))
}

fn constant(query: Box<dyn Query>, score: f32) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, score))
}
