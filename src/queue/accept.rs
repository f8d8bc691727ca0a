//! Accepts a call whose caller does not wait for the outcome.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::statements::{self as queue, Enqueued};
use crate::closed_set::Stored;
use crate::error::{Code, Error};
use crate::operation::{Deletion, Outcome, Status};
use crate::repository::database::failure::WorkError;
use crate::repository::deletion::refuse_reused_key;
use crate::repository::row_limit::RowLimit;
use crate::repository::{Repository, statements};
use crate::telemetry::metrics::{self, Limit};

/// The time after which a requester whose queue is full may try again.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(5);

impl Repository {
    /// Records the call as an open operation. Eligibility is not checked here; the worker checks
    /// it. Fails with [`Error::TooManyQueued`] if the requester's queue is full, and with
    /// [`Error::TooManyRows`] if it has deleted too many rows.
    pub async fn accept(&self, deletion: Deletion, held: impl Send + 'static) -> Result<Outcome, Error> {
        self.serve(held, |repository, deadline| async move { repository.accept_by(deadline, deletion).await }).await
    }

    async fn accept_by(&self, deadline: Instant, deletion: Deletion) -> Result<Outcome, Error> {
        let result = self.try_to_accept(deadline, &deletion).await;
        match &result {
            Ok(outcome) if outcome.replayed => metrics::replayed(deletion.resource),
            Ok(Outcome { refusal: None, .. }) => {
                metrics::accepted(deletion.resource);
                self.accepted.notify_one();
            }
            Ok(_) => metrics::operation_ended(deletion.resource, Status::Failure, 0),
            Err(Error::TooManyQueued(_)) => metrics::rejected(Limit::Queued),
            Err(Error::TooManyRows(_)) => metrics::rejected(Limit::Rows),
            Err(Error::Defect(_)) => self.record_internal_error(deadline, &deletion).await,
            Err(_) => {}
        }
        result
    }

    async fn try_to_accept(&self, deadline: Instant, deletion: &Deletion) -> Result<Outcome, Error> {
        let _lock_of_requester = match &self.row_limit {
            Some(limit) => Some(limit.lock(deadline, deletion.requester_id).await?),
            None => None,
        };
        let (max_queued, context) = (self.max_queued, (deletion, self.row_limit.as_ref()));
        let accepted = self.database.run(deadline, &context, move |connection, (deletion, limit)| {
            Box::pin(accept_or_replay(connection, deletion, max_queued, *limit))
        });
        match accepted.await? {
            AcceptResult::Answered(outcome) => Ok(outcome),
            AcceptResult::Full => Err(Error::TooManyQueued(WAIT_FOR_ROOM)),
            AcceptResult::OverLimit(wait) => Err(Error::TooManyRows(wait)),
        }
    }
}

/// The result of a try to accept a call.
enum AcceptResult {
    Answered(Outcome),
    Full,
    /// The requester has deleted too many rows. It may try again after this long.
    OverLimit(Duration),
}

async fn accept_or_replay(
    connection: &mut PgConnection,
    deletion: &Deletion,
    max_queued: i64,
    limit: Option<&RowLimit>,
) -> Result<AcceptResult, WorkError> {
    loop {
        let enqueued = match limit {
            None => queue::accept(connection, deletion, max_queued).await?,
            Some(limit) => accept_within(limit, connection, deletion, max_queued).await?,
        };
        if enqueued == Enqueued::Accepted {
            return Ok(AcceptResult::Answered(Outcome::own(deletion, None)));
        }
        // An earlier call has the id or the key, or an earlier try of this one was committed after
        // all.
        match (statements::replay_operation(connection, deletion).await?, enqueued) {
            (Some(recorded), _) if recorded.same_call => {
                // The caller reads the outcome from the operation's status. Only a reused key is
                // answered here, because an earlier try of this call may have recorded it.
                let refusal = recorded.error_code.filter(|code| *code == Stored::Known(Code::IDEMPOTENCY_KEY_REUSED));
                let replayed = recorded.operation_id != deletion.operation_id;
                let failures = recorded.failures;
                let operation_id = recorded.operation_id;
                return Ok(AcceptResult::Answered(Outcome { operation_id, refusal, failures, replayed }));
            }
            (Some(_), _) => return refuse_reused_key(connection, deletion).await.map(AcceptResult::Answered),
            (None, Enqueued::Full) => return Ok(AcceptResult::Full),
            (None, Enqueued::OverLimit(wait)) => return Ok(AcceptResult::OverLimit(wait)),
            // The earlier operation was purged in between.
            (None, Enqueued::Taken | Enqueued::Accepted) => {}
        }
    }
}

/// Counts and accepts in one transaction.
async fn accept_within(
    limit: &RowLimit,
    connection: &mut PgConnection,
    deletion: &Deletion,
    max_queued: i64,
) -> sqlx::Result<Enqueued> {
    let mut tx = connection.begin().await?;
    let result = match limit.wait(&mut tx, deletion).await {
        Ok(None) => queue::accept(&mut tx, deletion, max_queued).await,
        Ok(Some(wait)) => Ok(Enqueued::OverLimit(wait)),
        Err(error) => Err(error),
    };
    match &result {
        Ok(_) => tx.commit().await?,
        // An open transaction would lock the requester until the next use of the connection.
        Err(_) => drop(tx.rollback().await),
    }
    result
}
