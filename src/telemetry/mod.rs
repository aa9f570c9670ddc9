//! What the program tells of itself while it works: its log, and traces if somebody collects them.

mod logs;
mod sender;
mod traces;

use std::io;

use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

use self::traces::Traces;
use crate::config::Config;

/// What is told until the program ends.
pub(crate) struct Telemetry {
    traces: Option<Traces>,
}

/// Starts the log, and traces if an OTLP receiver is set. `service` is what the process is called there
/// unless `OTEL_SERVICE_NAME` says otherwise.
///
/// # Errors
/// The filter of the log or a variable of OpenTelemetry's cannot be read.
pub(crate) fn start(config: &Config, service: &'static str) -> anyhow::Result<Telemetry> {
    let traces = Traces::start(service)?;
    let spans = traces.as_ref().map(Traces::layer);
    let log = logs::layer(&config.log, config.log_format, io::stderr)?;
    // Only a second start in one process fails, and there the first one serves.
    let _ = tracing_subscriber::registry()
        .with(spans.map(Layer::boxed))
        .with(log)
        .try_init();
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends what was not sent yet, if that is soon done.
    pub(crate) async fn end(self) {
        if let Some(traces) = self.traces {
            traces.end().await;
        }
    }
}
