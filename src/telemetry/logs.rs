//! The log, on stderr: stdout belongs to the protocol.
//!
//! Each line that belongs to a sync says which and whose: the spans that it is written in have the fields
//! `sync_id` and `user`. So our spans are always there for the log, whatever level its filter asks for.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use anyhow::Context;
use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    field::RecordFields,
    filter::{FilterExt, FilterFn, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::cli::LogFormat;

/// Fields that say how a span is exported, and nothing to a reader of the log.
const OF_TRACES: &str = "otel.";

/// The layer that writes the log.
///
/// # Errors
/// The filter cannot be read.
pub(super) fn layer<S, W>(
    filter: &str,
    format: LogFormat,
    writer: W,
) -> anyhow::Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("log: {filter:?} is not a filter"))?;
    let filter = filter.or(our_spans());
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal());
    Ok(match format {
        LogFormat::Text => layer.fmt_fields(TextFields).with_filter(filter).boxed(),
        LogFormat::Json => layer
            .with_ansi(false)
            .fmt_fields(JsonFields)
            .event_format(JsonLine)
            .with_filter(filter)
            .boxed(),
    })
}

/// The spans of Segue's own code.
fn our_spans() -> FilterFn {
    filter_fn(is_our_span as fn(&Metadata<'_>) -> bool).with_max_level_hint(tracing::Level::INFO)
}

/// Whether it is a span, and Segue's own.
pub(super) fn is_our_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("segue")
}

/// Fields as `name=value`.
struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut text = Text {
            writer,
            begun: false,
            result: Ok(()),
        };
        fields.record(&mut text);
        text.result
    }
}

struct Text<'writer> {
    writer: Writer<'writer>,
    begun: bool,
    result: fmt::Result,
}

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.result.is_err() || field.name().starts_with(OF_TRACES) {
            return;
        }
        let space = if self.begun { " " } else { "" };
        self.begun = true;
        let mut text = Escaped(&mut self.writer);
        self.result = match field.name() {
            "message" => fmt::write(&mut text, format_args!("{space}{value:?}")),
            name => fmt::write(&mut text, format_args!("{space}{name}={value:?}")),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Text without its control characters: whoever had them logged would write lines of their own, and command the
/// terminal that shows them.
struct Escaped<'a, 'writer>(&'a mut Writer<'writer>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character.is_control() {
                true => write!(self.0, "{}", character.escape_default())?,
                false => self.0.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Fields of a span as a JSON object, to be put into the lines that are written in it.
struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut object = Object::default();
        fields.record(&mut object);
        write!(writer, "{}", Value::Object(object.0))
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let mut object = Object(object_of(&current.fields));
        fields.record(&mut object);
        current.fields = Value::Object(object.0).to_string();
        Ok(())
    }
}

fn object_of(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        if !field.name().starts_with(OF_TRACES) {
            self.0.insert(field.name().to_owned(), value.into());
        }
    }
}

impl Visit for Object {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field, value.to_string());
    }
}

/// A line of JSON: the event's fields, those of the spans that it is written in, innermost first, and the
/// trace that it belongs to. All stand on the first level, where a log's reader looks for them.
struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Object::default();
        event.record(&mut line);
        let Object(mut line) = line;
        for span in ctx.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<JsonFields>>() {
                for (name, value) in object_of(&fields.fields) {
                    line.entry(name).or_insert(value);
                }
            }
        }
        let context = opentelemetry::Context::current();
        let span = context.span();
        let traced = span.span_context();
        if traced.is_valid() {
            line.insert("trace_id".to_owned(), traced.trace_id().to_string().into());
            line.insert("span_id".to_owned(), traced.span_id().to_string().into());
        }
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        line.insert("timestamp".to_owned(), time.into());
        let metadata = event.metadata();
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("target".to_owned(), metadata.target().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, format: LogFormat, work: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = layer(filter, format, move || writer.clone()).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    fn work() {
        let span = tracing::info_span!(
            "activity",
            otel.name = "RunActivity:search",
            activity = "search",
            attempt = 2,
            sync_id = tracing::field::Empty,
            user = tracing::field::Empty,
        );
        span.record("sync_id", "sync-1");
        span.record("user", "ada \"the\" first\n");
        span.in_scope(|| tracing::warn!(reason = "slow", "it took {} s", 3));
        tracing::info!("not asked for");
    }

    #[test]
    fn a_line_of_json_has_the_fields_of_its_spans_whatever_the_filter_says() {
        let lines = logged("warn", LogFormat::Json, work);
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert_eq!(line["message"], "it took 3 s");
        assert_eq!(line["reason"], "slow");
        assert_eq!(line["sync_id"], "sync-1");
        assert_eq!(line["user"], "ada \"the\" first\n");
        assert_eq!(line["attempt"], 2);
        assert_eq!(line["level"], "WARN");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        assert!(line.get("otel.name").is_none());
    }

    #[test]
    fn a_line_of_text_says_whose_sync_it_is_and_stays_one_line() {
        let text = logged("warn", LogFormat::Text, work);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("sync_id=\"sync-1\""), "{text}");
        assert!(text.contains("it took 3 s reason=\"slow\""), "{text}");
        assert!(!text.contains("otel"), "{text}");
    }

    #[test]
    fn what_is_logged_commands_no_terminal_and_forges_no_line() {
        let said = "é\n\x1b[2J";
        let error = io::Error::other(said);
        let error: &(dyn std::error::Error + 'static) = &error;
        let text = logged("warn", LogFormat::Text, || {
            tracing::warn!(answer = %said, error, "it said {said}");
        });
        assert_eq!(text.lines().count(), 1, "{text:?}");
        let escaped = r"é\n\u{1b}[2J";
        for shown in ["it said ", "answer=", "error="] {
            assert!(text.contains(&format!("{shown}{escaped}")), "{text:?}");
        }
        assert!(!text.contains("\x1b[2J"), "{text:?}");
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let refused =
            layer::<tracing_subscriber::Registry, _>("segue=loud", LogFormat::Text, io::stderr);
        let error = refused.err().unwrap();
        assert!(error.to_string().contains("segue=loud"), "{error}");
    }
}
