//! Work on PostgreSQL: each piece has a deadline, and `run` retries it.

pub mod commits;
mod connect_attempts;
pub mod failure;
pub mod observed;
pub mod role;
pub mod schema_gate;
pub mod session_settings;
mod sessions;

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, timeout_at};

use self::failure::{Failure, WorkError};
use self::observed::database_is;
use self::sessions::{NoSession, Sessions};
use crate::backoff::Backoff;
use crate::config::DatabaseSettings;
use crate::error::Error;
use crate::sqlstate::sqlstate;
use crate::telemetry::metrics;

/// The most tries of a piece of work that fails transiently.
const TRIES: u32 = 3;

/// The pauses between two tries.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(20), longest: Duration::from_millis(40) };

/// Statements on a session, and the values that they need.
pub trait Work<C, T, E>: for<'a> Fn(&'a mut PgConnection, &'a C) -> BoxFuture<'a, Result<T, E>> {}

impl<C, T, E, W> Work<C, T, E> for W where W: for<'a> Fn(&'a mut PgConnection, &'a C) -> BoxFuture<'a, Result<T, E>> {}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    sessions: Sessions,
    longest_call: Duration,
}

impl Database {
    /// Connects at the first work, so that the service can start before its database.
    pub fn new(settings: &DatabaseSettings, options: PgConnectOptions) -> Database {
        database_is(&options);
        Database { sessions: Sessions::new(settings, options), longest_call: settings.deadline }
    }

    /// The same sessions, for work that is not a call: its waits for a session are not in the
    /// metrics.
    pub fn without_wait_metrics(self) -> Database {
        Database { sessions: self.sessions.without_wait_metrics(), ..self }
    }

    /// The same sessions, with another deadline.
    pub fn with_longest_call(self, longest_call: Duration) -> Database {
        Database { longest_call, ..self }
    }

    /// The deadline of a call that arrives now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.longest_call
    }

    /// Does the work on a session until the deadline. After a transient failure, tries again on
    /// another session.
    ///
    /// A connection can break between a commit and its answer. So work must expect that an earlier
    /// try was committed.
    pub async fn run<C, T, E>(&self, deadline: Instant, context: &C, work: impl Work<C, T, E>) -> Result<T, Error>
    where
        E: Into<WorkError>,
    {
        self.end_by(deadline, self.try_repeatedly(context, work)).await
    }

    /// Does the work once, for a caller that has another way if it fails.
    pub async fn run_once<C, T, E>(&self, deadline: Instant, context: &C, work: impl Work<C, T, E>) -> Result<T, Error>
    where
        E: Into<WorkError>,
    {
        self.end_by(deadline, self.try_once(context, &work)).await
    }

    async fn end_by<T>(&self, deadline: Instant, work: impl Future<Output = Result<T, NotDone>>) -> Result<T, Error> {
        let began = Instant::now();
        match timeout_at(deadline, work).await {
            Ok(result) => result.map_err(explain),
            Err(_) => Err(self.no_answer(began, deadline)),
        }
    }

    fn no_answer(&self, began: Instant, deadline: Instant) -> Error {
        match self.sessions.timed_out(began, time_until(deadline, began)) {
            NoSession::AllInUse(waited) => Error::Unavailable(format!("no answer from the database in {waited:?}")),
            no_session => Error::Unavailable(no_session.to_string()),
        }
    }

    /// The reason why a call got no session until the deadline.
    pub fn timed_out(&self, began: Instant, deadline: Instant) -> Error {
        Error::Unavailable(self.sessions.timed_out(began, time_until(deadline, began)).to_string())
    }

    async fn try_repeatedly<C, T, E>(&self, context: &C, work: impl Work<C, T, E>) -> Result<T, NotDone>
    where
        E: Into<WorkError>,
    {
        for tries in 1..=TRIES {
            match self.try_once(context, &work).await {
                Err(not_done) if tries < TRIES && not_done.is_transient() => {
                    tracing::warn!(error = %not_done, "retrying on another connection");
                    metrics::retried(not_done.error().and_then(sqlstate).as_deref());
                    tokio::time::sleep(BACKOFF.pause_after(tries)).await;
                }
                result => return result,
            }
        }
        unreachable!("the last try returns")
    }

    async fn try_once<C, T, E>(&self, context: &C, work: &impl Work<C, T, E>) -> Result<T, NotDone>
    where
        E: Into<WorkError>,
    {
        let mut session = self.sessions.acquire().await?;
        let result = work(session.connection(), context).await.map_err(Into::into);
        match &result {
            Err(error) if error.failure() == Failure::ServerLost => self.sessions.invalidate(),
            // The session is dropped, which closes it.
            Err(error) if !error.leaves_session_usable() => {}
            Ok(_) | Err(_) => session.release(),
        }
        Ok(result?)
    }

    /// Puts the state of the connections into the metrics.
    pub fn count_connections(&self) {
        self.sessions.count();
    }

    /// Waits until every connection is closed.
    pub async fn close(&self) {
        self.sessions.close().await;
    }
}

/// For messages: rounded up to hundredths of a second.
fn time_until(deadline: Instant, began: Instant) -> Duration {
    Duration::from_millis(deadline.saturating_duration_since(began).as_millis().div_ceil(10) as u64 * 10)
}

/// The reason why a piece of work was not done.
#[derive(Debug, thiserror::Error)]
enum NotDone {
    /// It did not begin.
    #[error(transparent)]
    NoSession(#[from] NoSession),
    #[error(transparent)]
    Failed(#[from] WorkError),
}

impl NotDone {
    fn error(&self) -> Option<&sqlx::Error> {
        match self {
            NotDone::NoSession(NoSession::NotConnected(error)) | NotDone::Failed(WorkError::Database(error)) => {
                Some(error)
            }
            NotDone::NoSession(_) | NotDone::Failed(_) => None,
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            NotDone::NoSession(NoSession::NotConnected(error)) => Failure::of(error).is_transient(),
            NotDone::NoSession(_) => false,
            NotDone::Failed(error) => error.failure().is_transient(),
        }
    }
}

/// Tells a database that is away, slow or out of connections from a defect of this service or its
/// schema.
fn explain(not_done: NotDone) -> Error {
    let text = match not_done.error().and_then(failure::hint) {
        Some(hint) => format!("{not_done}; {hint}"),
        None => not_done.to_string(),
    };
    match not_done {
        NotDone::Failed(error) if error.failure().is_defect() => Error::Defect(text),
        NotDone::Failed(_) | NotDone::NoSession(_) => Error::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_began_just_before_is_named_as_it_is_set() {
        let began = Instant::now();
        let shown = |micros| format!("{:?}", time_until(began + Duration::from_micros(micros), began));
        assert_eq!([2_499_980, 500_000, 7_000].map(shown), ["2.5s", "500ms", "10ms"]);
    }
}
