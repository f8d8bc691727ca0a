//! The way to PostgreSQL: a deadline and a few tries around every piece of work.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, timeout_at};

use super::role;
use super::sessions::Sessions;
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

    async fn end_by<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Error> {
        match timeout_at(deadline, work).await {
            Ok(result) => result.map_err(explain),
            Err(_) => Err(Error::Unavailable(format!("no answer from the database in {:?}", self.longest_call))),
        }
    }

    async fn try_repeatedly<T, W>(&self, work: W) -> Result<T, sqlx::Error>
    where
        W: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    {
        let mut pause = FIRST_PAUSE;
        for tries_left in (0..TRIES).rev() {
            match self.try_once(&work).await {
                Err(error) if tries_left > 0 && passes(&error) => {
                    tracing::warn!(%error, "trying again on another connection");
                    metrics::retried(sqlstate(&error).as_deref());
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                result => return result,
            }
        }
        unreachable!("the last try returns")
    }

    async fn try_once<T, W>(&self, work: &W) -> Result<T, sqlx::Error>
    where
        W: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    {
        let mut borrowed = self.sessions.lend().await?;
        let result = work(borrowed.session()).await;
        match &result {
            Err(error) if breaks_connection(error) => self.sessions.distrust(),
            Ok(_) | Err(_) => borrowed.give_back(),
        }
        result
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

/// Whether the connection is of no more use: it broke, or leads to a server that does not take writes.
fn breaks_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            matches!(error.code().as_deref(), Some("25006" | "57P01" | "57P02" | "57P03"))
        }
        // The answer came whole; it is this build that cannot read it.
        sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => false,
        _ => true,
    }
}

/// The code that PostgreSQL gave; none where it gave none, because the connection broke.
pub fn sqlstate(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}

/// Whether the same work may well go through on another connection, or a moment later.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        // An end of the connection in the middle of a handshake comes as a violation of the protocol.
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => {
            matches!(error.code().as_deref(), Some("25006" | "40001" | "40P01" | "57P01" | "57P02" | "57P03"))
        }
        _ => false,
    }
}

/// Tells a database that is away, slow or out of connections from a defect of this service or its schema.
fn explain(error: sqlx::Error) -> Error {
    if sqlstate(&error).as_deref() == Some("42501") {
        return Error::Unavailable(format!("{error}; {}", role::HOW_TO_GRANT));
    }
    let unavailable = match &error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(database_error) => {
            let code = database_error.code().unwrap_or_default();
            passes(&error)
                // Connection, authorization, resources, operator intervention, a lock not had in time, storage.
                || ["08", "28", "3D", "53", "57", "58"].contains(&code.get(..2).unwrap_or_default())
                || code == "55P03"
        }
        other => passes(other),
    };
    if unavailable { Error::Unavailable(error.to_string()) } else { Error::Defect(error.to_string()) }
}
