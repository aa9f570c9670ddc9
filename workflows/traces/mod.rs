//! Traces of syncs, and whose sync a line of the log belongs to.
//!
//! One trace leads from the call of a tool through the workflow and its activities to the upstream. What goes
//! along in Temporal's headers is the context under the key that all of Temporal's SDKs use, and the sync and
//! the user for the log. It is put there by interceptors; no workflow knows of it.
//!
//! The span of a run of a workflow has an id that is made of the run's own. So every process that takes part
//! names the same parent, also after a kill; and it is told by the process in which the run ended, once, when
//! the engine has taken the end (`runs.rs`). The SDK's own plugin tells it only in the process in which the
//! run began, and never if that was killed.

mod activity;
mod client;
mod header;
mod ids;
mod place;
mod runs;
mod workflow;

use std::sync::OnceLock;

use opentelemetry_sdk::trace::ShouldSample;
use temporalio_client::ClientOptions;
use temporalio_common::data_converters::DataConverter;

pub use self::ids::Ids;
pub(crate) use self::{activity::Attempts, runs::Runs, workflow::carried};

/// The target of spans that the log alone is to see: of code that is run again in a replay, and of what
/// belongs to no request.
pub const LOG_ALONE: &str = "segue::log";

/// What decides whether a trace is kept, once traces are exported.
static SAMPLER: OnceLock<Box<dyn ShouldSample>> = OnceLock::new();

/// Begins to tell the runs of workflows, with the provider and the propagator that are OpenTelemetry's global
/// ones. The provider must take its ids from [`Ids`] and have this sampler.
pub fn switch_on(sampler: impl ShouldSample + 'static) {
    // Only a second start in one process fails, and there the first one serves.
    let _ = SAMPLER.set(Box::new(sampler));
}

/// Whether traces are exported by this process.
pub(crate) fn are_on() -> bool {
    SAMPLER.get().is_some()
}

/// The options of a client in this namespace that writes payloads so, and whose calls are part of the trace
/// that they are made in.
pub fn client_options(namespace: impl Into<String>, converter: DataConverter) -> ClientOptions {
    client::options(namespace.into(), converter)
}
