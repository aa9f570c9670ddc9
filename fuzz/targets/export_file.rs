//! Whatever is given for an export file is read, row by row and within bounds, or refused with advice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue_workflows::imports::{ImportError, MAX_ROWS, read};

fuzz_target!(|data: &[u8]| {
    let import = match read(data) {
        Ok(import) => import,
        Err(error) => {
            let advice = error.to_string();
            assert!(advice.starts_with("The ") && advice.ends_with('.'), "{advice}");
            if let ImportError::NotWellFormed { line, .. } = error {
                assert!(line >= 1);
            }
            return;
        }
    };
    let mut rows = import.unreadable.len();
    for playlist in &import.playlists {
        assert!(!playlist.rows.is_empty());
        assert!(playlist.name.as_ref().is_none_or(|name| !name.is_empty()));
        assert!(playlist.rows.is_sorted_by_key(|row| row.line));
        rows += playlist.rows.len();
        for row in &playlist.rows {
            let track = &row.track;
            for text in [&track.title, &track.artist].into_iter().chain(&track.album) {
                assert!(!text.is_empty() && text.chars().count() <= 500, "{text:?}");
                assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
            }
            assert!(row.line >= 1);
            assert!(track.duration_ms.is_none_or(|ms| (1..=86_400_000).contains(&ms)));
            assert!(track.isrc.as_ref().is_none_or(|isrc| isrc.len() == 12));
            assert!(track.isrc.is_some() || track.other_isrcs.is_empty());
            assert!(track.spotify_id.as_ref().is_none_or(|id| id.len() == 22));
        }
    }
    assert!((1..=MAX_ROWS).contains(&rows));
    for row in &import.unreadable {
        assert!(row.line >= 1 && row.text.chars().count() <= 120);
        assert!(!row.reason.is_empty() && row.reason.ends_with('.'));
    }
});
