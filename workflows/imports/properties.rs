//! What holds whatever a file has in it.

use csv_core::WriterBuilder;
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{hostile::text, upstream::clean};

/// The fixtures, to be cut and mixed.
const FILES: &[&[u8]] = &[
    include_bytes!("fixtures/tunemymusic.csv"),
    include_bytes!("fixtures/soundiiz.csv"),
    include_bytes!("fixtures/exportify.csv"),
    include_bytes!("fixtures/exportify_net.csv"),
    include_bytes!("fixtures/roon_broken.csv"),
    include_bytes!("fixtures/apple_music.txt"),
    include_bytes!("fixtures/apple_music_german.txt"),
    include_bytes!("fixtures/library.xml"),
    include_bytes!("fixtures/playlist.m3u8"),
    include_bytes!("fixtures/lines.txt"),
    include_bytes!("fixtures/songs.json"),
    include_bytes!("fixtures/playlists.json"),
    include_bytes!("fixtures/songs_mixed.json"),
    include_bytes!("fixtures/table.csv"),
];

/// Files of any kind: anything at all, or a fixture of which parts were cut out and replaced.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        0..60_usize,
        vec(any::<u8>(), 0..8),
    );
    let changed = (select(FILES), vec(change, 0..6)).prop_map(|(file, changes)| {
        let mut file = file.to_vec();
        for (at, length, bytes) in changes {
            let start = at.index(file.len() + 1);
            let end = file.len().min(start + length);
            file.splice(start..end, bytes);
        }
        file
    });
    prop_oneof![
        4 => changed,
        1 => vec(any::<u8>(), 0..400),
        1 => text().prop_map(String::into_bytes),
        1 => vec(text(), 0..8).prop_map(|lines| lines.join("\n").into_bytes()),
    ]
}

/// A form of table: its heading, which columns hold title, artist and album, its delimiter.
type Form = (&'static [&'static str], [usize; 3], u8, Format);

const FORMS: &[Form] = &[
    (
        &[
            "Track name",
            "Artist name",
            "Album",
            "Playlist name",
            "Type",
            "ISRC",
        ],
        [0, 1, 2],
        b',',
        Format::TuneMyMusic,
    ),
    (
        &[
            "title",
            "artist",
            "album",
            "isrc",
            "addedDate",
            "addedBy",
            "duration",
            "url",
        ],
        [0, 1, 2],
        b';',
        Format::Soundiiz,
    ),
    (
        &[
            "Track URI",
            "Track Name",
            "Album Name",
            "Artist Name(s)",
            "Duration (ms)",
        ],
        [1, 3, 2],
        b',',
        Format::ExportifyNet,
    ),
    (
        &["Nr", "Artiste", "Titre", "Album"],
        [2, 1, 3],
        b'\t',
        Format::Csv,
    ),
    (&["Song", "Band", "Release"], [0, 1, 2], b'|', Format::Csv),
];

/// Writes records as a program does that quotes where it must.
fn table(rows: &[Vec<String>], delimiter: u8) -> Vec<u8> {
    let mut writer = WriterBuilder::new().delimiter(delimiter).build();
    let mut file = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    for row in rows {
        for (place, field) in row.iter().enumerate() {
            if place > 0 {
                let (_, written) = writer.delimiter(&mut buffer);
                file.extend(&buffer[..written]);
            }
            let (_, read, written) = writer.field(field.as_bytes(), &mut buffer);
            assert_eq!(read, field.len());
            file.extend(&buffer[..written]);
        }
        let (_, written) = writer.terminator(&mut buffer);
        file.extend(&buffer[..written]);
    }
    file
}

/// A field as it is read: a very long one is cut before it is cleaned.
fn kept(field: &str) -> String {
    clean(field[..field.floor_char_boundary(4_000)].trim())
}

/// A field that names something.
fn named() -> impl Strategy<Value = String> {
    // So many control characters that the file is taken for no text are another matter.
    text().prop_filter("it names something that can be seen", |text| {
        let controls = text
            .chars()
            .filter(|c| c.is_control() && *c != '\n')
            .count();
        // At the start of a record the parser drops a byte-order mark before the field is cut, at 500 characters.
        let cut_elsewhere = text.starts_with('\u{feff}') && text.chars().count() > 490;
        !kept(text).is_empty() && controls < 3 && !cut_elsewhere
    })
}

fn songs(import: &Import) -> impl Iterator<Item = &ImportedRow> {
    import.playlists.iter().flat_map(|playlist| &playlist.rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_file_is_read_within_bounds_or_refused_with_advice(file in file()) {
        let import = match read(&file) {
            Ok(import) => import,
            Err(error) => {
                let advice = error.to_string();
                prop_assert!(advice.starts_with("The ") && advice.ends_with('.'), "{}", advice);
                return Ok(());
            }
        };
        prop_assert!(songs(&import).count() + import.unreadable.len() > 0);
        for row in songs(&import) {
            let track = &row.track;
            for words in [&track.title, &track.artist].into_iter().chain(&track.album) {
                prop_assert!(!words.is_empty() && words.chars().count() <= 500);
                prop_assert_eq!(&clean(words), words);
            }
            prop_assert!(row.line >= 1);
            prop_assert!(track.duration_ms.is_none_or(|ms| (1..=86_400_000).contains(&ms)));
            prop_assert!(track.isrc.is_some() || track.other_isrcs.is_empty());
            prop_assert!(track.other_isrcs.len() < 10);
            prop_assert!(track.spotify_id.as_ref().is_none_or(|id| id.len() == 22));
        }
        for playlist in &import.playlists {
            prop_assert!(!playlist.rows.is_empty());
            prop_assert!(playlist.name.as_ref().is_none_or(|name| !name.is_empty()));
            let lines: Vec<u32> = playlist.rows.iter().map(|row| row.line).collect();
            prop_assert!(lines.is_sorted(), "{:?}", lines);
        }
        for row in &import.unreadable {
            prop_assert!(row.line >= 1 && row.text.chars().count() <= MAX_EXCERPT);
            prop_assert_eq!(&clean(&row.text), &row.text);
            prop_assert!(row.reason.ends_with('.'));
        }
    }

    #[test]
    fn what_is_written_as_a_table_is_read_back_with_the_lines_it_begins_on(
        form in select(FORMS),
        rows in vec((named(), named(), text()), 1..6),
    ) {
        let (heading, places, delimiter, format) = form;
        let heading: Vec<String> = heading.iter().map(|name| (*name).to_owned()).collect();
        let mut written = vec![heading.clone()];
        for (title, artist, album) in &rows {
            let mut row = vec![String::new(); heading.len()];
            // All lines end in the same way, and zeros look like UTF-16.
            for (place, words) in places.iter().zip([title, artist, album]) {
                row[*place] = words.replace(['\r', '\0'], " ");
            }
            written.push(row);
        }
        let mut line = 1;
        let mut expected = Vec::new();
        for row in &written {
            let [title, artist, album] = places.map(|place| kept(&row[place]));
            expected.push((line, title, artist, Some(album).filter(|album| !album.is_empty())));
            line += 1 + row.iter().map(|field| field.matches('\n').count()).sum::<usize>();
        }
        let file = table(&written, delimiter);
        // A lone control character more or less may decide whether it is text.
        prop_assume!(!matches!(read(&file), Err(ImportError::NotText { .. })));
        let import = read(&file).expect("the file can be read");
        prop_assert_eq!(import.format, format);
        prop_assert_eq!(&import.unreadable, &[]);
        let read: Vec<_> = songs(&import)
            .map(|row| {
                let track = row.track.clone();
                (row.line as usize, track.title, track.artist, track.album)
            })
            .collect();
        prop_assert_eq!(&read, &expected[1..]);
    }

    #[test]
    fn a_cut_file_gives_no_song_that_the_whole_one_has_not(
        file in select(&FILES[..4]),
        at in any::<prop::sample::Index>(),
    ) {
        let whole = read(file).expect("a fixture");
        let Ok(part) = read(&file[..at.index(file.len())]) else { return Ok(()) };
        for row in songs(&part) {
            // In the last field there is no telling whether it was cut.
            let same = |other: &&ImportedRow| {
                (other.line, &other.track.title, &other.track.artist)
                    == (row.line, &row.track.title, &row.track.artist)
            };
            prop_assert!(songs(&whole).any(|other| same(&other)), "{:?}", row);
        }
    }
}
