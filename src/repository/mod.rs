//! Deletions and their operations, in PostgreSQL. One method for each use case.
//!
//! [`crate::queue`] adds the calls that are executed later.

mod awaited;
pub mod database;
pub mod deletion;
mod operations;
pub mod rollbacks;
pub mod row_limit;
mod sharing;
pub mod statements;
mod tasks;
mod validation;
pub mod verdict;

use std::num::NonZeroU32;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

pub use self::database::{
    failure::RETRIED, role::refuse_unsuitable, schema_gate::check_schema, session_settings::PLANNING,
};

use self::awaited::Awaited;
use self::database::{Database, Work, commits::CommitProof, failure::WorkError, schema_gate::SchemaGate};
use self::operations::list_operations;
use self::rollbacks::Rollbacks;
use self::row_limit::RowLimit;
use self::sharing::Sharing;
use self::statements::{find_operation, find_target_ids};
use self::tasks::Tasks;
use self::validation::validate;
use crate::config::{DatabaseSettings, QueueSettings};
use crate::error::Error;
use crate::operation::{Deletion, Details, OperationPage, Outcome, PageQuery, View};

/// A use case runs to its end, even if the client disconnects, and keeps what the call holds (its
/// permit and shares) until then. It fails with [`Error::Unavailable`] if the database does not
/// answer in time, and with [`Error::Defect`] for a defect of this service or its schema.
#[derive(Clone)]
pub struct Repository {
    pub(crate) database: Database,
    /// The same sessions, for work that is not a call: its waits for a session are not in the
    /// metrics.
    pub(crate) upkeep: Database,
    /// `None` if each deletion has a statement of its own.
    sharing: Option<Sharing>,
    rollbacks: Rollbacks,
    /// `None` if no requester has a limit.
    pub(crate) row_limit: Option<RowLimit>,
    pub(crate) schema_gate: Arc<SchemaGate>,
    commit_proof: Arc<CommitProof>,
    /// The largest number of queued operations of one requester.
    pub(crate) max_queued: i64,
    /// Wakes a worker when an operation is accepted.
    pub(crate) accepted: Arc<Notify>,
    awaited: Awaited,
    pub(crate) tasks: Tasks,
}

impl Repository {
    /// Works in the current runtime. Connects at the first use case, so that the service can start
    /// before its database.
    ///
    /// `rows_per_hour` limits the rows that each requester may delete. Deletions then never share a
    /// statement, because a shared statement cannot wait for the requester's lock.
    pub fn new(
        settings: &DatabaseSettings,
        queue: &QueueSettings,
        rows_per_hour: Option<NonZeroU32>,
        options: PgConnectOptions,
    ) -> Repository {
        let (database, tasks) = (Database::new(settings, options), Tasks::in_current_runtime());
        let sharing = || Sharing::new(settings, database.clone(), tasks.clone());
        Repository {
            sharing: (settings.share_statements && rows_per_hour.is_none()).then(sharing),
            upkeep: database.clone().without_wait_metrics(),
            database,
            rollbacks: Rollbacks::default(),
            row_limit: rows_per_hour.map(RowLimit::new),
            schema_gate: Arc::new(SchemaGate::new(settings)),
            commit_proof: Arc::default(),
            max_queued: i64::from(queue.max_operations),
            accepted: Arc::default(),
            awaited: Awaited::default(),
            tasks,
        }
    }

    /// Deletes every target or none, and records the operation either way.
    pub async fn delete(&self, deletion: Deletion, held: impl Send + 'static) -> Result<Outcome, Error> {
        self.serve(held, |repository, deadline| async move { repository.delete_by(deadline, deletion).await }).await
    }

    /// Tells how the deletion would end now. Records nothing.
    pub async fn validate(&self, deletion: Deletion, held: impl Send + 'static) -> Result<Outcome, Error> {
        let outcome = self.run(held, deletion, |connection, deletion| Box::pin(validate(connection, deletion))).await?;
        outcome.ok_or_else(|| Error::Unavailable("the call under the same key is not decided yet".to_owned()))
    }

    pub async fn find_operation(
        &self,
        requester_id: Uuid,
        operation_id: Uuid,
        view: View,
        held: impl Send + 'static,
    ) -> Result<Option<Details>, Error> {
        self.run(held, (), move |connection, ()| Box::pin(find_operation(connection, requester_id, operation_id, view)))
            .await
    }

    /// Finds the ids of an operation of the requester.
    pub async fn find_target_ids(
        &self,
        requester_id: Uuid,
        operation_id: Uuid,
        held: impl Send + 'static,
    ) -> Result<Option<Vec<Uuid>>, Error> {
        self.run(held, (), move |connection, ()| Box::pin(find_target_ids(connection, requester_id, operation_id)))
            .await
    }

    /// Reads a page of the requester's operations, and their number.
    pub async fn list_operations(&self, listing: PageQuery, held: impl Send + 'static) -> Result<OperationPage, Error> {
        self.run(held, listing, |connection, listing| Box::pin(list_operations(connection, listing))).await
    }

    /// Fails if a deletion could not be done now.
    pub async fn check(&self) -> Result<(), Error> {
        let repository = self.clone();
        let checked = self.tasks.run(async move {
            let upkeep = &repository.upkeep;
            repository.schema_gate.verify(upkeep, upkeep.deadline()).await?;
            repository.commit_proof.renew(upkeep).await
        });
        checked.await
    }

    /// Puts the state of the connections into the metrics.
    pub fn count_connections(&self) {
        self.database.count_connections();
    }

    /// Waits until all work is done and every connection is closed.
    pub async fn close(&self) {
        self.tasks.end().await;
        self.database.close().await;
    }

    /// Runs a use case that is work on one session.
    async fn run<C, T, E>(
        &self,
        held: impl Send + 'static,
        context: C,
        work: impl Work<C, T, E> + Send + Sync + 'static,
    ) -> Result<T, Error>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
        E: Into<WorkError> + Send + 'static,
    {
        let use_case =
            |repository: Repository, deadline| async move { repository.database.run(deadline, &context, work).await };
        self.serve(held, use_case).await
    }

    /// Runs a use case until the deadline of a call, once the schema gate is passed. Keeps what the
    /// call holds until then.
    pub(crate) fn serve<T, W, P>(
        &self,
        held: P,
        use_case: impl FnOnce(Repository, Instant) -> W + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
        P: Send + 'static,
    {
        let repository = self.clone();
        self.tasks.run(async move {
            let _held = held;
            let (gate, deadline) = (Arc::clone(&repository.schema_gate), repository.database.deadline());
            gate.acquire(&repository.database, deadline).await?;
            let result = use_case(repository, deadline).await;
            if let Err(Error::Defect(_)) = &result {
                // The schema may have been changed under the running service.
                gate.invalidate();
            }
            result
        })
    }
}
