//! The spans of the runs of workflows, told when the engine has taken their ends.
//!
//! As with the metrics (`metrics/ends.rs`), what is proposed in a replay was told when it was new, and an end
//! that the engine refuses is no end. A run goes from process to process; its times are the engine's, and
//! its ids its own, so that it does not matter where it began.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;
use opentelemetry::{
    KeyValue, global,
    trace::{Span, SpanBuilder, SpanKind, Status, Tracer},
};
use temporalio_common::{
    data_converters::DataConverter,
    protos::coresdk::{
        workflow_activation::{WorkflowActivation, workflow_activation_job::Variant},
        workflow_commands::workflow_command::Variant as Command,
        workflow_completion::{WorkflowActivationCompletion, workflow_activation_completion},
    },
};
use temporalio_sdk::interceptors::WorkerInterceptor;

use super::{
    ids,
    place::{self, Place},
};
use crate::{
    metrics::{End, How, is_taken, opened},
    names,
    upstream::is_spotify_id,
};

/// The name of what makes these spans.
const SCOPE: &str = "segue";

/// Tells the runs of a worker's workflows.
pub(crate) struct Runs {
    /// What turns into what the engine keeps.
    converter: DataConverter,
    /// The runs in the worker's cache, by their ids.
    runs: Mutex<HashMap<String, Run>>,
}

/// A run in the cache.
struct Run {
    workflow_type: String,
    workflow_id: String,
    playlist_id: Option<String>,
    place: Place,
    started: Option<SystemTime>,
    /// The engine's time at the last step.
    now: Option<SystemTime>,
    replaying: bool,
    end: Option<Outcome>,
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
            runs: Mutex::default(),
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step of a run; gives a run that has ended, and how.
    fn step(&self, activation: &WorkflowActivation) -> Option<(Run, Outcome)> {
        let now = activation.timestamp.and_then(|time| time.try_into().ok());
        for job in &activation.jobs {
            match &job.variant {
                Some(Variant::InitializeWorkflow(start)) => {
                    let playlist = place::attribute(start, names::PLAYLIST_ID.name());
                    let run = Run {
                        workflow_type: start.workflow_type.clone(),
                        workflow_id: start.workflow_id.clone(),
                        // Until it is looked up, its name stands there.
                        playlist_id: playlist.filter(|id| is_spotify_id(id)),
                        place: Place::of(&activation.run_id, start),
                        started: start.start_time.and_then(|time| time.try_into().ok()),
                        now,
                        replaying: activation.is_replaying,
                        end: None,
                    };
                    self.runs().insert(activation.run_id.clone(), run);
                }
                Some(Variant::RemoveFromCache(removed)) => {
                    let mut run = self.runs().remove(&activation.run_id)?;
                    let end = run.end.take().filter(|_| is_taken(removed.reason()))?;
                    return Some((run, end));
                }
                _ => {}
            }
        }
        if let Some(run) = self.runs().get_mut(&activation.run_id) {
            run.replaying = activation.is_replaying;
            run.now = now.or(run.now);
        }
        None
    }

    fn propose(&self, completion: &WorkflowActivationCompletion) {
        let Some(workflow_activation_completion::Status::Successful(done)) = &completion.status
        else {
            return;
        };
        if let Some(run) = self.runs().get_mut(&completion.run_id)
            && !run.replaying
        {
            let mut commands = done.commands.iter();
            let end = commands.find_map(|it| Outcome::of(it.variant.as_ref()?, &run.workflow_type));
            // A query may be answered after the end.
            run.end = end.or(run.end.take());
        }
    }
}

impl Run {
    fn tell(&self, run_id: &str, outcome: Outcome) {
        let Some(span) = &self.place.span else {
            return;
        };
        let known = [
            ("temporalWorkflowID", Some(self.workflow_id.clone())),
            ("temporalRunID", Some(run_id.to_owned())),
            ("workflow", Some(self.workflow_type.clone())),
            ("outcome", Some(outcome.as_str().to_owned())),
            ("sync_id", self.place.origin.sync_id.clone()),
            ("user", self.place.origin.user.clone()),
            ("playlist_id", self.playlist_id.clone()),
        ];
        let attributes = known
            .into_iter()
            .filter_map(|(name, value)| Some(KeyValue::new(name, value?)));
        let mut builder = SpanBuilder::from_name(place::name_of(&self.workflow_type))
            .with_kind(SpanKind::Server)
            .with_attributes(attributes);
        builder.start_time = self.started;
        let mut told = ids::giving(span.trace_id(), span.span_id(), || {
            global::tracer(SCOPE).build_with_context(builder, &self.place.parent)
        });
        if let Outcome::Workflow(How::Failure { error }) = outcome {
            told.set_attribute(KeyValue::new("error.type", error));
            told.set_status(Status::error(""));
        }
        match self.now.max(self.started) {
            Some(now) => told.end_with_timestamp(now),
            None => told.end(),
        }
    }
}

#[async_trait(?Send)]
impl WorkerInterceptor for Runs {
    async fn on_workflow_activation(
        &self,
        activation: &WorkflowActivation,
    ) -> Result<(), anyhow::Error> {
        if let Some((run, outcome)) = self.step(activation) {
            run.tell(&activation.run_id, outcome);
        }
        Ok(())
    }

    async fn on_workflow_activation_completion(&self, completion: &WorkflowActivationCompletion) {
        match opened(completion, &self.converter).await {
            Some(end) => self.propose(&end),
            // It goes on, perhaps as new.
            None => self.propose(completion),
        }
    }
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::coresdk::{
        workflow_activation::{
            InitializeWorkflow, RemoveFromCache, WorkflowActivationJob,
            remove_from_cache::EvictionReason,
        },
        workflow_commands::{
            CompleteWorkflowExecution, ContinueAsNewWorkflowExecution, WorkflowCommand,
        },
        workflow_completion::Success,
    };

    use super::*;

    fn step(runs: &Runs, job: Variant, is_replaying: bool) -> Option<&'static str> {
        let step = runs.step(&WorkflowActivation {
            run_id: "run".to_owned(),
            is_replaying,
            jobs: vec![WorkflowActivationJob { variant: Some(job) }],
            ..WorkflowActivation::default()
        });
        step.map(|(_, outcome)| outcome.as_str())
    }

    fn begun(runs: &Runs, is_replaying: bool) {
        let start = Variant::InitializeWorkflow(InitializeWorkflow::default());
        assert_eq!(step(runs, start, is_replaying), None);
    }

    fn proposed(runs: &Runs, command: Command) {
        let done = Success {
            commands: vec![WorkflowCommand {
                variant: Some(command),
                ..WorkflowCommand::default()
            }],
            ..Success::default()
        };
        runs.propose(&WorkflowActivationCompletion {
            run_id: "run".to_owned(),
            status: Some(workflow_activation_completion::Status::Successful(done)),
            ..WorkflowActivationCompletion::default()
        });
    }

    fn removed(runs: &Runs, reason: EvictionReason) -> Option<&'static str> {
        let removed = RemoveFromCache {
            reason: reason.into(),
            ..RemoveFromCache::default()
        };
        step(runs, Variant::RemoveFromCache(removed), false)
    }

    fn completed() -> Command {
        Command::CompleteWorkflowExecution(CompleteWorkflowExecution::default())
    }

    #[test]
    fn an_end_is_told_once_the_engine_has_taken_it() {
        let runs = Runs::new(DataConverter::default());
        begun(&runs, false);
        proposed(&runs, completed());
        // A signal came in between, and it ends once more.
        assert_eq!(removed(&runs, EvictionReason::UnhandledCommand), None);
        begun(&runs, true);
        assert!(
            runs.step(&WorkflowActivation {
                run_id: "run".to_owned(),
                ..WorkflowActivation::default()
            })
            .is_none()
        );
        proposed(&runs, completed());
        let ended = EvictionReason::WorkflowExecutionEnding;
        assert_eq!(removed(&runs, ended), Some("success"));
        assert_eq!(removed(&runs, ended), None);
        assert!(runs.runs().is_empty());
    }

    #[test]
    fn what_is_replayed_was_told_before() {
        let runs = Runs::new(DataConverter::default());
        begun(&runs, true);
        proposed(&runs, completed());
        let ended = EvictionReason::WorkflowExecutionEnding;
        assert_eq!(removed(&runs, ended), None);
    }

    #[test]
    fn each_run_of_a_workflow_that_continues_as_new_is_told() {
        let runs = Runs::new(DataConverter::default());
        begun(&runs, false);
        let next = ContinueAsNewWorkflowExecution::default();
        proposed(&runs, Command::ContinueAsNewWorkflowExecution(next));
        let ended = EvictionReason::WorkflowExecutionEnding;
        assert_eq!(removed(&runs, ended), Some("continued_as_new"));
    }
}
