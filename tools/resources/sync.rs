//! `sync://{sync_id}`: where a sync stands, or what came of it, as `get_sync_progress` tells it.

use rmcp::model::{ReadResourceResult, ResourceTemplate};
use temporalio_client::Client;

use super::{JSON, answer, ttl_of};
use crate::{error::ToolError, icons, view};

/// The URI of a sync.
pub(crate) fn sync_uri(sync_id: &str) -> String {
    format!("sync://{sync_id}")
}

/// The form of the URIs.
pub(super) fn template() -> ResourceTemplate {
    ResourceTemplate::new("sync://{sync_id}", "sync")
        .with_title("A sync")
        .with_description(
            "Where a sync stands: its step, what it waits for, and once it has ended what came of it. \
             Can be watched while it runs.",
        )
        .with_mime_type(JSON)
        .with_icons(icons::sync())
}

/// Reads a sync of this user's.
pub(super) async fn read(
    client: &Client,
    user_id: &str,
    uri: &str,
    sync_id: &str,
) -> Result<ReadResourceResult, ToolError> {
    let view = view::read(client, user_id, sync_id).await?;
    let text = serde_json::to_string(&view)
        .map_err(|error| ToolError::engine_failed("write where the sync stands", &error))?;
    Ok(answer(text, uri, JSON, ttl_of(view.status)))
}
