//! Lists of files and lists of lines.

use super::*;

const NO_NAMES: &str =
    "Neither its #EXTINF line nor its file name is of the form \"Artist - Title\".";
const NO_NAMES_IN_FILE: &str =
    "It has no #EXTINF line, and its file name is not of the form \"Artist - Title\".";
const NO_SONG: &str = "It is not of the form \"Artist - Title\".";

#[test]
fn m3u() {
    assert_told(
        fixture!("playlist.m3u8"),
        Format::M3u,
        &[
            "= Road Trip 🚗",
            "4 Hello, Goodbye | The Beatles 209000 ms",
            "6 夜に駆ける | YOASOBI 261000 ms",
            "8 T.N.T. - Live | AC/DC",
            "10 Jóga | Björk [Homogenic] 305000 ms",
            "14 One More Time | Daft Punk",
            "15 Creep | Radiohead 238000 ms 1AbCdEfGhIjKlMnOpQrStU",
            "17 Without a File | Only Told 100000 ms",
            "18 One | Last 200000 ms",
        ],
    );
    assert_told(
        fixture!("playlist_broken.m3u"),
        Format::M3u,
        &[
            "= -",
            "2 Jóga | Björk 305000 ms",
            "10 Glósóli | Sigur Rós",
            &format!("! 4 - | #EXTINF:abc,Just a title | {NO_NAMES}"),
            &format!("! 6 - | C:\\Music\\Radiohead\\Creep.mp3 | {NO_NAMES_IN_FILE}"),
            "! 11 - | #EXTINF:123,Cut Off - In the Mi | The file ends in the middle of this row; export it once more.",
        ],
    );
}

#[test]
fn a_bare_list_of_files() {
    assert_told(
        fixture!("files.m3u"),
        Format::M3u,
        &[
            "= -",
            "1 Song 2 | Blur",
            "2 Girls & Boys | Blur",
            &format!("! 3 - | /music/unnamed.mp3 | {NO_NAMES_IN_FILE}"),
        ],
    );
}

#[test]
fn several_lists_in_one_file_stay_apart() {
    let file = "#EXTM3U\n#PLAYLIST:One\n#EXTINF:1,A - B\n#PLAYLIST:Two\n#EXTINF:2,C - D\nc.mp3\n";
    let expected = ["= One", "3 B | A 1000 ms", "= Two", "5 D | C 2000 ms"];
    assert_told(file.as_bytes(), Format::M3u, &expected);
}

#[test]
fn lines() {
    assert_told(
        fixture!("lines.txt"),
        Format::Lines,
        &[
            "= -",
            "4 Hello, Goodbye | The Beatles",
            "5 Jóga | Björk",
            "6 夜に駆ける | YOASOBI",
            "7 Take On Me | a-ha",
            "8 Amber | 311",
            "9 In da Club | 50 Cent",
            "10 One More Time - Live | Daft Punk",
            "11 EARFQUAKE 🌋 | Tyler, The Creator",
        ],
    );
    assert_told(
        fixture!("lines_broken.txt"),
        Format::Lines,
        &[
            "= -",
            "2 Jóga | Björk",
            "6 Creep | Radiohead",
            "8 Glósóli | Sigur Rós",
            &format!("! 1 - | Tracklist | {NO_SONG}"),
            &format!("! 3 - | Anti-Hero | {NO_SONG}"),
            &format!("! 4 - | - | {NO_SONG}"),
            &format!("! 5 - | https://open.spotify.com/track/1AbCdEfGhIjKlMnOpQrStU | {NO_SONG}"),
            &format!("! 7 - | Blur - | {NO_SONG}"),
        ],
    );
}
