//! A receiver of traces: OTLP over HTTP, as a collector takes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::span::SpanKind,
};
use prost::Message;
use segue::client::Launch;

/// The receiver. Clones are one receiver.
#[derive(Clone)]
pub(crate) struct Receiver {
    url: String,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    bytes: Vec<u8>,
}

/// A span as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for the first of a trace.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) failed: bool,
    /// What the process calls itself, and the process.
    pub(crate) service: String,
    pub(crate) instance: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub(crate) times: (u64, u64),
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            taken: Arc::default(),
        };
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    /// The same launch, of a process that sends its spans here, and soon.
    pub(crate) fn of(&self, launch: Launch) -> Launch {
        launch
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", self.url.clone())
            .with("OTEL_BSP_SCHEDULE_DELAY", "50")
    }

    /// The spans of a trace, in the order of their beginnings.
    pub(crate) fn trace(&self, trace: &str) -> Vec<Span> {
        let taken = self.taken.lock().unwrap();
        let spans = taken.spans.iter().filter(|span| span.trace == trace);
        let mut spans: Vec<Span> = spans.cloned().collect();
        spans.sort_by_key(|span| span.times);
        spans
    }

    /// The ids of the traces that there are.
    pub(crate) fn traces(&self) -> BTreeSet<String> {
        let taken = self.taken.lock().unwrap();
        taken.spans.iter().map(|span| span.trace.clone()).collect()
    }

    /// All that was sent, to be searched.
    pub(crate) fn as_sent(&self) -> Vec<u8> {
        self.taken.lock().unwrap().bytes.clone()
    }
}

async fn take(State(receiver): State<Receiver>, body: Bytes) -> StatusCode {
    let Ok(sent) = ExportTraceServiceRequest::decode(body.clone()) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut taken = receiver.taken.lock().unwrap();
    taken.bytes.extend_from_slice(&body);
    for resource in sent.resource_spans {
        let process = texts(&resource.resource.unwrap_or_default().attributes);
        for span in resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            taken.spans.push(Span {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                kind: span.kind(),
                failed: span.status.as_ref().is_some_and(|status| status.code == 2),
                service: process["service.name"].clone(),
                instance: process["service.instance.id"].clone(),
                attributes: texts(&span.attributes),
                times: (span.start_time_unix_nano, span.end_time_unix_nano),
                name: span.name,
            });
        }
    }
    StatusCode::OK
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.clone().and_then(|value| value.value);
        let value = match value {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::BoolValue(is)) => is.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), value)
    };
    attributes.iter().map(text).collect()
}
