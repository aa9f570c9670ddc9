//! What holds whatever Spotify answers and whatever a client names.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::{
    ToolError, Track,
    border::{entries, found, playlist_id, playlists, track_id},
    error::Subject,
};
use crate::auth::HttpFailure;

/// The fields that the answers are read for.
const NAMES: &[&str] = &[
    "tracks",
    "items",
    "item",
    "track",
    "total",
    "id",
    "uri",
    "name",
    "artists",
    "album",
    "release_date",
    "duration_ms",
    "explicit",
    "external_ids",
    "isrc",
    "added_at",
    "owner",
    "account_id",
    "collaborative",
    "snapshot_id",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        any::<String>(),
        (any::<char>(), 0..1_200_usize).prop_map(|(c, times)| String::from(c).repeat(times)),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let name = prop_oneof![5 => select(NAMES).prop_map(str::to_owned), 1 => text()];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((name, inner), 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A page whose entries are nearly what they should be.
fn page() -> impl Strategy<Value = Value> {
    let entry = prop_oneof![
        (text(), text(), vec(text(), 0..3), any::<u64>()).prop_map(|(id, name, artists, ms)| {
            let artists: Vec<Value> = artists.iter().map(|name| json!({ "name": name })).collect();
            json!({"id": id, "name": name, "artists": artists, "duration_ms": ms, "album": {}})
        }),
        any_json(),
    ];
    (vec(entry, 0..6), any::<u32>())
        .prop_map(|(items, total)| json!({"items": items, "total": total}))
}

fn is_bounded(track: &Track) -> bool {
    let names = [&track.id, &track.uri, &track.name].into_iter();
    let known = [&track.album, &track.isrc, &track.release_date]
        .into_iter()
        .flatten();
    let mut texts = names.chain(known).chain(&track.artists);
    texts.all(|text| text.chars().count() <= 1_000) && track.artists.len() <= 100
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_spotify_answers_becomes_bounded_tracks_or_no_answer(
        page in prop_oneof![3 => page(), 1 => any_json()],
    ) {
        let answer = json!({ "tracks": page }).to_string();
        for track in found(&answer).unwrap_or_default() {
            prop_assert!(is_bounded(&track), "{:?}", track);
        }
        let wrapped = |item: &Value| json!({ "item": item });
        let items: Vec<Value> = page["items"].as_array().into_iter().flatten().map(wrapped).collect();
        let listed = json!({"items": items, "total": page["total"]}).to_string();
        for entry in entries(&listed, 0).unwrap_or_default().0 {
            prop_assert!(is_bounded(&entry.track), "{:?}", entry);
        }
        let me = json!({"id": "me"}).to_string();
        for playlist in playlists(&page.to_string(), &me).unwrap_or_default() {
            prop_assert!(playlist.name.chars().count() <= 1_000 && playlist.id.chars().count() <= 1_000);
        }
    }

    #[test]
    fn an_answer_without_its_items_or_total_is_never_an_empty_page(mut page in page(), other in any_json()) {
        for name in ["items", "total"] {
            let taken = page[name].take();
            prop_assert!(entries(&page.to_string(), 0).is_err());
            page[name] = taken;
        }
        if !other.is_object() && !other.is_array() {
            prop_assert!(entries(&other.to_string(), 0).is_err());
        }
    }

    #[test]
    fn reading_on_always_comes_nearer_to_the_end(
        count in 0..60_usize,
        total in any::<u32>(),
        offset in prop_oneof![0..200_u32, any::<u32>()],
    ) {
        let page = json!({"items": vec![Value::Null; count], "total": total}).to_string();
        let (_, next) = entries(&page, offset).unwrap();
        prop_assert!(next.is_none_or(|next| offset < next && next < total));
    }

    #[test]
    fn an_id_is_the_same_in_every_form(
        id in "[0-9a-zA-Z]{22}",
        before in "(intl-[a-z]{2}/)?",
        after in "([?#][a-z0-9=&]{0,16})?",
    ) {
        for kind in ["playlist", "track"] {
            let read = if kind == "track" { track_id } else { playlist_id };
            let other = if kind == "track" { playlist_id } else { track_id };
            let (uri, link) = (
                format!("spotify:{kind}:{id}"),
                format!("https://open.spotify.com/{before}{kind}/{id}{after}"),
            );
            prop_assert_eq!(read(&id), Some(id.clone()));
            for given in [uri, link] {
                prop_assert_eq!(read(&given), Some(id.clone()), "{}", given);
                prop_assert_eq!(other(&given), None, "{}", given);
            }
        }
    }

    #[test]
    fn what_is_taken_for_an_id_can_stand_in_an_address(
        given in prop_oneof![
            text(),
            "(spotify:(track|playlist):|https://open.spotify.com/(track|playlist)/)?[a-zA-Z0-9/?#%.:]{0,70}",
        ],
    ) {
        for id in [playlist_id(&given), track_id(&given)].into_iter().flatten() {
            prop_assert!((1..=64).contains(&id.len()), "{}", id);
            prop_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{}", id);
        }
    }

    #[test]
    fn an_error_keeps_its_status_and_a_429_its_wait(
        status in 100..=999_u16,
        message in text(),
        seconds in any::<u64>(),
        about_a_playlist in any::<bool>(),
    ) {
        let failure = HttpFailure::Status {
            status,
            message,
            oauth_error: None,
            retry_after_seconds: (status == 429).then_some(seconds),
        };
        let subject = if about_a_playlist { Subject::Playlist } else { Subject::Other };
        let error = ToolError::of(failure, subject);
        prop_assert_eq!(error.status, Some(status));
        let code = serde_json::to_value(error.code).unwrap();
        prop_assert_eq!(code == "rate_limited", status == 429);
        prop_assert_eq!(error.retry_after_seconds, (status == 429).then_some(seconds));
    }
}
