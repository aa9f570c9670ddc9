//! Track search as Spotify's clients see it: free text and field filters, forgiving, ranked by
//! relevance and popularity.
//!
//! A query is taken apart (`syntax`), its words are folded (`words`) and gathered (`asked`), and made
//! into a query for Tantivy (`compile`); this file runs that, more loosely if it finds too little, and
//! ranks. The catalogue's words go into the index (`schema`), and into the `vocabulary`, which knows how
//! common each is and which are nearly alike.

use std::cmp::Reverse;
use std::collections::HashMap;

use tantivy::collector::{Count, TopDocs};
use tantivy::query::{Bm25StatisticsProvider, BooleanQuery, ConstScoreQuery, Occur, Query};
use tantivy::schema::Field;
use tantivy::{DocId, Score, Searcher, SegmentReader, TantivyError, Term};

use super::catalog::Track;
use asked::Asked;
use compile::{Compiler, Strictness};
use schema::Fields;
use vocabulary::Vocabulary;

mod asked;
mod compile;
mod schema;
mod syntax;
#[cfg(test)]
mod tests;
mod vocabulary;
mod words;

pub use syntax::MAX_QUERY_CHARS;

/// How many threads build an index. Each leaves a segment of its own, and every search runs through
/// all segments, so more threads would build faster but search slower.
const WRITER_THREADS: usize = 2;

/// What these threads may hold together, in bytes, before they start further segments: 150,000 tracks
/// fit.
const WRITER_BYTES: usize = 256 * 1024 * 1024;

/// Free text that finds fewer tracks than this is searched again, less strictly: a page of results
/// is 10 at most. A filter is a filter, and is only loosened when nothing at all passes it.
const ENOUGH: usize = 10;

/// Added to a track that has all words as they were spelt, when others are found that don't.
const EXACT_BONUS: f32 = 10.0;

/// How much the most popular track's score is raised above that of one nobody plays.
const POPULARITY_SHARE: f32 = 0.5;

/// An index over a slice of tracks, in memory.
pub struct SearchIndex {
    searcher: Searcher,
    fields: Fields,
    vocabulary: Vocabulary,
    tracks: usize,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Positions in the slice the index was built from, the best first.
    pub ids: Vec<usize>,
    /// How many tracks were found in all, whatever the limit.
    pub total: usize,
}

/// Why an index could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the search index could not be built: {0}")]
pub struct SearchError(#[from] TantivyError);

impl SearchIndex {
    /// Indexes `tracks`.
    ///
    /// # Errors
    /// [`SearchError`] when Tantivy can't write the index, for want of memory or threads.
    pub fn build(tracks: &[Track]) -> Result<Self, SearchError> {
        let (index, fields) = Fields::index();
        let mut writer = index.writer_with_num_threads(WRITER_THREADS, WRITER_BYTES)?;
        for (position, track) in (0..).zip(tracks) {
            writer.add_document(fields.document(position, track))?;
        }
        writer.commit()?;
        writer.wait_merging_threads()?;
        let searcher = index.reader()?.searcher();
        let vocabulary = Vocabulary::new(word_counts(&searcher, fields)?, tracks.len());
        Ok(Self {
            searcher,
            fields,
            vocabulary,
            tracks: tracks.len(),
        })
    }

    /// Searches for `query` in Spotify's query language, and answers with at most `limit` tracks after
    /// the first `offset`. No query is an error: one that says nothing finds nothing, and what follows
    /// its first [`MAX_QUERY_CHARS`] characters isn't read.
    #[must_use]
    pub fn search(&self, query: &str, limit: usize, offset: usize) -> Hits {
        let asked = Asked::new(syntax::parse(query));
        if asked.is_empty() {
            return Hits::default();
        }
        self.run(&asked, limit, offset).unwrap_or_else(|error| {
            // The index is in memory and never written again, so there is nothing a caller could do.
            tracing::error!(%error, "the search index failed");
            Hits::default()
        })
    }

    fn run(&self, asked: &Asked, limit: usize, offset: usize) -> Result<Hits, TantivyError> {
        let compiler = Compiler {
            fields: self.fields,
            vocabulary: &self.vocabulary,
        };
        let exact = compiler.compile(asked, Strictness::Exact);
        let hits = self.top(&*exact, limit, offset)?;
        let enough = if asked.is_free_text() { ENOUGH } else { 1 };
        if hits.total >= enough || !asked.has_words() {
            return Ok(hits);
        }
        if !asked.is_free_text() {
            let hits = self.top(
                &*compiler.compile(asked, Strictness::Spelling),
                limit,
                offset,
            )?;
            if hits.total > 0 {
                return Ok(hits);
            }
        }
        let loose = compiler.compile(asked, Strictness::Loose);
        let exact_first: Box<dyn Query> = Box::new(ConstScoreQuery::new(exact, EXACT_BONUS));
        let both = BooleanQuery::new(vec![(Occur::Must, loose), (Occur::Should, exact_first)]);
        self.top(&both, limit, offset)
    }

    /// Runs one query, and ranks what it finds: what the text scores, raised by the track's popularity.
    fn top(&self, query: &dyn Query, limit: usize, offset: usize) -> Result<Hits, TantivyError> {
        let offset = offset.min(self.tracks);
        // Tantivy sets memory aside for all it may return, and panics when asked for nothing.
        let window = limit.clamp(1, self.tracks.max(1));
        let top = TopDocs::with_limit(window).and_offset(offset).tweak_score(
            |segment: &SegmentReader| {
                let column = |name| {
                    segment
                        .fast_fields()
                        .u64(name)
                        .ok()
                        .map(|column| column.first_or_default_col(0))
                };
                // Every document has both, so no segment is without them.
                let (popularity, position) = (column(schema::POPULARITY), column(schema::POSITION));
                move |doc: DocId, score: Score| {
                    let popularity = popularity.as_ref().map_or(0, |column| column.get_val(doc));
                    let position = position.as_ref().map_or(0, |column| column.get_val(doc));
                    let score = score * (1.0 + POPULARITY_SHARE * popularity as f32 / 100.0);
                    // Rounded, because the last bits depend on the order in which Tantivy adds
                    // the words up. Equals keep the order of the catalogue.
                    ((score * 1000.0).round(), Reverse(position))
                }
            },
        );
        let (ranked, total) = self.searcher.search_with_statistics_provider(
            query,
            &(top, Count),
            &Statistics(self),
        )?;
        let ids = ranked
            .into_iter()
            .take(limit)
            .filter_map(|((_, Reverse(position)), _)| usize::try_from(position).ok());
        Ok(Hits {
            ids: ids.collect(),
            total,
        })
    }
}

/// Each word of the index, with the number of tracks that have it in the field where it is most common.
fn word_counts(searcher: &Searcher, fields: Fields) -> Result<HashMap<String, u32>, TantivyError> {
    let mut counts: HashMap<String, u32> = HashMap::new();
    for field in fields.of_words() {
        let mut in_field: HashMap<String, u32> = HashMap::new();
        for segment in searcher.segment_readers() {
            let words = segment.inverted_index(field)?;
            let mut stream = words.terms().stream()?;
            while stream.advance() {
                let word = String::from_utf8_lossy(stream.key()).into_owned();
                *in_field.entry(word).or_default() += stream.value().doc_freq;
            }
        }
        for (word, tracks) in in_field {
            let most = counts.entry(word).or_default();
            *most = tracks.max(*most);
        }
    }
    Ok(counts)
}

/// How common words are, for the score: the same in every field. Counted by field, as Tantivy
/// does it, the word `love` would weigh most where it is rare, as the name of an artist.
struct Statistics<'a>(&'a SearchIndex);

impl Bm25StatisticsProvider for Statistics<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        self.0.searcher.total_num_tokens(field)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Bm25StatisticsProvider::total_num_docs(&self.0.searcher)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        if self.0.fields.of_words().contains(&term.field()) {
            return Ok(term
                .value()
                .as_str()
                .map_or(0, |word| self.0.vocabulary.tracks(word).into()));
        }
        self.0.searcher.doc_freq(term)
    }
}
