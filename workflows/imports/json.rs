//! JSON: a list of songs, or playlists with songs, by the names that programs usually give them.
//! Spotify's own account data and dumps of its Web API are of this kind.

mod tree;

use serde_json::error::Category;

use self::tree::{Name, Node, TreeError};
use super::{
    Format, Import, ImportError,
    collected::{Collected, Found},
    fields::{Unit, duration_ms, number_ms},
    headings::Column,
    text::Text,
};
use crate::track::spotify_id;

const NO_SONG: &str = "It is neither a song nor a playlist.";

/// Whether a text is JSON, by how it begins. A line may begin with a bracket too.
pub(super) fn fits(start: &str) -> bool {
    let mut characters = start.chars().filter(|c| !c.is_whitespace());
    match characters.next() {
        Some('{') => matches!(characters.next(), Some('"' | '}') | None),
        Some('[') => matches!(characters.next(), Some('{' | '[' | '"' | ']') | None),
        _ => false,
    }
}

/// Reads a file.
pub(super) fn read(file: &Text) -> Result<Import, ImportError> {
    let root = Node::parse(&file.text).map_err(|error| match error {
        TreeError::TooManyValues => ImportError::TooManyRows,
        TreeError::NotJson(error) => not_well_formed(&error),
    })?;
    let song = root.inner().unwrap_or(&root);
    if !root.is_list() && song.words().is_empty() {
        return Err(ImportError::UnknownForm);
    }
    let mut collected = Collected::new(file);
    collect(&root, "", &mut collected)?;
    collected.finish(Format::Json)
}

fn not_well_formed(error: &serde_json::Error) -> ImportError {
    let problem = match error.classify() {
        Category::Eof => "it ends too early".to_owned(),
        _ => {
            // The place is told apart.
            let said = error.to_string();
            said.split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned()
        }
    };
    ImportError::NotWellFormed {
        form: "JSON",
        line: u32::try_from(error.line()).unwrap_or(u32::MAX),
        problem,
    }
}

/// Takes the songs out of a value. `name` is that of the playlist they belong to.
fn collect(node: &Node, name: &str, collected: &mut Collected) -> Result<(), ImportError> {
    match node {
        Node::List(entries) => {
            collected.open(name);
            // In a flat list, each song names its playlist.
            let own = |entry| words_of(entry, Column::Playlist);
            let is_flat = entries.iter().any(|entry| own(entry).is_some());
            for (entry, position) in entries.iter().zip(1..) {
                if entry.is_list() {
                    continue;
                }
                if is_flat {
                    collected.choose(own(entry).unwrap_or(name));
                }
                collect_song(entry, position, collected)?;
            }
            let mut lists = entries.iter().filter(|entry| entry.is_list());
            lists.try_for_each(|list| collect(list, "", collected))
        }
        _ if node.is_list() => {
            let own = words_of(node, Column::Playlist).or_else(|| words_of(node, Column::Title));
            let name = own.unwrap_or(name);
            node.lists()
                .try_for_each(|list| collect(list, name, collected))
        }
        _ => collect_song(node, 1, collected),
    }
}

fn collect_song(entry: &Node, position: u32, collected: &mut Collected) -> Result<(), ImportError> {
    let song = entry.inner().unwrap_or(entry);
    if matches!(song, Node::Nothing | Node::Number(_)) {
        return collected.unreadable(position, &song.words(), NO_SONG);
    }
    let (title, artist) = (song.words(), song.column(Column::Artist).words());
    let codes = [song, song.codes()].map(|holder| holder.column(Column::Isrc).words());
    let found = Found {
        title: &title,
        artist: &artist,
        album: &song.column(Column::Album).words(),
        isrc: &codes.join(","),
        duration_ms: length(song.column(Column::Milliseconds), Unit::Milliseconds)
            .or_else(|| length(song.column(Column::Duration), Unit::Untold)),
        spotify_id: song
            .fields()
            .iter()
            .find_map(|(name, value)| match (name, value) {
                (Name::Column(Column::SpotifyId, _), Node::Words(words)) => spotify_id(words),
                _ => None,
            }),
    };
    let text = match artist.is_empty() {
        true => title.clone(),
        false => format!("{artist} - {title}"),
    };
    collected.song(position, found, &text)
}

/// What an object says in plain words.
fn words_of(node: &Node, column: Column) -> Option<&str> {
    match node.column(column) {
        Node::Words(words) => Some(words),
        _ => None,
    }
}

fn length(node: &Node, unit: Unit) -> Option<u32> {
    match node {
        Node::Number(number) => number_ms(*number, unit),
        Node::Words(words) => duration_ms(words, unit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_how_it_begins() {
        for text in ["{}", "[]", "[{", "{ \"a", "[\n\"a - b\"]", "[", "{"] {
            assert!(fits(text), "{text}");
        }
        for text in ["[bsdu] - lofi", "{artist} - b", "", "a"] {
            assert!(!fits(text), "{text}");
        }
    }
}
