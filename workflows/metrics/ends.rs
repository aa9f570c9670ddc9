//! The ends of workflows, counted when the engine has taken them. A run that continues as new has not ended: only the
//! last run of a batch is counted.

use std::time::Duration;

use async_trait::async_trait;
use temporalio_common::{
    data_converters::DataConverter,
    protos::coresdk::{
        workflow_activation::WorkflowActivation, workflow_completion::WorkflowActivationCompletion,
    },
};
use temporalio_sdk::interceptors::WorkerInterceptor;

use super::{
    Metrics, Status,
    outcome::{End, How, INCOMPLETE, NO_MATCH, NO_METHOD, SYNC},
};
use crate::{
    error::ErrorCode,
    matching::MatchMethod,
    run_ends::{Run, RunEnds, opened},
};

/// The workflow that is a sync of many.
const BATCH: &str = "BatchSync";
/// The workflow that is the agents' part of one.
const AGENTS: [&str; 2] = ["AgentSync", "SimpleAgentSync"];

/// Counts the ends of the workflows of a worker.
pub(crate) struct Ends {
    metrics: Metrics,
    /// What turns into what the engine keeps.
    converter: DataConverter,
    runs: RunEnds<(), End>,
}

impl Ends {
    /// Counts with this, on a client with this converter.
    pub(crate) fn new(metrics: Metrics, converter: DataConverter) -> Self {
        Self {
            metrics,
            converter,
            runs: RunEnds::default(),
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

    fn count(&self, run: &Run<(), End>, end: &End) {
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
            let time = end.time().or_else(|| time_of(run)).unwrap_or_default();
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
        if let Some((run, end)) = self.runs.step(activation, |_| ()) {
            self.count(&run, &end);
        }
        Ok(())
    }

    async fn on_workflow_activation_completion(&self, completion: &WorkflowActivationCompletion) {
        if let Some(end) = opened(completion, &self.converter).await {
            self.runs.propose(&end, End::of);
        }
    }
}

/// From the start of this run to its last step, by the engine's clock.
fn time_of(run: &Run<(), End>) -> Option<Duration> {
    run.now?.duration_since(run.started?).ok()
}
