//! The section `[queue]`.

use std::time::Duration;

use serde::Deserialize;

use super::{Settings, seconds};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    pub workers: usize,
    pub max_ids: usize,
    pub max_body_bytes: usize,
    pub max_waiting: u32,
    #[serde(rename = "run_timeout_seconds", deserialize_with = "seconds")]
    pub run_timeout: Duration,
    pub max_attempts: i32,
    /// The time after which another attempt may take a leased operation. Not a setting; some tests shorten it.
    #[serde(skip, default = "lease")]
    pub lease: Duration,
}

fn lease() -> Duration {
    Duration::from_secs(15)
}

impl Default for QueueSettings {
    fn default() -> QueueSettings {
        Settings::default().queue
    }
}
