//! Logs, traces and metrics.

pub mod end;
pub mod metrics;
pub mod outage;
pub mod traces;

use std::io::IsTerminal;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use self::traces::environment::Variables;
use crate::config::{LogFormat, LogSettings, SettingsError};

/// Must be ended before the process ends.
#[must_use = "the last spans are sent when it is ended"]
pub struct Telemetry(Option<SdkTracerProvider>);

/// Logs to standard output from now on, and sends spans to the collector that the environment
/// names. Fails if the level or a variable of OpenTelemetry is invalid or not supported.
pub fn start(settings: &LogSettings) -> Result<Telemetry, SettingsError> {
    let variables = Variables::of_this_process();
    let provider = traces::provider(&variables)?;
    let subscriber = log(settings, std::io::stdout, std::io::stdout().is_terminal())?;
    match &provider {
        Some(provider) => subscriber.with(traces::layer(provider)).init(),
        None => subscriber.init(),
    }
    for variable in variables.ignored() {
        tracing::warn!(variable, "has no effect: the service exports only traces, and only if an endpoint is set");
    }
    Ok(Telemetry(provider))
}

impl Telemetry {
    /// Sends the last spans. It does not wait long for an unreachable collector.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        // The exporter blocks its thread.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || provider.shutdown()).await {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// The log: one line for each event. Spans are for traces only, and a process without traces makes
/// none.
pub fn log<W>(
    settings: &LogSettings,
    writer: W,
    colours: bool,
) -> Result<impl SubscriberInitExt + Subscriber + for<'s> LookupSpan<'s> + Send + Sync, SettingsError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let levels = levels(&settings.level)?;
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

fn levels(text: &str) -> Result<EnvFilter, SettingsError> {
    let refuse = |problem: String| SettingsError::new("log.level", problem);
    // The filter reads any other word as the name of a crate. With `warning`, the log would be
    // empty.
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    if let Some(word) = text.split(',').find(|directive| !directive.contains(['=', '[']) && !is_level(directive)) {
        return Err(refuse(format!("`{word}` is not a level: must be off, error, warn, info, debug or trace")));
    }
    EnvFilter::try_new(text).map_err(|error| refuse(format!("`{text}` is not a level: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_a_level_is_refused() {
        for text in ["warning", "verbose", "bogus", "info,sqlx", "info,warning", " info"] {
            let message = levels(text).unwrap_err().to_string();
            assert!(message.starts_with("CUSTOMER_DELETION__LOG__LEVEL: `"), "{message}");
        }
    }

    #[test]
    fn levels_and_directives_are_accepted() {
        let default = crate::config::Settings::default().log.level;
        for text in ["off", "error", "WARN", "Info", "debug", "trace", "info,sqlx=debug", "info,[call]=debug", &default]
        {
            assert_eq!(levels(text).map(|_| ()), Ok(()), "{text}");
        }
    }
}
