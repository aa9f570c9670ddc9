//! What can be read by URI: the report of a batch.

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, ResourceContents, ResourceTemplate},
};
use segue_workflows::names;
use temporalio_client::Client;

use crate::{
    batch_view,
    error::ToolError,
    report::{self, Report, Sources},
    view,
};

const JSON: &str = "application/json";
const CSV: &str = "text/csv";

/// The URI of a batch's report.
pub(crate) fn report_uri(sync_id: &str) -> String {
    format!("sync://{sync_id}/report.json")
}

/// What there is to read, as templates: every batch has a report.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
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
    };
    vec![
        template("json", JSON, "JSON"),
        template("csv", CSV, "a table"),
    ]
}

/// What a URI names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    sync_id: &'a str,
    mime: &'static str,
}

/// What this URI names, if anything of ours.
pub(crate) fn named(uri: &str) -> Option<Named<'_>> {
    let (sync_id, file) = uri.strip_prefix("sync://")?.split_once('/')?;
    let mime = match file {
        "report.json" | "report" => JSON,
        "report.csv" => CSV,
        _ => return None,
    };
    names::is_sync_id(sync_id).then_some(Named { sync_id, mime })
}

/// Reads what a URI names. What belongs to somebody else is as unknown as what does not exist.
pub(crate) async fn read(
    client: &Client,
    user_id: &str,
    uri: &str,
    named: Named<'_>,
) -> Result<ReadResourceResult, ErrorData> {
    let Named { sync_id, mime } = named;
    let described = view::describe(client, user_id, sync_id).await;
    let described = match described {
        Ok(described) if batch_view::is_batch(&described) => described,
        Ok(_) => return Err(unknown(uri)),
        Err(error) if error.code == "unknown_sync" => return Err(unknown(uri)),
        Err(error) => return Err(internal(&error)),
    };
    let text = text(client, sync_id, &described, mime).await;
    let text = text.map_err(|error| internal(&error))?;
    let contents = ResourceContents::text(text, uri).with_mime_type(mime);
    Ok(ReadResourceResult::new(vec![contents]))
}

async fn text(
    client: &Client,
    sync_id: &str,
    described: &temporalio_client::WorkflowExecutionDescription,
    mime: &str,
) -> Result<String, ToolError> {
    let sources = Sources::of(client, sync_id, described).await?;
    let rows = sources.whole(client, sync_id).await?;
    if mime == CSV {
        return report::as_csv(&rows, &sources.unreadable, sources.more_unreadable)
            .map_err(|error| ToolError::engine_failed("write the table", &error));
    }
    let report = Report {
        sync_id: sync_id.to_owned(),
        status: sources.status,
        counts: sources.counts,
        rows,
        unreadable: sources.unreadable,
        more_unreadable: sources.more_unreadable,
    };
    serde_json::to_string(&report)
        .map_err(|error| ToolError::engine_failed("write the report", &error))
}

/// There is nothing of this name.
pub(crate) fn unknown(uri: &str) -> ErrorData {
    ErrorData::resource_not_found(
        "There is no such resource; sync://{sync_id}/report.json is the report of a batch.",
        Some(serde_json::json!({ "uri": uri })),
    )
}

fn internal(error: &ToolError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_named_by_its_uri_and_nothing_else_is() {
        let id = names::new_sync_id();
        assert_eq!(named(&report_uri(&id)).map(|n| n.mime), Some(JSON));
        let table = format!("sync://{id}/report.csv");
        assert_eq!(
            named(&table).map(|n| (n.sync_id, n.mime)),
            Some((id.as_str(), CSV))
        );
        for wrong in [
            "sync://sync-1/report.json",
            "file:///etc/passwd",
            &format!("sync://{id}/../report.json"),
            &format!("sync://{id}/secrets"),
        ] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }
}
