//! The attempts of activities: a span each, with whose sync it is.

use segue_spans::{attribute, failed};
use temporalio_sdk::{
    activities::ActivityError,
    interceptors::{ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next},
};
use tracing::{Instrument, field::Empty};

use super::header;
use crate::error::ErrorCode;

/// Tells every attempt of every activity of a worker. It is named as Temporal's other SDKs name it.
pub(crate) struct Attempts;

impl ActivityInboundInterceptor for Attempts {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        let span = tracing::info_span!(
            "activity",
            otel.name = format!("RunActivity:{}", info.activity_type),
            otel.kind = "server",
            activity = info.activity_type,
            attempt = info.attempt,
            sync_id = Empty,
            user = Empty,
        );
        header::origin(input.headers()).record(&span);
        header::fields(input.headers()).adopt(&span);
        attribute(&span, "temporalActivityID", info.activity_id.clone());
        if let (Some(workflow_id), Some(run_id)) = (&info.workflow_id, &info.workflow_run_id) {
            attribute(&span, "temporalWorkflowID", workflow_id.clone());
            attribute(&span, "temporalRunID", run_id.clone());
        }
        let told = span.clone();
        let attempt = async move {
            tracing::debug!("begun");
            let result = next.run(input).await;
            match &result {
                Err(ActivityError::Application(failure)) => {
                    let code = failure.type_name().and_then(ErrorCode::parse);
                    let code = code.map_or(OTHER, ErrorCode::as_str);
                    failed(&told, code);
                    tracing::info!(error = code, "the attempt failed");
                }
                Err(ActivityError::Cancelled { .. }) => {
                    attribute(&told, "error.type", CANCELLED);
                    tracing::debug!("cancelled");
                }
                // What remains is an activity that somebody else will complete; there are none.
                Ok(_) | Err(_) => tracing::debug!("done"),
            }
            result
        };
        Box::pin(attempt.instrument(span))
    }
}

/// A failure that has no stable code: a fault, or a worker that stops and hands its work back.
const OTHER: &str = "_OTHER";
/// No failure: the sync was cancelled.
const CANCELLED: &str = "cancelled";
