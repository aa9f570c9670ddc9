//! What holds of the matcher whatever the two sides are called.

use proptest::{collection::vec, option, prelude::*};

use super::{
    DEFAULT_THRESHOLD, Match, MatchMethod, Query, Score, ScoreParts,
    artists::{self, Artists},
    best,
    decide::by_score,
    ladder,
    normalise::{self, fold, similarity, transliterate},
    queries, score,
    title::{self, Title},
};
use crate::{
    hostile::text,
    track::{Candidate, SourceTrack},
};

prop_compose! {
    fn source()(
        title in text(),
        artist in text(),
        album in option::of(text()),
        duration_ms in option::of(any::<u32>()),
        isrc in option::of(prop_oneof![text(), isrc()]),
        other_isrcs in vec(prop_oneof![text(), isrc()], 0..3),
    ) -> SourceTrack {
        SourceTrack { title, artist, album, duration_ms, isrc, other_isrcs, spotify_id: None }
    }
}

prop_compose! {
    fn candidate()(
        id in "[0-9a-zA-Z]{22}",
        title in text(),
        artists in vec(text(), 0..5),
        album in option::of(text()),
        duration_ms in option::of(any::<u32>()),
        isrc in option::of(prop_oneof![text(), isrc()]),
    ) -> Candidate {
        Candidate { uri: format!("spotify:track:{id}"), id, title, artists, album, duration_ms, isrc }
    }
}

/// One of few, so that two sides often share it.
fn isrc() -> impl Strategy<Value = String> {
    "[a-b]{2}-?[a-b]{3}-?[01]{7}"
}

fn shares(parts: &ScoreParts) -> impl Iterator<Item = f64> {
    let known = [parts.title, parts.artist, parts.version];
    known.into_iter().chain(parts.album).chain(parts.duration)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn folded_text_is_words_with_one_space_between_and_no_capitals(given in text()) {
        let folded = fold(&given);
        prop_assert_eq!(folded.trim(), &folded);
        prop_assert!(!folded.contains("  ") && !folded.contains(|c: char| c.is_ascii_uppercase()));
        // An "&" is spelt out, in five characters where there was one.
        prop_assert!(folded.chars().count() <= 5 * normalise::MAX_CHARS);
        let latin = transliterate(&folded);
        prop_assert!(latin.is_ascii() && (latin == folded || latin.len() <= normalise::MAX_CHARS));
    }

    #[test]
    fn likeness_goes_both_ways_and_stays_within_bounds(a in text(), b in text()) {
        let (a, b) = (fold(&a), fold(&b));
        let there = similarity(&a, &b);
        prop_assert!((0.0..=1.0).contains(&there));
        prop_assert!((there - similarity(&b, &a)).abs() < 1e-9);
        prop_assert_eq!(similarity(&a, &a), 1.0);
    }

    #[test]
    fn a_title_has_few_parts_however_it_is_written(given in text()) {
        let title = Title::parse(&given);
        prop_assert!(title.subtitles.len() <= title::MAX_PARTS);
        prop_assert!(title.features.len() <= title::MAX_PARTS);
        // What can be read at all is read as something.
        prop_assert_eq!(title.base.is_empty(), fold(&given).is_empty());
    }

    #[test]
    fn artists_are_few_however_they_are_joined(given in vec(text(), 0..60)) {
        let artists = Artists::from_list(given.iter().map(String::as_str));
        prop_assert!(artists.entries.len() <= artists.names.len());
        prop_assert!(artists.names.len() <= artists::MAX_NAMES);
        prop_assert_eq!(artists.is_empty(), artists.main().is_none());
    }

    #[test]
    fn a_score_and_its_parts_are_shares_and_can_be_told(asked in source(), offered in candidate()) {
        let score = score(&asked, &offered);
        for share in shares(&score.parts).chain([score.confidence]) {
            prop_assert!((0.0..=1.0).contains(&share), "{:?}", score);
        }
        prop_assert!(score.explanation().ends_with('.'));
        let json = serde_json::to_string(&score).expect("plain data");
        let again: Score = serde_json::from_str(&json).expect("it reads back");
        // JSON may cost the last bit of a number.
        prop_assert!((again.confidence - score.confidence).abs() < 1e-12);
    }

    #[test]
    fn a_code_that_both_sides_have_outranks_every_spelling(
        mut asked in source(),
        mut offered in candidate(),
        code in isrc(),
        length in 1..=u32::MAX,
    ) {
        asked.isrc = Some(code.to_uppercase());
        offered.isrc = Some(code);
        (asked.duration_ms, offered.duration_ms) = (Some(length), Some(length));
        prop_assert_eq!(score(&asked, &offered).confidence, 1.0);
    }

    #[test]
    fn questions_are_few_short_different_and_cannot_mean_anything_else(asked in source()) {
        let queries = ladder(&asked);
        prop_assert!(queries.len() <= queries::MAX_QUERIES + asked.other_isrcs.len());
        for (place, query) in queries.iter().enumerate() {
            prop_assert!(!queries[..place].contains(query));
            match query {
                Query::Isrc(code) => prop_assert_eq!(normalise::isrc(code), Some(code.clone())),
                Query::Text(text) => {
                    prop_assert!(!text.trim().is_empty());
                    prop_assert!(text.chars().count() <= queries::MAX_QUERY_CHARS);
                    let words = text.replacen("track:", "", 1).replacen("artist:", "", 1);
                    prop_assert!(!words.contains([':', '"', '*', '-']), "{}", text);
                    prop_assert!(!words.contains(|c: char| c.is_ascii_uppercase()), "{}", text);
                }
            }
        }
    }

    #[test]
    fn what_is_taken_is_the_best_and_good_enough(
        asked in source(),
        offered in vec(candidate(), 0..8),
        threshold in prop_oneof![0.0..=1.0, any::<f64>()],
    ) {
        let decision = best(&asked, &offered, threshold);
        prop_assert_eq!(decision.candidates_found, offered.len());
        prop_assert!(decision.candidates.len() <= super::decide::MAX_RANKED);
        if let Some(taken) = &decision.matched {
            prop_assert!(!threshold.is_nan() || taken.score.confidence >= 1.0);
            prop_assert!(threshold.is_nan() || taken.score.confidence >= threshold.min(1.0));
            prop_assert!(decision.rival.is_none());
            prop_assert_eq!(decision.best(), Some(taken));
        }
    }

    #[test]
    fn confidences_that_nearly_agree_still_have_an_order(
        nearly in vec((0..12_u8, any::<bool>()), 30..60),
    ) {
        let mut ranked: Vec<Match> = nearly
            .into_iter()
            .map(|(thirds, shared)| Match {
                candidate: Candidate::default(),
                score: Score {
                    confidence: 0.9 + f64::from(thirds) * 0.33e-9,
                    method: if shared { MatchMethod::Isrc } else { MatchMethod::Fuzzy },
                    parts: ScoreParts::default(),
                    version_note: None,
                },
            })
            .collect();
        ranked.sort_by(by_score);
        for (place, one) in ranked.iter().enumerate() {
            for later in &ranked[place..] {
                prop_assert!(by_score(one, later).is_le());
            }
        }
    }

    #[test]
    fn a_song_among_strangers_is_found_by_its_own_name(
        title in "[a-z]{3,12}( [a-z]{3,12}){0,3}",
        artist in "[a-z]{3,12}( [a-z]{3,12}){0,2}",
        strangers in vec(candidate(), 0..6),
        place in any::<prop::sample::Index>(),
    ) {
        let asked = SourceTrack { title: title.clone(), artist: artist.clone(), ..SourceTrack::default() };
        let own = Candidate { id: "own".into(), title, artists: vec![artist], ..Candidate::default() };
        let mut offered = strangers;
        offered.insert(place.index(offered.len() + 1), own);
        let found = best(&asked, &offered, DEFAULT_THRESHOLD).matched;
        prop_assert_eq!(found.map(|found| found.candidate.id), Some("own".to_owned()));
    }
}
