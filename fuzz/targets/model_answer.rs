//! Whatever a model answers, only candidates that were offered are chosen.
//!
//! The first byte says what the rest is: the text of an answer, or the pieces of a streamed one, a JSON value
//! a line. A text is an answer for rows of which each has as many candidates as its number says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue_workflows::{
    model::{
        choice::{self, Doubt, Offer},
        fence,
        pieces::Pieces,
    },
    track::{Candidate, SourceTrack},
    upstream::clean,
};

fuzz_target!(|data: &[u8]| {
    let Some((form, said)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(said);
    let doubts: Vec<Doubt> = (0..7)
        .map(|row| Doubt {
            row,
            source: SourceTrack {
                title: text.to_string(),
                ..SourceTrack::default()
            },
            candidates: vec![
                Offer {
                    track: Candidate::default(),
                    score: 0.7,
                };
                row as usize
            ],
        })
        .collect();
    let answer = match form & 1 {
        0 => text.to_string(),
        _ => {
            let mut pieces = Pieces::default();
            for line in text.lines() {
                let Ok(piece) = serde_json::from_str(line) else {
                    continue;
                };
                if pieces.take(&piece).is_err() {
                    return;
                }
            }
            match pieces.finish(1) {
                Ok(reply) => {
                    assert!(reply.text.len() <= 64 * 1024 && reply.calls.len() <= 16);
                    assert!(reply.calls.iter().all(|call| !call.id.is_empty()));
                    reply.text
                }
                Err(error) => {
                    assert!(!error.message.contains(char::is_control));
                    return;
                }
            }
        }
    };
    if let Ok(choices) = choice::read(&answer, &doubts) {
        assert_eq!(choices.len(), doubts.len());
        for (row, choice) in choices {
            assert!((0.0..=1.0).contains(&choice.confidence));
            assert!(clean(&choice.reason) == choice.reason);
            assert!(choice.candidate.is_none_or(|place| place < row.min(5)));
        }
    }
    // The same text as a title.
    let shown = fence::fenced(&serde_json::json!({ "title": fence::shown(&text) }));
    assert_eq!(shown.matches('<').count(), 2);
});
