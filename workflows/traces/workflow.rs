//! What the steps of a workflow carry: put into their headers as they are begun.

use segue_spans::Fields;
use temporalio_sdk::workflow_interceptors::{
    CancellableWorkflowOutboundFuture, ContinueAsNewInput, ContinueAsNewResult,
    ExecuteWorkflowInput, ExecuteWorkflowResult, ScheduleActivityInput, ScheduleActivityResult,
    ScheduleLocalActivityInput, SignalWorkflowInput, SignalWorkflowResult, StartChildWorkflowInput,
    StartChildWorkflowResult, SyncWorkflowInterceptorContext, WorkflowInterceptor,
    WorkflowInterceptorConstructor, WorkflowInterceptorContext, WorkflowInterceptorFuture,
    WorkflowNext,
};
use tracing::{Instrument, field::Empty};

use super::{
    LOG_ALONE,
    header::{self, Headers},
    place::Place,
};

/// Interceptors that let every step of a workflow carry what belongs to it.
pub(crate) fn carried() -> Vec<WorkflowInterceptorConstructor> {
    vec![WorkflowInterceptorConstructor::new(|started| {
        Carrying(Place::of(started.run_id(), started.raw()))
    })]
}

struct Carrying(Place);

impl Carrying {
    fn write(&self, headers: &mut Headers, fields: &Fields) {
        header::write(headers, fields, &self.0.origin);
    }
}

impl WorkflowInterceptor for Carrying {
    fn execute<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: WorkflowNext<
            'a,
            ExecuteWorkflowInput,
            WorkflowInterceptorFuture<'a, ExecuteWorkflowResult>,
        >,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        let span = tracing::info_span!(
            target: LOG_ALONE,
            "workflow",
            workflow = ctx.workflow_type(),
            sync_id = Empty,
            user = Empty,
        );
        self.0.origin.record(&span);
        WorkflowInterceptorFuture::new(next.run(input).instrument(span))
    }

    fn schedule_activity(
        &self,
        _ctx: WorkflowInterceptorContext,
        mut input: ScheduleActivityInput,
        next: WorkflowNext<
            'static,
            ScheduleActivityInput,
            CancellableWorkflowOutboundFuture<ScheduleActivityResult>,
        >,
    ) -> CancellableWorkflowOutboundFuture<ScheduleActivityResult> {
        self.write(input.headers_mut(), &self.0.below);
        next.run(input)
    }

    fn schedule_local_activity(
        &self,
        _ctx: WorkflowInterceptorContext,
        mut input: ScheduleLocalActivityInput,
        next: WorkflowNext<
            'static,
            ScheduleLocalActivityInput,
            CancellableWorkflowOutboundFuture<ScheduleActivityResult>,
        >,
    ) -> CancellableWorkflowOutboundFuture<ScheduleActivityResult> {
        self.write(input.headers_mut(), &self.0.below);
        next.run(input)
    }

    fn start_child_workflow(
        &self,
        _ctx: WorkflowInterceptorContext,
        mut input: StartChildWorkflowInput,
        next: WorkflowNext<
            'static,
            StartChildWorkflowInput,
            CancellableWorkflowOutboundFuture<StartChildWorkflowResult>,
        >,
    ) -> CancellableWorkflowOutboundFuture<StartChildWorkflowResult> {
        self.write(input.headers_mut(), &self.0.below);
        next.run(input)
    }

    fn signal_workflow(
        &self,
        _ctx: WorkflowInterceptorContext,
        mut input: SignalWorkflowInput,
        next: WorkflowNext<
            'static,
            SignalWorkflowInput,
            CancellableWorkflowOutboundFuture<SignalWorkflowResult>,
        >,
    ) -> CancellableWorkflowOutboundFuture<SignalWorkflowResult> {
        self.write(input.headers_mut(), &self.0.below);
        next.run(input)
    }

    fn continue_as_new(
        &self,
        _ctx: SyncWorkflowInterceptorContext,
        mut input: ContinueAsNewInput,
        next: WorkflowNext<'static, ContinueAsNewInput, ContinueAsNewResult>,
    ) -> ContinueAsNewResult {
        self.write(input.headers_mut(), &self.0.beside);
        next.run(input)
    }
}
