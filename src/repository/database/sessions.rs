//! A pool of sessions of PostgreSQL.
//!
//! A session that comes back is lent again as it is: asking it first whether it is still there, as sqlx's own pool does, takes
//! as long as a deletion. It is asked only after it was idle, and given up when another one broke since it was made.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::attempts::{Attempts, reason};
use super::failure::is_not_there_yet;
use super::session_settings::Opener;
use crate::config;
use crate::telemetry::metrics;

/// An idle session is asked whether it is still there before it is lent out, once it has been idle for this long.
const IDLE_UNTIL_SUSPECT: Duration = Duration::from_secs(1);

/// How long an idle session may take to answer that it is still there, and one to end.
const PING_TIMEOUT: Duration = Duration::from_millis(500);

/// A session is replaced after this long, so that what PostgreSQL keeps for it does not grow for ever, and a new address of the
/// server is followed.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How long the first try to connect again waits, when the server is not there yet; each further one waits twice as long, up to
/// the longest.
const FIRST_RECONNECT_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// The sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    pool: Pool<Maker>,
    broken: LastTime,
    attempts: Attempts,
    acquire_timeout: Duration,
    /// Whether those who wait for a session show in the metrics.
    counts_waits: bool,
}

/// Why no session is lent.
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
    /// Connects when the first session is wanted.
    pub fn new(settings: &config::Database, options: PgConnectOptions) -> Sessions {
        let (broken, attempts) = (LastTime::default(), Attempts::default());
        let maker =
            Maker { opener: Opener::new(settings, options), broken: broken.clone(), attempts: attempts.clone() };
        let pool = Pool::builder(maker)
            .max_size(settings.max_connections as usize)
            // The one that was used last has its caches warm, here and on the server.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without timeouts needs no runtime");
        Sessions { pool, broken, attempts, acquire_timeout: settings.acquire_timeout(), counts_waits: true }
    }

    /// For those whose waits tell nothing about calls.
    pub fn without_counting_waits(self) -> Sessions {
        Sessions { counts_waits: false, ..self }
    }

    /// A session, for a while.
    pub async fn lend(&self) -> Result<Borrowed, NoSession> {
        let began = Instant::now();
        let lent = timeout(self.acquire_timeout, self.pool.get()).await;
        if self.counts_waits {
            metrics::waited_for_connection(began.elapsed(), lent.is_err());
        }
        match lent {
            Ok(Ok(session)) => Ok(Borrowed(Some(session))),
            Ok(Err(PoolError::Backend(error))) => Err(NoSession::NotConnected(error)),
            Ok(Err(PoolError::Closed)) => Err(NoSession::Closed),
            Ok(Err(PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_))) | Err(_) => {
                Err(self.waited_in_vain(began, self.acquire_timeout))
            }
        }
    }

    /// Why nobody got a session who waited for so long.
    pub fn waited_in_vain(&self, began: Instant, waited: Duration) -> NoSession {
        match self.attempts.failure_since(began) {
            Some(reason) => NoSession::NotConnectedInTime(waited, reason),
            None => NoSession::AllInUse(waited),
        }
    }

    /// Gives up every session that is open now: the server behind them is gone, or is not the one to work with.
    pub fn distrust(&self) {
        self.broken.is_now();
    }

    /// Puts the state of the sessions into the metrics.
    pub fn count(&self) {
        let status = self.pool.status();
        metrics::connections(status.size - status.available, status.available, status.max_size);
    }

    /// Ends every session, and lends none any more.
    pub async fn close(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        for session in idle {
            // One that does not say good-bye is closed all the same.
            let _ = timeout(PING_TIMEOUT, session.close()).await;
        }
    }
}

/// A borrowed session that goes back to the pool only when told to. Dropped in the middle of its work, by a deadline or an error,
/// it is closed: a session with half an answer in it must not be lent again.
pub struct Borrowed(Option<Object<Maker>>);

impl Borrowed {
    pub fn session(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("a borrowed session is there until it is given back")
    }

    pub fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            drop(Object::take(session));
        }
    }
}

/// Makes sessions, and looks at them before they are lent again.
struct Maker {
    opener: Opener,
    broken: LastTime,
    attempts: Attempts,
}

impl Manager for Maker {
    type Type = PgConnection;
    type Error = sqlx::Error;

    /// A server that is restarting is waited for, for as long as the borrower waits.
    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        let mut pause = FIRST_RECONNECT_PAUSE;
        loop {
            // Boxed: otherwise each call has room for it in its task, and hardly any call opens a session.
            match Box::pin(self.attempts.watch(self.opener.open())).await {
                Err(error) if is_not_there_yet(&error) => sleep(pause).await,
                result => return result,
            }
            pause = (pause * 2).min(LONGEST_RECONNECT_PAUSE);
        }
    }

    async fn recycle(&self, session: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        let age = metrics.age();
        // The server behind an older session may be gone, or be a replica by now. Which, only a new session tells.
        if age > LIFETIME || self.broken.is_within(age) {
            return Err(RecycleError::message("it is too old"));
        }
        if metrics.last_used() < IDLE_UNTIL_SUSPECT {
            return Ok(());
        }
        match timeout(PING_TIMEOUT, session.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                self.broken.is_now();
                Err(RecycleError::message("it does not answer"))
            }
        }
    }
}

/// When something last happened.
#[derive(Clone, Default)]
struct LastTime(Arc<Mutex<Option<Instant>>>);

impl LastTime {
    fn is_now(&self) {
        *self.0.lock().expect("nothing panics while it holds this lock") = Some(Instant::now());
    }

    fn is_within(&self, age: Duration) -> bool {
        self.0.lock().expect("nothing panics while it holds this lock").is_some_and(|time| time.elapsed() <= age)
    }
}
