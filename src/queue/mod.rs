//! The queue of accepted operations, in PostgreSQL itself. The modules follow the life of an
//! operation.
//!
//! - `accept` records a call as an open operation, with a row in `operation_queue`.
//! - `claim` leases the operation with the lowest rank to an attempt.
//! - `attempt` runs the operation. If that fails, another attempt follows later, or the operation
//!   ends.
//! - `run` is the transaction of an attempt.
//! - `cancel` ends a queued operation, if its requester cancels it.
//! - `worker` claims and attempts one operation after the other.
//!
//! The lease is committed before the run, so every attempt is counted. One transaction then locks
//! the queue row, deletes, ends the operation and removes the row. The lease covers the time before
//! that lock. The lock keeps other workers away until the transaction or its session ends.

mod accept;
mod attempt;
mod cancel;
mod claim;
mod leased;
mod run;
mod statements;
mod worker;

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

pub(crate) use self::cancel::cancel;
pub(crate) use self::statements::{Enqueued, accept as enqueue};
pub use self::worker::Workers;

use self::run::RunLimits;
use crate::config::{DatabaseSettings, QueueSettings};
use crate::error::Error;
use crate::repository::Repository;
use crate::repository::database::Database;
use crate::telemetry::metrics;

/// The time that a transaction may take beside its longest statement.
const REST_OF_A_RUN: Duration = Duration::from_secs(5);

/// The queue as a worker sees it. It has sessions of its own, so operations use none of the
/// sessions of calls. Cheap to clone.
#[derive(Clone)]
pub struct Consumer {
    repository: Repository,
    database: Database,
    /// The same sessions, for longer transactions.
    long: Database,
    lease: Duration,
    limits: RunLimits,
}

impl Consumer {
    /// A consumer with as many sessions as operations may run at once.
    pub fn new(
        repository: Repository,
        settings: &QueueSettings,
        database: &DatabaseSettings,
        options: PgConnectOptions,
    ) -> Consumer {
        let limits = RunLimits {
            statement: settings.run_timeout,
            lock: database.operation_lock_timeout(),
            attempts: settings.max_attempts,
        };
        let sessions = u32::try_from(settings.workers.max(1)).unwrap_or(u32::MAX);
        let database = DatabaseSettings { max_connections: sessions, ..database.clone() };
        let database = Database::new(&database, options).without_wait_metrics();
        let long = database.clone().with_longest_call(settings.run_timeout + REST_OF_A_RUN);
        Consumer { repository, database, long, lease: settings.lease, limits }
    }

    /// Waits until every connection is closed.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

impl Repository {
    /// Puts the number of operations in the queue, and the age of the oldest, into the metrics. All
    /// replicas have one queue.
    pub async fn measure_backlog(&self) -> Result<(), Error> {
        let repository = self.clone();
        let measured = self.tasks.run(async move {
            let (upkeep, deadline) = (&repository.upkeep, repository.upkeep.deadline());
            repository.schema_gate.acquire(upkeep, deadline).await?;
            upkeep.run(deadline, &(), |connection, ()| Box::pin(statements::measure(connection))).await
        });
        let (operations, oldest_seconds) = measured.await?;
        metrics::backlog(operations, oldest_seconds);
        Ok(())
    }
}
