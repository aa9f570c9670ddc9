//! The list of resources: what a client shows to a user who looks for something to attach. So it has what
//! is under way and what ended last, and not the tens of thousands of syncs that an engine may keep.

use jiff::Timestamp;
use rmcp::{
    ErrorData, RoleServer,
    model::{Annotations, CacheScope, ListResourcesResult, Resource},
    service::RequestContext,
};
use segue_workflows::model::fence::shown;

use super::{JSON, client, fixed, internal, sync_uri};
use crate::{
    EngineState, Segue, caching,
    list_syncs::{self, Row},
    visibility,
};

/// Syncs that are under way, on a page.
const RUNNING_A_PAGE: u32 = 50;
/// Syncs that have ended, in all.
const MOST_ENDED: u32 = 50;

/// A page: first what there is once, then what is under way, and behind that what ended last. Clients ask
/// for it when they connect, so it waits for no engine: until that is there, the rest is left out.
pub(crate) async fn list(
    segue: &Segue,
    cursor: Option<&str>,
    context: &RequestContext<RoleServer>,
) -> Result<ListResourcesResult, ErrorData> {
    let token = visibility::cursor(cursor)
        .map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
    let mut resources = match cursor {
        None => fixed(),
        Some(_) => Vec::new(),
    };
    let client = match (segue.engine().state(), cursor) {
        (EngineState::Ready(client), _) => client,
        (_, None) => {
            return Ok(ListResourcesResult::with_all_items(resources)
                .with_ttl_ms(caching::MOVING_MS)
                .with_cache_scope(CacheScope::Private));
        }
        (_, Some(_)) => client(segue, context).await?,
    };
    let of = |state: &str| format!("{} AND {state}", list_syncs::all_of(segue.user_id()));
    let running = of("ExecutionStatus = 'Running'");
    let page = visibility::list(&client, running, RUNNING_A_PAGE, token).await;
    let mut page = page.map_err(|error| internal(&error))?;
    let next_cursor = page.next_cursor.take();
    let mut found = page.found;
    if next_cursor.is_none() {
        let ended = of("ExecutionStatus != 'Running'");
        let ended = visibility::list(&client, ended, MOST_ENDED, Vec::new()).await;
        found.extend(ended.map_err(|error| internal(&error))?.found);
    }
    let rows = list_syncs::rows(&client, &found).await;
    let rows = rows.map_err(|error| internal(&error))?;
    resources.extend(rows.iter().map(resource));
    let mut listed = ListResourcesResult::with_all_items(resources)
        .with_ttl_ms(caching::LISTED_MS)
        .with_cache_scope(CacheScope::Private);
    listed.next_cursor = next_cursor;
    Ok(listed)
}

/// A sync as it stands in the list. Titles come from strangers: they are cut, and nothing hides in them.
fn resource(row: &Row) -> Resource {
    let what = match (&row.track, &row.artist) {
        (Some(track), Some(artist)) => format!("\"{}\" by {}", shown(track), shown(artist)),
        _ if row.playlist.is_empty() => "A comparison".to_owned(),
        _ => "A batch".to_owned(),
    };
    let status = row.status.as_str().replace('_', " ");
    let began = row.started_at;
    let description = match row.playlist.is_empty() {
        true => format!("Began at {began:.0}."),
        false => format!(
            "Into the playlist {}; began at {began:.0}.",
            shown(&row.playlist)
        ),
    };
    let mut annotations = Annotations::default();
    annotations.last_modified = Some(last_modified(row).to_string());
    Resource::new(sync_uri(&row.sync_id), &row.sync_id)
        .with_title(format!("{what}: {status}"))
        .with_description(description)
        .with_mime_type(JSON)
        .with_annotations(annotations)
}

fn last_modified(row: &Row) -> Timestamp {
    row.ended_at.unwrap_or(row.started_at)
}

#[cfg(test)]
mod tests {
    use segue_workflows::{names, sync::SyncStatus};

    use super::*;

    #[test]
    fn a_song_a_batch_and_a_comparison_are_told_apart() {
        let row = |track: Option<&str>, playlist: &str| Row {
            sync_id: names::new_sync_id(),
            status: SyncStatus::WaitingForReview,
            track: track.map(str::to_owned),
            artist: track.map(|_| "Cold\u{200b}play".to_owned()),
            playlist: playlist.to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
        };
        let title = |row: &Row| resource(row).title.unwrap_or_default();
        let song = row(Some(&"Clocks ".repeat(100)), "Evening Drive");
        assert!(title(&song).ends_with("…\" by Coldplay: waiting for review"));
        assert!(title(&song).chars().count() < 260);
        assert_eq!(
            title(&row(None, "Evening Drive")),
            "A batch: waiting for review"
        );
        assert_eq!(title(&row(None, "")), "A comparison: waiting for review");
    }
}
