//! M3U and M3U8: lists of files, with or without what is on them.

use super::{
    Format, Import, ImportError,
    collected::{CUT_OFF, Collected, Found},
    fields::{Unit, artist_and_title, number_ms},
    lines::without_number,
    text::Text,
};
use crate::{track::spotify_id, upstream::clean};

/// Lines in which a list is recognised.
const FIRST_LINES: usize = 50;

/// What the names of music files end with.
const EXTENSIONS: &[&str] = &[
    "aac", "aif", "aiff", "alac", "ape", "dsf", "flac", "m4a", "m4p", "mka", "mp3", "mp4", "mpc",
    "oga", "ogg", "opus", "wav", "webm", "wma", "wv",
];

const NO_NAMES: &str =
    "Neither its #EXTINF line nor its file name is of the form \"Artist - Title\".";
const NO_NAMES_IN_FILE: &str =
    "It has no #EXTINF line, and its file name is not of the form \"Artist - Title\".";

/// Whether a text has the lines that only such lists have.
pub(super) fn has_directives(text: &str) -> bool {
    let mut first = text.lines().take(FIRST_LINES);
    first.any(|line| directive(line, "EXTM3U").is_some() || directive(line, "EXTINF:").is_some())
}

/// Whether a text names music files, and little else.
pub(super) fn lists_files(text: &str) -> bool {
    let (mut files, mut all) = (0, 0);
    for line in text.lines().map(str::trim).take(FIRST_LINES) {
        if !line.is_empty() && !line.starts_with('#') {
            all += 1;
            files += usize::from(without_extension(line).is_some());
        }
    }
    files > 0 && files * 2 >= all
}

/// What is told of the next file.
#[derive(Default)]
struct Entry<'a> {
    /// The line on which its `#EXTINF` stands, and the line itself.
    line: Option<(u32, &'a str)>,
    seconds: Option<f64>,
    /// What the `#EXTINF` says is on it.
    names: &'a str,
    artist: &'a str,
    album: &'a str,
}

/// Reads a list.
pub(super) fn read(file: &Text) -> Result<Import, ImportError> {
    let mut collected = Collected::new(file);
    let mut entry = Entry::default();
    for (line, number) in file.text.lines().zip(1..) {
        let line = line.trim();
        if let Some(info) = directive(line, "EXTINF:") {
            // Some lists have no files, only what is on them.
            let before = std::mem::take(&mut entry);
            if before.line.is_some() {
                add(&mut collected, before, None)?;
            }
            let (seconds, names) = parts_of_info(info);
            entry = Entry {
                line: Some((number, line)),
                seconds,
                names,
                ..Entry::default()
            };
        } else if let Some(name) = directive(line, "PLAYLIST:") {
            // It stands at the top, but files that were joined have several.
            let before = std::mem::take(&mut entry);
            if before.line.is_some() {
                add(&mut collected, before, None)?;
            }
            collected.open(name);
        } else if let Some(artist) = directive(line, "EXTART:") {
            entry.artist = artist;
        } else if let Some(album) = directive(line, "EXTALB:") {
            entry.album = album;
        } else if !line.is_empty() && !line.starts_with('#') {
            add(
                &mut collected,
                std::mem::take(&mut entry),
                Some((number, line)),
            )?;
        }
    }
    if let Some((number, line)) = entry.line {
        if file.text.ends_with('\n') {
            add(&mut collected, entry, None)?;
        } else {
            collected.unreadable(number, line, CUT_OFF)?;
        }
    }
    collected.finish(Format::M3u)
}

fn add(
    collected: &mut Collected,
    entry: Entry<'_>,
    path: Option<(u32, &str)>,
) -> Result<(), ImportError> {
    let Some((line, text)) = entry.line.or(path) else {
        return Ok(());
    };
    let told = clean(entry.names);
    let stem = path.map(|(_, path)| stem(path)).unwrap_or_default();
    let both = told_names(&entry, &told).or_else(|| {
        let (artist, title) = artist_and_title(&stem)?;
        Some((artist, without_number(title, |_| true)))
    });
    let Some((artist, title)) = both else {
        let reason = match entry.line {
            Some(_) => NO_NAMES,
            None => NO_NAMES_IN_FILE,
        };
        return collected.unreadable(line, text, reason);
    };
    let found = Found {
        title,
        artist,
        album: entry.album,
        duration_ms: entry
            .seconds
            .and_then(|seconds| number_ms(seconds, Unit::Seconds)),
        spotify_id: path.and_then(|(_, path)| spotify_id(path)),
        ..Found::default()
    };
    collected.song(line, found, text)
}

/// Artist and title as the directives tell them. A title may have a dash, so an artist who is told
/// apart counts more than the one before the dash.
fn told_names<'a>(entry: &Entry<'a>, told: &'a str) -> Option<(&'a str, &'a str)> {
    match artist_and_title(told) {
        Some((artist, title)) if entry.artist.is_empty() || entry.artist == artist => {
            Some((artist, title))
        }
        _ => Some((entry.artist, told)).filter(|(a, t)| !a.is_empty() && !t.is_empty()),
    }
}

/// What follows `#` and this word, in any case of letters.
fn directive<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix('#')?;
    let (start, rest) = rest.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then(|| rest.trim())
}

/// The seconds and the names of `123,Artist - Title`. Between the two there may be attributes, and
/// commas within their quotation marks.
fn parts_of_info(info: &str) -> (Option<f64>, &str) {
    let digits = info.find(|c: char| !c.is_ascii_digit() && c != '.');
    let seconds = info[..digits.unwrap_or(info.len())].parse().ok();
    let mut is_quoted = false;
    let comma = info.find(|c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    (seconds, comma.map_or("", |comma| &info[comma + 1..]))
}

/// The name of a file without its folders, its number and its extension.
fn stem(path: &str) -> String {
    let is_url = path.contains("://");
    let decoded = if is_url {
        percent_decoded(path)
    } else {
        path.to_owned()
    };
    let name = decoded.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = clean(without_extension(name).unwrap_or(name));
    let name = match name.contains(' ') {
        true => name,
        false => name.replace('_', " "),
    };
    without_number(&name, |_| true).to_owned()
}

/// A path without its extension, if that is one of music.
fn without_extension(path: &str) -> Option<&str> {
    let (stem, extension) = path.rsplit_once('.')?;
    let is_music = EXTENSIONS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(extension));
    is_music.then_some(stem)
}

/// A URL's path as text. What is no code stays as it is, and so does all of it if the codes are no UTF-8.
fn percent_decoded(path: &str) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_names_are_found_behind_attributes() {
        for (info, expected) in [
            ("123,A - B", (Some(123.0), "A - B")),
            ("-1,A - B, C", (None, "A - B, C")),
            ("12.5 logo=\"a,b\" group=\"c\",A - B", (Some(12.5), "A - B")),
            ("123", (Some(123.0), "")),
            ("", (None, "")),
        ] {
            assert_eq!(parts_of_info(info), expected, "{info}");
        }
    }

    #[test]
    fn a_file_name_gives_its_names_away() {
        for (path, expected) in [
            ("/music/Björk/Post/Björk - Jóga.flac", "Björk - Jóga"),
            ("C:\\Music\\01 - Blur - Song 2.MP3", "Blur - Song 2"),
            ("01. Mr. Big - Vol. 2", "Mr. Big - Vol. 2"),
            (
                "file:///a/Sigur%20R%C3%B3s%20-%20Gl%C3%B3s%C3%B3li.m4a",
                "Sigur Rós - Glósóli",
            ),
            ("file:///a/100%-%zz%ff.mp3", "100%-%zz%ff"),
            ("Daft_Punk_-_One_More_Time.ogg", "Daft Punk - One More Time"),
            ("50 Cent - In da Club.mp3", "50 Cent - In da Club"),
            ("07 Air - La Femme d'Argent.wma", "Air - La Femme d'Argent"),
        ] {
            assert_eq!(stem(path), expected);
        }
    }
}
