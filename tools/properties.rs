//! What holds whatever arguments a client sends.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::{collection::vec, option, prelude::*, sample::select};
use segue_workflows::{
    batch::OnAmbiguous,
    matching::normalise,
    names,
    sync::PlaylistRef,
    upstream::{clean, is_spotify_id},
};
use serde_json::{Value, json};

use crate::{
    border::{TOOLS, accept},
    error::ToolError,
    list_syncs, playlist,
    resources::{self, Named},
    sync_track, text, visibility,
};

/// Every parameter of every tool.
const NAMES: &[&str] = &[
    "title",
    "artist",
    "playlist",
    "album",
    "duration_ms",
    "isrc",
    "spotify_id",
    "tracks",
    "export",
    "file",
    "source_playlist",
    "create_playlist",
    "match_threshold",
    "wait_seconds",
    "sync_id",
    "status",
    "user",
    "track",
    "started_after",
    "started_before",
    "limit",
    "cursor",
    "name",
    "source_playlist",
    "dead_letters",
    "create_playlist",
    "remove_gone",
    "max_removals",
    "cron",
    "time_zone",
    "interval_seconds",
    "jitter_seconds",
    "catch_up_seconds",
    "overlap",
    "paused",
];

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z ]{0,8}",
        select(
            &[
                "'",
                "\\",
                "\\'",
                "\" OR ",
                "spotify:",
                "playlist:",
                "https://open.spotify.com/playlist/",
                "\u{202e}",
                "\0",
                "37i9dQZF1DXcBWIGoYBM5M",
                "2026-11-23T15:00:00Z",
            ][..]
        )
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        (any::<char>(), 0..600_usize).prop_map(|(c, times)| String::from(c).repeat(times)),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..100_u32).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any_text(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn arguments() -> impl Strategy<Value = Value> {
    let name = prop_oneof![6 => select(NAMES).prop_map(str::to_owned), 1 => any_text()];
    vec((name, any_json()), 0..8).prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

prop_compose! {
    fn song()(
        title in any_text(),
        artist in any_text(),
        playlist in any_text(),
        album in option::of(any_text()),
        duration_ms in option::of(any::<u32>()),
        isrc in option::of(prop_oneof![any_text(), Just(" gb-um7-10-29604".to_owned())]),
        spotify_id in option::of(any_text()),
        match_threshold in option::of(prop_oneof![0.0..=1.0, any::<f64>()]),
    ) -> sync_track::Params {
        let wait_seconds = None;
        sync_track::Params {
            title, artist, playlist, album, duration_ms, isrc, spotify_id, match_threshold,
            wait_seconds, on_ambiguous: OnAmbiguous::Review, strategy: None,
        }
    }
}

fn nothing() -> list_syncs::Params {
    serde_json::from_value(json!({})).expect("every parameter may be left out")
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && clean(text) == text
}

/// An error that an assistant can show and act on.
fn is_told_well(error: &ToolError) -> bool {
    is_plain(&error.message) && !error.next_step.is_empty()
}

/// The value that the engine reads after `NAME = '` at this place in a query, and what follows it.
fn quoted<'a>(query: &'a str, name: &str) -> Option<(String, &'a str)> {
    let start = format!("{name} = '");
    let (_, rest) = query.split_once(&start)?;
    let mut value = String::new();
    let mut letters = rest.char_indices();
    loop {
        match letters.next()? {
            (_, '\\') => value.push(letters.next()?.1),
            (end, '\'') => return Some((value, &rest[end + 1..])),
            (_, letter) => value.push(letter),
        }
    }
}

proptest! {
    #[test]
    fn any_arguments_are_accepted_or_refused_in_a_few_plain_words(
        tool in select(&TOOLS[..]),
        arguments in arguments(),
    ) {
        if let Err(error) = accept(tool, arguments) {
            prop_assert!(is_told_well(&error), "{:?}", error);
        }
    }

    #[test]
    fn whatever_a_uri_names_has_the_form_of_an_id(
        scheme in select(&["sync://", "sync:/", "segue://", ""][..]),
        id in prop_oneof![Just(names::new_sync_id()), any_text()],
        rest in prop_oneof![Just("/report.csv".to_owned()), any_text()],
    ) {
        let uri = format!("{scheme}{id}{rest}");
        match resources::named(&uri) {
            Some(Named::Sync(id) | Named::Report(id, _)) => prop_assert!(names::is_sync_id(id), "{}", uri),
            Some(Named::Health) => prop_assert_eq!(uri, "segue://health"),
            Some(Named::View) => prop_assert_eq!(uri, "ui://segue/progress"),
            None => {}
        }
    }

    #[test]
    fn an_unknown_argument_is_always_named(
        tool in select(&TOOLS[..]),
        key in "[a-z]{1,12}_x",
        value in any_json(),
    ) {
        let mut arguments = match tool {
            "sync_track" => json!({"title": "Halo", "artist": "Beyoncé", "playlist": "x"}),
            "list_syncs" | "list_playlists" | "sync_playlist" => json!({}),
            "schedule_sync" => json!({"name": "x", "cron": "@daily", "dead_letters": true}),
            _ => json!({"sync_id": "x"}),
        };
        arguments[&key] = value;
        let error = accept(tool, arguments).expect_err("refused");
        prop_assert!(error.message.contains(&key), "{}", error.message);
        prop_assert_eq!(error.code, "invalid_argument");
    }

    #[test]
    fn what_a_sync_begins_with_is_plain_and_within_bounds(song in song()) {
        match sync_track::checked(song, "local", 0.85) {
            Ok(sync) => {
                let track = &sync.track;
                let texts = [&track.title, &track.artist].into_iter().chain(&track.album);
                prop_assert!(texts.chain([&sync.playlist.as_str().to_owned()]).all(|t| is_plain(t)));
                prop_assert!((0.0..=1.0).contains(&sync.match_threshold));
                prop_assert!(track.duration_ms.is_none_or(|ms| (1..=86_400_000).contains(&ms)));
                prop_assert!(track.isrc.as_ref().is_none_or(|c| normalise::isrc(c).as_ref() == Some(c)));
            }
            Err(error) => {
                prop_assert!(is_told_well(&error), "{:?}", error);
                prop_assert!(error.field.is_some());
            }
        }
    }

    #[test]
    fn a_text_is_taken_up_to_its_length_and_refused_beyond(
        longest in 1..400_usize,
        letters in vec("[a-zé夜]", 1..450),
    ) {
        let given = letters.concat();
        let read = text::required("title", &given, longest);
        if letters.len() <= longest {
            prop_assert_eq!(read, Ok(given));
        } else {
            prop_assert_eq!(read.expect_err("refused").field, Some("title"));
        }
    }

    #[test]
    fn a_playlist_is_the_same_in_every_form(
        id in "[0-9a-zA-Z]{22}",
        before in "(intl-[a-z]{2}/)?",
        after in "(\\?si=[a-z0-9]{0,16})?(#[a-z]{0,5})?",
    ) {
        for given in [
            id.clone(),
            format!("  {id}\u{200b}"),
            format!("spotify:playlist:{id}"),
            format!("https://open.spotify.com/{before}playlist/{id}{after}"),
        ] {
            prop_assert_eq!(playlist::parse(&given), Ok(PlaylistRef::Id(id.clone())), "{}", given);
        }
    }

    #[test]
    fn an_address_of_anything_else_is_never_taken_for_a_name(given in any_text()) {
        match playlist::parse(&given) {
            Ok(PlaylistRef::Id(id)) => prop_assert!(is_spotify_id(&id)),
            Ok(PlaylistRef::Name(name)) => {
                prop_assert!(is_plain(&name) && name.chars().count() <= 300);
                let address = ["spotify:", "http://", "https://"];
                prop_assert!(!address.iter().any(|start| name.starts_with(start)), "{}", name);
            }
            Err(error) => prop_assert_eq!(error.field, Some("playlist")),
        }
    }

    #[test]
    fn a_cursor_of_ours_comes_back_as_it_was(token in vec(any::<u8>(), 0..3_000)) {
        let cursor = URL_SAFE_NO_PAD.encode(&token);
        prop_assert_eq!(visibility::cursor(Some(&cursor)), Ok(token));
    }

    #[test]
    fn any_other_cursor_is_refused_by_name(given in any_text(), long in "[a-z]{4097,4100}") {
        if let Err(error) = visibility::cursor(Some(&given)) {
            prop_assert_eq!(error.field, Some("cursor"));
        }
        prop_assert!(visibility::cursor(Some(&long)).is_err());
    }

    #[test]
    fn no_value_of_a_filter_can_leave_its_quotes(
        track in option::of(any_text()),
        artist in option::of(any_text()),
        playlist in option::of("[^:]{1,90}"),
    ) {
        let params = list_syncs::Params { track, artist, playlist, ..nothing() };
        let Ok(query) = list_syncs::filter(&params, "local") else { return Ok(()) };
        for (name, given) in [
            (names::TRACK_NAME.name(), params.track),
            (names::ARTIST_NAME.name(), params.artist),
            (names::PLAYLIST_NAME.name(), params.playlist),
        ] {
            // What stands around a text is no part of it, also where the text is cut.
            let given = given.map(|text| clean(text.trim())).filter(|text| !text.is_empty());
            let Some(given) = given else { continue };
            let (value, rest) = quoted(&query, name).expect("closed quotes");
            prop_assert_eq!(value, names::attribute_value(&given));
            prop_assert!(rest.is_empty() || rest.starts_with(" AND "), "{}", query);
        }
    }
}
