//! The queue of operations that are done later, in PostgreSQL itself.
//!
//! An attempt begins with a lease, which is committed before anything else: so it is counted, whatever becomes of it. Then one
//! transaction holds the operation's row in the queue, deletes as any call does, ends the operation and takes the row away. Where
//! it is not committed, nothing has happened. The lease covers the moment between the two; from then on it is the lock of the row
//! that keeps others away, and PostgreSQL lets go of that as soon as the one who held it is gone.

mod accept;
mod statements;
mod worker;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub use self::worker::Workers;

use crate::config;
use crate::eligibility::judge;
use crate::error::{Code, Error};
use crate::operation::{Deletion, Status, Stored};
use crate::repository::database::Database;
use crate::repository::statements::{Attempt, Record, decode, delete, find_operation, inspect};
use crate::repository::{ATTEMPTS, Repository, rollbacks};
use crate::telemetry::metrics;

/// The time that a transaction may take beside its longest statement.
const REST_OF_A_RUN: Duration = Duration::from_secs(5);

/// How often it is looked from outside whether the transaction of an attempt is still there.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The pause after the first attempt that failed; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause before an operation is handed back once more.
const HAND_BACK_PAUSE: Duration = Duration::from_millis(50);

/// The queue as a worker sees it, which has sessions of its own: so no operation is done on one of those of calls. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    repository: Repository,
    database: Database,
    /// The same, for transactions that may take longer.
    long: Database,
    settings: Arc<config::Queue>,
    lock_timeout: Duration,
}

/// The operations that wait.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    pub operations: i64,
    /// How long the oldest has waited; 0 where nothing waits.
    pub oldest_seconds: f64,
}

/// An operation that is leased to an attempt.
#[derive(Clone, Debug)]
pub struct Leased {
    lease: Lease,
    pub deletion: Deletion,
    /// From its being accepted to this lease.
    pub waited: Duration,
    /// The end that this attempt has asked PostgreSQL to commit.
    outcome: OnceLock<End>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    attempt: Uuid,
    /// How many there have been, this one included.
    attempts: i32,
}

/// How an operation ended.
#[derive(Clone, Debug)]
pub struct End {
    pub status: Status,
    pub code: Option<Code>,
    failed_ids: Vec<Uuid>,
    deleted_rows: i32,
}

impl Leased {
    pub fn attempts(&self) -> i32 {
        self.lease.attempts
    }
}

impl End {
    fn success(deleted_rows: i64) -> Result<End, sqlx::Error> {
        let deleted_rows = deleted_rows.try_into().map_err(decode)?;
        Ok(End { status: Status::Success, code: None, failed_ids: Vec::new(), deleted_rows })
    }

    fn failure(status: Status, code: Code, failed_ids: Vec<Uuid>) -> End {
        End { status, code: Some(code), failed_ids, deleted_rows: 0 }
    }
}

impl Queue {
    /// With as many sessions as operations may be done at once.
    pub fn new(
        repository: Repository,
        settings: &config::Queue,
        database: &config::Database,
        options: PgConnectOptions,
    ) -> Queue {
        let sessions = u32::try_from(settings.workers.max(1)).unwrap_or(u32::MAX);
        let lock_timeout = database.operation_lock_timeout();
        let database = config::Database { max_connections: sessions, ..database.clone() };
        let database = Database::new(&database, options).in_background();
        let long = database.clone().with_longest_call(settings.run_timeout + REST_OF_A_RUN);
        Queue { repository, database, long, settings: Arc::new(settings.clone()), lock_timeout }
    }

    /// Leases the operation whose turn it is; none where nothing waits.
    pub async fn claim(&self) -> Result<Option<Leased>, Error> {
        let deadline = self.database.deadline();
        self.repository.require_schema_on(&self.repository.upkeep, deadline).await?;
        let (attempt, lease) = (Uuid::now_v7(), self.settings.lease);
        let claimed =
            self.database.run_once(deadline, |connection| Box::pin(statements::claim(connection, attempt, lease)));
        claimed.await
    }

    /// Does the operation, or ends it where it was tried too often. None where the lease is another's by now.
    pub async fn attempt(&self, leased: &Arc<Leased>) -> Result<Option<End>, Error> {
        let result = if leased.attempts() > self.settings.max_attempts {
            // The last attempt did not come back.
            self.give_up(leased).await
        } else {
            self.run(leased).await
        };
        if let Ok(Some(end)) = &result {
            count(leased, end);
        }
        if let Err(Error::Defect(_)) = &result {
            self.repository.schema_fits.doubt();
        }
        result
    }

    /// After an attempt that failed: another one later, or the end. It was the end where only the answer to its commit is missing.
    pub async fn attempt_failed(&self, leased: &Arc<Leased>) -> Result<Option<End>, Error> {
        let mut end = None;
        if leased.attempts() >= self.settings.max_attempts {
            end = self.give_up(leased).await?;
        } else {
            self.postpone(leased).await?;
        }
        if end.is_none()
            && let Some(outcome) = leased.outcome.get()
            && self.has_ended(leased, outcome).await?
        {
            end = Some(outcome.clone());
        }
        if let Some(end) = &end {
            count(leased, end);
        }
        Ok(end)
    }

    async fn postpone(&self, leased: &Arc<Leased>) -> Result<(), Error> {
        let pause = pause_after(leased.attempts());
        let postponed = self.database.run(self.database.deadline(), |connection| {
            let leased = Arc::clone(leased);
            Box::pin(async move { statements::postpone(connection, &leased, pause).await })
        });
        postponed.await
    }

    /// Whether this is how the operation has ended.
    async fn has_ended(&self, leased: &Leased, outcome: &End) -> Result<bool, Error> {
        let Deletion { requester_id, operation_id, .. } = leased.deletion;
        let found = self.database.run(self.database.deadline(), |connection| {
            Box::pin(find_operation(connection, requester_id, operation_id, false))
        });
        Ok(found.await?.is_some_and(|details| details.operation.status == Stored::Known(outcome.status)))
    }

    async fn run(&self, leased: &Arc<Leased>) -> Result<Option<End>, Error> {
        let longest = (self.settings.run_timeout, self.lock_timeout);
        let ran = self.long.run_once(self.long.deadline(), |connection| {
            let leased = Arc::clone(leased);
            Box::pin(async move { in_transaction(connection, &leased, longest, Work::Run).await })
        });
        let ran = tokio::select! {
            ran = ran => ran?,
            () = self.until_nobody_holds(leased.deletion.operation_id) => {
                let reason = "the session of the attempt is silent, and holds the operation no more";
                return Err(Error::Unavailable(reason.to_owned()));
            }
        };
        match ran {
            Ran::Ended(end) => Ok(Some(end)),
            Ran::LeaseIsLost | Ran::Dropped => Ok(None),
            Ran::Undecided => Err(Error::Unavailable("what the operation is about keeps changing".to_owned())),
        }
    }

    /// Until two looks in a row find that no transaction holds the operation.
    ///
    /// A session can go silent without an end, when the server's machine is lost or the network forgets its connection. PostgreSQL
    /// has let go of the operation long before the longest run is over, which an attempt would wait for otherwise. One look does
    /// not tell: the transaction may not have come to hold it yet, or may have ended just now.
    async fn until_nobody_holds(&self, operation_id: Uuid) {
        let database = &self.repository.upkeep;
        let mut unheld = 0;
        while unheld < 2 {
            sleep(LOOK_INTERVAL).await;
            let held = database
                .run_once(database.deadline(), |connection| Box::pin(statements::is_held(connection, operation_id)));
            // No answer tells nothing.
            unheld = if held.await.unwrap_or(true) { 0 } else { unheld + 1 };
        }
    }

    /// Ends the operation as an internal error.
    async fn give_up(&self, leased: &Arc<Leased>) -> Result<Option<End>, Error> {
        let longest = (self.settings.run_timeout, self.lock_timeout);
        let ran = self.database.run_once(self.database.deadline(), |connection| {
            let leased = Arc::clone(leased);
            Box::pin(async move { in_transaction(connection, &leased, longest, Work::GiveUp).await })
        });
        match ran.await? {
            Ran::Ended(end) => Ok(Some(end)),
            Ran::LeaseIsLost | Ran::Dropped | Ran::Undecided => Ok(None),
        }
    }

    /// Ends the lease of an attempt that was not begun, or broken off.
    ///
    /// PostgreSQL looks once in a second whether the client of a statement is gone, and until then the broken-off attempt holds its
    /// operation. That may be longer than one wait for a lock.
    pub async fn hand_back(&self, leased: &Arc<Leased>) -> Result<(), Error> {
        let deadline = self.database.deadline();
        loop {
            let handed_back = self.database.run(deadline, |connection| {
                let leased = Arc::clone(leased);
                Box::pin(async move { statements::hand_back(connection, &leased).await })
            });
            match handed_back.await {
                Err(Error::Unavailable(reason)) if Instant::now() < deadline => {
                    tracing::debug!(reason, "an operation is handed back once more");
                    sleep(HAND_BACK_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// Waits until every connection is closed.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

fn count(leased: &Leased, end: &End) {
    metrics::operation_ended(leased.deletion.resource, end.status, end.deleted_rows.unsigned_abs() as usize);
}

/// How long an operation waits after so many attempts.
fn pause_after(attempts: i32) -> Duration {
    let doublings = attempts.saturating_sub(1).clamp(0, 16).unsigned_abs();
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

#[derive(Clone, Copy)]
enum Work {
    Run,
    GiveUp,
}

enum Ran {
    Ended(End),
    /// Nothing has changed; the next attempt may find more.
    Undecided,
    /// Nothing has changed; another attempt has the operation, or has ended it.
    LeaseIsLost,
    /// It was not open: somebody who is not a worker has ended it. It waits no more.
    Dropped,
}

/// One transaction, in which the operation is done and ended, or nothing is. A statement of it may take so long, and wait so long
/// for a lock.
async fn in_transaction(
    connection: &mut PgConnection,
    leased: &Leased,
    longest: (Duration, Duration),
    work: Work,
) -> Result<Ran, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    match in_held_transaction(&mut transaction, leased, longest, work).await {
        Ok(Ran::Ended(end)) => {
            // It is read after a run only, and never after giving up.
            let _ = leased.outcome.set(end.clone());
            transaction.commit().await.map(|()| Ran::Ended(end))
        }
        Ok(Ran::Dropped) => transaction.commit().await.map(|()| Ran::Dropped),
        // Not left to the next use of the connection: until then the operation would be held.
        Ok(nothing @ (Ran::Undecided | Ran::LeaseIsLost)) => transaction.rollback().await.map(|()| nothing),
        Err(error) => {
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

async fn in_held_transaction(
    connection: &mut PgConnection,
    leased: &Leased,
    longest: (Duration, Duration),
    work: Work,
) -> Result<Ran, sqlx::Error> {
    if !statements::hold(connection, leased, longest).await? {
        return Ok(Ran::LeaseIsLost);
    }
    let end = match work {
        Work::Run => delete_or_judge(connection, &leased.deletion).await?,
        Work::GiveUp => Some(End::failure(Status::InternalError, Code::GLOBAL_1001, Vec::new())),
    };
    let Some(end) = end else { return Ok(Ran::Undecided) };
    match (statements::end(connection, &leased.deletion, &end).await?, work) {
        (true, Work::Run | Work::GiveUp) => Ok(Ran::Ended(end)),
        (false, Work::Run) => {
            let id = leased.deletion.operation_id;
            Err(sqlx::Error::Decode(format!("operation {id} is in the queue, and is not open").into()))
        }
        (false, Work::GiveUp) => Ok(Ran::Dropped),
    }
}

/// As a call is judged, but that the operation is recorded already. None where what it is about keeps changing.
async fn delete_or_judge(connection: &mut PgConnection, deletion: &Deletion) -> Result<Option<End>, sqlx::Error> {
    if rollbacks::is_long(deletion)
        && let Some(end) = refusal(connection, deletion).await?
    {
        return Ok(Some(end));
    }
    for _ in 0..ATTEMPTS {
        if let Attempt::Deleted(rows) = try_to_delete(connection, deletion).await? {
            return End::success(rows).map(Some);
        }
        if let Some(end) = refusal(connection, deletion).await? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// `None` if nothing refuses the call.
async fn refusal(connection: &mut PgConnection, deletion: &Deletion) -> Result<Option<End>, sqlx::Error> {
    let findings = inspect(connection, deletion).await?;
    let refusal = judge(deletion.resource, findings);
    Ok(refusal.map(|refusal| End::failure(Status::Failure, refusal.code, refusal.failed_ids)))
}

/// In a savepoint: the statement may fail because a product was allocated while it ran, and the transaction goes on to say so.
async fn try_to_delete(connection: &mut PgConnection, deletion: &Deletion) -> Result<Attempt, sqlx::Error> {
    let mut savepoint = connection.begin().await?;
    let attempt = delete(&mut savepoint, deletion, Record::IsOpen).await?;
    match attempt {
        Attempt::Deleted(_) => savepoint.commit().await?,
        Attempt::NotEligible | Attempt::InPart | Attempt::Replayed => savepoint.rollback().await?,
    }
    Ok(attempt)
}
