//! What can be read by URI: a sync and its report, and how Segue is. Each file is a kind of resource.

mod health;
mod listing;
mod report;
mod sync;

use rmcp::{
    ErrorData, RoleServer,
    model::{CacheScope, ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
    service::RequestContext,
};
use segue_workflows::{names, sync::SyncStatus};
use serde_json::json;
use temporalio_client::Client;

pub(crate) use self::{listing::list, report::report_uri, sync::sync_uri};
use crate::{Segue, app, caching, error::ToolError};

pub(crate) const JSON: &str = "application/json";
pub(crate) const CSV: &str = "text/csv";

/// The resources that there are once and for everybody: they stand first in the list.
pub(crate) fn fixed() -> Vec<Resource> {
    vec![health::resource()]
}

/// The resources that there are many of, by the form of their URIs.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    [vec![sync::template()], report::templates()].concat()
}

/// What a URI names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// How Segue is.
    Health,
    /// The view that hosts show of a sync.
    View,
    /// Where a sync stands, by its id.
    Sync(&'a str),
    /// What became of every row of a batch, by its id, in this form.
    Report(&'a str, &'static str),
}

/// What this URI names, if anything of ours.
pub(crate) fn named(uri: &str) -> Option<Named<'_>> {
    if uri == health::URI {
        return Some(Named::Health);
    }
    if uri == app::URI {
        return Some(Named::View);
    }
    let path = uri.strip_prefix("sync://")?;
    let (sync_id, file) = path.split_once('/').unwrap_or((path, ""));
    let named = match file {
        "" => Named::Sync(sync_id),
        "report.json" | "report" => Named::Report(sync_id, JSON),
        "report.csv" => Named::Report(sync_id, CSV),
        _ => return None,
    };
    names::is_sync_id(sync_id).then_some(named)
}

/// Reads what a URI names. What belongs to somebody else is as unknown as what does not exist.
pub(crate) async fn read(
    segue: &Segue,
    uri: &str,
    context: &RequestContext<RoleServer>,
) -> Result<ReadResourceResult, ErrorData> {
    let Some(named) = named(uri) else {
        return Err(unknown(uri));
    };
    let user_id = segue.user_id();
    let read = match named {
        Named::Health => return health::read(segue, uri).await,
        Named::View => return Ok(app::read()),
        Named::Sync(sync_id) => {
            let client = client(segue, context).await?;
            sync::read(&client, user_id, uri, sync_id).await
        }
        Named::Report(sync_id, mime) => {
            let client = client(segue, context).await?;
            let _turn = segue.turn_at_reports().await;
            report::read(&client, user_id, uri, sync_id, mime).await
        }
    };
    read.map_err(|error| match error.code {
        "unknown_sync" => unknown(uri),
        _ => internal(&error),
    })
}

/// The engine's client, waited for if the engine is still starting.
pub(crate) async fn client(
    segue: &Segue,
    context: &RequestContext<RoleServer>,
) -> Result<Client, ErrorData> {
    let engine = segue.engine().ready(context).await;
    Ok(engine.map_err(|error| internal(&error))?.client)
}

/// The answer to a read. What stands where it will always stand may be kept, by its reader alone.
fn answer(text: String, uri: &str, mime: &str, ttl_ms: u64) -> ReadResourceResult {
    let contents = ResourceContents::text(text, uri).with_mime_type(mime);
    ReadResourceResult::new(vec![contents])
        .with_ttl_ms(ttl_ms)
        .with_cache_scope(CacheScope::Private)
}

/// How long what is told of a sync in this state may be kept. A failed one may still be brought home by
/// its dead letter.
fn ttl_of(status: SyncStatus) -> u64 {
    match status {
        SyncStatus::Completed | SyncStatus::Cancelled => caching::ENDED_MS,
        _ => caching::MOVING_MS,
    }
}

/// There is nothing of this name, for this user.
pub(crate) fn unknown(uri: &str) -> ErrorData {
    ErrorData::resource_not_found(
        "There is no such resource. Those that there are: segue://health, sync://{sync_id}, and of a \
         batch sync://{sync_id}/report.json and report.csv; list_syncs tells the ids.",
        Some(json!({ "uri": uri })),
    )
}

pub(crate) fn internal(error: &ToolError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), Some(json!({ "code": error.code })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_named_by_its_uri_and_nothing_else_is() {
        let id = names::new_sync_id();
        assert_eq!(named("segue://health"), Some(Named::Health));
        assert_eq!(named("ui://segue/progress"), Some(Named::View));
        assert_eq!(named(&sync_uri(&id)), Some(Named::Sync(&id)));
        // Some clients give every URI a path.
        assert_eq!(named(&format!("sync://{id}/")), Some(Named::Sync(&id)));
        assert_eq!(named(&report_uri(&id)), Some(Named::Report(&id, JSON)));
        let table = format!("sync://{id}/report.csv");
        assert_eq!(named(&table), Some(Named::Report(&id, CSV)));
        for wrong in [
            "",
            "sync://",
            "sync://sync-1",
            "sync://sync-1/report.json",
            "segue://health/",
            "segue://secrets",
            "file:///etc/passwd",
            &format!("sync://{id}/../report.json"),
            &format!("sync://{id}/secrets"),
            &format!("sync://{id}?x=1"),
        ] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_what_cannot_change_any_more_may_be_kept() {
        assert_eq!(ttl_of(SyncStatus::Completed), caching::ENDED_MS);
        assert_eq!(ttl_of(SyncStatus::Cancelled), caching::ENDED_MS);
        for moving in [
            SyncStatus::Running,
            SyncStatus::WaitingForReview,
            SyncStatus::Failed,
            SyncStatus::DeadLettered,
        ] {
            assert_eq!(ttl_of(moving), 0, "{moving:?}");
        }
    }
}
