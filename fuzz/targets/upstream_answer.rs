//! Whatever an upstream answers becomes candidates of our form, or an error that can be told.
//!
//! The first byte chooses the profile and the form of the answer; the rest is what the server says.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use rmcp::model::{CallToolResult, ContentBlock};
use segue_workflows::upstream::{Endpoint, Profile, clean, is_spotify_id};

static PROFILES: OnceLock<Vec<Profile>> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let Some((form, said)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(said);
    let answer = match form & 0b11 {
        // All of it, as it stands on the wire.
        0 => serde_json::from_slice(said).ok(),
        1 => serde_json::from_slice(said)
            .ok()
            .map(CallToolResult::structured),
        2 => serde_json::from_slice(said)
            .ok()
            .map(CallToolResult::structured_error),
        _ => Some(CallToolResult::success(vec![ContentBlock::text(
            text.clone(),
        )])),
    };
    let profiles = PROFILES.get_or_init(Profile::built_in);
    let profile = &profiles[usize::from(form >> 2) % profiles.len()];
    match answer.map(|answer| profile.tracks_in(&answer)) {
        Some(Ok(candidates)) => {
            assert!(candidates.len() <= 50);
            for candidate in candidates {
                assert!(is_spotify_id(&candidate.id));
                assert_eq!(candidate.uri, format!("spotify:track:{}", candidate.id));
                assert!(candidate.artists.len() <= 100);
                let names = [&candidate.title].into_iter().chain(&candidate.artists);
                let known = [&candidate.album, &candidate.isrc].into_iter().flatten();
                for name in names.chain(known) {
                    assert!(!name.is_empty() && clean(name) == *name, "{name:?}");
                }
            }
        }
        Some(Err(error)) => {
            assert!(error.message.len() <= 10_000 && !error.message.contains(char::is_control));
            assert!(
                error
                    .retry_after_seconds
                    .is_none_or(|s| (1..=48 * 3600).contains(&s))
            );
        }
        None => {}
    }
    // The same bytes as what names an upstream, and as what describes one.
    if let Ok(endpoint) = Endpoint::parse(&text) {
        assert!(!endpoint.label().is_empty());
    }
    let _ = Profile::parse(&text);
});
