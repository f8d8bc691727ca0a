//! The way to PostgreSQL: sessions with limits, a pool that heals, and a deadline and a few tries around every piece of work.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::pool::{PoolConnection, PoolConnectionMetadata};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config;
use crate::error::Error;
use crate::telemetry::metrics;

/// How often a piece of work is tried when the database fails in a way that passes.
const TRIES: u32 = 3;

/// How long the first retry waits; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// An idle connection is asked whether it is still there before it is lent out, once it has been idle for this long.
const IDLE_UNTIL_SUSPECT: Duration = Duration::from_secs(1);

/// How long an idle connection may take to answer that it is still there, and a returning one to come back to the pool.
const PING_TIMEOUT: Duration = Duration::from_millis(500);

/// A pool of sessions. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    last_failure: LastFailure,
    longest_call: Duration,
}

impl Database {
    /// Connects when first asked to work, so that the service can start before its database.
    pub fn new(settings: &config::Database, options: PgConnectOptions) -> Database {
        let last_failure = LastFailure::default();
        let suspects = last_failure.clone();
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let suspects = suspects.clone();
                Box::pin(async move { Ok(is_fit_to_lend(connection, &meta, &suspects).await) })
            })
            .connect_lazy_with(limit_session(settings, options));
        Database { pool, last_failure, longest_call: settings.deadline }
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
        match timeout_at(deadline, self.try_repeatedly(work)).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(explain(error)),
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
        let mut lease = Lease(Some(self.acquire().await?));
        let result = work(lease.connection()).await;
        match &result {
            Err(error) if breaks_connection(error) => self.last_failure.is_now(),
            Ok(_) | Err(_) => lease.give_back(),
        }
        result
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let began = Instant::now();
        let acquired = self.pool.acquire().await;
        metrics::waited_for_connection(began.elapsed(), matches!(acquired, Err(sqlx::Error::PoolTimedOut)));
        acquired
    }

    /// Puts the state of the connections into the metrics.
    pub fn count_connections(&self) {
        let open = self.pool.size();
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX).min(open);
        metrics::connections(open - idle, idle, self.pool.options().get_max_connections());
    }

    /// Gives up every connection that is open now: the server behind them is not the one to work with.
    pub fn distrust_connections(&self) {
        self.last_failure.is_now();
    }

    /// Waits until every connection is closed.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn is_fit_to_lend(
    connection: &mut PgConnection,
    meta: &PoolConnectionMetadata,
    last_failure: &LastFailure,
) -> bool {
    // The server behind an older connection may be gone, or be a replica by now. Which, only a new connection tells.
    if last_failure.is_younger_than(meta.age) {
        return false;
    }
    if meta.idle_for < IDLE_UNTIL_SUSPECT {
        return true;
    }
    let answers = matches!(timeout(PING_TIMEOUT, connection.ping()).await, Ok(Ok(())));
    if !answers {
        last_failure.is_now();
    }
    answers
}

/// Limits that a session keeps by itself, whatever happens to this process.
fn limit_session(settings: &config::Database, options: PgConnectOptions) -> PgConnectOptions {
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    let options = options.application_name("customer-deletion").options([
        ("statement_timeout", milliseconds(settings.statement_timeout)),
        ("lock_timeout", milliseconds(settings.lock_timeout)),
        ("idle_in_transaction_session_timeout", milliseconds(settings.statement_timeout)),
        ("tcp_user_timeout", milliseconds(settings.deadline)),
        // Every statement is a transaction, and its rechecks after a wait are those of this level.
        ("default_transaction_isolation", "read committed".to_owned()),
        // Planning anew for each list of ids would cost a third of the throughput.
        ("plan_cache_mode", "force_generic_plan".to_owned()),
    ]);
    // A call has its own line in the log.
    options.disable_statement_logging()
}

/// A borrowed connection that goes back to the pool only when told to. Dropped in the middle of its work, by a deadline or
/// an error, it is closed: a connection with half an answer in it must not be lent again.
struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    fn connection(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("a lease has its connection until it ends")
    }

    fn give_back(mut self) {
        if let Some(mut connection) = self.0.take() {
            // The pool asks a returning connection whether it is alive, and would wait for a silent one for ever.
            tokio::spawn(timeout(PING_TIMEOUT, connection.return_to_pool()));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// When a connection last broke.
#[derive(Clone, Default)]
struct LastFailure(Arc<Mutex<Option<Instant>>>);

impl LastFailure {
    fn is_now(&self) {
        *self.0.lock().expect("nothing panics while it holds this lock") = Some(Instant::now());
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.0.lock().expect("nothing panics while it holds this lock").is_some_and(|failure| failure.elapsed() <= age)
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
