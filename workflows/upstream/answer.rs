//! Reading an upstream's answer: everything is checked here, at the border, and nothing of the
//! server's own form goes further.

use rmcp::model::CallToolResult;
use serde_json::Value;

use super::{
    UpstreamError,
    profile::{ErrorFields, Profile, TrackFields},
    text::clean,
};
use crate::{error::ErrorCode, track::Candidate};

/// The largest answer that is read, in bytes. A page of 50 tracks takes about 40 kB.
const LARGEST: usize = 2_000_000;
/// Candidates that are taken from one answer; Spotify itself gives at most 10 a search.
const MOST_CANDIDATES: usize = 50;
/// Artists that are taken from one track: musicals list their whole cast.
const MOST_ARTISTS: usize = 100;
/// Wait that is assumed when a 429 does not say how long. Spotify's window is 30 s.
const DEFAULT_RETRY_AFTER_SECONDS: u64 = 30;
/// The longest wait that is believed, in seconds: 48 h. The longest seen in the field was 22 h.
pub const LONGEST_RETRY_AFTER_SECONDS: u64 = 48 * 3600;

impl Profile {
    /// The tracks in the answer of this profile's search tool, or the error that it tells: what
    /// [`Upstream::search`](super::Upstream::search) makes of an answer.
    ///
    /// # Errors
    /// What the server says went wrong, or an answer that is none.
    pub fn tracks_in(&self, answer: &CallToolResult) -> Result<Vec<Candidate>, UpstreamError> {
        let value = read(answer, &self.error)?;
        let place = self.search.as_ref().map_or("", |tool| &tool.tracks);
        candidates(list(&value, place)?, &self.track)
    }
}

/// The JSON that a tool answered, or the error that it answered.
pub(super) fn read(result: &CallToolResult, fields: &ErrorFields) -> Result<Value, UpstreamError> {
    let failed = result.is_error == Some(true);
    let text = text_of(result)?;
    let value = match &result.structured_content {
        Some(value) => {
            bounded(value.to_string().len())?;
            Some(value.clone())
        }
        None => serde_json::from_str(&text).ok(),
    };
    if let Some(error) = value.as_ref().and_then(|value| error_in(value, fields)) {
        return Err(error);
    }
    match value {
        Some(value) if !failed => Ok(value),
        _ if failed => Err(by_words(&text, fields)),
        _ => Err(UpstreamError::bad_answer(format!(
            "the upstream answered something that is not JSON: {:?}",
            excerpt(&text)
        ))),
    }
}

fn text_of(result: &CallToolResult) -> Result<String, UpstreamError> {
    let mut text = String::new();
    for block in &result.content {
        if let Some(part) = block.as_text() {
            bounded(text.len() + part.text.len())?;
            text.push_str(&part.text);
        }
    }
    Ok(text)
}

fn bounded(bytes: usize) -> Result<(), UpstreamError> {
    match bytes {
        0..=LARGEST => Ok(()),
        _ => Err(UpstreamError::bad_answer(format!(
            "the upstream's answer is longer than {LARGEST} bytes"
        ))),
    }
}

fn error_in(value: &Value, fields: &ErrorFields) -> Option<UpstreamError> {
    let message = value.pointer(&fields.message).filter(|m| !m.is_null())?;
    let message = message
        .as_str()
        .map_or_else(|| message.to_string(), str::to_owned);
    let at = |pointer: &Option<String>| pointer.as_ref().and_then(|p| value.pointer(p));
    let mut error = match at(&fields.code)
        .and_then(Value::as_str)
        .and_then(ErrorCode::parse)
    {
        Some(code) => UpstreamError::new(code, clean(&message)),
        None => by_words(&message, fields),
    };
    if error.code == ErrorCode::RateLimited {
        let seconds = at(&fields.retry_after_seconds).and_then(Value::as_u64);
        error.retry_after_seconds = Some(bounded_wait(seconds));
    }
    Some(error)
}

/// What an error without a code of ours means, by the profile's patterns; else it is taken for a
/// passing fault.
fn by_words(message: &str, fields: &ErrorFields) -> UpstreamError {
    let code = fields
        .patterns
        .iter()
        .find(|pattern| message.contains(&pattern.contains))
        .map_or(ErrorCode::UpstreamUnavailable, |pattern| pattern.code);
    let mut error = UpstreamError::new(code, excerpt(message));
    if code == ErrorCode::RateLimited {
        error.retry_after_seconds = Some(bounded_wait(None));
    }
    error
}

fn bounded_wait(seconds: Option<u64>) -> u64 {
    seconds
        .unwrap_or(DEFAULT_RETRY_AFTER_SECONDS)
        .clamp(1, LONGEST_RETRY_AFTER_SECONDS)
}

fn excerpt(text: &str) -> String {
    clean(text).chars().take(200).collect()
}

/// The list at this place; a single object counts as a list of one, null as none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> Result<&'a [Value], UpstreamError> {
    match value.pointer(pointer) {
        Some(Value::Array(items)) => Ok(items),
        Some(Value::Null) => Ok(&[]),
        Some(one @ Value::Object(_)) => Ok(std::slice::from_ref(one)),
        _ => Err(UpstreamError::bad_answer(format!(
            "the upstream's answer has no list at {pointer}"
        ))),
    }
}

/// The candidates among these values. One without a proper id or a title is left out: it could
/// neither be matched nor added. Ids that are wrong on every one are an error, or "nothing found"
/// would be said of an answer that could not be read.
pub(super) fn candidates(
    values: &[Value],
    fields: &TrackFields,
) -> Result<Vec<Candidate>, UpstreamError> {
    let values = &values[..values.len().min(MOST_CANDIDATES)];
    if !values.is_empty()
        && values
            .iter()
            .all(|value| id_and_uri(value, fields).is_none())
    {
        return Err(UpstreamError::bad_answer(
            "the upstream answered tracks, and none of them has an id of Spotify's form",
        ));
    }
    Ok(values
        .iter()
        .filter_map(|value| candidate(value, fields))
        .collect())
}

/// The tracks among the entries of a playlist. Whatever else an entry tells or does not, its id is
/// enough to know that the track is there.
pub(super) fn entries(items: &[Value], uri: &str, fields: &TrackFields) -> Vec<Candidate> {
    items
        .iter()
        .filter_map(|item| {
            let id = item
                .pointer(uri)
                .and_then(Value::as_str)
                .and_then(track_id_of)?;
            Some(candidate(item, fields).unwrap_or_else(|| Candidate {
                id: id.to_owned(),
                uri: format!("spotify:track:{id}"),
                ..Candidate::default()
            }))
        })
        .collect()
}

fn id_and_uri(value: &Value, fields: &TrackFields) -> Option<(String, String)> {
    let id = value
        .pointer(&fields.id)?
        .as_str()
        .filter(|id| is_spotify_id(id))?;
    // One whose URI names something else would be shown as one track and added as another.
    let told = fields.uri.as_ref().and_then(|uri| value.pointer(uri));
    if told
        .and_then(Value::as_str)
        .is_some_and(|uri| track_id_of(uri) != Some(id))
    {
        return None;
    }
    Some((id.to_owned(), format!("spotify:track:{id}")))
}

fn candidate(value: &Value, fields: &TrackFields) -> Option<Candidate> {
    let at = |pointer: &Option<String>| pointer.as_ref().and_then(|p| value.pointer(p));
    let text = |pointer: &Option<String>| {
        at(pointer)
            .and_then(Value::as_str)
            .map(clean)
            .filter(|text| !text.is_empty())
    };
    let (id, uri) = id_and_uri(value, fields)?;
    Some(Candidate {
        id,
        uri,
        title: text(&Some(fields.title.clone()))?,
        artists: match value.pointer(&fields.artists) {
            Some(Value::Array(many)) => artists(many),
            Some(one) => artists(std::slice::from_ref(one)),
            None => Vec::new(),
        },
        album: text(&fields.album),
        duration_ms: at(&fields.duration_ms)
            .and_then(Value::as_u64)
            .and_then(|ms| u32::try_from(ms).ok()),
        isrc: text(&fields.isrc),
    })
}

fn artists(names: &[Value]) -> Vec<String> {
    names
        .iter()
        .filter_map(Value::as_str)
        .map(clean)
        .filter(|name| !name.is_empty())
        .take(MOST_ARTISTS)
        .collect()
}

/// Whether the text has the form of Spotify's ids: 22 characters, base 62.
pub fn is_spotify_id(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The id in a track's URI.
pub fn track_id_of(uri: &str) -> Option<&str> {
    uri.strip_prefix("spotify:track:")
        .filter(|id| is_spotify_id(id))
}

#[cfg(test)]
mod tests {
    use rmcp::model::ContentBlock;
    use serde_json::json;

    use super::{super::profile::Profile, *};

    fn profile(name: &str) -> Profile {
        Profile::choose(Some(name), &Default::default()).expect("a built-in profile")
    }

    fn said(text: impl Into<String>) -> CallToolResult {
        CallToolResult::success(vec![ContentBlock::text(text.into())])
    }

    #[test]
    fn an_error_in_a_successful_answer_is_an_error() {
        let fields = profile("hunarjain09").error;
        for (message, code) in [
            (
                "http status: 429, code: -1 - too many requests",
                ErrorCode::RateLimited,
            ),
            (
                "http status: 404, code: -1 - not found",
                ErrorCode::PlaylistNotFound,
            ),
            (
                "http status: 403, code: -1 - Insufficient client scope",
                ErrorCode::InsufficientScope,
            ),
            ("Connection aborted", ErrorCode::UpstreamUnavailable),
        ] {
            let answer = said(json!({"error": message, "tool": "search_track"}).to_string());
            let error = read(&answer, &fields).expect_err("an error");
            assert_eq!(error.code, code, "{message}");
        }
    }

    #[test]
    fn a_coded_error_keeps_its_code_and_its_wait() {
        let answer = CallToolResult::structured_error(json!({
            "error": {"code": "rate_limited", "message": "slow\u{200B} down", "retry_after_seconds": 79_200}
        }));
        let error = read(&answer, &profile("segue").error).expect_err("an error");
        assert_eq!(error.code, ErrorCode::RateLimited);
        assert_eq!(error.message, "slow down");
        assert_eq!(error.retry_after_seconds, Some(79_200));
    }

    #[test]
    fn an_answer_that_is_no_json_or_too_long_is_a_bad_answer() {
        let fields = profile("segue").error;
        for text in [
            "<html>502</html>".to_owned(),
            "{\"tracks\": [".to_owned(),
            "x".repeat(LARGEST + 1),
        ] {
            let error = read(&said(text), &fields).expect_err("an error");
            assert_eq!(error.code, ErrorCode::BadUpstreamAnswer);
        }
    }

    #[test]
    fn candidates_are_cleaned_and_those_without_a_proper_id_left_out() {
        let fields = profile("hunarjain09").track;
        let good = json!({"id": "4uLU6hMCjMI75M1A2tKUQC", "name": "Halo\u{202E}", "artist": "Beyoncé",
            "album": "I Am…", "uri": "spotify:track:4uLU6hMCjMI75M1A2tKUQC", "duration_ms": 261_000, "isrc": null});
        let bad_id = json!({"id": "../etc", "name": "X", "artist": "Y"});
        let local = json!({"id": "4uLU6hMCjMI75M1A2tKUQC", "name": "X", "artist": "Y", "uri": "spotify:local:x"});
        let read = candidates(&[good, bad_id.clone(), local.clone()], &fields).expect("a list");
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].title, "Halo");
        assert_eq!(read[0].artists, ["Beyoncé"]);
        assert_eq!(read[0].duration_ms, Some(261_000));

        assert_eq!(candidates(&[], &fields), Ok(vec![]));
        let error = candidates(&[bad_id, local], &fields).expect_err("none can be read");
        assert_eq!(error.code, ErrorCode::BadUpstreamAnswer);
    }

    #[test]
    fn one_track_or_null_in_place_of_a_list_is_read() {
        let one = json!({"track": {"id": "a"}, "found": true});
        assert_eq!(list(&one, "/track").map(<[Value]>::len), Ok(1));
        assert_eq!(
            list(&json!({"track": null}), "/track").map(<[Value]>::len),
            Ok(0)
        );
        assert!(list(&json!({"tracks": "none"}), "/tracks").is_err());
    }
}
