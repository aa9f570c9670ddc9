//! The index's fields, one track as a document of them, and the tokenizer that cuts it into words.

use std::vec;

use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use tantivy::{Index, TantivyDocument};

use super::super::catalog::Track;
use super::words::{self, Word};

/// The name of the field that holds a track's position in the slice the index was built from.
pub(super) const POSITION: &str = "position";

/// The name of the field that holds a track's popularity, 0 to 100.
pub(super) const POPULARITY: &str = "popularity";

/// The name under which [`Words`] is registered.
const WORDS: &str = "words";

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
    /// An empty index of these fields, in memory.
    pub(super) fn index() -> (Index, Self) {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(WORDS)
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
        let index = Index::create_in_ram(schema.build());
        index.tokenizers().register(WORDS, Words);
        (index, fields)
    }

    /// The fields that hold words.
    pub(super) fn of_words(&self) -> [Field; 3] {
        [self.title, self.artist, self.album]
    }

    /// `track`, found at `position`, as a document.
    pub(super) fn document(&self, position: u64, track: &Track) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_text(self.title, &track.name);
        document.add_text(self.whole_title, words::key(&words::asked(&track.name)));
        for artist in &track.artists {
            document.add_text(self.artist, artist);
            document.add_text(self.whole_artist, words::key(&words::asked(artist)));
        }
        document.add_text(self.album, &track.album);
        if let Some(isrc) = &track.isrc {
            document.add_text(self.isrc, words::isrc(isrc));
        }
        if let Some(year) = track.year() {
            document.add_u64(self.year, year.into());
        }
        document.add_u64(self.position, position);
        document.add_u64(self.popularity, track.popularity.into());
        document
    }
}

/// [`words::indexed`] as Tantivy asks for it.
#[derive(Clone)]
struct Words;

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream {
        WordStream {
            words: words::indexed(text).into_iter(),
            token: Token::default(),
        }
    }
}

struct WordStream {
    words: vec::IntoIter<Word>,
    token: Token,
}

impl TokenStream for WordStream {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.next() else {
            return false;
        };
        self.token = Token {
            text: word.text,
            position: word.position,
            ..Token::default()
        };
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
