//! The deletion and its record, in PostgreSQL.
//!
//! A call that succeeds is one statement (`sql/delete_*.sql`): it walks from the customer up to the requester, locks both,
//! deletes the rows in the order of their ids, and records the operation. A statement is a transaction, so rows and operation
//! agree whatever happens. If some rows cannot be deleted, it fails and the others are rolled back: see `rollbacks`.
//!
//! A call that does not go through pays for a second look (`sql/inspect_*.sql`), whose findings [`crate::eligibility`] judges,
//! and for the record of the refusal. If by then nothing stands in the way any more, the deletion is tried again.
//!
//! When every session is busy, the calls that wait are done several at a time: see `sharing`. Calls whose callers do not wait are
//! done later: see [`crate::queue`]. A call that is only validated takes a way of its own: see `validation`.

pub mod database;
mod listing;
pub mod rollbacks;
mod sharing;
pub mod statements;
mod validation;

use std::sync::Arc;

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

pub use self::database::failure::RETRIED;
pub use self::database::role::refuse_unsuitable;
pub use self::database::session_settings::PLANNING;
pub use self::statements::check_schema;

use self::database::Database;
use self::database::role::{self, Role};
use self::database::schema_gate::Trust;
use self::database::session_settings::Wanted;
use self::rollbacks::Rollbacks;
use self::sharing::{Reached, Sharing};
use self::statements::{Attempt, Failure, Record, Recorded, SchemaCheck};
use crate::config;
use crate::eligibility::{Refusal, judge};
use crate::error::{Code, Error};
use crate::operation::{Deletion, Details, Outcome, Status, Stored};
use crate::schema::{self, TooOld};
use crate::telemetry::metrics;

/// How often one call may find, on its second look, that nothing stands in its way any more.
pub(crate) const ATTEMPTS: u32 = 3;

/// What the handlers delegate to. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pub(crate) database: Database,
    /// The same sessions, for what no call waits for.
    pub(crate) upkeep: Database,
    /// Where deletions queue; none where each waits for a session by itself.
    sharing: Option<Sharing>,
    session_settings: Arc<Wanted>,
    rollbacks: Rollbacks,
    /// Whether schema and sessions were found to be as wanted. Until they were, no call touches a table.
    pub(crate) schema_fits: Arc<Trust>,
    allow_owner: bool,
    /// How many operations of a requester may wait to be done later.
    pub(crate) most_waiting: i64,
    /// Told of each operation that is accepted here, so that it need not wait until somebody looks.
    pub(crate) accepted: Arc<Notify>,
    /// Where the connections live. The threads that serve calls have runtimes of their own, which end before the calls do.
    runtime: Handle,
    tasks: TaskTracker,
}

impl Repository {
    /// Connects when first asked to work, so that the service can start before its database. All the work is done in the
    /// runtime that this is called in.
    pub fn new(settings: &config::Database, queue: &config::Queue, options: PgConnectOptions) -> Repository {
        let (runtime, tasks) = (Handle::current(), TaskTracker::new());
        let database = Database::new(settings, options);
        let sharing =
            settings.share_statements.then(|| Sharing::new(settings, database.clone(), runtime.clone(), tasks.clone()));
        Repository {
            upkeep: database.clone().in_background(),
            database,
            sharing,
            session_settings: Arc::new(Wanted::new(settings)),
            rollbacks: Rollbacks::default(),
            schema_fits: Arc::default(),
            allow_owner: settings.allow_owner,
            most_waiting: i64::from(queue.max_waiting),
            accepted: Arc::default(),
            runtime,
            tasks,
        }
    }

    /// Deletes every target of the call or none, and records the operation either way.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database does not answer in time, [`Error::Defect`] for anything else that is not an
    /// outcome of the documents. A refusal is an [`Outcome`].
    ///
    /// The place of the call is held until the work has ended, whether or not anybody still waits for it.
    pub async fn delete(&self, deletion: Deletion, place: impl Send + 'static) -> Result<Outcome, Error> {
        let repository = self.clone();
        self.in_own_task(async move {
            let _place = place;
            repository.delete_by(repository.database.deadline(), deletion).await
        })
        .await
    }

    /// The requester's operation with this id; none for another's, and for one that never was. Holds the place like
    /// [`Repository::delete`].
    pub async fn find_operation(
        &self,
        requester_id: Uuid,
        operation_id: Uuid,
        with_failed_ids: bool,
        place: impl Send + 'static,
    ) -> Result<Option<Details>, Error> {
        let repository = self.clone();
        self.in_own_task(async move {
            let _place = place;
            let deadline = repository.database.deadline();
            repository.require_schema(deadline).await?;
            let found = repository.database.run(deadline, |connection| {
                Box::pin(statements::find_operation(connection, requester_id, operation_id, with_failed_ids))
            });
            found.await
        })
        .await
    }

    /// Whether a deletion could be done now: through the pool, on a server that takes writes, with the schema that this
    /// build is made for.
    pub async fn check(&self) -> Result<(), Error> {
        let repository = self.clone();
        self.in_own_task(async move { repository.check_on(&repository.upkeep, repository.upkeep.deadline()).await })
            .await
    }

    /// Puts the state of the connections into the metrics.
    pub fn count_connections(&self) {
        self.database.count_connections();
    }

    /// Waits until all work is done and every connection is closed.
    pub async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.database.close().await;
    }

    /// Runs the work to its end, even if the client hangs up and the handler is dropped. So no connection goes back to the pool
    /// with half an answer in it.
    ///
    /// The work is boxed before it becomes a task: a runtime moves a task several times, and this one has many kilobytes.
    pub(crate) fn in_own_task<T, W>(&self, work: W) -> impl Future<Output = Result<T, Error>> + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let task = self.tasks.spawn_on(Box::pin(work).in_current_span(), &self.runtime);
        async move { task.await.unwrap_or_else(|panic| Err(Error::Defect(panic.to_string()))) }
    }

    async fn delete_by(&self, deadline: Instant, deletion: Deletion) -> Result<Outcome, Error> {
        self.require_schema(deadline).await?;
        let deletion = Arc::new(deletion);
        let result = self.try_to_delete(deadline, &deletion).await;
        if let Err(Error::Defect(_)) = &result {
            // Perhaps the schema was changed under the running service. The next call looks.
            self.schema_fits.doubt();
            Box::pin(self.record_internal_error(deadline, &deletion)).await;
        }
        if let Ok(outcome) = &result {
            count(&deletion, outcome);
        }
        result
    }

    async fn try_to_delete(&self, deadline: Instant, deletion: &Arc<Deletion>) -> Result<Outcome, Error> {
        let _turn = match &self.sharing {
            Some(sharing) => match sharing.reach(deadline, deletion).await? {
                Reached::Deleted => return Ok(own_outcome(deletion, None)),
                Reached::Turn(turn) => Some(turn),
            },
            None => None,
        };
        let outcome = self.database.run(deadline, |connection| {
            let deletion = Arc::clone(deletion);
            let rollbacks = self.rollbacks.clone();
            Box::pin(async move { delete_or_refuse(connection, &deletion, &rollbacks).await })
        });
        outcome.await?.ok_or_else(|| {
            Error::Unavailable("what the call is about keeps changing, or is not decided yet".to_owned())
        })
    }

    /// Leaves a trace of a defect, so that its requestId can be looked up. It keeps no idempotency key: the call may be sent
    /// again. When even this fails, the error that is already on its way is the one to report.
    pub(crate) async fn record_internal_error(&self, deadline: Instant, deletion: &Arc<Deletion>) {
        let recorded = self.database.run(deadline, |connection| {
            let deletion = Arc::clone(deletion);
            Box::pin(async move {
                let failure = Failure {
                    status: Status::InternalError,
                    code: Code::GLOBAL_1001,
                    failed_ids: &[],
                    keeps_key: false,
                };
                statements::record_failure(connection, &deletion, failure).await
            })
        });
        match recorded.await {
            Ok(true) => metrics::operation_ended(deletion.resource, Status::InternalError, 0),
            // An earlier try is on record.
            Ok(false) => {}
            Err(error) => {
                tracing::error!(request_id = %deletion.operation_id, %error, "an internal error could not be recorded");
            }
        }
    }

    pub(crate) async fn require_schema(&self, deadline: Instant) -> Result<(), Error> {
        self.require_schema_on(&self.database, deadline).await
    }

    pub(crate) async fn require_schema_on(&self, database: &Database, deadline: Instant) -> Result<(), Error> {
        if self.schema_fits.is_there() { Ok(()) } else { Box::pin(self.check_on(database, deadline)).await }
    }

    async fn check_on(&self, database: &Database, deadline: Instant) -> Result<(), Error> {
        let look = self.schema_fits.look();
        let names = self.session_settings.names();
        let looked = database.run(deadline, |connection| Box::pin(look_around(connection, names.clone())));
        let (found, role) = match looked.await {
            Ok(Ok(found)) => found,
            Ok(Err(too_old)) => {
                self.schema_fits.doubt();
                return Err(Error::Unavailable(too_old.to_string()));
            }
            Err(Error::Defect(error)) => {
                self.schema_fits.doubt();
                return Err(Error::Unavailable(format!(
                    "the schema cannot be read ({error}); `customer-deletion migrate` brings it to version {}",
                    schema::expected_version()
                )));
            }
            // A database that is away says nothing about its schema.
            Err(error) => return Err(error),
        };
        let fits = schema::fits(&found.applied).map_err(|misfit| misfit.to_string());
        let fits = fits.and_then(|()| role.judge(self.allow_owner));
        if let Err(misfit) = fits {
            self.schema_fits.doubt();
            return Err(Error::Unavailable(misfit));
        }
        self.session_settings.check(&found.settings).map_err(Error::Unavailable)?;
        self.schema_fits.all_is_well(look);
        if !found.writable {
            self.database.distrust_connections();
            return Err(Error::Unavailable("the server does not take writes".to_owned()));
        }
        Ok(())
    }
}

/// The schema and the session's role, on a server that is new enough to be asked for them.
async fn look_around(
    connection: &mut PgConnection,
    settings: Vec<String>,
) -> Result<Result<(SchemaCheck, Role), TooOld>, sqlx::Error> {
    if let Err(too_old) = schema::require_version(connection) {
        return Ok(Err(too_old));
    }
    Ok(Ok((statements::check_schema(connection, &settings).await?, role::check_role(connection).await?)))
}

fn count(deletion: &Deletion, outcome: &Outcome) {
    let resource = deletion.resource;
    match outcome.refusal {
        _ if outcome.replayed => metrics::replayed(resource),
        None => metrics::operation_ended(resource, Status::Success, deletion.targets.count()),
        Some(_) => metrics::operation_ended(resource, Status::Failure, 0),
    }
}

/// None when what the call is about kept changing, or is not decided yet.
async fn delete_or_refuse(
    connection: &mut PgConnection,
    deletion: &Deletion,
    rollbacks: &Rollbacks,
) -> Result<Option<Outcome>, sqlx::Error> {
    if rollbacks.must_inspect(deletion)
        && let Some(outcome) = replay_or_refuse(connection, deletion).await?
    {
        return Ok(Some(outcome));
    }
    for _ in 0..ATTEMPTS {
        match statements::delete(connection, deletion, Record::IsMade).await? {
            Attempt::Deleted(_) => return Ok(Some(own_outcome(deletion, None))),
            Attempt::Replayed => return replay(connection, deletion).await,
            Attempt::InPart => rollbacks.remember(deletion.requester_id),
            Attempt::NotEligible => {}
        }
        if let Some(outcome) = replay_or_refuse(connection, deletion).await? {
            return Ok(Some(outcome));
        }
    }
    Ok(None)
}

/// The outcome that is recorded under the call's key, or else a refusal. `None` if nothing refuses the call.
async fn replay_or_refuse(connection: &mut PgConnection, deletion: &Deletion) -> Result<Option<Outcome>, sqlx::Error> {
    if deletion.idempotency_key.is_some()
        && let Some(outcome) = replay(connection, deletion).await?
    {
        return Ok(Some(outcome));
    }
    let findings = statements::inspect(connection, deletion).await?;
    match judge(deletion.resource, findings) {
        Some(refusal) => refuse(connection, deletion, refusal).await,
        None => Ok(None),
    }
}

pub(crate) fn own_outcome(deletion: &Deletion, refusal: Option<Code>) -> Outcome {
    Outcome { operation_id: deletion.operation_id, refusal: refusal.map(Stored::Known), replayed: false }
}

async fn refuse(
    connection: &mut PgConnection,
    deletion: &Deletion,
    refusal: Refusal,
) -> Result<Option<Outcome>, sqlx::Error> {
    let failure =
        Failure { status: Status::Failure, code: refusal.code, failed_ids: &refusal.failed_ids, keeps_key: true };
    if statements::record_failure(connection, deletion, failure).await? {
        return Ok(Some(own_outcome(deletion, Some(refusal.code))));
    }
    // Either a twin under the same key was quicker, or an earlier try of this very call went through after all.
    replay(connection, deletion).await
}

/// The outcome that is recorded under the call's id or key.
async fn replay(connection: &mut PgConnection, deletion: &Deletion) -> Result<Option<Outcome>, sqlx::Error> {
    let Some(recorded) = statements::replay_operation(connection, deletion).await? else {
        // It was purged in between.
        return Ok(None);
    };
    if !recorded.same_call {
        return refuse_reused_key(connection, deletion).await.map(Some);
    }
    Ok(recorded_outcome(&recorded, deletion))
}

/// Returns `None` while the operation is open, and if its status is known to a newer build only: there is no outcome yet, or none
/// that this build can repeat.
fn recorded_outcome(recorded: &Recorded, deletion: &Deletion) -> Option<Outcome> {
    let has_outcome = match recorded.status {
        Stored::Known(status) => status != Status::Open,
        Stored::Unknown(_) => false,
    };
    has_outcome.then(|| Outcome {
        operation_id: recorded.operation_id,
        refusal: recorded.error_code.clone(),
        replayed: recorded.operation_id != deletion.operation_id,
    })
}

pub(crate) async fn refuse_reused_key(
    connection: &mut PgConnection,
    deletion: &Deletion,
) -> Result<Outcome, sqlx::Error> {
    let code = Code::IDEMPOTENCY_KEY_REUSED;
    let failure = Failure { status: Status::Failure, code, failed_ids: &[], keeps_key: false };
    statements::record_failure(connection, deletion, failure).await?;
    Ok(own_outcome(deletion, Some(code)))
}
