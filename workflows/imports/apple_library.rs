//! The XML file of Apple Music and iTunes: all tracks by number, then playlists that name the numbers.
//!
//! It is a property list, but read event by event: made into values as a whole, a file of nothing but
//! nested arrays would overflow the stack when they are dropped.

use std::collections::HashMap;

use quick_xml::{Reader, escape::resolve_xml_entity, events::Event};

use super::{
    Format, Import, ImportError, MAX_ROWS,
    collected::{Collected, Found},
    fields::{Unit, duration_ms},
    text::Text,
};

/// Bytes in which a property list names itself.
const START: usize = 1_000;
/// Bytes of a value that are kept, about.
const LONGEST_VALUE: usize = 4_000;

const NO_TRACK: &str = "The playlist names a track that the file does not describe.";

/// Whether a text is a property list.
pub(super) fn fits(start: &str) -> bool {
    let first = &start.as_bytes()[..start.len().min(START)];
    first.starts_with(b"<") && first.windows(6).any(|word| word == b"<plist")
}

/// A track as the library describes it.
#[derive(Default)]
struct Track {
    title: String,
    artist: String,
    album_artist: String,
    album: String,
    duration_ms: Option<u32>,
    /// Why it is no song, if it is none.
    reason: Option<&'static str>,
}

/// A playlist of the library.
#[derive(Default)]
struct Playlist {
    name: String,
    /// The numbers of its tracks.
    tracks: Vec<u64>,
    /// Whether it is not the user's own: a folder, or a view such as "Library", "Music" or "Purchased",
    /// which repeats what is in the others.
    is_built_in: bool,
}

/// Reads a library, or a playlist that was exported alone.
pub(super) fn read(file: &Text) -> Result<Import, ImportError> {
    let mut xml = Plist::new(&file.text);
    if !matches!(xml.next()?, Item::Dict) {
        return Err(ImportError::UnknownForm);
    }
    let (mut tracks, mut playlists) = (None, Vec::new());
    while let Some(key) = xml.key()? {
        match (key.as_str(), xml.value()?) {
            ("Tracks", Item::Dict) => tracks = Some(read_tracks(&mut xml)?),
            ("Playlists", Item::Array) => playlists = read_playlists(&mut xml)?,
            (_, other) => xml.skip(other)?,
        }
    }
    let tracks = tracks.ok_or(ImportError::UnknownForm)?;
    collect(file, &tracks, &playlists)
}

fn read_tracks(xml: &mut Plist<'_>) -> Result<Vec<(u64, Track)>, ImportError> {
    let mut tracks = Vec::new();
    while let Some(number) = xml.key()? {
        match xml.value()? {
            Item::Dict if tracks.len() == MAX_ROWS => return Err(ImportError::TooManyRows),
            Item::Dict => {
                let track = read_track(xml)?;
                if let Ok(number) = number.trim().parse() {
                    tracks.push((number, track));
                }
            }
            other => xml.skip(other)?,
        }
    }
    Ok(tracks)
}

fn read_track(xml: &mut Plist<'_>) -> Result<Track, ImportError> {
    let mut track = Track::default();
    while let Some(key) = xml.key()? {
        match (key.as_str(), xml.value()?) {
            ("Name", Item::Text(text)) => track.title = text,
            ("Artist", Item::Text(text)) => track.artist = text,
            ("Album Artist", Item::Text(text)) => track.album_artist = text,
            ("Album", Item::Text(text)) => track.album = text,
            ("Total Time", Item::Text(text)) => {
                track.duration_ms = duration_ms(&text, Unit::Milliseconds);
            }
            ("Podcast", Item::True) => {
                track.reason = Some("It is an episode of a podcast, not a track.");
            }
            ("Movie", Item::True) => track.reason = Some("It is a film, not a track."),
            ("TV Show", Item::True) => {
                track.reason = Some("It is an episode of a series, not a track.");
            }
            (_, other) => xml.skip(other)?,
        }
    }
    Ok(track)
}

fn read_playlists(xml: &mut Plist<'_>) -> Result<Vec<Playlist>, ImportError> {
    let mut playlists = Vec::new();
    loop {
        match xml.next()? {
            Item::Dict => playlists.push(read_playlist(xml)?),
            Item::End => return Ok(playlists),
            other => xml.skip(other)?,
        }
    }
}

fn read_playlist(xml: &mut Plist<'_>) -> Result<Playlist, ImportError> {
    let mut playlist = Playlist::default();
    while let Some(key) = xml.key()? {
        match (key.as_str(), xml.value()?) {
            ("Name", Item::Text(text)) => playlist.name = text,
            ("Playlist Items", Item::Array) => playlist.tracks = read_items(xml)?,
            ("Master" | "Folder", Item::True) => playlist.is_built_in = true,
            ("Distinguished Kind", Item::Text(_)) => playlist.is_built_in = true,
            (_, other) => xml.skip(other)?,
        }
    }
    Ok(playlist)
}

fn read_items(xml: &mut Plist<'_>) -> Result<Vec<u64>, ImportError> {
    let mut items = Vec::new();
    loop {
        match xml.next()? {
            Item::Dict => {
                while let Some(key) = xml.key()? {
                    match (key.as_str(), xml.value()?) {
                        // A number that is none is kept as one that no track has.
                        ("Track ID", Item::Text(text)) => {
                            items.push(text.trim().parse().unwrap_or(u64::MAX));
                        }
                        (_, other) => xml.skip(other)?,
                    }
                }
            }
            Item::End => return Ok(items),
            other => xml.skip(other)?,
        }
    }
}

/// The user's own playlists; if there are none, all tracks as one.
fn collect(
    file: &Text,
    tracks: &[(u64, Track)],
    playlists: &[Playlist],
) -> Result<Import, ImportError> {
    let mut collected = Collected::new(file);
    let places: HashMap<u64, &Track> = tracks.iter().map(|(number, t)| (*number, t)).collect();
    let own = |playlist: &&Playlist| !playlist.is_built_in && !playlist.tracks.is_empty();
    for playlist in playlists.iter().filter(own) {
        collected.open(&playlist.name);
        for (number, position) in playlist.tracks.iter().zip(1..) {
            match places.get(number) {
                Some(track) => collect_track(&mut collected, position, track)?,
                None => {
                    let text = format!("Track ID {number}");
                    collected.unreadable(position, &text, NO_TRACK)?;
                }
            }
        }
    }
    if !playlists.iter().any(|playlist| own(&playlist)) {
        for ((_, track), position) in tracks.iter().zip(1..) {
            collect_track(&mut collected, position, track)?;
        }
    }
    collected.finish(Format::AppleLibrary)
}

fn collect_track(
    collected: &mut Collected,
    position: u32,
    track: &Track,
) -> Result<(), ImportError> {
    let artist = match track.artist.trim() {
        "" => &track.album_artist,
        _ => &track.artist,
    };
    let text = match artist.is_empty() {
        true => track.title.clone(),
        false => format!("{artist} - {}", track.title),
    };
    if let Some(reason) = track.reason {
        return collected.unreadable(position, &text, reason);
    }
    let found = Found {
        title: &track.title,
        artist,
        album: &track.album,
        duration_ms: track.duration_ms,
        ..Found::default()
    };
    collected.song(position, found, &text)
}

/// A property list, piece by piece.
struct Plist<'a> {
    reader: Reader<&'a [u8]>,
    text: &'a str,
}

/// A piece of a property list.
enum Item {
    /// A dictionary begins.
    Dict,
    /// An array begins.
    Array,
    /// The innermost dictionary or array ends.
    End,
    /// A key of a dictionary.
    Key(String),
    /// A value of any other kind, as it is written.
    Text(String),
    /// `<true/>`
    True,
}

impl<'a> Plist<'a> {
    fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, text }
    }

    fn next(&mut self) -> Result<Item, ImportError> {
        loop {
            match self.event()? {
                Event::Start(tag) => match tag.local_name().as_ref() {
                    b"plist" => {}
                    b"dict" => return Ok(Item::Dict),
                    b"array" => return Ok(Item::Array),
                    b"key" => return Ok(Item::Key(self.content()?)),
                    b"true" => return self.content().map(|_| Item::True),
                    _ => return Ok(Item::Text(self.content()?)),
                },
                Event::End(tag) if tag.local_name().as_ref() != b"plist" => return Ok(Item::End),
                // What stands between the elements is layout, and there may be comments.
                _ => {}
            }
        }
    }

    /// The next key of a dictionary; `None` at its end.
    fn key(&mut self) -> Result<Option<String>, ImportError> {
        loop {
            match self.next()? {
                Item::Key(key) => return Ok(Some(key)),
                Item::End => return Ok(None),
                other => self.skip(other)?,
            }
        }
    }

    /// The value of a key, or the beginning of it.
    fn value(&mut self) -> Result<Item, ImportError> {
        match self.next()? {
            Item::Key(_) | Item::End => Err(self.broken("a key has no value")),
            value => Ok(value),
        }
    }

    /// Passes over the rest of a value that was begun.
    fn skip(&mut self, begun: Item) -> Result<(), ImportError> {
        let mut open = usize::from(matches!(begun, Item::Dict | Item::Array));
        while open > 0 {
            match self.next()? {
                Item::Dict | Item::Array => open += 1,
                Item::End => open -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// The text up to the end of the element, without elements in it. Entities that the file defines
    /// itself are left out: a few lines of them can make gigabytes.
    fn content(&mut self) -> Result<String, ImportError> {
        let mut content = String::new();
        let mut keep = |text: &str| {
            let room = LONGEST_VALUE.saturating_sub(content.len());
            content.extend(text.chars().take(room));
        };
        let mut open = 0_usize;
        loop {
            match self.event()? {
                Event::Text(text) => keep(&text.decode().unwrap_or_default()),
                Event::CData(text) => keep(&text.decode().unwrap_or_default()),
                Event::GeneralRef(name) => {
                    if let Ok(Some(c)) = name.resolve_char_ref() {
                        keep(c.encode_utf8(&mut [0; 4]));
                    } else if let Some(text) =
                        resolve_xml_entity(&name.decode().unwrap_or_default())
                    {
                        keep(text);
                    }
                }
                Event::Start(_) => open += 1,
                Event::End(_) if open == 0 => return Ok(content),
                Event::End(_) => open -= 1,
                _ => {}
            }
        }
    }

    fn event(&mut self) -> Result<Event<'a>, ImportError> {
        match self.reader.read_event() {
            Ok(Event::Eof) => Err(self.broken("it ends too early")),
            Ok(event) => Ok(event),
            Err(error) => {
                let problem = error.to_string();
                Err(self.broken(&problem))
            }
        }
    }

    fn broken(&self, problem: &str) -> ImportError {
        let read = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        let read = &self.text.as_bytes()[..read.min(self.text.len())];
        let lines = read.iter().filter(|byte| **byte == b'\n').count();
        ImportError::NotWellFormed {
            form: "XML",
            line: u32::try_from(lines + 1).unwrap_or(u32::MAX),
            problem: crate::upstream::clean(problem),
        }
    }
}
