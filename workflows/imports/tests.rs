//! Files as the real tools write them, and files that are broken: exactly what is read of each.

mod lists;
mod structured;
mod tables;

use super::*;

/// A file of the folder `fixtures`.
macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/imports/fixtures/",
            $name
        ))
        .as_slice()
    };
}
use fixture;

/// What was read, a line for each playlist (`=`), song, and unreadable row (`!`).
///
/// Of a song: its line, title, artist, and what else is known of it, in brackets if it is an album.
fn told(bytes: &[u8]) -> (Format, Vec<String>) {
    let import = read(bytes).expect("the file can be read");
    let mut told = Vec::new();
    for playlist in &import.playlists {
        told.push(format!("= {}", playlist.name.as_deref().unwrap_or("-")));
        told.extend(playlist.rows.iter().map(told_row));
    }
    told.extend(import.unreadable.iter().map(|row| {
        let playlist = row.playlist.as_deref().unwrap_or("-");
        format!("! {} {playlist} | {} | {}", row.line, row.text, row.reason)
    }));
    (import.format, told)
}

fn told_row(row: &ImportedRow) -> String {
    let track = &row.track;
    let mut told = format!("{} {} | {}", row.line, track.title, track.artist);
    if let Some(album) = &track.album {
        told += &format!(" [{album}]");
    }
    if let Some(ms) = track.duration_ms {
        told += &format!(" {ms} ms");
    }
    for isrc in track.isrc.iter().chain(&track.other_isrcs) {
        told += &format!(" {isrc}");
    }
    if let Some(id) = &track.spotify_id {
        told += &format!(" {id}");
    }
    told
}

/// Compares line by line, so that a difference is easy to see.
#[track_caller]
fn assert_told(bytes: &[u8], format: Format, expected: &[&str]) {
    let (read_as, told) = told(bytes);
    assert_eq!(told, expected);
    assert_eq!(read_as, format);
}

#[test]
fn a_file_without_songs_is_told_apart_from_one_that_is_not_understood() {
    for empty in [
        "",
        " \n\r\n ",
        "\u{feff}",
        "Track name,Artist name,Album,Playlist name,Type,ISRC\n",
        "#EXTM3U\n",
        "# nothing yet\n",
        "[]",
        "{\"tracks\": []}",
    ] {
        assert_eq!(read(empty.as_bytes()), Err(ImportError::Empty), "{empty:?}");
    }
    for unknown in [
        "Once upon a time there was a song.\nIt was long.\n",
        "foo,bar,baz\n1,A - B,2\n3,C - D,4\n",
        "<html><body>Artist - Title</body></html>",
        "{\"version\": 3}",
        "{}",
        "<plist><array/></plist>",
        "<plist><dict><key>Other</key><string>x</string></dict></plist>",
    ] {
        let read = read(unknown.as_bytes());
        assert_eq!(read, Err(ImportError::UnknownForm), "{unknown:?}");
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let error = read(&vec![b' '; MAX_BYTES + 1]).expect_err("it is too large");
    assert_eq!(
        error.to_string(),
        "The file has 20000001 bytes, and at most 20 MB are read. Export fewer playlists at a time."
    );
    let row = "A - B\n";
    let most = read(row.repeat(MAX_ROWS).as_bytes()).expect("as many as are read");
    assert_eq!(most.playlists[0].rows.len(), MAX_ROWS);
    let many = [
        row.repeat(MAX_ROWS + 1),
        "title,artist\n".to_owned() + &"a,b\n".repeat(MAX_ROWS + 1),
        "title,artist\n".to_owned() + &"a\n".repeat(MAX_ROWS + 1),
        "#EXTM3U\n".to_owned() + &"x\n".repeat(MAX_ROWS + 1),
        format!("[{}0]", "0,".repeat(MAX_ROWS)).replacen("[0", "[{}", 1),
        format!("[{{\"isrc\": [{}0]}}]", "0,".repeat(2_000_000)),
    ];
    for file in many {
        let error = read(file.as_bytes()).expect_err("it has too many rows");
        assert_eq!(error, ImportError::TooManyRows, "{file:.20}");
    }
    assert_eq!(
        ImportError::TooManyRows.to_string(),
        "The file has more than 100000 rows. Export fewer playlists at a time."
    );
}

#[test]
fn hostile_nesting_and_repetition_stay_within_bounds() {
    let nested = "[".repeat(1_000_000);
    assert!(matches!(
        read(nested.as_bytes()),
        Err(ImportError::NotWellFormed { form: "JSON", .. })
    ));
    let lists = "{\"tracks\":".repeat(100) + "[]" + &"}".repeat(100);
    assert_eq!(read(lists.as_bytes()), Err(ImportError::Empty));
    let arrays = |many| format!("<plist><dict><key>Tracks</key>{}", "<array>".repeat(many));
    assert!(matches!(
        read(arrays(1_000_000).as_bytes()),
        Err(ImportError::NotWellFormed { form: "XML", .. })
    ));
    // One long track in a hundred thousand places.
    let words = "🎵".repeat(500);
    let library = format!(
        "<plist><dict><key>Tracks</key><dict><key>1</key><dict><key>Name</key><string>{words}</string>\
         <key>Artist</key><string>{words}</string></dict></dict><key>Playlists</key><array><dict>\
         <key>Playlist Items</key><array>{}</array></dict></array></dict></plist>",
        "<dict><key>Track ID</key><integer>1</integer></dict>".repeat(MAX_ROWS)
    );
    assert_eq!(read(library.as_bytes()), Err(ImportError::TooManyRows));
    // Entities of a file's own are not followed.
    let laughs = "<!DOCTYPE plist [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><plist><dict>\
        <key>Tracks</key><dict><key>1</key><dict><key>Name</key><string>x&b;y</string>\
        <key>Artist</key><string>z</string></dict></dict></dict></plist>";
    assert_told(
        laughs.as_bytes(),
        Format::AppleLibrary,
        &["= -", "1 xy | z"],
    );
}

#[test]
fn formats_have_stable_names_and_imports_read_back() {
    let json = serde_json::to_string(&Format::TuneMyMusic).expect("plain data");
    assert_eq!(json, "\"tune_my_music\"");
    let import = read(fixture!("tunemymusic.csv")).expect("the file can be read");
    let json = serde_json::to_string(&import).expect("plain data");
    assert_eq!(
        serde_json::from_str::<Import>(&json).expect("it reads back"),
        import
    );
}
