//! Invented songs, as many as are wanted, with a catalogue of them for the simulated Spotify.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// A playlist holds no more than this. Of more tracks several in a row are releases of one song: each is
/// searched and matched, one is added, and the others are left out; so the work is the same all the way.
const PLAYLIST_HOLDS: usize = 10_000;

/// A song as another service exports it, and what Spotify calls it.
pub(super) struct Song {
    /// Its fields, as the tools take them.
    pub(super) row: Value,
    /// Spotify's URI of it.
    pub(super) uri: String,
    pub(super) isrc: String,
}

/// A catalogue of so many songs, as the simulated Spotify reads it, and the songs.
pub(super) fn songs(tracks: usize) -> (String, Vec<Song>) {
    let mut catalog =
        "id,name,artists,album,release_date,duration_ms,explicit,popularity,isrc\n".to_owned();
    let mut songs = Vec::new();
    for n in 0..tracks {
        let song = n * PLAYLIST_HOLDS.min(tracks) / tracks;
        let title = format!("{} {}", word(song), word(song / 7 + 31));
        let artist = word(song % 997 + 5_000);
        let isrc = format!("QZS{:02}{:07}", n % 90 + 10, n);
        let album = word(n % 499 + 9_000);
        let length = 120_000 + song * 7_919 % 240_000;
        let _ = writeln!(
            catalog,
            "{n:022},{title},{artist},{album},2019-01-01,{length},false,{},{isrc}",
            n % 100
        );
        songs.push(Song {
            row: json!({"title": title, "artist": artist, "album": album,
                "duration_ms": length, "isrc": isrc}),
            uri: format!("spotify:track:{n:022}"),
            isrc,
        });
    }
    (catalog, songs)
}

/// A word of its own for each number.
fn word(n: usize) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "do", "ki", "lu", "me", "no", "pi", "ra", "su", "te", "va", "wo", "xi", "ya", "ze",
        "gu",
    ];
    let mut left = n + 256;
    let mut word = String::new();
    while left > 0 {
        word.push_str(SYLLABLES[left % 16]);
        left /= 16;
    }
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_song_is_another_and_the_catalogue_has_it() {
        let (catalog, songs) = songs(500);
        let titles: BTreeSet<_> = songs.iter().map(|song| song.row.to_string()).collect();
        assert_eq!(titles.len(), 500);
        assert_eq!(catalog.lines().count(), 501);
        for song in &songs {
            let id = song.uri.rsplit(':').next().unwrap_or_default();
            assert!(catalog.contains(id) && catalog.contains(&song.isrc));
        }
    }
}
