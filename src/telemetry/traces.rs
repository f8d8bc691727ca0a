//! Traces: one span for a call and one for each of its statements, sent by OTLP when the environment names a collector.
//!
//! The variables are those of the OpenTelemetry specification: `OTEL_EXPORTER_OTLP_ENDPOINT` and its kin, `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`. Without an endpoint no span is made.

mod environment;
mod exporter;

use actix_web::http::header::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TraceId, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use self::environment::variable;
use self::exporter::Exporter;
use crate::config::SettingsError;

/// The target of every span of this service, by which they are told from those of its libraries.
pub const TARGET: &str = "customer_deletion::traces";

const SERVICE_NAME: &str = "customer-deletion";

/// The header of W3C Trace Context that names the caller's span.
const TRACE_PARENT: &str = "traceparent";

/// The way to the collector.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// None where the environment names no collector, or turns traces off.
    ///
    /// # Errors
    ///
    /// Names the variable that cannot be followed.
    pub fn from_environment() -> Result<Option<Traces>, SettingsError> {
        let Some(endpoint) = environment::endpoint()? else { return Ok(None) };
        environment::validate()?;
        let exporter = Exporter::new()
            .map_err(|error| SettingsError { setting: endpoint.to_owned(), problem: error.to_string() })?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        Ok(Some(Traces { provider }))
    }

    /// Sends the spans of this service, and no events.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE_NAME))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == TARGET))
    }

    /// Sends the spans that are still waiting. A collector that is away does not hold this up for long.
    pub async fn end(self) {
        // The exporter blocks the thread that it works on.
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

fn resource() -> Resource {
    // What the environment says comes later, and wins.
    let name = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| SERVICE_NAME.to_owned());
    Resource::builder()
        .with_service_name(name)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Makes the span a part of the trace that the caller's headers name, if they name one. Gives the id of the trace: the span's
/// own, or the caller's where no span is made.
pub fn continue_trace(span: &Span, headers: &HeaderMap) -> Option<TraceId> {
    let from_caller =
        headers.contains_key(TRACE_PARENT).then(|| TraceContextPropagator::new().extract(&Headers(headers)));
    if span.is_disabled() {
        return from_caller.and_then(|context| trace_id(&context));
    }
    if let Some(context) = from_caller {
        // It fails only for a span that no layer of traces knows.
        let _ = span.set_parent(context);
    }
    trace_id(&span.context())
}

/// Gives the span a name that was not known at its begin.
pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

fn trace_id(context: &Context) -> Option<TraceId> {
    Some(context.span().span_context().trace_id()).filter(|id| *id != TraceId::INVALID)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
