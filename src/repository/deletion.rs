//! A deletion: delete, or find out why not, and record it.
//!
//! Most calls that succeed are one statement (`sql/delete_*.sql`). It locks the customer, and its
//! parent if that is the requester. It deletes the rows in the order of their ids, and records the
//! operation. A statement is a transaction, so rows and operation always agree. If some rows cannot
//! be deleted, it fails and PostgreSQL rolls back the others: see `rollbacks`.
//!
//! If the rows of a requester are limited, the statement follows their count, in one transaction:
//! see `row_limit`.
//!
//! A call that deletes nothing is inspected (`sql/inspect_*.sql`), and [`crate::eligibility`]
//! judges the findings. The refusal is recorded. If nothing refuses the call any more, the deletion
//! is tried again.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::Repository;
use super::database::failure::WorkError;
use super::rollbacks::Rollbacks;
use super::row_limit::RowLimit;
use super::sharing::Granted;
use super::statements::{self, FailureRecord, Record, Recorded};
use super::verdict::{Verdict, delete_or_refuse};
use crate::eligibility::Refusal;
use crate::error::{Code, Error};
use crate::operation::{Deletion, Outcome, Status};
use crate::telemetry::metrics::{self, Limit};

impl Repository {
    pub(super) async fn delete_by(&self, deadline: Instant, deletion: Deletion) -> Result<Outcome, Error> {
        let deletion = Arc::new(deletion);
        let result = self.share_or_delete(deadline, &deletion).await;
        match &result {
            Ok(outcome) => count(&deletion, outcome),
            Err(Error::TooManyRows(_)) => metrics::rejected(Limit::Rows),
            Err(Error::Defect(_)) => Box::pin(self.record_internal_error(deadline, &deletion)).await,
            Err(_) => {}
        }
        result
    }

    async fn share_or_delete(&self, deadline: Instant, deletion: &Arc<Deletion>) -> Result<Outcome, Error> {
        let _turn = match &self.sharing {
            Some(sharing) => match sharing.wait(deadline, deletion).await? {
                Granted::Deletion => return Ok(Outcome::own(deletion, None)),
                Granted::Turn(turn) => Some(turn),
            },
            None => None,
        };
        let _lock_of_requester = match &self.row_limit {
            Some(limit) => Some(limit.lock(deadline, deletion.requester_id).await?),
            None => None,
        };
        let context = (deletion, &self.rollbacks, self.row_limit.as_ref());
        let tried = self.database.run(deadline, &context, |connection, (deletion, rollbacks, limit)| {
            Box::pin(delete_and_record(connection, deletion, rollbacks, *limit))
        });
        match tried.await? {
            TryResult::Ended(outcome) => Ok(outcome),
            TryResult::OverLimit(wait) => Err(Error::TooManyRows(wait)),
            TryResult::Undecided => {
                let reason = "the rows of the call keep changing, or a call under the same key is open";
                Err(Error::Unavailable(reason.to_owned()))
            }
        }
    }

    /// Records the defect, so that its `requestId` can be looked up. The operation has no key, so
    /// the call may be sent again.
    pub(crate) async fn record_internal_error(&self, deadline: Instant, deletion: &Deletion) {
        let recorded = self.database.run(deadline, deletion, |connection, deletion| {
            let failure = FailureRecord {
                status: Status::InternalError,
                code: Code::GLOBAL_1001,
                failed_ids: &[],
                failures: &[],
                keeps_key: false,
            };
            Box::pin(statements::record_failure(connection, deletion, failure))
        });
        match recorded.await {
            Ok(true) => metrics::operation_ended(deletion.resource, Status::InternalError, 0),
            // An earlier try is on record.
            Ok(false) => {}
            // The caller reports the defect itself.
            Err(error) => {
                tracing::error!(request_id = %deletion.operation_id, %error, "an internal error could not be recorded");
            }
        }
    }
}

fn count(deletion: &Deletion, outcome: &Outcome) {
    let resource = deletion.resource;
    match outcome.refusal {
        _ if outcome.replayed => metrics::replayed(resource),
        None => metrics::operation_ended(resource, Status::Success, deletion.targets.count()),
        Some(_) => metrics::operation_ended(resource, Status::Failure, 0),
    }
}

/// The result of a try of a deletion.
enum TryResult {
    Ended(Outcome),
    /// Nothing is recorded. The call may be sent again after this long, under the same key.
    OverLimit(Duration),
    /// The rows kept changing, or the call under the same key is open.
    Undecided,
}

async fn delete_and_record(
    connection: &mut PgConnection,
    deletion: &Deletion,
    rollbacks: &Rollbacks,
    limit: Option<&RowLimit>,
) -> Result<TryResult, WorkError> {
    let outcome = match delete_or_refuse(connection, deletion, Record::IsMade, rollbacks, limit).await? {
        Verdict::Deleted => Some(Outcome::own(deletion, None)),
        Verdict::Refused(refusal) => refuse(connection, deletion, refusal).await?,
        Verdict::Recorded(recorded) => repeat(connection, deletion, &recorded).await?,
        Verdict::OverLimit(wait) => return Ok(TryResult::OverLimit(wait)),
        Verdict::Undecided => None,
    };
    Ok(outcome.map_or(TryResult::Undecided, TryResult::Ended))
}

/// Returns `None` if the outcome is unknown.
async fn refuse(
    connection: &mut PgConnection,
    deletion: &Deletion,
    refusal: Refusal,
) -> Result<Option<Outcome>, WorkError> {
    let Refusal { code, failed_ids, failures } = &refusal;
    let failure = FailureRecord { status: Status::Failure, code: *code, failed_ids, failures, keeps_key: true };
    if statements::record_failure(connection, deletion, failure).await? {
        return Ok(Some(Outcome::refused(deletion, refusal)));
    }
    // Another call under the same key was quicker, or an earlier try of this one was committed
    // after all.
    match statements::replay_operation(connection, deletion).await? {
        Some(recorded) => repeat(connection, deletion, &recorded).await,
        // The earlier operation was purged in between.
        None => Ok(None),
    }
}

/// Gives the recorded outcome, unless another call has used the key.
async fn repeat(
    connection: &mut PgConnection,
    deletion: &Deletion,
    recorded: &Recorded,
) -> Result<Option<Outcome>, WorkError> {
    if recorded.same_call {
        Ok(recorded.outcome(deletion))
    } else {
        refuse_reused_key(connection, deletion).await.map(Some)
    }
}

pub(crate) async fn refuse_reused_key(
    connection: &mut PgConnection,
    deletion: &Deletion,
) -> Result<Outcome, WorkError> {
    let code = Code::IDEMPOTENCY_KEY_REUSED;
    let failure = FailureRecord { status: Status::Failure, code, failed_ids: &[], failures: &[], keeps_key: false };
    statements::record_failure(connection, deletion, failure).await?;
    Ok(Outcome::own(deletion, Some(code)))
}
