//! How much one call may ask for.

use std::time::Duration;

use super::prefer;
use crate::config::Settings;

/// How much one call may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a call that waits for its outcome.
    pub awaited: BodyLimits,
    /// Of a call that does not.
    pub later: BodyLimits,
}

#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The longest list of ids.
    pub max_ids: usize,
    /// The largest body, in bytes.
    pub max_bytes: usize,
    /// How long a body may take to come.
    pub timeout: Duration,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Limits {
        let timeout = settings.http.body_timeout;
        Limits {
            awaited: BodyLimits {
                max_ids: settings.deletion.max_ids,
                max_bytes: settings.http.max_body_bytes,
                timeout,
            },
            later: BodyLimits { max_ids: settings.queue.max_ids, max_bytes: settings.queue.max_body_bytes, timeout },
        }
    }
}

impl Limits {
    pub fn of(&self, outcome: prefer::Outcome) -> BodyLimits {
        match outcome {
            prefer::Outcome::Awaited => self.awaited,
            prefer::Outcome::Later => self.later,
        }
    }
}
