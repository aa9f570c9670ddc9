//! What holds whatever a title says and whatever a model answers.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use super::{
    choice::{self, Choice, Doubt, Offer},
    fence,
    pieces::Pieces,
    talk::Message,
};
use crate::{
    error::ErrorCode,
    hostile::text,
    track::{Candidate, SourceTrack},
    upstream::clean,
};

prop_compose! {
    fn offer()(title in text(), artists in vec(text(), 0..4), album in option::of(text()), score in 0.0..=1.0) -> Offer {
        Offer {
            track: Candidate {
                id: "0BCPKOYdS2jbQ8iyB56Zns".into(),
                uri: "spotify:track:0BCPKOYdS2jbQ8iyB56Zns".into(),
                title, artists, album,
                ..Candidate::default()
            },
            score,
        }
    }
}

prop_compose! {
    fn doubt()(row in 0..30_u32, title in text(), artist in text(), candidates in vec(offer(), 0..8)) -> Doubt {
        Doubt { row, source: SourceTrack { title, artist, ..SourceTrack::default() }, candidates }
    }
}

/// Nearly an entry of an answer.
fn entry() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        6 => (0..8_i64).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => text().prop_map(Value::from),
    ];
    (number.clone(), number.clone(), number, text()).prop_map(|(row, candidate, confidence, reason)| {
        json!({"row": row, "candidate": candidate, "confidence": confidence, "reason": reason})
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = select(
        &[
            "choices",
            "delta",
            "message",
            "content",
            "refusal",
            "tool_calls",
            "index",
            "id",
            "function",
            "name",
            "arguments",
            "usage",
            "prompt_tokens",
            "finish_reason",
            "error",
        ][..],
    );
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<u64>().prop_map(Value::from),
        text().prop_map(Value::from),
        Just(Value::from("stop")),
    ];
    leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((names.clone(), inner), 0..5).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_title_leaves_its_fence(doubts in vec(doubt(), 0..5)) {
        let ask = choice::question(&doubts);
        let Message::User { text } = &ask.messages[1] else { panic!("the rows") };
        let inside = text.strip_prefix("<data>").and_then(|rest| rest.strip_suffix("</data>"));
        let inside = inside.expect("a fence");
        prop_assert!(!inside.contains(['<', '>', '`']));
        prop_assert!(!inside.contains("spotify:track:0BCPKOYdS2jbQ8iyB56Zns"));
        let read: Value = serde_json::from_str(inside).expect("JSON");
        for (row, doubt) in read["rows"].as_array().expect("rows").iter().zip(&doubts) {
            prop_assert_eq!(&row["song"]["title"], &json!(fence::shown(&doubt.source.title)));
            prop_assert!(row["candidates"].as_array().is_some_and(|all| all.len() <= 5));
        }
    }

    #[test]
    fn what_is_shown_is_short_and_hides_nothing(given in text()) {
        let shown = fence::shown(&given);
        prop_assert!(shown.chars().count() <= 201);
        prop_assert_eq!(clean(&shown), shown);
    }

    #[test]
    fn whatever_is_answered_only_offered_candidates_are_chosen(
        doubts in vec(doubt(), 0..5), entries in vec(entry(), 0..8), around in select(&["", "```json\n", "Sure! "][..]),
    ) {
        let answer = format!("{around}{}{}", json!({"rows": entries}), if around.starts_with('`') { "```" } else { "" });
        match choice::read(&answer, &doubts) {
            Err(told) => prop_assert!(!told.is_empty()),
            Ok(choices) => {
                for doubt in &doubts {
                    let choice: &Choice = choices.get(&doubt.row).expect("every row is answered");
                    prop_assert!((0.0..=1.0).contains(&choice.confidence));
                    prop_assert!(choice.reason.chars().count() <= 200);
                    let offered = doubts.iter().filter(|other| other.row == doubt.row);
                    let most = offered.map(|other| other.candidates.len().min(5)).max().unwrap_or(0);
                    prop_assert!(choice.candidate.is_none_or(|place| (place as usize) < most));
                }
                prop_assert!(choices.len() <= doubts.len());
            }
        }
    }

    #[test]
    fn any_text_is_an_answer_or_an_error(answer in text(), doubts in vec(doubt(), 0..3)) {
        let _ = choice::read(&answer, &doubts);
    }

    #[test]
    fn any_stream_is_a_bounded_answer_or_an_error_of_ours(stream in vec(any_json(), 0..6)) {
        let mut pieces = Pieces::default();
        let taken: Result<Vec<()>, _> = stream.iter().map(|piece| pieces.take(piece)).collect();
        match taken.and_then(|_| pieces.finish(10)) {
            Ok(reply) => {
                prop_assert!(reply.text.len() <= 64 * 1024 && reply.calls.len() <= 16);
                prop_assert!(reply.calls.iter().all(|call| !call.id.is_empty() && call.id.len() <= 128));
                prop_assert!(!reply.text.trim().is_empty() || !reply.calls.is_empty() || reply.refusal.is_some());
            }
            Err(error) => {
                let ours = matches!(error.code, ErrorCode::BadModelAnswer | ErrorCode::ModelUnavailable);
                prop_assert!(ours, "{}", error.code);
                prop_assert!(error.message.chars().count() < 600 && !error.message.contains(char::is_control));
            }
        }
    }
}
