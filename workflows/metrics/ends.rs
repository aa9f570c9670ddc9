//! The ends of workflows, counted when the engine has taken them.
//!
//! A worker only proposes that a workflow ends: the engine refuses it when a signal came in between,
//! and then the workflow is replayed and ends once more. So an end is noted when it is proposed, and
//! counted when the run leaves the cache for a reason that the engine's refusal is not. What is proposed
//! during a replay was counted when it was new. A run that continues as new has not ended: only the last
//! run of a batch is counted.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use temporalio_common::{
    data_converters::{DataConverter, SerializationContextData, WorkflowSerializationContext},
    payload_visitor::decode_payloads,
    protos::coresdk::{
        workflow_activation::{
            WorkflowActivation, remove_from_cache::EvictionReason, workflow_activation_job::Variant,
        },
        workflow_commands::{WorkflowCommand, workflow_command::Variant as Command},
        workflow_completion::{
            Success, WorkflowActivationCompletion, workflow_activation_completion,
        },
    },
};
use temporalio_sdk::interceptors::WorkerInterceptor;

use super::{
    Metrics, Status,
    outcome::{End, How, INCOMPLETE, NO_MATCH, NO_METHOD, SYNC, is_an_end},
};
use crate::{error::ErrorCode, matching::MatchMethod};

/// The workflow that is a sync of many.
const BATCH: &str = "BatchSync";
/// The workflow that is the agents' part of one.
const AGENTS: [&str; 2] = ["AgentSync", "SimpleAgentSync"];

/// Counts the ends of the workflows of a worker.
pub(crate) struct Ends {
    metrics: Metrics,
    /// What turns into what the engine keeps.
    converter: DataConverter,
    /// The runs in the worker's cache, by their ids.
    runs: Mutex<HashMap<String, Run>>,
}

/// A run in the cache.
struct Run {
    workflow_type: String,
    started: Option<SystemTime>,
    /// The engine's time at the last step.
    now: Option<SystemTime>,
    replaying: bool,
    end: Option<End>,
}

impl Ends {
    /// Counts with this, on a client with this converter.
    pub(crate) fn new(metrics: Metrics, converter: DataConverter) -> Self {
        Self {
            metrics,
            converter,
            runs: Mutex::default(),
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step of a run; gives a run that has ended, and how.
    fn step(&self, activation: &WorkflowActivation) -> Option<(Run, End)> {
        let now = activation.timestamp.and_then(|time| time.try_into().ok());
        for job in &activation.jobs {
            match &job.variant {
                Some(Variant::InitializeWorkflow(start)) => {
                    let run = Run {
                        workflow_type: start.workflow_type.clone(),
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
            let end = |command: &Command| End::of(command, &run.workflow_type);
            let end = commands.find_map(|command| end(command.variant.as_ref()?));
            // A query may be answered after the end.
            run.end = end.or(run.end.take());
        }
    }

    /// Shows that nothing has happened yet to what users start: of a series that begins at 1 Prometheus
    /// does not see the first event.
    pub(super) fn show_what_is_zero(metrics: &Metrics) {
        let codes = || ErrorCode::all().iter().map(|code| code.as_str());
        for (workflow, left_out) in [(SYNC, NO_MATCH), (BATCH, INCOMPLETE)] {
            let workflow = ("workflow_type", workflow);
            metrics.count(|i| &i.workflows, 0, &[workflow]);
            metrics.count(|i| &i.cancellations, 0, &[workflow]);
            for error in codes().chain([left_out]) {
                let labels = [workflow, ("error_type", error)];
                metrics.count(|i| &i.failures, 0, &labels);
            }
        }
        let methods = [
            MatchMethod::Isrc,
            MatchMethod::Fuzzy,
            MatchMethod::Ai,
            MatchMethod::Review,
            MatchMethod::Given,
        ];
        let methods = methods.map(|method| (SYNC, method.as_str()));
        for (workflow, method) in methods.into_iter().chain([(BATCH, NO_METHOD)]) {
            let labels = [("workflow_type", workflow), ("match_method", method)];
            metrics.count(|i| &i.successes, 0, &labels);
        }
        let kept = ErrorCode::all().iter().filter(|code| code.is_retryable());
        for error in kept {
            metrics.count(|i| &i.dead_letters, 0, &[("error_type", error.as_str())]);
        }
    }

    fn count(&self, run: &Run, end: &End) {
        let workflow = ("workflow_type", &*run.workflow_type);
        let metrics = &self.metrics;
        let status = match end.how {
            How::Success { method } => {
                metrics.count(|i| &i.workflows, 1, &[workflow]);
                let labels = [workflow, ("match_method", method)];
                metrics.count(|i| &i.successes, 1, &labels);
                Status::Success
            }
            How::Failure { error } => {
                metrics.count(|i| &i.workflows, 1, &[workflow]);
                let labels = [workflow, ("error_type", error)];
                metrics.count(|i| &i.failures, 1, &labels);
                if end.dead_lettered {
                    metrics.count(|i| &i.dead_letters, 1, &[("error_type", error)]);
                }
                Status::Failure
            }
            How::Cancelled => {
                metrics.count(|i| &i.cancellations, 1, &[workflow]);
                Status::Cancelled
            }
        };
        let status = ("status", status.as_str());
        if AGENTS.contains(&run.workflow_type.as_str()) {
            metrics.count(|i| &i.agents, 1, &[status]);
        }
        metrics.with(|on| {
            let attributes = on.attributes(&[workflow, status]);
            let time = end.time().or_else(|| run.time()).unwrap_or_default();
            on.instruments.workflow_seconds.record(time, &attributes);
        });
    }
}

#[async_trait(?Send)]
impl WorkerInterceptor for Ends {
    async fn on_workflow_activation(
        &self,
        activation: &WorkflowActivation,
    ) -> Result<(), anyhow::Error> {
        if let Some((run, end)) = self.step(activation) {
            self.count(&run, &end);
        }
        Ok(())
    }

    async fn on_workflow_activation_completion(&self, completion: &WorkflowActivationCompletion) {
        if let Some(end) = opened(completion, &self.converter).await {
            self.propose(&end);
        }
    }
}

/// What proposes an end, as the workflow said it: by now its payloads may be encrypted.
pub(crate) async fn opened(
    completion: &WorkflowActivationCompletion,
    converter: &DataConverter,
) -> Option<WorkflowActivationCompletion> {
    let Some(workflow_activation_completion::Status::Successful(done)) = &completion.status else {
        return None;
    };
    let is_end = |command: &&WorkflowCommand| command.variant.as_ref().is_some_and(is_an_end);
    let command = done.commands.iter().find(is_end)?.clone();
    let done = Success {
        commands: vec![command],
        ..Success::default()
    };
    let mut end = WorkflowActivationCompletion {
        run_id: completion.run_id.clone(),
        status: Some(workflow_activation_completion::Status::Successful(done)),
        ..WorkflowActivationCompletion::default()
    };
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let opened = decode_payloads(&mut end, converter.codec(), &context).await;
    if let Err(error) = opened {
        tracing::warn!(%error, "an end is known without what it tells");
    }
    Some(end)
}

/// Whether the engine took the end of a run that leaves the cache for this reason.
pub(crate) fn is_taken(reason: EvictionReason) -> bool {
    match reason {
        EvictionReason::WorkflowExecutionEnding
        // It had to go anyway.
        | EvictionReason::CacheFull
        | EvictionReason::LangRequested => true,
        EvictionReason::Unspecified
        | EvictionReason::CacheMiss
        | EvictionReason::Nondeterminism
        | EvictionReason::LangFail
        | EvictionReason::TaskNotFound
        | EvictionReason::UnhandledCommand
        | EvictionReason::Fatal
        | EvictionReason::PaginationOrHistoryFetch => false,
    }
}

impl Run {
    /// From the start of this run to its last step, by the engine's clock.
    fn time(&self) -> Option<Duration> {
        self.now?.duration_since(self.started?).ok()
    }
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::coresdk::{
        workflow_activation::{InitializeWorkflow, RemoveFromCache, WorkflowActivationJob},
        workflow_commands::{
            CompleteWorkflowExecution, ContinueAsNewWorkflowExecution, QueryResult,
        },
    };

    use super::*;

    fn ends() -> Ends {
        Ends::new(Metrics::off(), DataConverter::default())
    }

    fn completed() -> Command {
        Command::CompleteWorkflowExecution(CompleteWorkflowExecution::default())
    }

    fn activation(job: Variant, is_replaying: bool) -> WorkflowActivation {
        WorkflowActivation {
            run_id: "run".to_owned(),
            is_replaying,
            jobs: vec![WorkflowActivationJob { variant: Some(job) }],
            ..WorkflowActivation::default()
        }
    }

    fn begun(ends: &Ends, is_replaying: bool) {
        let start = InitializeWorkflow {
            workflow_type: SYNC.to_owned(),
            ..InitializeWorkflow::default()
        };
        let step = ends.step(&activation(
            Variant::InitializeWorkflow(start),
            is_replaying,
        ));
        assert!(step.is_none());
    }

    fn proposed(ends: &Ends, command: Command) {
        let done = Success {
            commands: vec![WorkflowCommand {
                variant: Some(command),
                ..WorkflowCommand::default()
            }],
            ..Success::default()
        };
        ends.propose(&WorkflowActivationCompletion {
            run_id: "run".to_owned(),
            status: Some(workflow_activation_completion::Status::Successful(done)),
            ..WorkflowActivationCompletion::default()
        });
    }

    fn removed(ends: &Ends, reason: EvictionReason) -> Option<How> {
        let removed = RemoveFromCache {
            reason: reason.into(),
            ..RemoveFromCache::default()
        };
        let step = ends.step(&activation(Variant::RemoveFromCache(removed), false));
        step.map(|(_, end)| end.how)
    }

    #[test]
    fn an_end_is_counted_once_the_engine_has_taken_it() {
        let ends = ends();
        begun(&ends, false);
        proposed(&ends, completed());
        // A signal came in between.
        assert_eq!(removed(&ends, EvictionReason::UnhandledCommand), None);
        begun(&ends, true);
        let live = WorkflowActivation {
            run_id: "run".to_owned(),
            ..WorkflowActivation::default()
        };
        assert!(ends.step(&live).is_none());
        proposed(&ends, completed());
        proposed(&ends, Command::RespondToQuery(QueryResult::default()));
        let how = removed(&ends, EvictionReason::WorkflowExecutionEnding);
        assert_eq!(how, Some(How::Success { method: NO_METHOD }));
        assert_eq!(
            removed(&ends, EvictionReason::WorkflowExecutionEnding),
            None
        );
        assert!(ends.runs().is_empty());
    }

    #[test]
    fn what_is_replayed_was_counted_before() {
        let ends = ends();
        begun(&ends, true);
        proposed(&ends, completed());
        assert_eq!(
            removed(&ends, EvictionReason::WorkflowExecutionEnding),
            None
        );
    }

    #[test]
    fn a_run_that_continues_as_new_has_not_ended() {
        let ends = ends();
        begun(&ends, false);
        let next = ContinueAsNewWorkflowExecution::default();
        proposed(&ends, Command::ContinueAsNewWorkflowExecution(next));
        assert_eq!(
            removed(&ends, EvictionReason::WorkflowExecutionEnding),
            None
        );
    }
}
