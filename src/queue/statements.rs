//! One function for each statement about the queue, except the cancellation: see `cancel`.

use std::sync::OnceLock;
use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::leased::{Leased, OperationEnd};
use crate::closed_set::UnknownWord;
use crate::error::Code;
use crate::id_failure;
use crate::operation::{Actor, Deletion, IdempotencyKey, TargetIds};
use crate::repository::database::failure::WorkError;
use crate::repository::database::observed::observed;
use crate::resource::Resource;

/// The result of a try to put a call into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    Accepted,
    /// Its id or its key is taken already.
    Taken,
    /// Its requester has too many queued operations, unless its id or its key is taken.
    Full,
    /// Its requester has deleted too many rows, so nothing was tried. Its id or its key may be
    /// taken. The call may be sent again after this time.
    OverLimit(Duration),
}

/// Records the call as open and puts it into the queue, or changes nothing.
pub async fn accept(connection: &mut PgConnection, deletion: &Deletion, max_queued: i64) -> sqlx::Result<Enqueued> {
    let statement = sqlx::query_file!(
        "src/queue/sql/accept_operation.sql",
        deletion.operation_id,
        deletion.requester_id,
        deletion.customer_id,
        deletion.resource.word(),
        deletion.targets.as_slice(),
        deletion.idempotency_key.as_ref().map(IdempotencyKey::as_str),
        max_queued,
        deletion.actor.as_ref().map(Actor::as_str),
    );
    let row = observed("accept_operation", statement.fetch_one(connection)).await?;
    Ok(match (row.accepted, row.full) {
        (true, _) => Enqueued::Accepted,
        (false, true) => Enqueued::Full,
        (false, false) => Enqueued::Taken,
    })
}

/// Leases the operation with the lowest rank. Returns `None` if none is waiting.
pub async fn claim(
    connection: &mut PgConnection,
    lease_id: Uuid,
    lease: Duration,
) -> Result<Option<Leased>, WorkError> {
    // An operation about another resource was accepted by a newer build, and waits for one.
    let known = Resource::ALL.map(|resource| resource.word().to_owned());
    let statement = sqlx::query_file!("src/queue/sql/claim_operation.sql", lease_id, lease.as_secs_f64(), &known[..]);
    let Some(row) = observed("claim_operation", statement.fetch_optional(connection)).await? else { return Ok(None) };
    let deletion = Deletion {
        operation_id: row.id,
        requester_id: row.requester_id,
        customer_id: row.customer_id,
        resource: row.resource.parse().map_err(|error: UnknownWord| WorkError::Invalid(error.to_string()))?,
        targets: TargetIds::new(row.target_ids)
            .ok_or_else(|| WorkError::Invalid(format!("operation {} has no target", row.id)))?,
        // The operation has both already.
        idempotency_key: None,
        actor: None,
    };
    Ok(Some(Leased {
        lease_id,
        attempts: row.attempts,
        deletion,
        waited: Duration::from_millis(row.waited_ms.max(0).cast_unsigned()),
        requested_end: OnceLock::new(),
    }))
}

/// Locks the operation until the transaction ends, and gives the transaction its limits. Returns
/// false if the lease was lost.
pub async fn lock(
    connection: &mut PgConnection,
    leased: &Leased,
    longest_statement: Duration,
    longest_lock: Duration,
) -> sqlx::Result<bool> {
    let statement = sqlx::query_file!(
        "src/queue/sql/lock_operation.sql",
        leased.deletion.operation_id,
        leased.lease_id,
        longest_statement.as_millis().to_string(),
        longest_lock.as_millis().to_string(),
    );
    Ok(observed("lock_operation", statement.fetch_optional(connection)).await?.is_some())
}

/// Whether a transaction locks the operation. Returns false as well if it is no longer in the
/// queue.
pub async fn is_locked(connection: &mut PgConnection, operation_id: Uuid) -> sqlx::Result<bool> {
    let statement = sqlx::query_file_scalar!("src/queue/sql/watch_operation.sql", operation_id);
    observed("watch_operation", statement.fetch_one(connection)).await
}

/// Ends the operation and removes it from the queue. Returns false if it was not open, or not in
/// the queue.
pub async fn end(
    connection: &mut PgConnection,
    deletion: &Deletion,
    end: &OperationEnd,
    attempts: i32,
) -> sqlx::Result<bool> {
    let (failed_ids, failures) = match end {
        OperationEnd::Refused(refusal) => (&refusal.failed_ids[..], &refusal.failures[..]),
        OperationEnd::Deleted | OperationEnd::GivenUp => (&[][..], &[][..]),
    };
    let statement = sqlx::query_file_scalar!(
        "src/queue/sql/end_operation.sql",
        deletion.operation_id,
        deletion.customer_id,
        end.status().word(),
        end.code().map(Code::word),
        failed_ids,
        end.deleted_rows(deletion) as i32,
        id_failure::to_json(failures),
        attempts,
    );
    observed("end_operation", statement.fetch_one(connection)).await
}

/// Lets the operation wait before the next attempt.
pub async fn postpone(connection: &mut PgConnection, leased: &Leased, pause: Duration) -> sqlx::Result<()> {
    let statement = sqlx::query_file!(
        "src/queue/sql/postpone_operation.sql",
        leased.deletion.operation_id,
        leased.lease_id,
        pause.as_secs_f64(),
    );
    observed("postpone_operation", statement.execute(connection)).await?;
    Ok(())
}

/// Ends the lease of an attempt that does not count.
pub async fn hand_back(connection: &mut PgConnection, leased: &Leased) -> sqlx::Result<()> {
    let statement =
        sqlx::query_file!("src/queue/sql/hand_back_operation.sql", leased.deletion.operation_id, leased.lease_id);
    observed("hand_back_operation", statement.execute(connection)).await?;
    Ok(())
}

/// Returns the number of operations, and the age of the oldest in seconds, or 0.
pub async fn measure(connection: &mut PgConnection) -> sqlx::Result<(i64, f64)> {
    let statement = sqlx::query_file!("src/queue/sql/measure_queue.sql");
    let row = observed("measure_queue", statement.fetch_one(connection)).await?;
    Ok((row.operations, row.oldest_seconds))
}
