//! The index's fields, and one track as a document of them.

use std::collections::HashMap;

use tantivy::TantivyDocument;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{PreTokenizedString, Token};

use super::super::catalog::Track;
use super::words::{self, Word};

/// The name of the field that holds a track's position in the slice the index was built from.
pub(super) const POSITION: &str = "position";

/// The name of the field that holds a track's popularity, 0 to 100.
pub(super) const POPULARITY: &str = "popularity";

/// The fields of a track.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    pub(super) title: Field,
    pub(super) artist: Field,
    pub(super) album: Field,
    /// The whole title as one key, for titles asked for exactly.
    pub(super) whole_title: Field,
    /// Each artist as one key.
    pub(super) whole_artist: Field,
    pub(super) isrc: Field,
    pub(super) year: Field,
    position: Field,
    popularity: Field,
}

impl Fields {
    pub(super) fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        // Words come ready-made from `words`, so the tokenizer named here is never run.
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let text = TextOptions::default().set_indexing_options(indexing);
        let fields = Self {
            title: schema.add_text_field("title", text.clone()),
            artist: schema.add_text_field("artist", text.clone()),
            album: schema.add_text_field("album", text),
            whole_title: schema.add_text_field("whole_title", STRING),
            whole_artist: schema.add_text_field("whole_artist", STRING),
            isrc: schema.add_text_field("isrc", STRING),
            year: schema.add_u64_field("year", INDEXED | FAST),
            position: schema.add_u64_field(POSITION, FAST),
            popularity: schema.add_u64_field(POPULARITY, FAST),
        };
        (schema.build(), fields)
    }

    /// Whether `field` holds words, each counted in the vocabulary.
    pub(super) fn holds_words(&self, field: Field) -> bool {
        [self.title, self.artist, self.album].contains(&field)
    }

    /// `track`, found at `position`, as a document; its words are counted in `counts`, each once.
    pub(super) fn document(&self, position: u64, track: &Track, counts: &mut HashMap<String, u32>) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        let mut seen = Vec::new();
        let mut add_words = |document: &mut TantivyDocument, field: Field, text: &str| {
            let words = words::indexed(text);
            seen.extend(words.iter().map(|word| word.text.clone()));
            document.add_pre_tokenized_text(field, pre_tokenized(words));
        };
        add_words(&mut document, self.title, &track.name);
        document.add_text(self.whole_title, words::key(&words::asked(&track.name)));
        for artist in &track.artists {
            add_words(&mut document, self.artist, artist);
            document.add_text(self.whole_artist, words::key(&words::asked(artist)));
        }
        add_words(&mut document, self.album, &track.album);
        if let Some(isrc) = &track.isrc {
            document.add_text(self.isrc, words::isrc(isrc));
        }
        if let Some(year) = track.year() {
            document.add_u64(self.year, year.into());
        }
        document.add_u64(self.position, position);
        document.add_u64(self.popularity, track.popularity.into());
        seen.sort_unstable();
        seen.dedup();
        for word in seen {
            *counts.entry(word).or_insert(0) += 1;
        }
        document
    }
}

fn pre_tokenized(words: Vec<Word>) -> PreTokenizedString {
    let token = |word: Word| Token { text: word.text, position: word.position, ..Token::default() };
    PreTokenizedString { text: String::new(), tokens: words.into_iter().map(token).collect() }
}
