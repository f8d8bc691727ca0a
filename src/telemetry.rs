//! Logs: one line a call, to standard output.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat, SettingsError};

/// Sends what this process logs to standard output from now on.
///
/// # Errors
///
/// When the level is not one.
pub fn start(settings: &Log) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&settings.level)
        .map_err(|error| SettingsError::new("log.level", format!("`{}` is not a level: {error}", settings.level)))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
        LogFormat::Text => builder.with_target(false).with_ansi(std::io::stdout().is_terminal()).init(),
    }
    Ok(())
}
