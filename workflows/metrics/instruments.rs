//! Every instrument: its name, what it says of itself, and its buckets.

pub(super) use temporalio_common::telemetry::metrics::Counter;
use temporalio_common::telemetry::metrics::{
    CoreMeter, Gauge, HistogramDuration, MetricAttributes, MetricKeyValue, MetricParameters,
    NewAttributes, UpDownCounter,
};

use super::On;

pub(super) const WORKFLOW_SECONDS: &str = "temporal_workflow_duration_seconds";
pub(super) const ACTIVITY_SECONDS: &str = "temporal_activity_duration_seconds";
pub(super) const TOOL_SECONDS: &str = "mcp_tool_duration_seconds";

/// Buckets of a call: from one that is answered from memory to one that waits for its whole time.
pub(super) const SHORT: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

/// Buckets of a workflow: from a track that is placed at once to a review that waits a week.
pub(super) const LONG: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0,
    86_400.0, 604_800.0,
];

/// What counts; see the descriptions below.
pub(super) struct Instruments {
    pub(super) workflows: Counter,
    pub(super) successes: Counter,
    pub(super) failures: Counter,
    pub(super) cancellations: Counter,
    pub(super) workflow_seconds: HistogramDuration,
    pub(super) dead_letters: Counter,
    pub(super) activity_seconds: HistogramDuration,
    pub(super) activity_retries: Counter,
    pub(super) rate_limits: Counter,
    pub(super) circuit_state: Gauge,
    pub(super) circuit_failures: Counter,
    pub(super) agents: Counter,
    pub(super) agent_tools: Counter,
    pub(super) model_calls: Counter,
    pub(super) model_tokens: Counter,
    pub(super) mcp_calls: Counter,
    pub(super) mcp_seconds: HistogramDuration,
    pub(super) tasks_created: Counter,
    pub(super) tasks_told: Counter,
    pub(super) sessions: UpDownCounter,
    pub(super) deliveries: Counter,
    pub(super) reviews_waiting: Gauge,
    pub(super) dead_letters_open: Gauge,
}

impl Instruments {
    pub(super) fn new(meter: &dyn CoreMeter) -> Self {
        let counter = |name, says| meter.counter(described(name, says));
        let seconds = |name, says| meter.histogram_duration(described(name, says));
        let gauge = |name, says| meter.gauge(described(name, says));
        Self {
            workflows: counter(
                "temporal_workflow_total",
                "Workflows that ended, well or badly; cancelled ones are not among them",
            ),
            successes: counter(
                "temporal_workflow_success_total",
                "Workflows that came to what they were for",
            ),
            failures: counter(
                "temporal_workflow_failure_total",
                "Workflows that failed, or that found nothing to add (no_match, incomplete)",
            ),
            cancellations: counter(
                "temporal_cancellation_total",
                "Workflows that were cancelled",
            ),
            workflow_seconds: seconds(
                WORKFLOW_SECONDS,
                "Time from the start of a workflow to its end, waits included",
            ),
            dead_letters: counter(
                "temporal_dlq_workflow_total",
                "Syncs that ran out of attempts and were kept as dead letters",
            ),
            activity_seconds: seconds(
                ACTIVITY_SECONDS,
                "Time of one attempt of an activity, its wait for a turn included",
            ),
            activity_retries: counter(
                "temporal_activity_retry_count",
                "Attempts of activities that were not the first",
            ),
            rate_limits: counter(
                "spotify_rate_limit_hits_total",
                "Calls that Spotify answered with 429",
            ),
            circuit_state: gauge(
                "circuit_breaker_state",
                "Circuits of this process: 0 closed, 1 half open, 2 open",
            ),
            circuit_failures: counter(
                "circuit_breaker_failures_total",
                "Failures that the circuits of this process have seen",
            ),
            agents: counter(
                "openai_agent_invocations_total",
                "Syncs by agents that ended",
            ),
            agent_tools: counter(
                "openai_tool_invocations_total",
                "Tools that a model wanted called",
            ),
            model_calls: counter("openai_model_invocations_total", "Calls of the model"),
            model_tokens: counter(
                "openai_model_tokens_total",
                "Tokens of the model, as its endpoint tells them",
            ),
            mcp_calls: counter(
                "mcp_tool_calls_total",
                "Calls of MCP tools that were answered",
            ),
            mcp_seconds: seconds(
                TOOL_SECONDS,
                "Time in which a call of an MCP tool was answered",
            ),
            tasks_created: counter(
                "mcp_tasks_created_total",
                "Calls of MCP tools that were answered with a task",
            ),
            tasks_told: counter(
                "mcp_tasks_told_total",
                "Answers that told a client where its task stands",
            ),
            sessions: meter.up_down_counter(described(
                "mcp_sessions_open",
                "MCP sessions of this process that are open",
            )),
            deliveries: counter(
                "segue_webhook_deliveries_total",
                "Attempts to deliver a notice to the webhook",
            ),
            reviews_waiting: gauge(
                "segue_reviews_waiting",
                "Reviews that wait for a user, of the whole engine: every process tells the same number",
            ),
            dead_letters_open: gauge(
                "segue_dead_letters_open",
                "Dead letters that are kept, of the whole engine: every process tells the same number",
            ),
        }
    }
}

fn described(name: &'static str, says: &'static str) -> MetricParameters {
    MetricParameters::builder()
        .name(name)
        .description(says)
        .build()
}

impl On {
    /// These labels, as the meter has them.
    pub(super) fn attributes(&self, labels: &[(&'static str, &str)]) -> MetricAttributes {
        let pairs = labels
            .iter()
            .map(|&(key, value)| MetricKeyValue::new(key, value.to_owned()));
        self.meter.new_attributes(NewAttributes::from(pairs))
    }
}
