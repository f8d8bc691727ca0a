//! The ranges of numeric settings, and the rules between settings.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Settings, SettingsError, WAIT_FOR_KEY, variable};

/// The longest time that a call may wait after its head, in all. Gateways give up after 29 seconds.
const MAX_SUM_OF_WAITS: Duration = Duration::from_secs(20);

impl Settings {
    /// Refuses numbers out of range, and settings that do not work together.
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        for (path, value, range) in self.numbers() {
            if !range.contains(&value) {
                let problem = format!("must be {} to {}, and is {value}", range.start(), range.end());
                return Err(SettingsError::new(path, problem));
            }
        }
        self.validate_waits()?;
        if self.requester.rate_burst.is_some() && self.requester.rate_per_second.is_none() {
            let problem = format!("has no effect without {}", variable("requester.rate_per_second"));
            return Err(SettingsError::new("requester.rate_burst", problem));
        }
        Ok(())
    }

    /// Every number whose range is narrower than its type, in the units of the settings file.
    #[rustfmt::skip]
    fn numbers(&self) -> [(&'static str, u128, RangeInclusive<u128>); 17] {
        let (database, http, queue) = (&self.database, &self.http, &self.queue);
        [
            ("database.max_connections", database.max_connections.into(), 1..=10_000),
            // Less than 5 would give a lock timeout of 1 ms or 0, and PostgreSQL reads 0 as no
            // limit.
            ("database.deadline_ms", database.deadline.as_millis(), 5..=20_000),
            ("http.max_body_bytes", http.max_body_bytes as u128, 1..=64 * 1024 * 1024),
            ("http.body_timeout_ms", http.body_timeout.as_millis(), 1..=20_000),
            ("http.keep_alive_ms", http.keep_alive.as_millis(), 1..=86_400_000),
            ("http.max_in_flight", http.max_in_flight as u128, 1..=100_000),
            ("http.max_connections", http.max_connections.unwrap_or(1) as u128, 1..=1_000_000),
            ("http.drain_seconds", http.drain_seconds.into(), 1..=3600),
            ("requester.jwt.refresh_seconds", self.requester.jwt.refresh_seconds.into(), 1..=86_400),
            ("deletion.max_ids", self.deletion.max_ids as u128, 1..=1_000_000),
            ("queue.workers", queue.workers as u128, 0..=64),
            ("queue.max_ids", queue.max_ids as u128, 1..=1_000_000),
            ("queue.max_body_bytes", queue.max_body_bytes as u128, 1..=64 * 1024 * 1024),
            ("queue.max_operations", queue.max_operations.into(), 1..=100_000),
            ("queue.run_timeout_seconds", queue.run_timeout.as_secs().into(), 1..=3600),
            ("queue.max_attempts", u128::try_from(queue.max_attempts).unwrap_or(0), 1..=100),
            ("migration.patience_seconds", self.migration.patience.as_secs().into(), 1..=86_400),
        ]
    }

    fn validate_waits(&self) -> Result<(), SettingsError> {
        let waits = self.sum_of_waits();
        if waits > MAX_SUM_OF_WAITS {
            let wait_for_key =
                if self.requester.is_jwt() { format!(" and the {WAIT_FOR_KEY:?} for a key") } else { String::new() };
            let deadline = variable("database.deadline_ms");
            let problem = format!(
                "must be at most {MAX_SUM_OF_WAITS:?} with {deadline}{wait_for_key}: gateways give up after 29s"
            );
            return Err(SettingsError::new("http.body_timeout_ms", problem));
        }
        if Duration::from_secs(self.http.drain_seconds) < waits {
            let least = waits.as_millis().div_ceil(1000);
            let problem = format!("must be at least {least}, which is how long a call may wait");
            return Err(SettingsError::new("http.drain_seconds", problem));
        }
        Ok(())
    }

    /// The sum of all waits of a call after its head.
    fn sum_of_waits(&self) -> Duration {
        self.wait_for_key() + self.http.body_timeout + self.database.deadline
    }

    /// The longest time from the beginning of a call to the end of its wait for an operation. It
    /// leaves time for the work after the wait.
    pub fn longest_wait(&self) -> Duration {
        MAX_SUM_OF_WAITS.saturating_sub(self.wait_for_key() + self.database.deadline)
    }

    fn wait_for_key(&self) -> Duration {
        if self.requester.is_jwt() { WAIT_FOR_KEY } else { Duration::ZERO }
    }
}
