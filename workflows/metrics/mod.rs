//! What is counted, and for whom: one handle that is given to whatever counts, and that does nothing
//! while metrics are off.
//!
//! The instruments are made by the SDK's own meter, so that Temporal's metrics of the worker and ours
//! come in one page. Names and labels are an interface: dashboards and alerts ask for them (see
//! `docs/metrics.md`). A label is one of few values that we know beforehand, and never the user's.
//!
//! Nothing is counted by workflow code, which is replayed: a workflow is counted when the engine has
//! taken its end ([`ends`]), an activity by whoever runs its attempt ([`attempts`]).

mod attempts;
mod backlog;
mod ends;
mod instruments;
mod outcome;

use std::{fmt, sync::Arc, time::Duration};

use temporalio_common::telemetry::{
    TelemetryOptions,
    metrics::{CoreMeter, TemporalMeter},
    telemetry_init,
};

use self::instruments::Instruments;
pub(crate) use self::{
    attempts::Attempts,
    backlog::count_backlog,
    ends::Ends,
    outcome::{End, How},
};
use crate::{
    gate::{CircuitState, Group},
    model::{Ask, Reply},
    upstream::UpstreamError,
};

/// The names of the histograms with the upper bounds of their buckets, in seconds: what the exporter is
/// to be told, for the SDK's own bounds are too few.
pub fn buckets() -> impl Iterator<Item = (&'static str, &'static [f64])> {
    [
        (instruments::WORKFLOW_SECONDS, instruments::LONG),
        (instruments::ACTIVITY_SECONDS, instruments::SHORT),
        (instruments::TOOL_SECONDS, instruments::SHORT),
    ]
    .into_iter()
}

/// The label of what nobody knows by name: a text from outside is no label.
const UNKNOWN: &str = "unknown";

/// What counts. Clones count together.
#[derive(Clone, Default)]
pub struct Metrics {
    on: Option<Arc<On>>,
}

struct On {
    meter: Arc<dyn CoreMeter>,
    instruments: Instruments,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "on" } else { "off" })
    }
}

/// A call of Spotify's that may meet its rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Search,
    ListPlaylists,
    ListItems,
    CreatePlaylist,
    AddItems,
    RemoveItems,
}

impl Endpoint {
    const ALL: [Self; 6] = [
        Self::Search,
        Self::ListPlaylists,
        Self::ListItems,
        Self::CreatePlaylist,
        Self::AddItems,
        Self::RemoveItems,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::ListPlaylists => "list_playlists",
            Self::ListItems => "list_items",
            Self::CreatePlaylist => "create_playlist",
            Self::AddItems => "add_items",
            Self::RemoveItems => "remove_items",
        }
    }
}

/// How an attempt to deliver a notice was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The receiver took it.
    Taken,
    /// It will never take it.
    Refused,
    /// It asked to come back later.
    Delayed,
    /// It was not there, or broken.
    Failed,
}

impl Delivery {
    const ALL: [Self; 4] = [Self::Taken, Self::Refused, Self::Delayed, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Refused => "refused",
            Self::Delayed => "delayed",
            Self::Failed => "failed",
        }
    }
}

/// How a call of an MCP tool was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// With what was asked for, or with a question.
    Ok,
    /// With a result that says it is an error.
    ToolError,
    /// With an error of the protocol.
    ProtocolError,
}

impl CallOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::ProtocolError => "protocol_error",
        }
    }
}

/// Where a client was told that its task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStands {
    /// It goes on by itself.
    Working,
    /// It waits for what the client is to ask.
    InputRequired,
    /// It has its result.
    Completed,
    /// It has an error of the protocol.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl TaskStands {
    const ALL: [Self; 5] = [
        Self::Working,
        Self::InputRequired,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Success,
    Failure,
    Cancelled,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Metrics {
    /// Counts nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Counts by this meter. Its durations are to be in seconds, and it is to add nothing to a name.
    #[must_use]
    pub fn on(meter: Arc<dyn CoreMeter>) -> Self {
        let instruments = Instruments::new(meter.as_ref());
        let metrics = Self {
            on: Some(Arc::new(On { meter, instruments })),
        };
        metrics.show_what_is_zero();
        metrics
    }

    /// Whether anything is counted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// What a runtime of the SDK is to be told, so that its workers count on the same page.
    pub(crate) fn telemetry(&self) -> TelemetryOptions {
        TelemetryOptions::builder()
            .maybe_metrics(self.on.as_ref().map(|on| on.meter.clone()))
            // It says "temporal-core-sdk" on every line.
            .attach_service_name(false)
            .build()
    }

    /// The meter for a connection to the engine; none while metrics are off.
    #[must_use]
    pub fn of_connection(&self) -> Option<TemporalMeter> {
        self.on.as_ref()?;
        let telemetry = telemetry_init(self.telemetry()).ok()?;
        telemetry.get_temporal_metric_meter()
    }

    /// Shows what has not happened yet, where it is known beforehand what may.
    fn show_what_is_zero(&self) {
        Ends::show_what_is_zero(self);
        for group in Group::ALL {
            self.circuit(group, CircuitState::Closed);
            self.count(|i| &i.circuit_failures, 0, &[("group", group.as_str())]);
        }
        for endpoint in Endpoint::ALL {
            self.count(|i| &i.rate_limits, 0, &[("endpoint", endpoint.as_str())]);
        }
        for stands in TaskStands::ALL {
            self.count(|i| &i.tasks_told, 0, &[("status", stands.as_str())]);
        }
        for outcome in Delivery::ALL {
            self.count(|i| &i.deliveries, 0, &[("outcome", outcome.as_str())]);
        }
        self.with(|on| {
            let none = on.attributes(&[]);
            on.instruments.sessions.add(0, &none);
        });
    }

    /// Spotify said that there were too many calls.
    pub(crate) fn rate_limit_hit(&self, endpoint: Endpoint) {
        self.count(|i| &i.rate_limits, 1, &[("endpoint", endpoint.as_str())]);
    }

    /// A notice was sent, and answered so.
    pub(crate) fn notice_sent(&self, outcome: Delivery) {
        self.count(|i| &i.deliveries, 1, &[("outcome", outcome.as_str())]);
    }

    /// A circuit has come to this state.
    pub(crate) fn circuit(&self, group: Group, state: CircuitState) {
        let value = match state {
            CircuitState::Closed => 0,
            CircuitState::HalfOpen => 1,
            CircuitState::Open => 2,
        };
        self.with(|on| {
            let attributes = on.attributes(&[("group", group.as_str())]);
            on.instruments.circuit_state.record(value, &attributes);
        });
    }

    /// A circuit has seen a call fail.
    pub(crate) fn circuit_failure(&self, group: Group) {
        self.count(|i| &i.circuit_failures, 1, &[("group", group.as_str())]);
    }

    /// The model was asked this, and answered so. The tools that it wants called are counted as well:
    /// a replay of the agents' workflow calls them again, but asks no model again.
    pub(crate) fn model_asked(&self, model: &str, ask: &Ask, reply: &Result<Reply, UpstreamError>) {
        let status = match reply {
            Ok(_) => Status::Success.as_str(),
            Err(error) => error.code.as_str(),
        };
        let labels = [("model", model), ("status", status)];
        self.count(|i| &i.model_calls, 1, &labels);
        let Ok(reply) = reply else { return };
        for (direction, tokens) in [
            ("input", reply.usage.prompt_tokens),
            ("output", reply.usage.completion_tokens),
        ] {
            let labels = [("model", model), ("direction", direction)];
            self.count(|i| &i.model_tokens, tokens, &labels);
        }
        for call in &reply.calls {
            let mut offered = ask.tools.iter();
            let known = offered.find(|tool| tool.name == call.name);
            let name = known.map_or(UNKNOWN, |tool| &tool.name);
            self.count(|i| &i.agent_tools, 1, &[("tool_name", name)]);
        }
    }

    /// An MCP tool was called, and answered after this time. A tool that there is not has no name.
    pub fn tool_called(&self, tool: Option<&str>, outcome: CallOutcome, time: Duration) {
        let tool = tool.unwrap_or(UNKNOWN);
        let labels = [("tool", tool), ("outcome", outcome.as_str())];
        self.count(|i| &i.mcp_calls, 1, &labels);
        self.with(|on| {
            let attributes = on.attributes(&[("tool", tool)]);
            on.instruments.mcp_seconds.record(time, &attributes);
        });
    }

    /// A call of this MCP tool was answered with a task.
    pub fn task_created(&self, tool: Option<&str>) {
        let labels = [("tool", tool.unwrap_or(UNKNOWN))];
        self.count(|i| &i.tasks_created, 1, &labels);
    }

    /// A client was told where its task stands.
    pub fn task_told(&self, stands: TaskStands) {
        self.count(|i| &i.tasks_told, 1, &[("status", stands.as_str())]);
    }

    /// A client has opened a session; it is open until what is returned is dropped.
    #[must_use]
    pub fn open_session(&self) -> OpenSession {
        self.add_session(1);
        OpenSession {
            metrics: self.clone(),
        }
    }

    fn add_session(&self, number: i64) {
        self.with(|on| {
            let none = on.attributes(&[]);
            on.instruments.sessions.add(number, &none);
        });
    }

    fn with(&self, count: impl FnOnce(&On)) {
        if let Some(on) = &self.on {
            count(on);
        }
    }

    fn count(
        &self,
        counter: impl FnOnce(&Instruments) -> &instruments::Counter,
        number: u64,
        labels: &[(&'static str, &str)],
    ) {
        self.with(|on| counter(&on.instruments).add(number, &on.attributes(labels)));
    }
}

/// A session that is open.
#[derive(Debug)]
pub struct OpenSession {
    metrics: Metrics,
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.metrics.add_session(-1);
    }
}
