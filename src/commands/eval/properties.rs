//! What holds of any file that is taken for a list of songs.

use std::path::Path;

use proptest::{collection::vec, prelude::*};

use super::{Row, rows};

fn read(text: &[u8]) -> anyhow::Result<Vec<Row>> {
    rows(text, Path::new("songs.csv"))
}

/// Read, or refused by the file's name and the song's number.
fn is_read_or_refused(text: &[u8]) -> bool {
    match read(text) {
        Ok(_) => true,
        Err(error) => error.to_string().starts_with("songs.csv: song "),
    }
}

proptest! {
    #[test]
    fn songs_are_read_as_they_were_written(
        songs in vec(["[ -~é夜\\n\"]{0,30}", "[a-z,]{0,9}", "[^\\r]{0,9}", "[0-9a-zA-Z|]{0,45}"], 0..8),
    ) {
        let mut file = csv::Writer::from_writer(Vec::new());
        file.write_record(["src_service", "truth_ids", "src_title", "src_artist", "src_album"]).unwrap();
        for [title, artist, album, truth] in &songs {
            file.write_record(["spotify", truth, title, artist, album]).unwrap();
        }
        let read = read(&file.into_inner().unwrap()).unwrap();
        prop_assert_eq!(read.len(), songs.len());
        for (row, song) in read.into_iter().zip(songs) {
            prop_assert_eq!([row.src_title, row.src_artist, row.src_album, row.truth_ids], song);
        }
    }

    #[test]
    fn any_file_is_read_or_refused_by_the_number_of_the_song(
        bytes in vec(any::<u8>(), 0..300),
        rows in "((\"[^\"]{0,9}\"|[ -~é]{0,9})[,\n]){0,60}",
    ) {
        let heading = &b"src_service,src_title,src_artist\n"[..];
        for text in [&bytes[..], &[heading, &bytes].concat(), &[heading, rows.as_bytes()].concat()] {
            prop_assert!(is_read_or_refused(text));
        }
    }
}
