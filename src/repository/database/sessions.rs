//! A pool of sessions of PostgreSQL.
//!
//! A session that returns is reused without a ping, which takes as long as a deletion. sqlx's own
//! pool would send one. Here only an idle session is pinged. A session is discarded if another one
//! broke after it was opened.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::commits::{self, SessionCounts, SessionGuard};
use super::connect_attempts::{ConnectAttempts, reason};
use super::failure::is_not_there_yet;
use super::session_settings::Opener;
use crate::backoff::Backoff;
use crate::config::DatabaseSettings;
use crate::telemetry::metrics;

/// A session that was idle for this long is pinged before it is reused.
const PING_AFTER: Duration = Duration::from_secs(1);

/// The longest wait for the answer to a ping, and for the end of a session.
const PING_TIMEOUT: Duration = Duration::from_millis(500);

/// The maximum age of a session. It bounds PostgreSQL's memory, and lets the pool follow a changed
/// server address.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The pauses between two tries to connect to a server that is not up yet.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(250) };

/// The sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    pool: Pool<SessionManager>,
    /// The time when the sessions were last invalidated.
    invalidated: Arc<Mutex<Option<Instant>>>,
    connect_attempts: ConnectAttempts,
    counts: SessionCounts,
    acquire_timeout: Duration,
    /// Whether waits for a session are in the metrics.
    counts_waits: bool,
}

/// The reason why no session is available.
#[derive(Debug, thiserror::Error)]
pub enum NoSession {
    #[error("no connection to PostgreSQL: {}", reason(.0))]
    NotConnected(#[source] sqlx::Error),
    #[error("no connection to PostgreSQL in {0:?}: {1}")]
    NotConnectedInTime(Duration, String),
    #[error("no connection came free in {0:?}")]
    AllInUse(Duration),
    #[error("the connections to PostgreSQL are closed")]
    Closed,
}

impl Sessions {
    /// Connects when the first session is acquired.
    pub fn new(settings: &DatabaseSettings, options: PgConnectOptions) -> Sessions {
        let (invalidated, connect_attempts): (Arc<Mutex<_>>, _) = (Arc::default(), ConnectAttempts::default());
        let counts = SessionCounts::default();
        let manager = SessionManager {
            opener: Opener::new(settings, options),
            invalidated: invalidated.clone(),
            connect_attempts: connect_attempts.clone(),
            counts: counts.clone(),
            max_connections: settings.max_connections as usize,
        };
        let pool = Pool::builder(manager)
            .max_size(settings.max_connections as usize)
            // The session that was used last has warm caches, here and on the server.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without timeouts needs no runtime");
        Sessions {
            pool,
            invalidated,
            connect_attempts,
            counts,
            acquire_timeout: settings.acquire_timeout(),
            counts_waits: true,
        }
    }

    /// The same sessions, for work that is not a call.
    pub fn without_wait_metrics(self) -> Sessions {
        Sessions { counts_waits: false, ..self }
    }

    pub async fn acquire(&self) -> Result<Acquired, NoSession> {
        let began = Instant::now();
        let acquired = timeout(self.acquire_timeout, self.pool.get()).await;
        if self.counts_waits {
            metrics::waited_for_connection(began.elapsed(), acquired.is_err());
        }
        match acquired {
            Ok(Ok(session)) => Ok(Acquired(Some(session))),
            Ok(Err(PoolError::Backend(error))) => Err(NoSession::NotConnected(error)),
            Ok(Err(PoolError::Closed)) => Err(NoSession::Closed),
            Ok(Err(PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_))) | Err(_) => {
                Err(self.timed_out(began, self.acquire_timeout))
            }
        }
    }

    /// The reason for a timeout after this wait.
    pub fn timed_out(&self, began: Instant, waited: Duration) -> NoSession {
        match self.connect_attempts.failure_since(began) {
            Some(reason) => NoSession::NotConnectedInTime(waited, reason),
            None => NoSession::AllInUse(waited),
        }
    }

    /// Discards every session that is open now, because its server is gone or takes no writes.
    pub fn invalidate(&self) {
        *self.invalidated.lock() = Some(Instant::now());
    }

    pub fn counts(&self) -> &SessionCounts {
        &self.counts
    }

    /// Puts the state of the sessions into the metrics.
    pub fn count(&self) {
        let status = self.pool.status();
        metrics::commits_waiting(self.counts.last_waiting());
        metrics::database_connections(status.size - status.available, status.available, status.max_size);
    }

    /// Ends every session. Later callers get none.
    pub async fn close(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        for session in idle {
            // A session that does not answer is closed anyway.
            let _ = timeout(PING_TIMEOUT, session.connection.close()).await;
        }
    }
}

/// A session that returns to the pool only by [`Acquired::release`]. If it is dropped before, by a
/// deadline or an error, it is closed: a session with half an answer in it must not be reused.
pub struct Acquired(Option<Object<SessionManager>>);

impl Acquired {
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.0.as_mut().expect("an acquired session is there until it is released").connection
    }

    pub fn release(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Acquired {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            Object::take(session).guard.abandon();
        }
    }
}

pub struct Session {
    connection: PgConnection,
    guard: SessionGuard,
}

/// Opens sessions, and checks them before they are reused.
struct SessionManager {
    opener: Opener,
    invalidated: Arc<Mutex<Option<Instant>>>,
    connect_attempts: ConnectAttempts,
    counts: SessionCounts,
    max_connections: usize,
}

impl SessionManager {
    /// Opens a session. Returns `None` if it would exceed the limit, because commits of abandoned
    /// sessions wait.
    async fn open(&self) -> sqlx::Result<Option<Session>> {
        let Some(_guard) = self.counts.begin_opening() else { return Ok(None) };
        let mut connection = self.connect_attempts.watch(self.opener.open()).await?;
        let guard = self.counts.count_opened(self.opener.process_id(&mut connection).await?);
        let waiting = self.counts.waiting(&mut connection).await?;
        // A session that is not at its commit yet may wait there as well.
        if waiting > 0 && self.counts.abandoned_count() + self.counts.open_count() > self.max_connections {
            self.connect_attempts.fail(commits::reason(waiting));
            let _ = timeout(PING_TIMEOUT, connection.close()).await;
            return Ok(None);
        }
        Ok(Some(Session { connection, guard }))
    }
}

impl Manager for SessionManager {
    type Type = Session;
    type Error = sqlx::Error;

    /// Retries while the server starts or the limit is reached. The caller's timeout ends it.
    async fn create(&self) -> sqlx::Result<Session> {
        let mut failures = 0;
        loop {
            // Boxed, so that the task of every call does not reserve memory for this future.
            match Box::pin(self.open()).await {
                Ok(Some(session)) => return Ok(session),
                Ok(None) => failures += 1,
                Err(error) if is_not_there_yet(&error) => failures += 1,
                Err(error) => return Err(error),
            }
            sleep(BACKOFF.pause_after(failures)).await;
        }
    }

    async fn recycle(&self, session: &mut Session, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        let age = metrics.age();
        // The server of an older session may be gone, or be a standby by now. Only a new session
        // tells.
        if age > LIFETIME || self.invalidated.lock().is_some_and(|time| time.elapsed() <= age) {
            return Err(RecycleError::message("it is too old"));
        }
        if metrics.last_used() < PING_AFTER {
            return Ok(());
        }
        match timeout(PING_TIMEOUT, session.connection.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                *self.invalidated.lock() = Some(Instant::now());
                Err(RecycleError::message("it does not answer"))
            }
        }
    }
}
