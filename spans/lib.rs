//! The spans that more than one crate begins, and the context that goes with them from one process to
//! the next.
//!
//! A span is one of `tracing`'s, so that the log and the trace say the same: its plain fields stand in both,
//! what OpenTelemetry's conventions ask for beside them in the trace alone. While no trace is exported, all
//! of this comes to a few tests of a flag.

mod context;
pub mod mcp;

use opentelemetry::{Value, trace::Status};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use self::context::Fields;

/// Gives the span an attribute that is of no use in a log.
pub fn attribute(span: &Span, name: &'static str, value: impl Into<Value>) {
    span.set_attribute(name, value);
}

/// Marks what the span tells of as failed, for a reason that is one of few. What the failure says in its own
/// words stays out: it may repeat what a user wrote.
pub fn failed(span: &Span, reason: impl Into<Value>) {
    span.set_attribute("error.type", reason);
    span.set_status(Status::error(""));
}
