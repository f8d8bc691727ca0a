//! Deletes, or finds the rule that refuses the deletion.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::database::failure::WorkError;
use super::rollbacks::Rollbacks;
use super::row_limit::RowLimit;
use super::statements::{self, DeleteResult, Record, Recorded};
use crate::eligibility::{Refusal, judge};
use crate::operation::Deletion;

/// The maximum number of tries. Another try follows if the inspection finds no obstacle.
const MAX_TRIES: u32 = 3;

pub enum Verdict {
    /// Every target is deleted.
    Deleted,
    Refused(Refusal),
    /// An earlier call, or an earlier try of this one, has the id or the idempotency key. Nothing
    /// was changed.
    Recorded(Recorded),
    /// No rule refuses the call, but the requester has deleted too many rows, and may try again
    /// after this time. Nothing was changed.
    OverLimit(Duration),
    /// The rows kept changing. Nothing was changed.
    Undecided,
}

/// Deletes every target or none. A limit applies only with [`Record::IsMade`]: an open operation
/// was counted when it was accepted.
pub async fn delete_or_refuse(
    connection: &mut PgConnection,
    deletion: &Deletion,
    record: Record,
    rollbacks: &Rollbacks,
    limit: Option<&RowLimit>,
) -> Result<Verdict, WorkError> {
    if rollbacks.must_inspect(deletion)
        && let Some(verdict) = find_obstacle(connection, deletion).await?
    {
        return Ok(verdict);
    }
    for _ in 0..MAX_TRIES {
        match delete(connection, deletion, record, limit).await? {
            DeleteResult::Deleted => return Ok(Verdict::Deleted),
            DeleteResult::Replayed => {
                let recorded = statements::replay_operation(connection, deletion).await?;
                // `None` if the operation was purged in between.
                return Ok(recorded.map_or(Verdict::Undecided, Verdict::Recorded));
            }
            // If an earlier try of this call was committed after all, its rows are refused, and its
            // record is found.
            DeleteResult::OverLimit(wait) => {
                return Ok(find_obstacle(connection, deletion).await?.unwrap_or(Verdict::OverLimit(wait)));
            }
            DeleteResult::InPart => rollbacks.remember(deletion.requester_id),
            DeleteResult::NotEligible => {}
        }
        if let Some(verdict) = find_obstacle(connection, deletion).await? {
            return Ok(verdict);
        }
    }
    Ok(Verdict::Undecided)
}

/// Returns `None` if the deletion may succeed now.
async fn find_obstacle(connection: &mut PgConnection, deletion: &Deletion) -> Result<Option<Verdict>, WorkError> {
    if deletion.idempotency_key.is_some()
        && let Some(recorded) = statements::replay_operation(connection, deletion).await?
    {
        return Ok(Some(Verdict::Recorded(recorded)));
    }
    let findings = statements::inspect(connection, deletion).await?;
    Ok(judge(deletion.resource, findings).map(Verdict::Refused))
}

async fn delete(
    connection: &mut PgConnection,
    deletion: &Deletion,
    record: Record,
    limit: Option<&RowLimit>,
) -> sqlx::Result<DeleteResult> {
    match (record, limit) {
        (Record::IsMade, None) => statements::delete(connection, deletion, record).await,
        (Record::IsMade, Some(limit)) => within(limit, connection, deletion).await,
        (Record::IsOpen, _) => in_savepoint(connection, deletion).await,
    }
}

/// Counts and deletes in one transaction.
async fn within(limit: &RowLimit, connection: &mut PgConnection, deletion: &Deletion) -> sqlx::Result<DeleteResult> {
    let mut tx = connection.begin().await?;
    let result = match limit.wait(&mut tx, deletion).await {
        Ok(None) => statements::delete(&mut tx, deletion, Record::IsMade).await,
        Ok(Some(wait)) => Ok(DeleteResult::OverLimit(wait)),
        Err(error) => Err(error),
    };
    match &result {
        Ok(DeleteResult::Deleted) => tx.commit().await?,
        // An open transaction would lock the requester until the next use of the connection.
        Ok(_) => tx.rollback().await?,
        Err(_) => drop(tx.rollback().await),
    }
    result
}

/// The foreign key fails the statement if the product was allocated meanwhile. The savepoint keeps
/// the transaction usable, so that the refusal can be recorded.
async fn in_savepoint(connection: &mut PgConnection, deletion: &Deletion) -> sqlx::Result<DeleteResult> {
    let mut savepoint = connection.begin().await?;
    let result = statements::delete(&mut savepoint, deletion, Record::IsOpen).await?;
    match result {
        DeleteResult::Deleted => savepoint.commit().await?,
        DeleteResult::NotEligible | DeleteResult::InPart | DeleteResult::Replayed | DeleteResult::OverLimit(_) => {
            savepoint.rollback().await?;
        }
    }
    Ok(result)
}
