//! The spans of the runs of workflows, told when the engine has taken their ends.
//!
//! A run goes from process to process; its times are the engine's, and its ids its own, so that it does not matter
//! where it began.

use async_trait::async_trait;
use opentelemetry::{
    KeyValue, global,
    trace::{Span, SpanBuilder, SpanKind, Status, Tracer},
};
use temporalio_common::{
    data_converters::DataConverter,
    protos::coresdk::{
        workflow_activation::{InitializeWorkflow, WorkflowActivation},
        workflow_commands::workflow_command::Variant as Command,
        workflow_completion::WorkflowActivationCompletion,
    },
};
use temporalio_sdk::interceptors::WorkerInterceptor;

use super::{
    ids,
    place::{self, Place},
};
use crate::{
    metrics::{End, How},
    names,
    run_ends::{Run, RunEnds, opened},
    upstream::is_spotify_id,
};

/// The name of what makes these spans.
const SCOPE: &str = "segue";

/// Tells the runs of a worker's workflows.
pub(crate) struct Runs {
    /// What turns into what the engine keeps.
    converter: DataConverter,
    runs: RunEnds<Known, Outcome>,
}

/// What its start says of a run.
struct Known {
    workflow_id: String,
    /// Absent as long as its name stands there, until it is looked up.
    playlist_id: Option<String>,
    place: Place,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Workflow(How),
    ContinuedAsNew,
}

impl Outcome {
    fn of(command: &Command, workflow_type: &str) -> Option<Self> {
        match command {
            Command::ContinueAsNewWorkflowExecution(_) => Some(Self::ContinuedAsNew),
            other => End::of(other, workflow_type).map(|end| Self::Workflow(end.how)),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Workflow(How::Success { .. }) => "success",
            Self::Workflow(How::Failure { .. }) => "failure",
            Self::Workflow(How::Cancelled) => "cancelled",
            Self::ContinuedAsNew => "continued_as_new",
        }
    }
}

impl Runs {
    /// The runs of workflows on a client with this converter.
    pub(crate) fn new(converter: DataConverter) -> Self {
        Self {
            converter,
            runs: RunEnds::default(),
        }
    }
}

impl Known {
    fn of(run_id: &str, start: &InitializeWorkflow) -> Self {
        let playlist = place::attribute(start, names::PLAYLIST_ID.name());
        Self {
            workflow_id: start.workflow_id.clone(),
            playlist_id: playlist.filter(|id| is_spotify_id(id)),
            place: Place::of(run_id, start),
        }
    }
}

/// Tells a run, by its span.
fn tell(run_id: &str, run: &Run<Known, Outcome>, outcome: Outcome) {
    let known = &run.known;
    let Some(span) = &known.place.span else {
        return;
    };
    let facts = [
        ("temporalWorkflowID", Some(known.workflow_id.clone())),
        ("temporalRunID", Some(run_id.to_owned())),
        ("workflow", Some(run.workflow_type.clone())),
        ("outcome", Some(outcome.as_str().to_owned())),
        ("sync_id", known.place.origin.sync_id.clone()),
        ("user", known.place.origin.user.clone()),
        ("playlist_id", known.playlist_id.clone()),
    ];
    let attributes = facts
        .into_iter()
        .filter_map(|(name, value)| Some(KeyValue::new(name, value?)));
    let mut builder = SpanBuilder::from_name(place::name_of(&run.workflow_type))
        .with_kind(SpanKind::Server)
        .with_attributes(attributes);
    builder.start_time = run.started;
    let mut told = ids::giving(span.trace_id(), span.span_id(), || {
        global::tracer(SCOPE).build_with_context(builder, &known.place.parent)
    });
    if let Outcome::Workflow(How::Failure { error }) = outcome {
        told.set_attribute(KeyValue::new("error.type", error));
        told.set_status(Status::error(""));
    }
    match run.now.max(run.started) {
        Some(now) => told.end_with_timestamp(now),
        None => told.end(),
    }
}

#[async_trait(?Send)]
impl WorkerInterceptor for Runs {
    async fn on_workflow_activation(
        &self,
        activation: &WorkflowActivation,
    ) -> Result<(), anyhow::Error> {
        let known = |start: &InitializeWorkflow| Known::of(&activation.run_id, start);
        if let Some((run, outcome)) = self.runs.step(activation, known) {
            tell(&activation.run_id, &run, outcome);
        }
        Ok(())
    }

    async fn on_workflow_activation_completion(&self, completion: &WorkflowActivationCompletion) {
        match opened(completion, &self.converter).await {
            Some(end) => self.runs.propose(&end, Outcome::of),
            // It goes on, perhaps as new.
            None => self.runs.propose(completion, Outcome::of),
        }
    }
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::coresdk::workflow_commands::{
        CompleteWorkflowExecution, ContinueAsNewWorkflowExecution, QueryResult,
    };

    use super::*;

    #[test]
    fn each_run_of_a_workflow_that_continues_as_new_is_told() {
        let outcome = |command: Command| Some(Outcome::of(&command, "BatchSync")?.as_str());
        let next = ContinueAsNewWorkflowExecution::default();
        let next = Command::ContinueAsNewWorkflowExecution(next);
        assert_eq!(outcome(next), Some("continued_as_new"));
        let end = CompleteWorkflowExecution::default();
        let end = Command::CompleteWorkflowExecution(end);
        assert_eq!(outcome(end), Some("success"));
        let answer = Command::RespondToQuery(QueryResult::default());
        assert_eq!(outcome(answer), None);
    }
}
