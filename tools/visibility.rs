//! Lists from the engine, filtered and paged.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
pub(crate) use segue_workflows::names::equals;
use temporalio_client::{Client, NamespacedClient};
use temporalio_common::protos::temporal::api::{
    workflow::v1::WorkflowExecutionInfo, workflowservice::v1::ListWorkflowExecutionsRequest,
};

use crate::error::ToolError;

/// Characters of a cursor that are read at most; the engine's own has about 200.
const LONGEST_CURSOR: usize = 4096;
/// Entries of a page when nobody says another number.
const DEFAULT_LIMIT: u32 = 20;
/// Entries of a page at most: what a chat can still show.
pub(crate) const LARGEST_LIMIT: u32 = 100;

/// A page, and how to come to the next.
pub(crate) struct Page {
    pub(crate) found: Vec<WorkflowExecutionInfo>,
    /// Absent on the last page.
    pub(crate) next_cursor: Option<String>,
}

impl Page {
    /// The ids of what was found.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        let executions = self
            .found
            .iter()
            .filter_map(|found| found.execution.as_ref());
        executions.map(|execution| execution.workflow_id.as_str())
    }
}

/// Entries of a page that a call asks for.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, ToolError> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=LARGEST_LIMIT => Ok(limit),
        _ => Err(ToolError::invalid("limit", "is out of range", "1 to 100")),
    }
}

/// The engine's own token in a cursor of a call.
pub(crate) fn cursor(given: Option<&str>) -> Result<Vec<u8>, ToolError> {
    let given = given.unwrap_or_default();
    let decoded = match given.len() {
        0..=LONGEST_CURSOR => URL_SAFE_NO_PAD.decode(given).ok(),
        _ => None,
    };
    decoded.ok_or_else(|| {
        ToolError::invalid(
            "cursor",
            "is not a cursor",
            "the next_cursor of the page before",
        )
    })
}

/// Reads a page.
pub(crate) async fn list(
    client: &Client,
    query: String,
    limit: u32,
    next_page_token: Vec<u8>,
) -> Result<Page, ToolError> {
    let request = ListWorkflowExecutionsRequest {
        namespace: client.namespace(),
        page_size: i32::try_from(limit).unwrap_or(i32::MAX),
        next_page_token,
        query,
    };
    let mut service = client.connection().workflow_service();
    let answer = service
        .list_workflow_executions(tonic::Request::new(request))
        .await
        .map_err(|status| ToolError::engine_failed("list them", &status.message()))?
        .into_inner();
    let next = answer.next_page_token;
    Ok(Page {
        found: answer.executions,
        next_cursor: (!next.is_empty()).then(|| URL_SAFE_NO_PAD.encode(next)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_is_none_is_refused() {
        assert_eq!(cursor(None), Ok(vec![]));
        assert_eq!(
            cursor(Some("not a cursor!")).expect_err("refused").field,
            Some("cursor")
        );
    }
}
