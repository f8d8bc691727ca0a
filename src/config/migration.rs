//! How the schema is migrated while it is in use.

use std::time::Duration;

use serde::Deserialize;

use super::{SettingsError, milliseconds, seconds};

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Migration {
    /// How long a migration waits for one lock before it lets the others through. Shorter than a call's own wait, so that no
    /// call fails behind it; and longer than PostgreSQL's `deadlock_timeout` of a second, because an autovacuum that is in the way
    /// is ended only then.
    #[serde(rename = "lock_timeout_ms", deserialize_with = "milliseconds")]
    pub lock_timeout: Duration,
    /// How long it is tried again before it is given up.
    #[serde(rename = "patience_seconds", deserialize_with = "seconds")]
    pub patience: Duration,
}

impl Default for Migration {
    fn default() -> Migration {
        Migration { lock_timeout: Duration::from_millis(1200), patience: Duration::from_secs(300) }
    }
}

impl Migration {
    /// PostgreSQL takes 0 for no limit at all.
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        for (path, wait) in
            [("migration.lock_timeout_ms", self.lock_timeout), ("migration.patience_seconds", self.patience)]
        {
            if wait.is_zero() {
                return Err(SettingsError::new(path, "must be at least 1"));
            }
            if wait > LONGEST_WAIT {
                return Err(SettingsError::new(path, format!("must be at most {LONGEST_WAIT:?}")));
            }
        }
        Ok(())
    }
}

/// PostgreSQL counts milliseconds in 31 bits.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
