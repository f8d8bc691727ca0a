//! The limits of one call.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::Settings;
use crate::error::Error;

#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// The limits without `Prefer: respond-async`.
    pub synchronous: BodyLimits,
    /// The limits with `Prefer: respond-async`.
    pub asynchronous: BodyLimits,
    /// The longest time from the beginning of a call to the end of its wait for an operation.
    pub longest_wait: Duration,
    /// The rows that a requester may delete in an hour. `None` for no limit.
    pub rows_per_hour: Option<NonZeroU32>,
}

#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    pub max_ids: usize,
    pub max_bytes: usize,
    /// The time in which the last byte of the body must arrive.
    pub timeout: Duration,
}

impl From<&Settings> for CallLimits {
    fn from(settings: &Settings) -> CallLimits {
        let timeout = settings.http.body_timeout;
        CallLimits {
            synchronous: BodyLimits {
                max_ids: settings.deletion.max_ids,
                max_bytes: settings.http.max_body_bytes,
                timeout,
            },
            asynchronous: BodyLimits {
                max_ids: settings.queue.max_ids,
                max_bytes: settings.queue.max_body_bytes,
                timeout,
            },
            longest_wait: settings.longest_wait(),
            rows_per_hour: settings.requester.deleted_rows_per_hour,
        }
    }
}

impl CallLimits {
    pub fn of(&self, respond_async: bool) -> BodyLimits {
        if respond_async { self.asynchronous } else { self.synchronous }
    }

    /// Refuses a list that can never be deleted as a whole, however long its caller waits.
    pub fn check_rows(&self, ids: usize) -> Result<(), Error> {
        match self.rows_per_hour {
            Some(most) if ids > most.get() as usize => Err(Error::bad_request(format!(
                "the list has {ids} ids, and a requester may delete {most} rows in an hour; send it in parts"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// The longest wait of a call. The time that has elapsed since it began shortens the preferred
    /// wait.
    pub fn wait(&self, preferred: Duration, elapsed: Duration) -> Duration {
        preferred.min(self.longest_wait.saturating_sub(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_before_a_wait_shortens_it() {
        let mut limits = CallLimits::from(&Settings::default());
        limits.longest_wait = Duration::from_secs(17);
        for (preferred, elapsed, expected) in [(5, 0, 5), (17, 0, 17), (5, 12, 5), (5, 13, 4), (17, 2, 15), (5, 18, 0)]
        {
            let wait = limits.wait(Duration::from_secs(preferred), Duration::from_secs(elapsed));
            assert_eq!(wait, Duration::from_secs(expected), "{preferred} after {elapsed}");
        }
    }
}
