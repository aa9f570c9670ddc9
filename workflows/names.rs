//! The names under which the engine knows our work: task queues, workflow ids, search attributes.

use sha2::{Digest, Sha256};
use temporalio_common::search_attributes::SearchAttributeKey;
use uuid::Uuid;

use crate::{matching::source_key, track::SourceTrack};

/// The task queue of syncs and of everything they call.
pub const SYNC_QUEUE: &str = "music-sync";
/// The task queue of dead letters: apart, so that a flood of syncs does not delay a retry.
pub const DEAD_LETTER_QUEUE: &str = "music-sync-dlq";

/// The task queue of the call budget: apart, so that a flood of syncs does not keep the workers from
/// learning how often they may call.
pub const BUDGET_QUEUE: &str = "upstream-budget";
/// The task queue of notices: apart, so that a receiver that hangs keeps no sync from its turn. Only workers
/// with a webhook ask it for work.
pub const NOTICE_QUEUE: &str = "notices";

/// The id of the one workflow that keeps the call budget of this engine.
pub const BUDGET_ID: &str = "upstream-budget";

/// The patch by which a sync waits for a new sign-in, and for workers that were lost, where it
/// failed before.
pub const PATIENCE_PATCH: &str = "patience";

/// The patch by which a workflow that is cancelled while it recalls what the user said ends as cancelled.
pub(crate) const RECALL_PATCH: &str = "recall_cancelled";

/// The patch by which a notice of what is over ends untold, where it was told too late before.
pub(crate) const OVER_PATCH: &str = "over_untold";

/// The key in a batch's memo under which its [`BatchProgress`](crate::batch::BatchProgress) stands.
pub const PROGRESS_MEMO: &str = "progress";

/// The key in a batch's memo under which it stands what is remembered of the export that it was read
/// from: an [`Imported`](crate::batch::Imported).
pub const IMPORT_MEMO: &str = "import";

/// The key in a batch's memo under which it stands what became of the rows of a page.
pub(crate) fn fates_memo(page: u32) -> String {
    format!("fates-{page}")
}

/// The key in a batch's memo under which the tracks stand that the user chose for rows of a page:
/// [`Picks`](crate::batch::Picks).
pub fn chosen_memo(page: u32) -> String {
    format!("chosen-{page}")
}

/// Whose sync it is.
pub const USER_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("UserId");
/// The playlist that it fills: the id, or the name until that is looked up.
pub const PLAYLIST_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("PlaylistId");
/// The name by which the playlist was given, if it was not given by id.
pub const PLAYLIST_NAME: SearchAttributeKey<String> = SearchAttributeKey::keyword("PlaylistName");
/// The title as the source spells it.
pub const TRACK_NAME: SearchAttributeKey<String> = SearchAttributeKey::keyword("TrackName");
/// The artist as the source spells it.
pub const ARTIST_NAME: SearchAttributeKey<String> = SearchAttributeKey::keyword("ArtistName");
/// Where the sync stands: a [`SyncStatus`](crate::sync::SyncStatus). Temporal's own status knows
/// neither a wait nor a dead letter.
pub const SYNC_STATUS: SearchAttributeKey<String> = SearchAttributeKey::keyword("SyncStatus");

/// What the sync waits for, and until when: a [`Wait`](crate::sync::Wait) in one line. Empty while it
/// does not wait.
pub const SYNC_WAIT: SearchAttributeKey<String> = SearchAttributeKey::keyword("SyncWait");

/// The names of all search attributes, each a Keyword: what an engine must have registered.
pub fn search_attributes() -> [&'static str; 7] {
    [
        USER_ID.name(),
        PLAYLIST_ID.name(),
        PLAYLIST_NAME.name(),
        TRACK_NAME.name(),
        ARTIST_NAME.name(),
        SYNC_STATUS.name(),
        SYNC_WAIT.name(),
    ]
}

/// Bytes of a search attribute's value that are kept. Temporal's SQL stores index 255 characters.
const LONGEST_ATTRIBUTE: usize = 255;

/// The text, cut to what a search attribute holds.
pub fn attribute_value(text: &str) -> String {
    let mut end = text.len().min(LONGEST_ATTRIBUTE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The term of the engine's query language by which a search attribute has this value, which cannot
/// leave its quotes.
pub fn equals(name: &str, value: &str) -> String {
    let quoted = attribute_value(value)
        .replace('\\', "\\\\")
        .replace('\'', "\\'");
    format!("{name} = '{quoted}'")
}

const SYNC_PREFIX: &str = "sync-";
const SCHEDULE_PREFIX: &str = "schedule-";
const PLACE_PREFIX: &str = "place-";
const AGENTS_SUFFIX: &str = "-agents";
const PAGE_INFIX: &str = "-page-";
const REVIEW_PREFIX: &str = "review-";
const ANSWER_PREFIX: &str = "answer-";
const CLIENT_SESSION_PREFIX: &str = "client-session-";
const NOTICE_PREFIX: &str = "notice-";

/// A new sync id: 122 random bits, so that nobody can guess somebody else's. For clients, never
/// for workflow code.
pub fn new_sync_id() -> String {
    format!("{SYNC_PREFIX}{}", random())
}

#[expect(
    clippy::disallowed_methods,
    reason = "called by clients, before there is a workflow"
)]
fn random() -> uuid::fmt::Simple {
    Uuid::new_v4().simple()
}

/// The id of a sync that a workflow starts: made of what names its occasion, so that a replay and a
/// repeated attempt come to the same. No easier to guess than the run ids among its parts.
pub(crate) fn derived_sync_id(parts: &[&str]) -> String {
    format!("{SYNC_PREFIX}{}", digest_of(parts))
}

/// The id under which a user's session over HTTP is kept: who knows the id of a session, but is
/// somebody else, does not find it.
pub(crate) fn client_session_id(user_id: &str, session_id: &str) -> String {
    // A header's value, which the session's id is, holds no zero byte.
    let digest = digest_of(&[session_id, user_id]);
    format!("{CLIENT_SESSION_PREFIX}{digest}")
}

/// 128 bits, in hexadecimal, that depend on every part. Of parts that hold no zero byte, also on where
/// each ends.
fn digest_of(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
        digest.update([0]);
    }
    let digest = digest.finalize();
    digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A new schedule id: as random as a sync id. For clients, never for workflow code.
pub fn new_schedule_id() -> String {
    format!("{SCHEDULE_PREFIX}{}", random())
}

/// The task queue of a worker that holds sessions: its own, and new with each start. For clients and
/// workers, never for workflow code.
pub(crate) fn new_session_queue() -> String {
    format!("mcp-sessions-{}", random())
}

/// Whether the text has the form of a schedule id.
pub fn is_schedule_id(text: &str) -> bool {
    text.strip_prefix(SCHEDULE_PREFIX).is_some_and(is_random)
}

/// The id of the runs of a schedule; the engine appends the time of each.
pub fn schedule_run_id(schedule_id: &str) -> String {
    format!("run-of-{schedule_id}")
}

/// Whether the text has the form of a sync id.
pub fn is_sync_id(text: &str) -> bool {
    text.strip_prefix(SYNC_PREFIX).is_some_and(is_random)
}

fn is_random(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The id of the workflow that keeps a sync that ran out of attempts.
pub fn dead_letter_id(sync_id: &str) -> String {
    format!("dead-letter-{sync_id}")
}

/// The sync that the dead letter of this id keeps.
pub fn sync_of_dead_letter(letter_id: &str) -> Option<&str> {
    letter_id
        .strip_prefix("dead-letter-")
        .filter(|id| is_sync_id(id))
}

/// The id of the workflow that puts a track into a playlist. It names both, so that the engine
/// itself lets only one of them run at a time.
pub fn place_track_id(playlist_id: &str, track_uri: &str) -> String {
    format!("{PLACE_PREFIX}{playlist_id}-{track_uri}")
}

/// Whether a workflow of this id puts a track into a playlist.
pub(crate) fn is_placing(id: &str) -> bool {
    id.starts_with(PLACE_PREFIX)
}

/// The id of the workflow that puts a page of a batch into a playlist: one at a time.
pub fn place_page_id(playlist_id: &str) -> String {
    format!("place-{playlist_id}")
}

/// The id of the workflow that keeps the account of a user's tokens. A name may be longer than an id, and
/// is nobody's business who may list workflows by their ids.
pub fn token_budget_id(user_id: &str) -> String {
    let hash = Sha256::digest(user_id.as_bytes());
    let start: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("model-tokens-{start}")
}

/// The id of the workflow in which agents do the work of a sync.
pub fn agents_id(sync_id: &str) -> String {
    format!("{sync_id}{AGENTS_SUFFIX}")
}

/// Whether agents do the work of a sync in a workflow of this id.
pub(crate) fn is_agents(id: &str) -> bool {
    id.ends_with(AGENTS_SUFFIX)
}

/// The id of the workflow in which agents look for a song of a comparison, counted from 0.
pub(crate) fn compared_id(comparison_id: &str, number: usize) -> String {
    format!("{comparison_id}-song-{number}")
}

/// The id of the workflow that searches a page of a batch, counted from 0.
pub fn page_id(sync_id: &str, page: u32) -> String {
    format!("{sync_id}{PAGE_INFIX}{page}")
}

/// The page of a batch that a workflow of this id searches, counted from 0, if it searches one.
pub(crate) fn page_of(id: &str) -> Option<usize> {
    let (sync_id, page) = id.split_once(PAGE_INFIX)?;
    sync_id.starts_with(SYNC_PREFIX).then_some(())?;
    page.parse().ok()
}

/// The id of the workflow that asks the user about the track of a sync, or about a row of a batch.
pub fn review_id(sync_id: &str, row: Option<u32>) -> String {
    match row {
        Some(row) => format!("{REVIEW_PREFIX}{sync_id}-{row}"),
        None => format!("{REVIEW_PREFIX}{sync_id}"),
    }
}

/// The sync that the review of this id is about.
pub fn sync_of_review(review_id: &str) -> Option<&str> {
    let rest = review_id.strip_prefix(REVIEW_PREFIX)?;
    let (sync_id, row) = match rest.match_indices('-').nth(1) {
        Some((at, _)) => (&rest[..at], &rest[at + 1..]),
        None => (rest, "0"),
    };
    (is_sync_id(sync_id) && row.parse::<u32>().is_ok()).then_some(sync_id)
}

/// The id of the workflow that remembers what this user said about a track spelt so.
pub fn answer_id(user_id: &str, source: &SourceTrack) -> String {
    let digest = Sha256::new()
        .chain_update(user_id)
        .chain_update([0])
        .chain_update(source_key(source))
        .finalize();
    let hex: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{ANSWER_PREFIX}{hex}")
}

/// Whether the text has the form of the id of a remembered answer.
pub fn is_answer_id(text: &str) -> bool {
    text.strip_prefix(ANSWER_PREFIX)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The id of the workflow that tells of an event of this type of a sync: one at most has it.
pub(crate) fn notice_id(what: &str, sync_id: &str) -> String {
    format!("{NOTICE_PREFIX}{}-{sync_id}", what.replace(['.', '_'], "-"))
}

/// The id of the workflow that tells that this user's sign-in at this upstream is needed. It tells neither.
pub(crate) fn sign_in_notice_id(user_id: &str, upstream: &str) -> String {
    format!(
        "{NOTICE_PREFIX}sign-in-needed-{}",
        digest_of(&[user_id, upstream])
    )
}

/// The id of a reading of a user's playlists.
pub fn new_playlist_reading_id() -> String {
    format!("playlists-{}", random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_ids_are_recognised_and_differ() {
        let (one, other) = (new_sync_id(), new_sync_id());
        assert!(is_sync_id(&one) && is_sync_id(&other));
        assert_ne!(one, other);
        assert!(!is_sync_id("sync-1") && !is_sync_id(&dead_letter_id(&one)));
        let schedule = new_schedule_id();
        assert!(is_schedule_id(&schedule) && !is_schedule_id(&one) && !is_sync_id(&schedule));
    }

    #[test]
    fn a_derived_sync_id_depends_on_every_part_and_on_nothing_else() {
        let id = derived_sync_id(&["run-of-x", "1"]);
        assert!(is_sync_id(&id));
        assert_eq!(id, derived_sync_id(&["run-of-x", "1"]));
        assert_ne!(id, derived_sync_id(&["run-of-x", "2"]));
        assert_ne!(id, derived_sync_id(&["run-of-x1"]));
    }

    #[test]
    fn the_id_of_a_review_names_its_sync() {
        let id = new_sync_id();
        assert_eq!(sync_of_review(&review_id(&id, None)), Some(&*id));
        assert_eq!(sync_of_review(&review_id(&id, Some(19_999))), Some(&*id));
        for wrong in ["review-", "review-sync-1", &id, &format!("review-{id}-x")] {
            assert_eq!(sync_of_review(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_found_by_its_user_and_the_spelling_of_the_track() {
        let track = |title: &str| SourceTrack {
            title: title.into(),
            artist: "Queen".into(),
            ..SourceTrack::default()
        };
        let id = answer_id("ada", &track("Halo"));
        assert!(is_answer_id(&id) && !is_answer_id("answer-1"));
        assert_eq!(id, answer_id("ada", &track("HALO ")));
        assert_ne!(id, answer_id("bob", &track("Halo")));
        assert_ne!(id, answer_id("ada", &track("Halo (Live)")));
    }

    #[test]
    fn attribute_values_are_cut_between_characters() {
        let long = "é".repeat(200);
        let cut = attribute_value(&long);
        assert_eq!(cut.len(), 254);
        assert!(long.starts_with(&cut));
    }
}
