//! Logs, traces and metrics: how operators see the service.

pub mod metrics;
pub mod traces;

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use self::traces::Traces;
use crate::config::{Log, LogFormat, SettingsError};

/// What has to be ended before the process ends.
#[must_use = "the last spans are sent when it is ended"]
pub struct Telemetry {
    traces: Option<Traces>,
}

/// Sends what this process logs to standard output from now on, and its spans to the collector that the environment names.
///
/// # Errors
///
/// When the level is not one, or a variable of OpenTelemetry cannot be followed.
pub fn start(settings: &Log) -> Result<Telemetry, SettingsError> {
    let traces = Traces::from_environment()?;
    let subscriber = log(settings, std::io::stdout, std::io::stdout().is_terminal())?;
    match &traces {
        Some(traces) => subscriber.with(traces.layer()).init(),
        None => subscriber.init(),
    }
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends the spans that are still waiting.
    pub async fn end(self) {
        if let Some(traces) = self.traces {
            traces.end().await;
        }
    }
}

/// The log: one line an event. Spans are for traces alone; a process without traces does not even make them.
///
/// # Errors
///
/// When the level is not one.
pub fn log<W>(
    settings: &Log,
    writer: W,
    colours: bool,
) -> Result<impl SubscriberInitExt + Subscriber + Spans, SettingsError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let levels = EnvFilter::try_new(&settings.level)
        .map_err(|error| SettingsError::new("log.level", format!("`{}` is not a level: {error}", settings.level)))?;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
        LogFormat::Text => fmt::layer().with_target(false).with_ansi(colours).with_writer(writer).boxed(),
    };
    let events = filter_fn(|metadata| metadata.is_event());
    Ok(tracing_subscriber::registry().with(lines.with_filter(levels.and(events))))
}

/// Where spans can be looked up, which a layer of traces needs.
pub trait Spans: for<'s> tracing_subscriber::registry::LookupSpan<'s> + Send + Sync {}

impl<T: for<'s> tracing_subscriber::registry::LookupSpan<'s> + Send + Sync> Spans for T {}
