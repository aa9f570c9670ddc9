//! The context of a trace as it is carried: the three fields of W3C, within bounds.

use std::collections::BTreeMap;

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::TraceContextExt,
};
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The fields, and the bytes of each that are taken from outside. The first has 55 in its present version; of
/// the second W3C asks that 512 be kept. Of the third it asks for 8,192, but a client's baggage stands in
/// the history of its sync with every step: what is larger than this is left behind as a whole.
const FIELDS: [(&str, usize); 3] = [
    ("traceparent", 128),
    ("tracestate", 512),
    ("baggage", 1_024),
];

/// The fields by which a context is carried in MCP's `_meta`, in HTTP's headers and in Temporal's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// What this lookup finds, within bounds.
    pub fn read<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Self {
        let mut fields = Self::default();
        for (name, _) in FIELDS {
            if let Some(value) = field(name) {
                fields.set(name, value.to_owned());
            }
        }
        fields
    }

    /// The context in which the span is the current one; none while nothing is traced.
    pub fn of(span: &Span) -> Self {
        Self::of_context(&span.context())
    }

    /// This context; none while nothing is traced.
    pub fn of_context(context: &Context) -> Self {
        let mut fields = Self::default();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(context, &mut fields);
        });
        fields
    }

    /// The context that they say, which is an empty one if they say none, and while nothing is traced.
    pub fn context(&self) -> Context {
        global::get_text_map_propagator(|propagator| {
            propagator.extract_with_context(&Context::new(), self)
        })
    }

    /// Makes what they say the parent of the span, which must be new. Whether they say anything.
    pub fn adopt(&self, span: &Span) -> bool {
        let context = self.context();
        context.span().span_context().is_valid() && span.set_parent(context).is_ok()
    }

    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is nothing to carry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, as far as they are within bounds: for what was read from outside as a whole.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self::read(|name| self.0.get(name).map(String::as_str))
    }
}

impl Injector for Fields {
    fn set(&mut self, name: &str, value: String) {
        let known = FIELDS.iter().find(|(known, _)| *known == name);
        if known.is_some_and(|(_, longest)| (1..=*longest).contains(&value.len())) {
            self.0.insert(name.to_owned(), value);
        }
    }
}

impl Extractor for Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_fields_are_carried_and_none_that_is_too_long() {
        let long = "x".repeat(2_000);
        let fields = Fields::read(|name| match name {
            "traceparent" => Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            "baggage" => Some(&long),
            _ => None,
        });
        assert_eq!(fields.iter().count(), 1);
        let foreign = [("authorization", "Bearer x"), ("tracestate", "a=b")];
        let foreign = Fields(
            foreign
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        );
        assert_eq!(
            foreign.bounded().iter().collect::<Vec<_>>(),
            [("tracestate", "a=b")]
        );
    }

    #[test]
    fn nothing_is_carried_while_nothing_is_traced() {
        assert!(Fields::of(&Span::current()).is_empty());
        let fields = Fields::read(|name| {
            (name == "traceparent")
                .then_some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        });
        assert!(!fields.adopt(&tracing::info_span!("one")));
    }
}
