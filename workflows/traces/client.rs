//! What a client asks of the engine, within the trace that it asks in. What no request is behind, such as the
//! care for the budget of calls, makes no trace of its own.

use std::sync::Arc;

use futures::future::BoxFuture;
use opentelemetry::trace::TraceContextExt;
use segue_spans::{Fields, attribute, failed};
use temporalio_client::{
    CancelWorkflowInput, ClientInterceptor, ClientOptions, Next, QueryWorkflowInput,
    QueryWorkflowOutput, SignalWithStartWorkflowInput, SignalWorkflowInput, StartWorkflowInput,
    StartWorkflowOutput, StartWorkflowUpdateInput, StartWorkflowUpdateOutput,
    TerminateWorkflowInput, UpdateWithStartWorkflowInput, UpdateWithStartWorkflowOutput,
    errors::{
        WorkflowInteractionError, WorkflowQueryError, WorkflowStartError, WorkflowUpdateError,
        WorkflowUpdateWithStartError,
    },
};
use temporalio_common::data_converters::DataConverter;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::header;

/// What a call that the engine refused, or that did not reach it, is marked with.
const FAILED: &str = "_OTHER";

pub(super) fn options(namespace: String, converter: DataConverter) -> ClientOptions {
    let options = ClientOptions::new(namespace);
    let mut options = options.data_converter(converter).build();
    options.client_interceptors.push(Arc::new(Calls));
    options
}

struct Calls;

/// The span of a call about this workflow; none if it is not made within a trace.
fn calling(operation: &str, what: &str, workflow_id: &str) -> Option<Span> {
    let within = Span::current().context();
    if !within.span().span_context().is_valid() {
        return None;
    }
    let name = match what {
        "" => operation.to_owned(),
        what => format!("{operation}:{what}"),
    };
    let span = tracing::info_span!("engine", otel.name = name, otel.kind = "client");
    attribute(&span, "temporalWorkflowID", workflow_id.to_owned());
    Some(span)
}

fn carried(span: Option<&Span>) -> Fields {
    span.map(Fields::of).unwrap_or_default()
}

fn told<'a, T, E>(
    span: Option<Span>,
    call: BoxFuture<'a, Result<T, E>>,
) -> BoxFuture<'a, Result<T, E>>
where
    T: Send + 'a,
    E: Send + 'a,
{
    let Some(span) = span else {
        return call;
    };
    let within = span.clone();
    Box::pin(
        async move {
            let result = call.await;
            if result.is_err() {
                failed(&span, FAILED);
            }
            result
        }
        .instrument(within),
    )
}

type Answer<'a, T, E> = BoxFuture<'a, Result<T, E>>;

impl ClientInterceptor for Calls {
    fn start_workflow<'a>(
        &'a self,
        mut input: StartWorkflowInput,
        next: Next<'a, StartWorkflowInput, Answer<'a, StartWorkflowOutput, WorkflowStartError>>,
    ) -> Answer<'a, StartWorkflowOutput, WorkflowStartError> {
        let options = &mut input.options;
        let span = calling("StartWorkflow", &input.workflow_type, &options.workflow_id);
        header::write_into(&mut options.header, &carried(span.as_ref()));
        told(span, next.run(input))
    }

    fn signal_with_start_workflow<'a>(
        &'a self,
        mut input: SignalWithStartWorkflowInput,
        next: Next<
            'a,
            SignalWithStartWorkflowInput,
            Answer<'a, StartWorkflowOutput, WorkflowStartError>,
        >,
    ) -> Answer<'a, StartWorkflowOutput, WorkflowStartError> {
        let options = &mut input.options;
        let operation = "SignalWithStartWorkflow";
        let span = calling(operation, &input.workflow_type, &options.workflow_id);
        header::write_into(&mut options.header, &carried(span.as_ref()));
        told(span, next.run(input))
    }

    fn signal_workflow<'a>(
        &'a self,
        mut input: SignalWorkflowInput,
        next: Next<'a, SignalWorkflowInput, Answer<'a, (), WorkflowInteractionError>>,
    ) -> Answer<'a, (), WorkflowInteractionError> {
        let span = calling("SignalWorkflow", &input.signal_name, &input.workflow_id);
        header::write_into(&mut input.options.header, &carried(span.as_ref()));
        told(span, next.run(input))
    }

    fn query_workflow<'a>(
        &'a self,
        mut input: QueryWorkflowInput,
        next: Next<'a, QueryWorkflowInput, Answer<'a, QueryWorkflowOutput, WorkflowQueryError>>,
    ) -> Answer<'a, QueryWorkflowOutput, WorkflowQueryError> {
        let span = calling("QueryWorkflow", &input.query_name, &input.workflow_id);
        header::write_into(&mut input.options.header, &carried(span.as_ref()));
        told(span, next.run(input))
    }

    fn start_workflow_update<'a>(
        &'a self,
        mut input: StartWorkflowUpdateInput,
        next: Next<
            'a,
            StartWorkflowUpdateInput,
            Answer<'a, StartWorkflowUpdateOutput, WorkflowUpdateError>,
        >,
    ) -> Answer<'a, StartWorkflowUpdateOutput, WorkflowUpdateError> {
        let operation = "StartWorkflowUpdate";
        let span = calling(operation, &input.update_name, &input.workflow_id);
        header::write_into(&mut input.options.header, &carried(span.as_ref()));
        told(span, next.run(input))
    }

    fn update_with_start_workflow<'a>(
        &'a self,
        mut input: UpdateWithStartWorkflowInput,
        next: Next<
            'a,
            UpdateWithStartWorkflowInput,
            Answer<'a, UpdateWithStartWorkflowOutput, WorkflowUpdateWithStartError>,
        >,
    ) -> Answer<'a, UpdateWithStartWorkflowOutput, WorkflowUpdateWithStartError> {
        let options = &mut input.options;
        let operation = "UpdateWithStartWorkflow";
        let span = calling(operation, &input.workflow_type, &options.workflow_id);
        // The workflow that it may start serves more than this trace, such as the budget of a user's tokens.
        header::write_into(&mut options.update_header, &carried(span.as_ref()));
        told(span, next.run(input))
    }

    fn cancel_workflow<'a>(
        &'a self,
        input: CancelWorkflowInput,
        next: Next<'a, CancelWorkflowInput, Answer<'a, (), WorkflowInteractionError>>,
    ) -> Answer<'a, (), WorkflowInteractionError> {
        let span = calling("CancelWorkflow", "", &input.workflow_id);
        told(span, next.run(input))
    }

    fn terminate_workflow<'a>(
        &'a self,
        input: TerminateWorkflowInput,
        next: Next<'a, TerminateWorkflowInput, Answer<'a, (), WorkflowInteractionError>>,
    ) -> Answer<'a, (), WorkflowInteractionError> {
        let span = calling("TerminateWorkflow", "", &input.workflow_id);
        told(span, next.run(input))
    }
}
