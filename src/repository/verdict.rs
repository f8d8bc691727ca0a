//! Deletes, or finds the rule that refuses the deletion.

use sqlx::{Connection, PgConnection};

use super::database::failure::WorkError;
use super::rollbacks::Rollbacks;
use super::statements::{self, DeleteResult, Record, Recorded};
use crate::eligibility::{Refusal, judge};
use crate::operation::Deletion;

/// The most tries of a deletion that an inspection finds possible after each failed one.
const MAX_TRIES: u32 = 3;

pub enum Verdict {
    /// Every target is deleted.
    Deleted,
    Refused(Refusal),
    /// An earlier call, or an earlier try of this one, has the id or the idempotency key. Nothing was changed.
    Recorded(Recorded),
    /// The rows kept changing. Nothing was changed.
    Undecided,
}

/// Deletes every target or none.
pub async fn delete_or_refuse(
    connection: &mut PgConnection,
    deletion: &Deletion,
    record: Record,
    rollbacks: &Rollbacks,
) -> Result<Verdict, WorkError> {
    if rollbacks.must_inspect(deletion)
        && let Some(verdict) = find_obstacle(connection, deletion).await?
    {
        return Ok(verdict);
    }
    for _ in 0..MAX_TRIES {
        match delete(connection, deletion, record).await? {
            DeleteResult::Deleted => return Ok(Verdict::Deleted),
            DeleteResult::Replayed => {
                let recorded = statements::replay_operation(connection, deletion).await?;
                // `None` if it was purged in between.
                return Ok(recorded.map_or(Verdict::Undecided, Verdict::Recorded));
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
) -> Result<DeleteResult, sqlx::Error> {
    match record {
        Record::IsMade => statements::delete(connection, deletion, record).await,
        Record::IsOpen => in_savepoint(connection, deletion).await,
    }
}

/// The statement may fail because a product was allocated while it ran. The transaction goes on to say so.
async fn in_savepoint(connection: &mut PgConnection, deletion: &Deletion) -> Result<DeleteResult, sqlx::Error> {
    let mut savepoint = connection.begin().await?;
    let result = statements::delete(&mut savepoint, deletion, Record::IsOpen).await?;
    match result {
        DeleteResult::Deleted => savepoint.commit().await?,
        DeleteResult::NotEligible | DeleteResult::InPart | DeleteResult::Replayed => savepoint.rollback().await?,
    }
    Ok(result)
}
