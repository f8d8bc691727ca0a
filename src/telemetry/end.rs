//! The line of the log for a call or an operation that ended.

use std::time::Duration;

/// Logs the end: as an error if the service or its database failed, else as information.
macro_rules! log_end {
    ($is_outage:expr, $($fields:tt)+) => {
        if $is_outage {
            tracing::error!($($fields)+)
        } else {
            tracing::info!($($fields)+)
        }
    };
}
pub(crate) use log_end;

/// Rounded to three decimals.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
