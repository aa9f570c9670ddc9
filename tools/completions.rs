//! Completion: what a user may mean who has begun to write the id of a sync or the name of a playlist.
//!
//! A client asks with every letter, so an answer comes soon or is empty. It is a help, and never a fault.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference},
};
use temporalio_client::{Client, WorkflowCountOptions};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    EngineState, Segue, list_playlists, list_syncs, prompts,
    resources::{self, sync_uri},
    visibility,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the names of the playlists are kept: while somebody writes one.
const KEPT: Duration = Duration::from_secs(60);
/// The same after they could not be read.
const KEPT_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How long Spotify may take to tell them; the answer that waits for it has gone by then.
const LONGEST_READING: Duration = Duration::from_secs(20);

/// What is to be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The id of any sync.
    SyncId,
    /// The id of a batch.
    BatchId,
    /// The name of a playlist.
    Playlist,
    /// Something that only the user knows.
    Unknown,
}

/// What the user may mean.
pub(crate) async fn complete(
    segue: &Segue,
    request: CompleteRequestParams,
) -> Result<CompleteResult, ErrorData> {
    let wanted = wanted(&request.r#ref, &request.argument.name)?;
    let begun = request.argument.value;
    let EngineState::Ready(client) = segue.engine().state() else {
        return Ok(CompleteResult::default());
    };
    let found = match wanted {
        Wanted::SyncId | Wanted::BatchId => {
            let query = ids_that_begin(segue.user_id(), &begun, wanted);
            match query {
                Some(query) => timeout(PATIENCE, ids(&client, query)).await.ok().flatten(),
                None => None,
            }
        }
        Wanted::Playlist => {
            let names = segue.playlist_names().known(&client).await;
            of_many(names_that_begin(&names, &begun))
        }
        Wanted::Unknown => None,
    };
    Ok(CompleteResult::new(found.unwrap_or_default()))
}

/// What an argument of a template or a prompt wants; an error if there is no such.
fn wanted(reference: &Reference, argument: &str) -> Result<Wanted, ErrorData> {
    let no_such = |what: &str| {
        ErrorData::invalid_params(format!("There is no such {what} to complete."), None)
    };
    if let Some(uri) = reference.as_resource_uri() {
        if resources::templates()
            .iter()
            .all(|template| template.uri_template != uri)
        {
            return Err(no_such("template"));
        }
        return match argument {
            "sync_id" if uri == sync_uri("{sync_id}") => Ok(Wanted::SyncId),
            "sync_id" => Ok(Wanted::BatchId),
            _ => Err(no_such("argument")),
        };
    }
    let name = reference.as_prompt_name().unwrap_or_default();
    let Some(prompt) = prompts::named(name) else {
        return Err(prompts::unknown());
    };
    let arguments = prompt.arguments.unwrap_or_default();
    match argument {
        _ if arguments.iter().all(|known| known.name != argument) => Err(no_such("argument")),
        "sync_id" => Ok(Wanted::SyncId),
        "playlist" => Ok(Wanted::Playlist),
        _ => Ok(Wanted::Unknown),
    }
}

/// The engine's query for the user's syncs whose ids begin so; nothing if none can.
fn ids_that_begin(user_id: &str, begun: &str, wanted: Wanted) -> Option<String> {
    const PREFIX: &str = "sync-";
    let mut query = list_syncs::all_of(user_id);
    if wanted == Wanted::BatchId {
        query.push_str(" AND WorkflowType = 'BatchSync'");
    }
    if PREFIX.starts_with(begun) {
        return Some(query);
    }
    let digits = begun.strip_prefix(PREFIX)?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() > 32 || !digits.bytes().all(is_hex) {
        return None;
    }
    query.push_str(&format!(" AND WorkflowId STARTS_WITH '{begun}'"));
    Some(query)
}

/// The ids of these syncs, the latest first, and how many there are.
async fn ids(client: &Client, query: String) -> Option<CompletionInfo> {
    const MOST: u32 = CompletionInfo::MAX_VALUES as u32;
    let page = visibility::list(client, query.clone(), MOST, Vec::new())
        .await
        .ok()?;
    let ids: Vec<String> = page.ids().map(str::to_owned).collect();
    if page.next_cursor.is_none() {
        return CompletionInfo::with_all_values(ids).ok();
    }
    let counted = client.count_workflows(query, WorkflowCountOptions::default());
    let total = counted.await.ok().map(|counted| counted.count());
    let total = total.and_then(|total| u32::try_from(total).ok());
    CompletionInfo::with_pagination(ids, total, true).ok()
}

/// The names that begin so, whatever the case, each once.
fn names_that_begin(names: &[String], begun: &str) -> Vec<String> {
    let begun = begun.trim_start().to_lowercase();
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if name.to_lowercase().starts_with(&begun) && !found.contains(name) {
            found.push(name.clone());
        }
    }
    found
}

/// As many as an answer may have, and how many there are.
fn of_many(mut found: Vec<String>) -> Option<CompletionInfo> {
    let total = u32::try_from(found.len()).ok();
    let more = found.len() > CompletionInfo::MAX_VALUES;
    found.truncate(CompletionInfo::MAX_VALUES);
    CompletionInfo::with_pagination(found, total, more).ok()
}

/// The names of the user's playlists, as Spotify tells them, kept for a while.
///
/// They come from Spotify and not from earlier syncs, because a first sync has none before it, and because
/// a playlist may be called otherwise by now. One namespace is one Spotify account, so they are the same for
/// every user of this process, as the answer of `list_playlists` is.
#[derive(Clone, Default)]
pub(crate) struct PlaylistNames {
    kept: Arc<Mutex<Option<Kept>>>,
}

struct Kept {
    names: Arc<[String]>,
    until: Instant,
}

impl PlaylistNames {
    /// The names, if they are known soon. What takes longer is there for the next who asks.
    async fn known(&self, client: &Client) -> Arc<[String]> {
        let (names, client) = (self.clone(), client.clone());
        let reading = tokio::spawn(async move { names.read(&client).await });
        let known = timeout(PATIENCE, reading).await;
        known.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// The names, read anew if they are old. Others who ask meanwhile wait for the same reading.
    async fn read(&self, client: &Client) -> Arc<[String]> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| Instant::now() < kept.until) {
            return kept.names.clone();
        }
        let read = list_playlists::read(client, LONGEST_READING).await;
        let (names, time) = match (read, kept.take()) {
            (Ok(playlists), _) => {
                let names = playlists.into_iter().map(|playlist| playlist.name);
                (names.filter(|name| !name.is_empty()).collect(), KEPT)
            }
            (Err(error), before) => {
                tracing::debug!(%error, "the playlists could not be read for a completion");
                let names = before.map(|before| before.names).unwrap_or_default();
                (names, KEPT_AFTER_FAILURE)
            }
        };
        *kept = Some(Kept {
            names: Arc::clone(&names),
            until: Instant::now() + time,
        });
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::report_uri;

    #[test]
    fn what_can_be_completed_is_what_there_is() {
        let template = |uri: &str, argument| wanted(&Reference::for_resource(uri), argument);
        assert_eq!(template("sync://{sync_id}", "sync_id"), Ok(Wanted::SyncId));
        let report = report_uri("{sync_id}");
        assert_eq!(template(&report, "sync_id"), Ok(Wanted::BatchId));
        assert!(template("sync://{sync_id}", "id").is_err());
        assert!(template("file:///{path}", "path").is_err());
        let prompt = |name: &str, argument| wanted(&Reference::for_prompt(name), argument);
        let moving = "move_my_library";
        assert_eq!(prompt(moving, "playlist"), Ok(Wanted::Playlist));
        assert_eq!(prompt(moving, "from"), Ok(Wanted::Unknown));
        assert_eq!(prompt("what_went_wrong", "sync_id"), Ok(Wanted::SyncId));
        assert!(prompt(moving, "sync_id").is_err());
        assert!(prompt("no_such", "playlist").is_err());
    }

    #[test]
    fn only_the_beginning_of_an_id_gets_into_a_query() {
        let query = |begun| ids_that_begin("local", begun, Wanted::SyncId);
        for any in ["", "s", "sync-"] {
            let query = query(any).expect("any sync");
            assert!(query.ends_with("UserId = 'local'"), "{query}");
        }
        let some = query("sync-0af").expect("some syncs");
        assert!(
            some.ends_with("WorkflowId STARTS_WITH 'sync-0af'"),
            "{some}"
        );
        for none in ["x", "sync-g", "sync-' OR 1=1", "SYNC-", "sync-0AF"] {
            assert_eq!(query(none), None, "{none}");
        }
        assert_eq!(query(&format!("sync-{}", "0".repeat(33))), None);
    }

    #[test]
    fn names_are_found_whatever_their_case_and_a_hundred_are_shown() {
        let names = ["Évasion", "evening", "Evening", "Evening", "Other"].map(str::to_owned);
        assert_eq!(names_that_begin(&names, "EVE"), ["evening", "Evening"]);
        assert_eq!(names_that_begin(&names, "é"), ["Évasion"]);
        let many = (0..130).map(|n| format!("list {n}")).collect();
        let shown = of_many(many).expect("an answer");
        assert_eq!((shown.values.len(), shown.total), (100, Some(130)));
        assert_eq!(shown.has_more, Some(true));
    }
}
