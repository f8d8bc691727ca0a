//! The transaction of an attempt. It ends the operation, or changes nothing.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::leased::{Leased, OperationEnd};
use super::statements;
use crate::operation::Deletion;
use crate::repository::database::failure::WorkError;
use crate::repository::rollbacks::Rollbacks;
use crate::repository::statements::Record;
use crate::repository::verdict::{Verdict, delete_or_refuse};

#[derive(Clone, Copy)]
pub struct RunLimits {
    /// The longest duration of a statement.
    pub statement: Duration,
    /// The longest wait for a lock.
    pub lock: Duration,
    /// The largest number of attempts.
    pub attempts: i32,
}

#[derive(Clone, Copy)]
pub enum Step {
    Delete,
    GiveUp,
}

pub enum Ran {
    Ended(OperationEnd),
    /// Nothing has changed. The rows kept changing, and another attempt follows.
    Undecided,
    /// Nothing has changed. Another attempt has the operation or has ended it, or it was cancelled.
    LeaseIsLost,
    /// The operation was not open, because somebody else has ended it. It is removed from the
    /// queue.
    Dropped,
}

/// Commits the end of the operation, or nothing.
pub async fn in_transaction(
    connection: &mut PgConnection,
    leased: &Leased,
    limits: RunLimits,
    step: Step,
) -> Result<Ran, WorkError> {
    let mut transaction = connection.begin().await?;
    let result = lock_and_end(&mut transaction, leased, limits, step).await;
    match &result {
        Ok(Ran::Ended(end)) => {
            // Fails if the run has already stored its end. A give-up does not need `requested_end`.
            let _ = leased.requested_end.set(end.clone());
            transaction.commit().await?;
        }
        Ok(Ran::Dropped) => transaction.commit().await?,
        // An open transaction would lock the operation until the next use of the connection.
        Ok(Ran::Undecided | Ran::LeaseIsLost) => transaction.rollback().await?,
        Err(_) => drop(transaction.rollback().await),
    }
    result
}

async fn lock_and_end(
    connection: &mut PgConnection,
    leased: &Leased,
    limits: RunLimits,
    step: Step,
) -> Result<Ran, WorkError> {
    if !statements::lock(connection, leased, limits.statement, limits.lock).await? {
        return Ok(Ran::LeaseIsLost);
    }
    let end = match step {
        Step::Delete => delete(connection, &leased.deletion).await?,
        Step::GiveUp => Some(OperationEnd::GivenUp),
    };
    let Some(end) = end else { return Ok(Ran::Undecided) };
    // The lease after the last attempt only gives the operation up, and does not count as an
    // attempt.
    let attempts = leased.attempts.min(limits.attempts);
    match (statements::end(connection, &leased.deletion, &end, attempts).await?, step) {
        (true, Step::Delete | Step::GiveUp) => Ok(Ran::Ended(end)),
        (false, Step::Delete) => {
            let id = leased.deletion.operation_id;
            Err(WorkError::Invalid(format!("operation {id} is in the queue, and is not open")))
        }
        (false, Step::GiveUp) => Ok(Ran::Dropped),
    }
}

/// Returns `None` if the rows kept changing.
async fn delete(connection: &mut PgConnection, deletion: &Deletion) -> Result<Option<OperationEnd>, WorkError> {
    // The rollback of an open operation logs no error, so only a long list is inspected before it
    // is tried.
    let rollbacks = Rollbacks::default();
    Ok(match delete_or_refuse(connection, deletion, Record::IsOpen, &rollbacks, None).await? {
        Verdict::Deleted => Some(OperationEnd::Deleted),
        Verdict::Refused(refusal) => Some(OperationEnd::Refused(refusal)),
        // An accepted deletion carries no key here, and its rows were counted when it was accepted.
        Verdict::Recorded(_) | Verdict::OverLimit(_) | Verdict::Undecided => None,
    })
}
