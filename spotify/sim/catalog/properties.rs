//! What holds of any file that is taken for a catalogue.

use proptest::{collection::vec, option, prelude::*};

use super::{Catalog, CatalogError, MAX_FIELD_BYTES, Track};

const COLUMNS: [&str; 9] = [
    "id",
    "name",
    "artists",
    "album",
    "release_date",
    "duration_ms",
    "explicit",
    "popularity",
    "isrc",
];

prop_compose! {
    fn track()(
        id in "[0-9a-zA-Z]{22}",
        [name, album] in ["([!-~é夜\"]([ -~é夜\n]{0,30}[!-~é夜])?)?", "([!-~][ -~]{0,9}[!-~])?"],
        artists in vec("[A-Za-zé夜,]{1,9}", 0..4),
        release_date in "([12][0-9]{3}(-[01][0-9](-[0-3][0-9])?)?)?",
        duration_ms in any::<u32>(),
        explicit in any::<bool>(),
        popularity in 0..=100_u8,
        isrc in option::of("[A-Z]{2}[A-Z0-9]{3}[0-9]{7}"),
    ) -> Track {
        Track { id, name, artists, album, release_date, duration_ms, explicit, popularity, isrc }
    }
}

/// The file that holds these tracks, its columns turned by some places.
fn written(tracks: &[Track], turn: usize) -> Vec<u8> {
    let turned = |mut row: [String; 9]| {
        row.rotate_left(turn);
        row
    };
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(turned(COLUMNS.map(str::to_owned)))
        .unwrap();
    for track in tracks {
        let track = track.clone();
        file.write_record(turned([
            track.id,
            track.name,
            track.artists.join("; "),
            track.album,
            track.release_date,
            track.duration_ms.to_string(),
            track.explicit.to_string(),
            track.popularity.to_string(),
            track.isrc.unwrap_or_default(),
        ]))
        .unwrap();
    }
    file.into_inner().unwrap()
}

/// What is read is bounded, or the error says where reading stopped.
fn is_read_or_refused(file: &[u8]) -> bool {
    match Catalog::from_reader(file) {
        Ok(catalog) => catalog.tracks().iter().enumerate().all(|(place, track)| {
            catalog.position(&track.id) == Some(place)
                && track.name.len() <= MAX_FIELD_BYTES
                && track.popularity <= 100
        }),
        Err(CatalogError::Open { .. }) => false,
        Err(error) => error.to_string().starts_with("line "),
    }
}

proptest! {
    #[test]
    fn a_catalogue_is_read_as_it_was_written(tracks in vec(track(), 0..8), turn in 0..9_usize) {
        let catalog = Catalog::from_reader(&written(&tracks, turn)[..]).unwrap();
        prop_assert_eq!(catalog.tracks(), tracks);
    }

    #[test]
    fn an_error_of_any_file_names_its_line(
        rows in "((\"[^\"]{0,9}\"|[ -~é]{0,9})[,\n]){0,60}",
        bytes in vec(any::<u8>(), 0..300),
    ) {
        let heading = COLUMNS.join(",");
        prop_assert!(is_read_or_refused(&bytes));
        prop_assert!(is_read_or_refused([heading.as_str(), "\n", rows.as_str()].concat().as_bytes()));
        prop_assert!(is_read_or_refused(&[heading.as_bytes(), b"\n", &bytes].concat()));
    }

    #[test]
    fn a_spoilt_catalogue_is_refused_or_read_within_its_bounds(
        tracks in vec(track(), 1..5),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut file = written(&tracks, 0);
        let place = place.index(file.len());
        file[place] = byte;
        prop_assert!(is_read_or_refused(&file));
    }
}
