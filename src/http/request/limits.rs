//! The limits of one call.

use std::time::Duration;

use super::prefer::Preference;
use crate::config::Settings;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub awaited: BodyLimits,
    /// With `Prefer: respond-async`.
    pub later: BodyLimits,
    /// For the end of an operation, with the body of the call.
    pub longest_wait: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    pub max_ids: usize,
    pub max_bytes: usize,
    /// For the last byte of the body to arrive.
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
            longest_wait: settings.longest_wait(),
        }
    }
}

impl Limits {
    pub fn of(&self, preference: Preference) -> BodyLimits {
        match preference {
            Preference::Wait => self.awaited,
            Preference::RespondAsync => self.later,
        }
    }
}
