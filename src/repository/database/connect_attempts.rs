//! Attempts to connect to PostgreSQL. The reason of the last failure explains why a wait for a
//! session timed out.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::schema::TooOld;

/// A cancelled attempt counts as unanswered only if it lasted this long.
const SILENT_AFTER: Duration = Duration::from_millis(500);

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct ConnectAttempts(Arc<Mutex<Option<Failure>>>);

struct Failure {
    at: Instant,
    reason: String,
}

impl ConnectAttempts {
    /// Records how the attempt ends.
    pub async fn watch<T>(&self, connecting: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let mut attempt = Attempt { attempts: self, began: Instant::now(), is_over: false };
        let result = connecting.await;
        attempt.is_over = true;
        *self.0.lock() = result.as_ref().err().map(|error| Failure { at: Instant::now(), reason: reason(error) });
        result
    }

    /// Records that an attempt failed for another reason.
    pub fn fail(&self, reason: String) {
        *self.0.lock() = Some(Failure { at: Instant::now(), reason });
    }

    /// Why the last attempt failed. Returns `None` if it succeeded, or failed before that time.
    pub fn failure_since(&self, time: Instant) -> Option<String> {
        self.0.lock().as_ref().filter(|failure| failure.at >= time).map(|failure| failure.reason.clone())
    }
}

struct Attempt<'a> {
    attempts: &'a ConnectAttempts,
    began: Instant,
    is_over: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        if !self.is_over && took >= SILENT_AFTER {
            let reason = format!("no answer to an attempt to connect in {took:.1?}");
            *self.attempts.0.lock() = Some(Failure { at: Instant::now(), reason });
        }
    }
}

/// The reason for operators. PostgreSQL's own messages may name role, database and address, and
/// never a password.
pub fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => format!("TLS failed: {error}"),
        sqlx::Error::Database(refusal) => match TooOld::of(error) {
            Some(too_old) => too_old.to_string(),
            None => format!("{} (SQLSTATE {})", refusal.message(), refusal.code().unwrap_or_default()),
        },
        // sqlx's text may show a character of the password.
        sqlx::Error::Configuration(_) => "the certificate, the key, the user or the password cannot be used".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_counts_for_those_who_waited_then() {
        let (attempts, before) = (ConnectAttempts::default(), Instant::now());
        assert_eq!(attempts.failure_since(before), None);
        let refused = async { Err::<(), _>(sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into())) };
        assert!(attempts.watch(refused).await.is_err());
        assert_eq!(attempts.failure_since(before).as_deref(), Some("connection refused"));
        assert_eq!(attempts.failure_since(Instant::now() + Duration::from_nanos(1)), None);
        assert!(attempts.watch(async { Ok(()) }).await.is_ok());
        assert_eq!(attempts.failure_since(before), None);
    }

    #[test]
    fn an_attempt_without_an_answer_is_a_failure_when_it_is_broken_off() {
        let (attempts, now) = (ConnectAttempts::default(), Instant::now());
        let break_off = |began| drop(Attempt { attempts: &attempts, began, is_over: false });
        // None of its time is over.
        break_off(now + Duration::from_secs(3600));
        assert_eq!(attempts.failure_since(now), None);
        break_off(now - SILENT_AFTER);
        assert!(attempts.failure_since(now).unwrap().starts_with("no answer to an attempt to connect in"));
    }

    #[test]
    fn a_character_of_the_password_is_not_shown() {
        let error = sqlx::Error::Configuration("Failed to saslprep password: hunter2".into());
        assert!(!reason(&error).contains("hunter2"));
    }
}
