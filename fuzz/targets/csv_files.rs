//! Whatever is given for a catalogue or a list of songs is read, or refused by line or song.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue_spotify::sim::catalog::{Catalog, CatalogError};

fuzz_target!(|data: &[u8]| {
    match Catalog::from_reader(data) {
        Ok(catalog) => {
            for (place, track) in catalog.tracks().iter().enumerate() {
                assert_eq!(catalog.position(&track.id), Some(place));
                assert!(track.popularity <= 100 && track.name.len() <= 4_096);
                // Any four digits are a year.
                assert_eq!(track.year().is_none(), track.release_date.is_empty());
            }
        }
        Err(CatalogError::Open { .. }) => unreachable!("nothing is opened"),
        Err(error) => assert!(error.to_string().starts_with("line "), "{error}"),
    }
    if let Err(error) = segue::border::songs(data) {
        assert!(error.to_string().starts_with("songs.csv: song "), "{error}");
    }
});
