//! How deletions are done whose callers do not wait.

use std::time::Duration;

use serde::Deserialize;

use super::{SettingsError, milliseconds, seconds};

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Operations that this replica does at once; none leaves them to others. Each takes a connection beside those of the pool.
    pub workers: usize,
    /// The longest list of ids.
    pub max_ids: usize,
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// Operations of one requester that may wait.
    pub max_waiting: u32,
    /// How long a statement of an operation may take; PostgreSQL ends it then.
    #[serde(rename = "run_timeout_seconds", deserialize_with = "seconds")]
    pub run_timeout: Duration,
    /// How long an operation waits for one lock. Calls may wait for the rows that it holds meanwhile.
    #[serde(rename = "lock_timeout_ms", deserialize_with = "milliseconds")]
    pub lock_timeout: Duration,
    /// How long an operation belongs to an attempt that was not heard of again: the longest wait for another replica to take it.
    #[serde(rename = "lease_seconds", deserialize_with = "seconds")]
    pub lease: Duration,
    /// Attempts after which an operation ends as an internal error.
    pub max_attempts: i32,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            workers: 1,
            max_ids: 100_000,
            max_body_bytes: 8 * 1024 * 1024,
            max_waiting: 10_000,
            run_timeout: Duration::from_secs(120),
            lock_timeout: Duration::from_millis(1000),
            lease: Duration::from_secs(15),
            max_attempts: 8,
        }
    }
}

impl Queue {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        for (path, value, least, most) in [
            ("queue.workers", self.workers as u64, 0, MOST_WORKERS),
            ("queue.max_ids", self.max_ids as u64, 1, MOST_IDS),
            ("queue.max_body_bytes", self.max_body_bytes as u64, 1, MOST_BODY_BYTES),
            ("queue.max_waiting", u64::from(self.max_waiting), 1, MOST_WAITING),
            ("queue.run_timeout_seconds", self.run_timeout.as_secs(), 1, LONGEST_RUN),
            ("queue.lease_seconds", self.lease.as_secs(), SHORTEST_LEASE, LONGEST_LEASE),
            ("queue.max_attempts", u64::try_from(self.max_attempts).unwrap_or(0), 1, MOST_ATTEMPTS),
        ] {
            if !(least..=most).contains(&value) {
                return Err(SettingsError::new(path, format!("must be {least} to {most}")));
            }
        }
        if self.lock_timeout.is_zero() || self.lock_timeout > self.run_timeout {
            let problem = "must be more than 0 and no more than CUSTOMER_DELETION__QUEUE__RUN_TIMEOUT_SECONDS";
            return Err(SettingsError::new("queue.lock_timeout_ms", problem));
        }
        Ok(())
    }
}

/// Each has a connection, and keeps a processor of the server busy.
const MOST_WORKERS: u64 = 64;

/// What one statement and one row can bear.
const MOST_IDS: u64 = 1_000_000;
const MOST_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// Each call that is accepted counts those that wait.
const MOST_WAITING: u64 = 100_000;

/// In seconds. An attempt that has not come to its work within a lease has lost it; and what a replica that is gone had begun is
/// taken up by another within a minute.
const SHORTEST_LEASE: u64 = 5;
const LONGEST_LEASE: u64 = 45;
const LONGEST_RUN: u64 = 3600;

const MOST_ATTEMPTS: u64 = 100;
