//! Traces: one span for a call or an operation, and one for each of its statements, sent by OTLP.
//! The variables of the OpenTelemetry specification name the collector. Without an endpoint no span
//! is made.

mod caller;
pub mod environment;
mod exporter;
mod rule;

use actix_web::http::header::HeaderMap;
use opentelemetry::trace::{TraceContextExt, TraceId, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

pub use self::caller::{TRACE_PARENT, TRACE_STATE};
use self::environment::Variables;
use self::exporter::Exporter;
use crate::config::SettingsError;

/// The target of every span of this service. Spans of its libraries have other targets.
pub const TARGET: &str = "customer_deletion::traces";

const SERVICE_NAME: &str = "customer-deletion";

/// The `error.type` of cancelled work.
pub const CANCELLED: &str = "cancelled";

/// Returns `None` if the variables name no collector, or turn traces off. An error names the invalid
/// or unsupported variable.
pub fn provider(variables: &Variables) -> Result<Option<SdkTracerProvider>, SettingsError> {
    let Some(endpoint) = variables.endpoint()? else { return Ok(None) };
    variables.validate()?;
    let exporter =
        Exporter::new().map_err(|error| SettingsError { setting: endpoint.to_owned(), problem: error.to_string() })?;
    let resource = resource(variables);
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
}

/// Exports the spans of this service, and no events.
pub fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SERVICE_NAME))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == TARGET))
}

/// The attributes of this service. If two detectors set the same attribute, the later one wins.
fn resource(variables: &Variables) -> Resource {
    let detectors: [Box<dyn ResourceDetector>; 2] =
        [Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())];
    let resource = Resource::builder_empty()
        .with_service_name(SERVICE_NAME)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detectors(&detectors);
    match variables.get("OTEL_SERVICE_NAME") {
        Some(name) => resource.with_service_name(name.to_owned()).build(),
        None => resource.build(),
    }
}

/// Adds the span to the trace that the caller's headers name, if any. Returns the id of the trace:
/// the span's, or the caller's if no span is made.
pub fn continue_trace(span: &Span, headers: &HeaderMap) -> Option<TraceId> {
    let from_caller = caller::context(headers);
    if span.is_disabled() {
        return from_caller.and_then(|context| trace_id(&context));
    }
    if let Some(context) = from_caller {
        // Setting the parent fails only if no layer of traces knows the span.
        let _ = span.set_parent(context);
    }
    trace_id(&span.context())
}

/// Marks the span as failed. It needs the fields `otel.status_code` and `error.type`.
pub fn fail(span: &Span, error_type: &str) {
    span.record("otel.status_code", "ERROR").record("error.type", error_type);
}

pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

fn trace_id(context: &Context) -> Option<TraceId> {
    Some(context.span().span_context().trace_id()).filter(|id| *id != TraceId::INVALID)
}
