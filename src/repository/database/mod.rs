//! The way to PostgreSQL: a deadline and a few tries around every piece of work.

mod attempts;
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

use self::failure::{Failure, sqlstate};
use self::observed::database_is;
use self::sessions::{NoSession, Sessions};
use crate::config;
use crate::error::Error;
use crate::telemetry::metrics;

/// How often a piece of work is tried when the database fails in a way that passes.
const TRIES: u32 = 3;

/// How long the first retry waits; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    sessions: Sessions,
    longest_call: Duration,
}

impl Database {
    /// Connects when first asked to work, so that the service can start before its database.
    pub fn new(settings: &config::Database, options: PgConnectOptions) -> Database {
        database_is(&options);
        Database { sessions: Sessions::new(settings, options), longest_call: settings.deadline }
    }

    /// For work that nobody waits for, and whose own waits tell nothing about calls.
    pub fn in_background(self) -> Database {
        Database { sessions: self.sessions.without_counting_waits(), ..self }
    }

    /// For work that may take another time in all.
    pub fn with_longest_call(self, longest_call: Duration) -> Database {
        Database { longest_call, ..self }
    }

    /// When the work of a call that comes now must have ended.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.longest_call
    }

    /// Does the work on a connection, until the deadline; again, on another connection, when the failure is one that passes.
    ///
    /// Work that is tried again must bear it that an earlier try was committed after all: a connection can break between the
    /// commit and its answer.
    pub async fn run<T, W>(&self, deadline: Instant, work: W) -> Result<T, Error>
    where
        W: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    {
        self.end_by(deadline, self.try_repeatedly(work)).await
    }

    /// Does the work once, for a caller who knows another way when it fails.
    pub async fn run_once<T, W>(&self, deadline: Instant, work: W) -> Result<T, Error>
    where
        W: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    {
        self.end_by(deadline, self.try_once(&work)).await
    }

    async fn end_by<T>(&self, deadline: Instant, work: impl Future<Output = Result<T, NotDone>>) -> Result<T, Error> {
        let began = Instant::now();
        match timeout_at(deadline, work).await {
            Ok(result) => result.map_err(explain),
            Err(_) => Err(self.no_answer(began)),
        }
    }

    fn no_answer(&self, began: Instant) -> Error {
        match self.sessions.waited_in_vain(began, self.longest_call) {
            NoSession::AllInUse(waited) => Error::Unavailable(format!("no answer from the database in {waited:?}")),
            no_session => Error::Unavailable(no_session.to_string()),
        }
    }

    /// Why a call got no session that waited for so long.
    pub fn waited_in_vain(&self, began: Instant, waited: Duration) -> Error {
        Error::Unavailable(self.sessions.waited_in_vain(began, waited).to_string())
    }

    async fn try_repeatedly<T, W>(&self, work: W) -> Result<T, NotDone>
    where
        W: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    {
        let mut pause = FIRST_PAUSE;
        for tries_left in (0..TRIES).rev() {
            match self.try_once(&work).await {
                Err(not_done) if tries_left > 0 && not_done.passes() => {
                    tracing::warn!(error = %not_done, "trying again on another connection");
                    metrics::retried(not_done.error().and_then(sqlstate).as_deref());
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                result => return result,
            }
        }
        unreachable!("the last try returns")
    }

    async fn try_once<T, W>(&self, work: &W) -> Result<T, NotDone>
    where
        W: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    {
        let mut borrowed = self.sessions.lend().await?;
        let result = work(borrowed.session()).await;
        match &result {
            Err(error) if Failure::of(error) == Failure::ServerLost => self.sessions.distrust(),
            // Dropped, it is closed.
            Err(error) if !Failure::of(error).leaves_session_usable() => {}
            Ok(_) | Err(_) => borrowed.give_back(),
        }
        Ok(result?)
    }

    /// Gives up every connection that is open now: the server behind them is not the one to work with.
    pub fn distrust_connections(&self) {
        self.sessions.distrust();
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

/// Why a piece of work was not done.
#[derive(Debug, thiserror::Error)]
enum NotDone {
    /// It did not begin.
    #[error(transparent)]
    NoSession(#[from] NoSession),
    #[error(transparent)]
    Failed(#[from] sqlx::Error),
}

impl NotDone {
    fn error(&self) -> Option<&sqlx::Error> {
        match self {
            NotDone::NoSession(NoSession::NotConnected(error)) | NotDone::Failed(error) => Some(error),
            NotDone::NoSession(_) => None,
        }
    }

    fn passes(&self) -> bool {
        self.error().is_some_and(|error| Failure::of(error).passes())
    }
}

/// Tells a database that is away, slow or out of connections from a defect of this service or its schema.
fn explain(not_done: NotDone) -> Error {
    let text = match not_done.error().and_then(failure::hint) {
        Some(hint) => format!("{not_done}; {hint}"),
        None => not_done.to_string(),
    };
    match not_done {
        NotDone::Failed(error) if Failure::of(&error).is_defect() => Error::Defect(text),
        NotDone::Failed(_) | NotDone::NoSession(_) => Error::Unavailable(text),
    }
}
