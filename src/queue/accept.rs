//! Calls whose callers do not wait for the outcome: they are recorded as open, and stand in the queue.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::Backlog;
use super::statements::{self as queue, Enqueued};
use crate::error::{Code, Error};
use crate::operation::{Deletion, Outcome, Status, Stored};
use crate::repository::{Repository, own_outcome, refuse_reused_key, statements};
use crate::telemetry::metrics::{self, Limit};

/// The time after which a requester whose queue is full may try again.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(5);

impl Repository {
    /// Records the call as an open operation, which a worker does later. It is not looked at whether it may be done.
    ///
    /// # Errors
    ///
    /// As [`Repository::delete`], and [`Error::TooManyWaiting`] when too many operations of the requester wait already. Holds the
    /// place likewise.
    pub async fn accept(&self, deletion: Deletion, place: impl Send + 'static) -> Result<Outcome, Error> {
        let repository = self.clone();
        self.in_own_task(async move {
            let _place = place;
            repository.accept_by(repository.database.deadline(), deletion).await
        })
        .await
    }

    /// Counts the operations that wait.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let repository = self.clone();
        self.in_own_task(async move {
            let deadline = repository.upkeep.deadline();
            repository.require_schema_on(&repository.upkeep, deadline).await?;
            repository.upkeep.run(deadline, |connection| Box::pin(queue::measure(connection))).await
        })
        .await
    }

    /// Done when an operation was accepted here since this was last asked.
    pub async fn something_was_accepted(&self) {
        self.accepted.notified().await;
    }

    async fn accept_by(&self, deadline: Instant, deletion: Deletion) -> Result<Outcome, Error> {
        self.require_schema(deadline).await?;
        let (deletion, most_waiting) = (Arc::new(deletion), self.most_waiting);
        let accepted = self.database.run(deadline, |connection| {
            let deletion = Arc::clone(&deletion);
            Box::pin(async move { accept_or_replay(connection, &deletion, most_waiting).await })
        });
        let result = match accepted.await {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => {
                metrics::rejected(Limit::Waiting);
                Err(Error::TooManyWaiting(WAIT_FOR_ROOM))
            }
            Err(error) => Err(error),
        };
        match &result {
            Ok(outcome) if outcome.replayed => metrics::replayed(deletion.resource),
            Ok(Outcome { refusal: None, .. }) => {
                metrics::accepted(deletion.resource);
                self.accepted.notify_one();
            }
            Ok(_) => metrics::operation_ended(deletion.resource, Status::Failure, 0),
            Err(Error::Defect(_)) => {
                self.schema_fits.doubt();
                self.record_internal_error(deadline, &deletion).await;
            }
            Err(_) => {}
        }
        result
    }
}

/// Returns `None` if the requester's queue is full.
async fn accept_or_replay(
    connection: &mut PgConnection,
    deletion: &Deletion,
    most_waiting: i64,
) -> Result<Option<Outcome>, sqlx::Error> {
    loop {
        let enqueued = queue::accept(connection, deletion, most_waiting).await?;
        if enqueued == Enqueued::Accepted {
            return Ok(Some(own_outcome(deletion, None)));
        }
        // Either an earlier call has its id or its key, or an earlier try of this very call went through after all.
        match (statements::replay_operation(connection, deletion).await?, enqueued) {
            (Some(recorded), _) if recorded.same_call => {
                // Its status tells the outcome, as for the first of these calls. But an earlier try of this call may have found
                // its key taken.
                let refusal = recorded.error_code.filter(|code| *code == Stored::Known(Code::IDEMPOTENCY_KEY_REUSED));
                let replayed = recorded.operation_id != deletion.operation_id;
                return Ok(Some(Outcome { operation_id: recorded.operation_id, refusal, replayed }));
            }
            (Some(_), _) => return refuse_reused_key(connection, deletion).await.map(Some),
            (None, Enqueued::Full) => return Ok(None),
            // It was purged in between.
            (None, Enqueued::Taken | Enqueued::Accepted) => {}
        }
    }
}
