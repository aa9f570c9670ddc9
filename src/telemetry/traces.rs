//! Traces, exported by OTLP over HTTP if a receiver is set. The variables are OpenTelemetry's own; most are
//! read by its SDK.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use opentelemetry::{
    KeyValue, global, propagation::TextMapCompositePropagator, trace::TracerProvider,
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{Sampler, SdkTracerProvider},
};
use segue_workflows::traces;
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use super::{logs, sender::Sender};

/// The name of what makes the spans.
const SCOPE: &str = "segue";
/// Time for the last spans to be sent when the process ends.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// Time for one request to the receiver, as OpenTelemetry has it.
const PATIENCE_MS: u64 = 10_000;

/// Spans on their way to a receiver.
pub(super) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts to export, if a receiver is set.
    ///
    /// # Errors
    /// A variable has a value that is not right.
    pub(super) fn start(service: &'static str) -> anyhow::Result<Option<Self>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        if !is_wanted(variable) {
            return Ok(None);
        }
        protocol(variable)?;
        // The SDK fails of an empty one, too.
        compression(|name| std::env::var(name).ok())?;
        let sampler = sampler(variable)?;
        let sender = Sender::new(patience(variable)?).context("there is no TLS for traces")?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(sender)
            .build()
            // Its own words may repeat the address.
            .map_err(|_| anyhow!("OTEL_EXPORTER_OTLP_ENDPOINT is not a URL"))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_id_generator(traces::Ids::default())
            .with_sampler(sampler.clone())
            .with_resource(resource(service, variable("OTEL_SERVICE_NAME")))
            .build();
        global::set_tracer_provider(provider.clone());
        global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]));
        traces::switch_on(sampler);
        Ok(Some(Self { provider }))
    }

    /// The layer that makes spans of OpenTelemetry's of our own of `tracing`'s. Events stay in the log: what
    /// they say is for the machine's owner.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SCOPE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_level(false)
            .with_filter(filter_fn(|metadata| {
                logs::is_our_span(metadata) && metadata.target() != traces::LOG_ALONE
            }))
    }

    /// Sends what is left, unless that takes too long.
    pub(super) async fn end(self) {
        // It blocks its thread while the runtime sends.
        let last = move || _ = self.provider.shutdown_with_timeout(LAST_SPANS);
        let _ = tokio::task::spawn_blocking(last).await;
    }
}

fn resource(service: &'static str, named: Option<String>) -> Resource {
    let resource = Resource::builder().with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
    ]);
    match named {
        Some(_) => resource.build(),
        None => resource.with_service_name(service).build(),
    }
}

/// Whether a receiver is set, and traces are not switched off.
fn is_wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").is_some()
        || variable("OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    let none = variable("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
    is_set && !disabled && !none
}

fn protocol(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ];
    for name in names {
        match variable(name).as_deref() {
            None => {}
            Some("http/protobuf") => break,
            Some(other) => bail!(
                "{name} is {other:?}; Segue speaks http/protobuf alone, which collectors take at port 4318"
            ),
        }
    }
    Ok(())
}

fn compression(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
    ];
    for name in names {
        if let Some(text) = variable(name) {
            bail!("{name} is {text:?}; Segue does not compress traces: unset it");
        }
    }
    Ok(())
}

fn patience(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Duration> {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
    ];
    let set = names
        .into_iter()
        .find_map(|name| Some((name, variable(name)?)));
    let Some((name, text)) = set else {
        return Ok(Duration::from_millis(PATIENCE_MS));
    };
    match text.parse() {
        Ok(millis @ 1..=600_000) => Ok(Duration::from_millis(millis)),
        _ => bail!("{name} is {text:?}; it must be from 1 to 600000 milliseconds"),
    }
}

/// Which traces are kept. The SDK reads the same variables, but takes a mistake in them for "all".
fn sampler(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Sampler> {
    let ratio = || {
        let name = "OTEL_TRACES_SAMPLER_ARG";
        let text = variable(name).unwrap_or_else(|| "1".to_owned());
        let ratio = text.parse().ok();
        ratio
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .with_context(|| format!("{name} is {text:?}; it must be from 0.0 to 1.0"))
    };
    let below = |root| Sampler::ParentBased(Box::new(root));
    let name = "OTEL_TRACES_SAMPLER";
    Ok(match variable(name).as_deref() {
        None | Some("parentbased_always_on") => below(Sampler::AlwaysOn),
        Some("parentbased_always_off") => below(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => below(Sampler::TraceIdRatioBased(ratio()?)),
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => Sampler::TraceIdRatioBased(ratio()?),
        Some(other) => bail!(
            "{name} is {other:?}; it must be always_on, always_off, traceidratio, or one of these with \
             parentbased_ before it"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn nothing_is_exported_unless_a_receiver_is_set() {
        let receiver = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        assert!(!is_wanted(among(&[])));
        assert!(is_wanted(among(&[receiver])));
        assert!(is_wanted(among(&[(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://x/v1/traces"
        )])));
        assert!(!is_wanted(among(&[
            receiver,
            ("OTEL_SDK_DISABLED", "true")
        ])));
        assert!(!is_wanted(among(&[
            receiver,
            ("OTEL_TRACES_EXPORTER", "none")
        ])));
    }

    #[test]
    fn a_variable_that_is_not_right_is_named() {
        let name = "OTEL_TRACES_SAMPLER";
        let wrong = [
            sampler(among(&[(name, "some")])).err(),
            sampler(among(&[
                (name, "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ]))
            .err(),
            protocol(among(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")])).err(),
            compression(among(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")])).err(),
            patience(among(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")])).err(),
        ];
        for error in wrong {
            let error = error.expect("refused").to_string();
            assert!(error.starts_with("OTEL_"), "{error}");
        }
        assert!(sampler(among(&[])).is_ok());
        let ratio = [
            (name, "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
        ];
        assert!(sampler(among(&ratio)).is_ok());
    }

    #[test]
    fn the_variable_that_is_named_is_the_one_that_was_read() {
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon");
        let all = ("OTEL_EXPORTER_OTLP_TIMEOUT", "later");
        for (set, read) in [(&[all][..], all), (&[all, traces][..], traces)] {
            let error = patience(among(set)).expect_err("refused").to_string();
            let (name, text) = read;
            assert!(
                error.starts_with(&format!("{name} is {text:?};")),
                "{error}"
            );
        }
    }

    #[test]
    fn the_protocol_of_traces_wins_over_that_of_all() {
        let both = [
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        assert!(protocol(among(&both)).is_ok());
    }
}
