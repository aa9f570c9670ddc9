//! The part of a JSON file that is of use, as a small tree.
//!
//! As a `serde_json::Value`, a file of many small objects would take a hundred times its size.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::imports::{
    MAX_ROWS,
    headings::{Column, column, key},
};

/// Values that are kept of a file: of 100,000 songs, a dozen each.
const MOST_VALUES: usize = 12 * MAX_ROWS;
/// Characters of a text that are kept: as many as of any field, and some that may be hidden.
const LONGEST_TEXT: usize = 1_000;
/// Artists of a song that are kept.
const MOST_NAMES: usize = 50;

/// The names under which lists of songs or of playlists stand.
const LISTS: &[&str] = &[
    "tracks",
    "songs",
    "items",
    "entries",
    "playlists",
    "data",
    "library",
];

/// A value.
pub(super) enum Node {
    Nothing,
    Words(String),
    Number(f64),
    List(Vec<Node>),
    Object(Vec<(Name, Node)>),
}

/// The name of a value, if it is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// What a column of a table may also be called, and how many names are better for it.
    Column(Column, usize),
    /// A list of songs or of playlists.
    List,
    /// Codes of many kinds, as Spotify's Web API has them.
    Codes,
}

impl Name {
    fn of(name: &str) -> Option<Self> {
        let key = key(name);
        if LISTS.contains(&key.as_str()) {
            return Some(Self::List);
        }
        if key == "externalids" {
            return Some(Self::Codes);
        }
        column(&key).map(|(column, rank)| Self::Column(column, rank))
    }
}

/// Why a text gives no tree.
pub(super) enum TreeError {
    /// It has more values than are kept.
    TooManyValues,
    /// It is not JSON.
    NotJson(serde_json::Error),
}

impl Node {
    /// Reads a text as a whole.
    pub(super) fn parse(text: &str) -> Result<Self, TreeError> {
        let left = Cell::new(MOST_VALUES);
        let mut reader = serde_json::Deserializer::from_str(text);
        let root = AnyValue(&left).deserialize(&mut reader);
        let root = root.and_then(|root| reader.end().map(|()| root));
        root.map_err(|error| match left.get() {
            0 => TreeError::TooManyValues,
            _ => TreeError::NotJson(error),
        })
    }

    /// The values in an object, with their names.
    pub(super) fn fields(&self) -> &[(Name, Node)] {
        match self {
            Self::Object(fields) => fields,
            _ => &[],
        }
    }

    /// Whether it holds songs or playlists rather than being a song.
    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::List(_)) || self.lists().next().is_some()
    }

    /// The lists in an object. A playlist may be wrapped, and so may its list.
    pub(super) fn lists(&self) -> impl Iterator<Item = &Node> {
        let lists = self.fields().iter().filter(|(name, value)| {
            matches!(name, Name::List | Name::Column(Column::Playlist, _)) && value.is_list()
        });
        lists.map(|(_, value)| value)
    }

    /// The value in an object that says best what a column would.
    pub(super) fn column(&self, wanted: Column) -> &Node {
        let ranked = self.fields().iter().filter_map(|(name, value)| match name {
            Name::Column(column, rank) if *column == wanted && !value.is_empty() => {
                Some((*rank, value))
            }
            _ => None,
        });
        ranked
            .min_by_key(|(rank, _)| *rank)
            .map_or(&Self::Nothing, |(_, value)| value)
    }

    /// The codes in an object.
    pub(super) fn codes(&self) -> &Node {
        let codes = self.fields().iter().find(|(name, _)| *name == Name::Codes);
        codes.map_or(&Self::Nothing, |(_, codes)| codes)
    }

    /// The song within an entry that has no title itself, but says when the song was added.
    pub(super) fn inner(&self) -> Option<&Node> {
        let titles = || {
            let titles = self
                .fields()
                .iter()
                .filter(|(name, _)| matches!(name, Name::Column(Column::Title, _)));
            titles.map(|(_, value)| value)
        };
        if titles().any(|title| matches!(title, Self::Words(_) | Self::Number(_))) {
            return None;
        }
        titles().find(|title| matches!(title, Self::Object(_)))
    }

    /// A value as text: itself, its name if it is an object, all that are in it if it is a list.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Words(words) => words.clone(),
            Self::Number(number) => number.to_string(),
            Self::Object(_) => match self.column(Column::Title) {
                Self::Words(words) => words.clone(),
                Self::Number(number) => number.to_string(),
                _ => String::new(),
            },
            Self::List(values) => {
                let names = values.iter().take(MOST_NAMES).map(Self::words);
                let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
                let has_comma = names.iter().any(|name| name.contains(','));
                names.join(if has_comma { "; " } else { ", " })
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Words(words) => words.trim().is_empty(),
            Self::List(values) => values.is_empty(),
            Self::Number(_) | Self::Object(_) => false,
        }
    }
}

/// Reads any value, as long as there is room for one.
#[derive(Clone, Copy)]
struct AnyValue<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
    type Value = Node;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let left = self.0.get().saturating_sub(1);
        self.0.set(left);
        if left == 0 {
            return Err(D::Error::custom("it has too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Words(text.chars().take(LONGEST_TEXT).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Node::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            match Name::of(&name) {
                Some(name) => fields.push((name, map.next_value_seed(self)?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Node::Object(fields))
    }
}
