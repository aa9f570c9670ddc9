//! The ids of spans: by chance, but for the spans of runs.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use sha2::{Digest, Sha256};

thread_local! {
    /// What the span that is being made on this thread is to be called.
    static GIVEN: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Ids by chance, except where a run of a workflow gives its own.
#[derive(Debug, Clone, Default)]
pub struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        match GIVEN.get() {
            Some((trace, _)) => trace,
            None => self.0.new_trace_id(),
        }
    }

    fn new_span_id(&self) -> SpanId {
        match GIVEN.get() {
            Some((_, span)) => span,
            None => self.0.new_span_id(),
        }
    }
}

/// Makes a span under these ids.
pub(super) fn giving<T>(trace: TraceId, span: SpanId, make: impl FnOnce() -> T) -> T {
    GIVEN.set(Some((trace, span)));
    let made = make();
    GIVEN.set(None);
    made
}

/// The id of the span of a run.
pub(super) fn span_of_run(run_id: &str) -> SpanId {
    let [a, b, c, d, e, f, g, h, ..] = hash("span", run_id);
    SpanId::from_bytes([a, b, c, d, e, f, g, h])
}

/// The id of the trace that begins with a run, because nothing that is traced has started it.
pub(super) fn trace_of_run(run_id: &str) -> TraceId {
    let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash("trace", run_id);
    TraceId::from_bytes(first)
}

/// Run ids are chance already; hashed, they are as long as is needed. That all bytes are zero, which would be
/// no id, does not happen.
fn hash(what: &str, run_id: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(what)
        .chain_update([0])
        .chain_update(run_id)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_run_are_its_own_and_always_the_same() {
        assert_eq!(span_of_run("a"), span_of_run("a"));
        assert_ne!(span_of_run("a"), span_of_run("b"));
        assert_ne!(trace_of_run("a"), trace_of_run("b"));
        let ids = Ids::default();
        let (trace, span) = (trace_of_run("a"), span_of_run("a"));
        let given = giving(trace, span, || (ids.new_trace_id(), ids.new_span_id()));
        assert_eq!(given, (trace, span));
        assert_ne!(ids.new_span_id(), span);
        assert_ne!(ids.new_trace_id(), trace);
    }
}
