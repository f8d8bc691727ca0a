//! The line of the log for a call or an operation that ended.

use std::fmt::Display;
use std::time::Duration;

use uuid::Uuid;

/// The fields that calls and operations have in common.
pub struct Ended<'a> {
    pub is_outage: bool,
    pub request_id: &'a dyn Display,
    pub requester_id: Option<Uuid>,
    pub customer_id: Option<Uuid>,
    pub resource: Option<&'a str>,
    /// The number of ids.
    pub ids: Option<usize>,
    pub code: Option<&'a str>,
    pub duration: Option<Duration>,
}

/// Logs the end with its own fields: as an error if the service failed, else as information.
macro_rules! log_end {
    ($message:literal, $ended:expr, $($own:tt)+) => {
        match $ended {
            ended if ended.is_outage => log_end!(error, $message, ended, $($own)+),
            ended => log_end!(info, $message, ended, $($own)+),
        }
    };
    ($level:ident, $message:literal, $ended:ident, $($own:tt)+) => {
        tracing::$level!(
            request_id = %$ended.request_id,
            requester_id = $ended.requester_id.map(tracing::field::display),
            customer_id = $ended.customer_id.map(tracing::field::display),
            resource = $ended.resource,
            ids = $ended.ids,
            code = $ended.code,
            duration_ms = $ended.duration.map($crate::telemetry::end::milliseconds),
            $($own)+,
            $message
        )
    };
}
pub(crate) use log_end;

/// Rounded to three decimals.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
