//! The ends of a worker's runs, each told once: when the engine has taken it.
//!
//! A worker only proposes that a workflow ends: the engine refuses it when a signal came in between, and then the
//! workflow is replayed and ends once more. So an end is noted when it is proposed, and given out when the run leaves
//! the cache for a reason that the engine's refusal is not. What is proposed during a replay was given out when it
//! was new.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use temporalio_common::{
    data_converters::{DataConverter, SerializationContextData, WorkflowSerializationContext},
    payload_visitor::decode_payloads,
    protos::coresdk::{
        workflow_activation::{
            InitializeWorkflow, WorkflowActivation, remove_from_cache::EvictionReason,
            workflow_activation_job::Variant,
        },
        workflow_commands::{WorkflowCommand, workflow_command::Variant as Command},
        workflow_completion::{
            Success, WorkflowActivationCompletion, workflow_activation_completion,
        },
    },
};

/// The runs in a worker's cache, with what their reader knows of each (`K`), and how it says that they end (`E`).
pub(crate) struct RunEnds<K, E> {
    runs: Mutex<HashMap<String, Run<K, E>>>,
}

/// A run in the cache.
pub(crate) struct Run<K, E> {
    pub(crate) workflow_type: String,
    pub(crate) started: Option<SystemTime>,
    /// The engine's time at the last step.
    pub(crate) now: Option<SystemTime>,
    pub(crate) known: K,
    replaying: bool,
    end: Option<E>,
}

impl<K, E> Default for RunEnds<K, E> {
    fn default() -> Self {
        Self {
            runs: Mutex::default(),
        }
    }
}

impl<K, E> RunEnds<K, E> {
    fn runs(&self) -> MutexGuard<'_, HashMap<String, Run<K, E>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step of a run, of which this is known if it begins; gives a run that has ended, and how.
    pub(crate) fn step(
        &self,
        activation: &WorkflowActivation,
        known: impl Fn(&InitializeWorkflow) -> K,
    ) -> Option<(Run<K, E>, E)> {
        let now = activation.timestamp.and_then(|time| time.try_into().ok());
        for job in &activation.jobs {
            match &job.variant {
                Some(Variant::InitializeWorkflow(start)) => {
                    let run = Run {
                        workflow_type: start.workflow_type.clone(),
                        started: start.start_time.and_then(|time| time.try_into().ok()),
                        now,
                        known: known(start),
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

    /// Notes what a step proposes, if a command of a workflow of this type is an end.
    pub(crate) fn propose(
        &self,
        completion: &WorkflowActivationCompletion,
        end_of: impl Fn(&Command, &str) -> Option<E>,
    ) {
        let Some(workflow_activation_completion::Status::Successful(done)) = &completion.status
        else {
            return;
        };
        if let Some(run) = self.runs().get_mut(&completion.run_id)
            && !run.replaying
        {
            let mut commands = done.commands.iter();
            let end =
                |command: &WorkflowCommand| end_of(command.variant.as_ref()?, &run.workflow_type);
            let end = commands.find_map(end);
            // A query may be answered after the end.
            run.end = end.or(run.end.take());
        }
    }
}

/// Whether the engine took the end of a run that leaves the cache for this reason.
fn is_taken(reason: EvictionReason) -> bool {
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

/// Whether a workflow ends by this command. One that continues as new has not ended.
fn is_an_end(command: &Command) -> bool {
    matches!(
        command,
        Command::CompleteWorkflowExecution(_)
            | Command::FailWorkflowExecution(_)
            | Command::CancelWorkflowExecution(_)
    )
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

#[cfg(test)]
mod tests {
    use temporalio_common::protos::coresdk::{
        workflow_activation::{RemoveFromCache, WorkflowActivationJob},
        workflow_commands::{
            CompleteWorkflowExecution, ContinueAsNewWorkflowExecution, QueryResult,
        },
    };

    use super::*;

    /// Knows of a run how it began, and of an end that it is one.
    type Ends = RunEnds<String, ()>;

    fn step(ends: &Ends, job: Option<Variant>, is_replaying: bool) -> Option<String> {
        let jobs = job.map(|job| WorkflowActivationJob { variant: Some(job) });
        let activation = WorkflowActivation {
            run_id: "run".to_owned(),
            is_replaying,
            jobs: jobs.into_iter().collect(),
            ..WorkflowActivation::default()
        };
        let ended = ends.step(&activation, |start| start.workflow_id.clone());
        ended.map(|(run, ())| run.known)
    }

    fn begun(ends: &Ends, is_replaying: bool) {
        let start = InitializeWorkflow {
            workflow_id: "it".to_owned(),
            ..InitializeWorkflow::default()
        };
        let start = Variant::InitializeWorkflow(start);
        assert_eq!(step(ends, Some(start), is_replaying), None);
    }

    fn proposed(ends: &Ends, command: Command) {
        let done = Success {
            commands: vec![WorkflowCommand {
                variant: Some(command),
                ..WorkflowCommand::default()
            }],
            ..Success::default()
        };
        let completion = WorkflowActivationCompletion {
            run_id: "run".to_owned(),
            status: Some(workflow_activation_completion::Status::Successful(done)),
            ..WorkflowActivationCompletion::default()
        };
        ends.propose(&completion, |command, _| is_an_end(command).then_some(()));
    }

    fn removed(ends: &Ends, reason: EvictionReason) -> Option<String> {
        let removed = RemoveFromCache {
            reason: reason.into(),
            ..RemoveFromCache::default()
        };
        step(ends, Some(Variant::RemoveFromCache(removed)), false)
    }

    fn completed() -> Command {
        Command::CompleteWorkflowExecution(CompleteWorkflowExecution::default())
    }

    #[test]
    fn an_end_is_given_out_once_the_engine_has_taken_it() {
        let ends = Ends::default();
        begun(&ends, false);
        proposed(&ends, completed());
        // A signal came in between.
        assert_eq!(removed(&ends, EvictionReason::UnhandledCommand), None);
        begun(&ends, true);
        assert_eq!(step(&ends, None, false), None);
        proposed(&ends, completed());
        proposed(&ends, Command::RespondToQuery(QueryResult::default()));
        let taken = EvictionReason::WorkflowExecutionEnding;
        assert_eq!(removed(&ends, taken).as_deref(), Some("it"));
        assert_eq!(removed(&ends, taken), None);
        assert!(ends.runs().is_empty());
    }

    #[test]
    fn what_is_replayed_was_given_out_before() {
        let ends = Ends::default();
        begun(&ends, true);
        proposed(&ends, completed());
        let taken = EvictionReason::WorkflowExecutionEnding;
        assert_eq!(removed(&ends, taken), None);
    }

    #[test]
    fn a_run_that_continues_as_new_has_not_ended() {
        let ends = Ends::default();
        begun(&ends, false);
        let next = ContinueAsNewWorkflowExecution::default();
        proposed(&ends, Command::ContinueAsNewWorkflowExecution(next));
        let taken = EvictionReason::WorkflowExecutionEnding;
        assert_eq!(removed(&ends, taken), None);
    }
}
