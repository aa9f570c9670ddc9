//! What holds whatever an upstream answers, and whatever names one.

use proptest::{collection::vec, option, prelude::*, sample::select};
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

use super::{Endpoint, Profile, UpstreamError, clean, is_spotify_id};
use crate::{error::ErrorCode, hostile::text, track::Candidate};

/// Every name that a built-in profile looks for.
const NAMES: &[&str] = &[
    "tracks",
    "track",
    "items",
    "total",
    "id",
    "uri",
    "name",
    "artist",
    "artists",
    "album",
    "duration_ms",
    "isrc",
    "error",
    "code",
    "message",
    "retry_after_seconds",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => select(NAMES).prop_map(str::to_owned), 1 => text()]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(&["rate_limited", "auth_expired", "http status: 429"][..]).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[0-9a-zA-Z]{22}", 1 => text()]
}

prop_compose! {
    /// Nearly a track: in each place what belongs there, something else, or nothing.
    fn track()(
        id in id(),
        uri in option::of(prop_oneof![Just(None), id().prop_map(Some), Just(Some(String::new()))]),
        title in prop_oneof![3 => text().prop_map(Value::from), 1 => any_json()],
        artists in prop_oneof![
            text().prop_map(Value::from),
            vec(text(), 0..150).prop_map(Value::from),
            any_json(),
        ],
        others in vec((name(), any_json()), 0..3),
    ) -> Value {
        let mut track: Map<String, Value> = others.into_iter().collect();
        if let Some(other) = uri {
            // Its own URI, another track's, or none.
            let uri = format!("spotify:track:{}", other.as_ref().unwrap_or(&id));
            track.insert("uri".into(), uri.into());
        }
        track.insert("id".into(), id.into());
        track.insert("name".into(), title);
        track.insert("artist".into(), artists.clone());
        track.insert("artists".into(), artists);
        Value::Object(track)
    }
}

fn said_json() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => vec(track(), 0..60).prop_map(|tracks| json!({ "tracks": tracks })),
        1 => track().prop_map(|one| json!({ "tracks": one })),
        1 => any_json().prop_map(|error| json!({ "error": error })),
        1 => any_json(),
    ]
}

/// An answer in each of the forms that servers give it.
fn answer() -> impl Strategy<Value = CallToolResult> {
    let said = |text: String| CallToolResult::success(vec![ContentBlock::text(text)]);
    let form = prop_oneof![
        said_json().prop_map(CallToolResult::structured),
        said_json().prop_map(move |value| said(value.to_string())),
        text().prop_map(said),
    ];
    (form, option::of(any::<bool>())).prop_map(|(mut answer, failed)| {
        answer.is_error = failed;
        answer
    })
}

fn profile() -> impl Strategy<Value = Profile> {
    select(Profile::built_in())
}

/// What may be shown to a person and to a model: nothing hidden, and an end.
fn is_plain(text: &str) -> bool {
    clean(text) == text
}

fn is_ours(candidate: &Candidate) -> bool {
    let names = [&candidate.title].into_iter().chain(&candidate.artists);
    let known = [&candidate.album, &candidate.isrc].into_iter().flatten();
    is_spotify_id(&candidate.id)
        && candidate.uri == format!("spotify:track:{}", candidate.id)
        && candidate.artists.len() <= 100
        && names
            .chain(known)
            .all(|text| !text.is_empty() && is_plain(text))
}

fn is_told_well(error: &UpstreamError) -> bool {
    // A cut piece of the answer may stand quoted in a sentence.
    let told = error.message.chars().count() <= 2_500 && !error.message.contains(char::is_control);
    let waits = match error.code {
        ErrorCode::RateLimited => (1..=48 * 3600).contains(&error.retry_after_seconds.unwrap_or(0)),
        _ => error.retry_after_seconds.is_none(),
    };
    told && waits
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_server_answers_becomes_candidates_of_our_form_or_an_error(
        profile in profile(),
        answer in answer(),
    ) {
        match profile.tracks_in(&answer) {
            Ok(candidates) => {
                prop_assert!(answer.is_error != Some(true), "a failed call found something");
                prop_assert!(candidates.len() <= 50);
                for candidate in candidates {
                    prop_assert!(is_ours(&candidate), "{:?}", candidate);
                }
            }
            Err(error) => prop_assert!(is_told_well(&error), "{:?}", error),
        }
    }

    #[test]
    fn an_honest_track_comes_through_unchanged(
        profile in profile(),
        id in "[0-9a-zA-Z]{22}",
        [title, artist, album] in ["[a-zà-ž夜0-9]([ -~à-ž夜]{0,40}[a-z])?", "[A-Zé]{1,9}", "[a-z]{1,9}"],
        duration_ms in any::<u32>(),
    ) {
        let uri = format!("spotify:track:{id}");
        let track = json!({
            "id": id, "uri": uri, "name": title, "artist": artist, "artists": [artist],
            "album": album, "duration_ms": duration_ms, "isrc": "GBUM71029604",
        });
        let read = profile.tracks_in(&CallToolResult::structured(json!({ "tracks": [track] })));
        let expected = Candidate {
            id, uri, title, artists: vec![artist], album: Some(album),
            duration_ms: Some(duration_ms), isrc: Some("GBUM71029604".into()),
        };
        prop_assert_eq!(read, Ok(vec![expected]));
    }

    #[test]
    fn a_code_and_a_wait_are_read_from_any_error(message in text(), seconds in any::<u64>()) {
        let fields = json!({"code": "rate_limited", "message": message, "retry_after_seconds": seconds});
        let answer = CallToolResult::structured_error(json!({ "error": fields }));
        let profile = Profile::choose(Some("segue"), &Default::default()).expect("built in");
        let error = profile.tracks_in(&answer).expect_err("an error");
        prop_assert_eq!(error.code, ErrorCode::RateLimited);
        prop_assert_eq!(error.retry_after_seconds, Some(seconds.clamp(1, 48 * 3600)));
        prop_assert!(is_plain(&error.message));
    }

    #[test]
    fn clean_text_is_short_hides_nothing_and_stays_as_it_is(given in text()) {
        let cleaned = clean(&given);
        prop_assert!(cleaned.chars().count() <= 500);
        prop_assert!(!cleaned.contains(|c: char| c.is_control()));
        prop_assert_eq!(clean(&cleaned), cleaned);
    }

    #[test]
    fn every_character_that_unicode_lets_be_ignored_is_taken_out(
        hidden in "\\p{Default_Ignorable_Code_Point}{1,8}",
        shown in "[a-zà-ž夜]{1,8}",
    ) {
        prop_assert_eq!(clean(&hidden), "");
        let together = format!("{hidden}{shown}{hidden}");
        prop_assert_eq!(clean(&together), shown);
    }

    #[test]
    fn an_argument_is_filled_in_whole_and_never_read_again(
        query in prop_oneof![text(), Just("{playlist_id}".to_owned())],
        other in any_json(),
    ) {
        let profile = Profile::choose(Some("segue"), &Default::default()).expect("built in");
        let search = profile.search.expect("it can search").call;
        let filled = search.fill(&[("query", query.clone().into()), ("playlist_id", other)]);
        prop_assert_eq!(Value::Object(filled), json!({"query": query, "limit": 10}));
    }

    #[test]
    fn an_unknown_key_of_a_profile_is_named(
        table in select(&["", "[search]", "[list_items]", "[track]", "[error]"][..]),
        key in "[a-z]{3,9}_x",
    ) {
        let text = include_str!("profiles/segue.toml");
        let line = format!("{key} = 'x'");
        let spoilt = match table {
            "" => format!("{line}\n{text}"),
            table => text.replace(table, &format!("{table}\n{line}")),
        };
        let error = Profile::parse(&spoilt).expect_err("refused").to_string();
        prop_assert!(error.contains(&key), "{}", error);
    }

    #[test]
    fn an_endpoint_of_any_text_is_refused_or_can_be_told_without_secrets(given in text()) {
        if let Ok(endpoint) = Endpoint::parse(&given) {
            prop_assert!(!endpoint.label().is_empty());
            if let Endpoint::Command { program, .. } = endpoint {
                prop_assert!(!program.is_empty());
            }
        }
    }

    #[test]
    fn a_command_line_is_read_as_a_shell_would(words in vec("[^\0]{1,12}", 1..6)) {
        let line = shlex::try_join(words.iter().map(String::as_str)).expect("no NUL");
        prop_assume!(!line.trim_start().starts_with("http") && line.trim() == line);
        let (program, args) = words.split_first().expect("at least one");
        let Ok(Endpoint::Command { program: read, args: rest, env }) = Endpoint::parse(&line)
        else {
            return Err(TestCaseError::fail("no command line"));
        };
        prop_assert_eq!((&read, &*rest, env.len()), (program, args, 0));
    }

    #[test]
    fn the_label_of_an_address_has_neither_user_nor_path_nor_query(
        [user, path, query] in ["u[a-z]{8}", "p[a-z]{8}", "q[a-z]{8}"],
        port in 1024..u16::MAX,
    ) {
        let url = format!("https://{user}:{user}@mcp.example:{port}/{path}?token={query}#{query}");
        let label = Endpoint::parse(&url).map(|endpoint| endpoint.label());
        prop_assert_eq!(label, Ok(format!("https://mcp.example:{port}")));
    }
}
