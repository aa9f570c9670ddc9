//! The place of a run in its trace: what it hangs on, and what hangs on it.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_sdk::trace::SamplingDecision;
use segue_spans::Fields;
use temporalio_common::protos::coresdk::workflow_activation::InitializeWorkflow;

use super::{
    SAMPLER,
    header::{self, Origin},
    ids,
};
use crate::names;

/// The place of a run. It is made of how the run was started alone, so a replay comes to the same.
pub(super) struct Place {
    pub(super) origin: Origin,
    /// The context in which the run was started; an empty one if nothing that is traced has started it.
    pub(super) parent: Context,
    /// The run's own span, while traces are exported.
    pub(super) span: Option<SpanContext>,
    /// What the run's steps carry.
    pub(super) below: Fields,
    /// What the next run carries, if this one continues as new: the two are neighbours, unless there is
    /// nothing above them.
    pub(super) beside: Fields,
}

impl Place {
    pub(super) fn of(run_id: &str, started: &InitializeWorkflow) -> Self {
        let above = header::fields(&started.headers);
        let parent = above.context();
        let mut place = Self {
            origin: origin_of(started),
            span: None,
            below: Fields::default(),
            beside: Fields::default(),
            parent,
        };
        if let Some(span) = place.span_of(run_id, started) {
            place.below = Fields::of_context(&place.parent.with_remote_span_context(span.clone()));
            place.beside = match place.parent.span().span_context().is_valid() {
                true => above,
                false => place.below.clone(),
            };
            place.span = Some(span);
        }
        place
    }

    fn span_of(&self, run_id: &str, started: &InitializeWorkflow) -> Option<SpanContext> {
        let sampler = SAMPLER.get()?;
        let parent = self.parent.span();
        let parent = Some(parent.span_context()).filter(|parent| parent.is_valid());
        let trace = parent.map_or_else(|| ids::trace_of_run(run_id), SpanContext::trace_id);
        let sampled = sampler.should_sample(
            Some(&self.parent),
            trace,
            &name_of(&started.workflow_type),
            &SpanKind::Server,
            &[],
            &[],
        );
        let flags = match sampled.decision {
            SamplingDecision::RecordAndSample => TraceFlags::SAMPLED,
            SamplingDecision::Drop | SamplingDecision::RecordOnly => TraceFlags::default(),
        };
        let state = parent.map_or_else(TraceState::default, |parent| parent.trace_state().clone());
        let span = ids::span_of_run(run_id);
        Some(SpanContext::new(trace, span, flags, false, state))
    }
}

/// The name of the span of such a workflow's run.
pub(super) fn name_of(workflow_type: &str) -> String {
    format!("RunWorkflow:{workflow_type}")
}

/// Whose sync it is: what the workflow knows itself, or else whoever started it.
fn origin_of(started: &InitializeWorkflow) -> Origin {
    let given = header::origin(&started.headers);
    let id = &*started.workflow_id;
    let own = Some(id)
        .filter(|id| names::is_sync_id(id))
        .or_else(|| names::sync_of_review(id))
        .or_else(|| names::sync_of_dead_letter(id));
    Origin {
        sync_id: own.map(str::to_owned).or(given.sync_id),
        user: attribute(started, names::USER_ID.name()).or(given.user),
    }
}

/// A search attribute with which the workflow was started.
pub(super) fn attribute(started: &InitializeWorkflow, name: &str) -> Option<String> {
    let attributes = started.search_attributes.as_ref()?;
    serde_json::from_slice(&attributes.indexed_fields.get(name)?.data).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use temporalio_common::protos::temporal::api::common::v1::{Payload, SearchAttributes};

    use super::*;

    #[test]
    fn whose_sync_it_is_is_known_by_the_workflow_or_by_who_started_it() {
        let sync_id = names::new_sync_id();
        let user = Payload {
            data: b"\"ada\"".to_vec(),
            ..Payload::default()
        };
        let mut sync = InitializeWorkflow {
            workflow_id: sync_id.clone(),
            search_attributes: Some(SearchAttributes {
                indexed_fields: HashMap::from([("UserId".to_owned(), user)]),
            }),
            ..InitializeWorkflow::default()
        };
        let known = Origin {
            sync_id: Some(sync_id),
            user: Some("ada".to_owned()),
        };
        assert_eq!(origin_of(&sync), known);
        let mut child = InitializeWorkflow {
            workflow_id: "place-1".to_owned(),
            ..InitializeWorkflow::default()
        };
        header::write(&mut child.headers, &Fields::default(), &known);
        assert_eq!(origin_of(&child), known);
        sync.workflow_id = names::dead_letter_id(&sync.workflow_id);
        assert_eq!(origin_of(&sync), known);
    }

    #[test]
    fn while_nothing_is_traced_a_run_has_no_span() {
        let place = Place::of("run", &InitializeWorkflow::default());
        assert!(place.span.is_none() && place.below.is_empty() && place.beside.is_empty());
    }
}
