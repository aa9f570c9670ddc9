//! The matcher on hostile text: whatever both sides are called, it answers, within bounds.
//!
//! A line is a track: title, artists between `|`, album, length, ISRC, with a tab between two. The
//! first is the user's, and ends with the threshold; the others are the upstream's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue_workflows::{
    matching::{self, Query, best, ladder, queries},
    track::{Candidate, SourceTrack},
};

fuzz_target!(|text: &str| {
    let mut lines = text
        .split('\n')
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let Some(asked) = lines.next() else { return };
    let field =
        |fields: &[&str], place: usize| fields.get(place).copied().unwrap_or_default().to_owned();
    let known =
        |fields: &[&str], place: usize| Some(field(fields, place)).filter(|f| !f.is_empty());
    let length = |fields: &[&str]| field(fields, 3).parse().ok();
    let source = SourceTrack {
        title: field(&asked, 0),
        artist: field(&asked, 1),
        album: known(&asked, 2),
        duration_ms: length(&asked),
        isrc: known(&asked, 4),
        ..SourceTrack::default()
    };
    let threshold: f64 = field(&asked, 5).parse().unwrap_or(0.85);
    let candidates: Vec<Candidate> = lines
        .take(20)
        .enumerate()
        .map(|(place, fields)| Candidate {
            id: place.to_string(),
            uri: place.to_string(),
            title: field(&fields, 0),
            artists: field(&fields, 1).split('|').map(str::to_owned).collect(),
            album: known(&fields, 2),
            duration_ms: length(&fields),
            isrc: known(&fields, 4),
        })
        .collect();

    let asked = ladder(&source);
    assert!(asked.len() <= queries::MAX_QUERIES);
    for query in &asked {
        if let Query::Text(text) = query {
            assert!(!text.is_empty() && text.chars().count() <= queries::MAX_QUERY_CHARS);
            let words = text.replacen("track:", "", 1).replacen("artist:", "", 1);
            assert!(!words.contains([':', '"', '*', '-']), "{text:?}");
        }
    }

    let decision = best(&source, &candidates, threshold);
    assert_eq!(decision.candidates_found, candidates.len());
    for found in &decision.candidates {
        let (score, parts) = (&found.score, &found.score.parts);
        let shares = [score.confidence, parts.title, parts.artist, parts.version];
        let known = [parts.album, parts.duration];
        for share in shares.into_iter().chain(known.into_iter().flatten()) {
            assert!((0.0..=1.0).contains(&share), "{score:?}");
        }
        assert_eq!(&matching::score(&source, &found.candidate), score);
        assert!(score.explanation().ends_with('.'));
    }
    // NaN and what is out of range are for the matcher to bring inside.
    let threshold = if threshold.is_nan() {
        1.0
    } else {
        threshold.clamp(0.0, 1.0)
    };
    if let Some(taken) = &decision.matched {
        assert!(taken.score.confidence >= threshold);
        assert!(decision.rival.is_none());
        assert_eq!(decision.best(), Some(taken));
    }
});
