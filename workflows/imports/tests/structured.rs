//! XML and JSON.

use super::*;

const NO_TITLE: &str = "It has no title.";

#[test]
fn a_library_with_the_users_playlists() {
    assert_told(
        fixture!("library.xml"),
        Format::AppleLibrary,
        &[
            "= Road Trip",
            "1 Hello, Goodbye | The Beatles [Magical Mystery Tour]",
            "2 Simon & Garfunkel's <Song> | Tom & Jerry [A&B] 245760 ms",
            "3 Hello, Goodbye | The Beatles [Magical Mystery Tour]",
            "= 90’s & More",
            "1 NEO SIGNALIFE 🎤 | ゆいかおり [Bright Canary] 245760 ms",
            "2 Cast Song | Original Cast",
            "6 Creep | Radiohead 238000 ms",
            "= Road Trip",
            "1 NEO SIGNALIFE 🎤 | ゆいかおり [Bright Canary] 245760 ms",
            "! 3 90’s & More | Some Podcast - Episode 12 | It is an episode of a podcast, not a track.",
            "! 4 90’s & More | Track ID 999 | The playlist names a track that the file does not describe.",
            "! 5 90’s & More | Nobody - | It has no title.",
        ],
    );
}

#[test]
fn a_library_without_playlists_is_one() {
    assert_told(
        fixture!("library_without_playlists.xml"),
        Format::AppleLibrary,
        &[
            "= -",
            "1 Simon & Garfunkel's <Song> | Tom & Jerry [A&B] 245760 ms",
            "2 NEO SIGNALIFE 🎤 | ゆいかおり [Bright Canary] 245760 ms",
            "3 Cast Song | Original Cast",
            "5 Hello, Goodbye | The Beatles [Magical Mystery Tour]",
            "7 Creep | Radiohead 238000 ms",
            "! 4 - | Some Podcast - Episode 12 | It is an episode of a podcast, not a track.",
            "! 6 - | Nobody - | It has no title.",
        ],
    );
}

#[test]
fn a_broken_library_is_refused_with_the_line() {
    let error = read(fixture!("library_broken.xml")).expect_err("it is cut off");
    assert_eq!(
        error.to_string(),
        "The file is not well-formed XML: line 75, it ends too early. Export it once more, and look \
         whether the whole file arrived."
    );
    for (file, line) in [
        ("<plist>\n<dict>\n<key>Tracks</key>\n</dict></plist>", 4),
        ("<plist>\n<dict><key>Tracks</dict></plist>", 2),
        (
            "<plist>\n<dict>\n\n<key>Tracks</key><dict><key>1</key><dict/></array></dict>",
            4,
        ),
        ("<plist>", 1),
    ] {
        let error = read(file.as_bytes()).expect_err("it is broken");
        assert!(
            matches!(&error, ImportError::NotWellFormed { form: "XML", line: at, .. } if *at == line),
            "{file}: {error}"
        );
    }
}

#[test]
fn json_as_many_programs_write_it() {
    assert_told(
        fixture!("songs.json"),
        Format::Json,
        &[
            "= -",
            "1 Hello, Goodbye | The Beatles [Magical Mystery Tour] 209000 ms GBAYE0601650",
            "3 Get Lucky | Daft Punk, Pharrell Williams [Random Access Memories] USQX91300108 1AbCdEfGhIjKlMnOpQrStU",
            "4 See You Again | Tyler, The Creator; Kali Uchis 180387 ms",
            "5 Jóga | Björk",
            "6 1999 | Prince 375000 ms USWB19900185 USWB19900186",
            "= 夜",
            "2 夜に駆ける | YOASOBI 261000 ms",
        ],
    );
}

#[test]
fn json_with_playlists() {
    assert_told(
        fixture!("playlists.json"),
        Format::Json,
        &[
            "= Road Trip",
            "1 Creep | Radiohead [Pablo Honey] 2AbCdEfGhIjKlMnOpQrStU",
            "= Dump",
            "1 EARFQUAKE 🌋 | Tyler, The Creator 3AbCdEfGhIjKlMnOpQrStU",
            "= Road Trip",
            "1 Jóga | Björk",
            &format!("! 2 Road Trip |  | {NO_TITLE}"),
        ],
    );
}

#[test]
fn json_with_other_things_in_it() {
    const NO_SONG: &str = "It is neither a song nor a playlist.";
    assert_told(
        fixture!("songs_mixed.json"),
        Format::Json,
        &[
            "= Mixed",
            "1 Creep | Radiohead",
            "10 Idioteque | Radiohead",
            &format!("! 2 Mixed | Radiohead - | {NO_TITLE}"),
            "! 3 Mixed | Karma Police | It has no artist, and its title is not of the form \"Artist - Title\" either.",
            &format!("! 4 Mixed | 17 | {NO_SONG}"),
            &format!("! 5 Mixed |  | {NO_SONG}"),
            &format!("! 7 Mixed |  | {NO_TITLE}"),
            "! 8 Mixed | Just words | It has no artist, and its title is not of the form \"Artist - Title\" either.",
            &format!("! 9 Mixed |  | {NO_TITLE}"),
        ],
    );
}

#[test]
fn broken_json_is_refused_with_the_line() {
    let error = read(fixture!("songs_broken.json")).expect_err("it is cut off");
    let expected = ImportError::NotWellFormed {
        form: "JSON",
        line: 3,
        problem: "it ends too early".to_owned(),
    };
    assert_eq!(error, expected);
    let error = read(b"[{\"title\": \"a\"},\n {\"title\" \"b\"}]").expect_err("it is broken");
    assert!(
        error.to_string().contains("JSON: line 2, expected `:`."),
        "{error}"
    );
}
