//! Whatever Spotify answers, the browser brings, a client names or the store holds is read, or
//! refused.
//!
//! The first byte chooses what the rest is taken for.
#![no_main]

use std::{fs, os::unix::fs::PermissionsExt, sync::OnceLock, time::SystemTime};

use futures::executor::block_on;
use http::{HeaderValue, header::RETRY_AFTER};
use libfuzzer_sys::fuzz_target;
use segue_spotify::{
    auth::{self, HttpFailure, StoreError, StorePolicy, TokenStore},
    server::{Track, border},
};
use tempfile::TempDir;

static FOLDER: OnceLock<TempDir> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let Some((kind, given)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(given);
    match kind % 6 {
        0 => border::found(&text)
            .into_iter()
            .flatten()
            .for_each(|track| check(&track)),
        1 => {
            let offset = u32::from(*kind);
            if let Ok((entries, next)) = border::entries(&text, offset) {
                entries.iter().for_each(|entry| check(&entry.track));
                assert!(next.is_none_or(|next| next > offset));
            }
        }
        2 => {
            let (me, answer) = text.split_once('\n').unwrap_or(("{}", &text));
            for playlist in border::playlists(answer, me).into_iter().flatten() {
                assert!(playlist.name.chars().count() <= 1_000);
            }
        }
        3 => refused(given),
        4 => named(&text),
        _ => kept(given),
    }
});

fn check(track: &Track) {
    let names = [&track.id, &track.uri, &track.name].into_iter();
    let known = [&track.album, &track.isrc, &track.release_date]
        .into_iter()
        .flatten();
    for text in names.chain(known).chain(&track.artists) {
        assert!(text.chars().count() <= 1_000);
    }
    assert!(track.artists.len() <= 100);
}

/// An error of Spotify's: the wait that it asks for on the first line, the body after it.
fn refused(given: &[u8]) {
    let (wait, body) = match given.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&given[..end], &given[end + 1..]),
        None => (&[][..], given),
    };
    for status in [400, 429, 503] {
        let mut response = http::Response::new(body.to_vec());
        *response.status_mut() = status.try_into().expect("a status");
        if let Ok(wait) = HeaderValue::from_bytes(wait) {
            response.headers_mut().insert(RETRY_AFTER, wait);
        }
        let HttpFailure::Status {
            message,
            retry_after_seconds,
            ..
        } = block_on(HttpFailure::of_response(response.into()))
        else {
            panic!("an answer has a status");
        };
        assert!(!message.is_empty() && message.chars().count() <= 300);
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(retry_after_seconds.is_none_or(|seconds| seconds <= 7 * 24 * 3600));
        assert!(status != 429 || retry_after_seconds.is_some());
    }
}

/// A client's playlist or track, and the address at which a browser comes back.
fn named(text: &str) {
    for id in [border::playlist_id(text), border::track_id(text)]
        .into_iter()
        .flatten()
    {
        assert!(
            (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        );
    }
    match auth::border::visit(text, "state") {
        Some(Ok(code)) => assert!((1..=4_096).contains(&code.len())),
        Some(Err(reason)) => {
            assert!(reason.chars().count() <= 100 && !reason.contains(char::is_control));
        }
        None => {}
    }
}

/// A stored sign-in.
fn kept(given: &[u8]) {
    let folder = FOLDER.get_or_init(|| TempDir::new().expect("a folder"));
    let store = TokenStore::new(StorePolicy::FileOnly, folder.path().join("spotify.json"));
    fs::write(store.path(), given).expect("written");
    fs::set_permissions(store.path(), fs::Permissions::from_mode(0o600)).expect("made private");
    match block_on(store.load()) {
        Ok(found) => {
            let found = found.expect("a file is there");
            assert!(!found.client_id.is_empty());
            let _ = found.time_left(SystemTime::now());
        }
        Err(error) => assert!(matches!(error, StoreError::Unreadable { .. }), "{error}"),
    }
}
