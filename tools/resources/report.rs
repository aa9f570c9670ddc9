//! `sync://{sync_id}/report.json` and `report.csv`: what became of every row of a batch.

use rmcp::model::{ReadResourceResult, ResourceTemplate};
use temporalio_client::Client;

use super::{CSV, JSON, answer, ttl_of};
use crate::{
    batch_view,
    error::ToolError,
    icons,
    report::{self, Report, Sources},
    view,
};

/// The URI of a batch's report.
pub(crate) fn report_uri(sync_id: &str) -> String {
    format!("sync://{sync_id}/report.json")
}

/// The forms of the URIs.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    let template = |kind: &str, mime: &str, what: &str| {
        let (uri, name) = (
            format!("sync://{{sync_id}}/report.{kind}"),
            format!("report.{kind}"),
        );
        ResourceTemplate::new(uri, name)
            .with_title(format!("Report of a batch, as {what}"))
            .with_description(
                "Every row of the source: what it was matched to, by which method and with which \
                 score, or why not.",
            )
            .with_mime_type(mime)
            .with_icons(icons::report())
    };
    vec![
        template("json", JSON, "JSON"),
        template("csv", CSV, "a table"),
    ]
}

/// Reads the report of a batch of this user's. Any other sync has none.
pub(super) async fn read(
    client: &Client,
    user_id: &str,
    uri: &str,
    sync_id: &str,
    mime: &'static str,
) -> Result<ReadResourceResult, ToolError> {
    let described = view::describe(client, user_id, sync_id).await?;
    if !batch_view::is_batch(&described) {
        return Err(ToolError::unknown_sync(sync_id));
    }
    let sources = Sources::of(client, sync_id, &described).await?;
    let ttl_ms = ttl_of(sources.status);
    let rows = sources.whole(client, sync_id).await?;
    let text = if mime == CSV {
        report::as_csv(&rows, &sources.unreadable, sources.more_unreadable)
            .map_err(|error| ToolError::engine_failed("write the table", &error))?
    } else {
        let report = Report {
            sync_id: sync_id.to_owned(),
            status: sources.status,
            counts: sources.counts,
            rows,
            unreadable: sources.unreadable,
            more_unreadable: sources.more_unreadable,
        };
        serde_json::to_string(&report)
            .map_err(|error| ToolError::engine_failed("write the report", &error))?
    };
    Ok(answer(text, uri, mime, ttl_ms))
}
