//! Times of the maintenance commands: an age on the command line, and the time in an id.

use std::str::FromStr;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A time span like `90d` or `36h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(Duration);

/// The largest accepted age, 1,000 years: subtracting more would overflow.
const MOST_HOURS: i64 = 24 * 365 * 1000;

/// An idempotency key is kept with its operation. The API promises this time.
const LEAST_OF_OPERATIONS: Age = Age(Duration::hours(24));

impl Age {
    /// The time that lies this long before another.
    pub fn before(self, now: OffsetDateTime) -> OffsetDateTime {
        now - self.0
    }

    /// Parses an age of operations.
    pub fn of_operations(text: &str) -> Result<Age, String> {
        let age: Age = text.parse()?;
        if age.0 < LEAST_OF_OPERATIONS.0 {
            return Err("must be at least 24h: idempotency keys are kept with their operations".to_owned());
        }
        Ok(age)
    }
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Age, String> {
        let hours = match text.strip_suffix('d') {
            Some(days) => number(days).and_then(|days| days.checked_mul(24)),
            None => text.strip_suffix('h').and_then(number),
        };
        let hours = hours.filter(|hours| *hours <= MOST_HOURS);
        hours.map(|hours| Age(Duration::hours(hours))).ok_or_else(|| "must be like 90d or 36h".to_owned())
    }
}

/// A whole number without a sign.
fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The largest difference between the clock of a service, which makes the ids, and that of the
/// database.
pub const CLOCK_DIFFERENCE: Duration = Duration::DAY;

/// The lowest id that can be made at this time. Ids are UUIDs of version 7, which begin with the
/// milliseconds of their creation, so no id that is made then or later is lower.
pub fn first_id(time: OffsetDateTime) -> Uuid {
    let milliseconds = time.unix_timestamp_nanos() / 1_000_000;
    Uuid::from_u128(u128::try_from(milliseconds).unwrap_or(0) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_now_is_after_the_first_of_an_earlier_time_and_before_that_of_a_later_one() {
        let now = OffsetDateTime::now_utc();
        assert!(Uuid::now_v7() > first_id(now - CLOCK_DIFFERENCE));
        assert!(Uuid::now_v7() < first_id(now + CLOCK_DIFFERENCE));
        assert_eq!(first_id(OffsetDateTime::UNIX_EPOCH - CLOCK_DIFFERENCE), Uuid::nil());
    }

    #[test]
    fn an_age_is_a_number_of_days_or_hours() {
        assert_eq!("90d".parse(), Ok(Age(Duration::days(90))));
        assert_eq!("36h".parse(), Ok(Age(Duration::hours(36))));
        assert_eq!("0d".parse(), Ok(Age(Duration::ZERO)));
        for text in ["", "d", "90", "-1d", "+1d", "1.5d", "90 d", "9w", "9223372036854775807d", "99999999999h"] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
    }

    #[test]
    fn operations_are_kept_for_a_day_at_least() {
        assert!(Age::of_operations("24h").is_ok());
        assert!(Age::of_operations("23h").is_err());
    }
}
