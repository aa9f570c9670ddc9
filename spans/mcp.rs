//! Spans of MCP's requests, named as OpenTelemetry's conventions for MCP have it.

use opentelemetry::trace::TraceContextExt;
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResponse, RequestId, RequestMetaObject},
    service::RequestContext,
};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{Fields, attribute, failed};

/// Bytes of a request's id, or of a version, that are kept: a client may choose any text.
const LONGEST_ID: usize = 64;

/// The call of a tool.
pub const CALL: &str = "tools/call";

/// The span of a request that a server answers, below the one that the client names in `_meta`, or else in
/// the headers of its HTTP request. `target` is a name of ours, never one that only a client knows. The
/// fields `sync_id` and `user` can be recorded when they are known.
pub fn serving(
    method: &'static str,
    target: Option<&str>,
    context: &RequestContext<RoleServer>,
) -> Span {
    let span = tracing::info_span!(
        "mcp",
        otel.name = name(method, target),
        otel.kind = "server",
        request = target.unwrap_or(method),
        sync_id = Empty,
        user = Empty,
    );
    let http = context.extensions.get::<http::request::Parts>();
    let header = |name: &str| http?.headers.get(name)?.to_str().ok();
    let carried = Fields::read(|name| context.meta.get(name).and_then(|value| value.as_str()));
    let ambient = Fields::read(header);
    if !carried.adopt(&span) {
        ambient.adopt(&span);
    } else if !ambient.is_empty() {
        span.add_link(ambient.context().span().span_context().clone());
    }
    describe(&span, method, target);
    match &context.id {
        RequestId::Number(id) => attribute(&span, "jsonrpc.request.id", id.to_string()),
        RequestId::String(id) if id.len() <= LONGEST_ID => {
            attribute(&span, "jsonrpc.request.id", id.to_string());
        }
        RequestId::String(_) => {}
    }
    let version = context.protocol_version();
    if let Some(version) = version.map(|version| version.to_string())
        && version.len() <= LONGEST_ID
    {
        attribute(&span, "mcp.protocol.version", version);
    }
    transport(&span, http.is_some());
    span
}

/// The span of a tool that a client calls: on a server of its own at the other end of a pipe, or over HTTP.
pub fn calling(tool: &str, over_http: bool) -> Span {
    let span = tracing::info_span!(
        "upstream",
        otel.name = name(CALL, Some(tool)),
        otel.kind = "client",
        tool,
    );
    describe(&span, CALL, Some(tool));
    transport(&span, over_http);
    span
}

/// Lets a request carry the context of this span.
pub fn carry(span: &Span, meta: &mut Option<RequestMetaObject>) {
    for (name, value) in Fields::of(span).iter() {
        meta.get_or_insert_default()
            .insert(name.to_owned(), value.into());
    }
}

/// Notes what the answer to a call of a tool was.
pub fn answered(span: &Span, answer: &Result<CallToolResponse, ErrorData>) {
    let _within = span.enter();
    match answer {
        Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => {
            failed(span, "tool_error");
            tracing::debug!("answered with an error");
        }
        Ok(_) => tracing::debug!("answered"),
        Err(error) => {
            let code = error.code.0.to_string();
            attribute(span, "rpc.response.status_code", code.clone());
            tracing::debug!(code, "refused");
            failed(span, code);
        }
    }
}

fn name(method: &str, target: Option<&str>) -> String {
    match target {
        Some(target) => format!("{method} {target}"),
        None => method.to_owned(),
    }
}

fn describe(span: &Span, method: &'static str, target: Option<&str>) {
    attribute(span, "mcp.method.name", method);
    if let (CALL, Some(tool)) = (method, target) {
        attribute(span, "gen_ai.operation.name", "execute_tool");
        attribute(span, "gen_ai.tool.name", tool.to_owned());
    }
}

fn transport(span: &Span, over_http: bool) {
    let name = match over_http {
        true => "tcp",
        false => "pipe",
    };
    attribute(span, "network.transport", name);
}
