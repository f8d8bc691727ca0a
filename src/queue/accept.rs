//! Accepts a call whose caller does not wait for the outcome.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::statements::{self as queue, Enqueued};
use crate::error::{Code, Error};
use crate::operation::{Deletion, Outcome, Status, Stored};
use crate::repository::database::failure::WorkError;
use crate::repository::deletion::refuse_reused_key;
use crate::repository::{Repository, statements};
use crate::telemetry::metrics::{self, Limit};

/// The time after which a requester whose queue is full may try again.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(5);

impl Repository {
    /// Records the call as an open operation. Eligibility is not checked here; the worker checks it.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyWaiting`] if the requester's queue is full.
    pub async fn accept(&self, deletion: Deletion, permit: impl Send + 'static) -> Result<Outcome, Error> {
        self.serve(permit, |repository, deadline| async move { repository.accept_by(deadline, deletion).await }).await
    }

    async fn accept_by(&self, deadline: Instant, deletion: Deletion) -> Result<Outcome, Error> {
        let max_waiting = self.max_waiting;
        let accepted = self.database.run(deadline, &deletion, move |connection, deletion| {
            Box::pin(accept_or_replay(connection, deletion, max_waiting))
        });
        let result = accepted.await.and_then(|outcome| outcome.ok_or(Error::TooManyWaiting(WAIT_FOR_ROOM)));
        match &result {
            Ok(outcome) if outcome.replayed => metrics::replayed(deletion.resource),
            Ok(Outcome { refusal: None, .. }) => {
                metrics::accepted(deletion.resource);
                self.accepted.notify_one();
            }
            Ok(_) => metrics::operation_ended(deletion.resource, Status::Failure, 0),
            Err(Error::TooManyWaiting(_)) => metrics::rejected(Limit::Waiting),
            Err(Error::Defect(_)) => self.record_internal_error(deadline, &deletion).await,
            Err(_) => {}
        }
        result
    }
}

/// Returns `None` if the requester's queue is full.
async fn accept_or_replay(
    connection: &mut PgConnection,
    deletion: &Deletion,
    max_waiting: i64,
) -> Result<Option<Outcome>, WorkError> {
    loop {
        let enqueued = queue::accept(connection, deletion, max_waiting).await?;
        if enqueued == Enqueued::Accepted {
            return Ok(Some(Outcome::own(deletion, None)));
        }
        // An earlier call has the id or the key, or an earlier try of this one was committed after all.
        match (statements::replay_operation(connection, deletion).await?, enqueued) {
            (Some(recorded), _) if recorded.same_call => {
                // The status of the operation tells the outcome, as for the first of these calls. But an earlier try of this call
                // may have found its key taken.
                let refusal = recorded.error_code.filter(|code| *code == Stored::Known(Code::IDEMPOTENCY_KEY_REUSED));
                let replayed = recorded.operation_id != deletion.operation_id;
                let failures = recorded.failures;
                return Ok(Some(Outcome { operation_id: recorded.operation_id, refusal, failures, replayed }));
            }
            (Some(_), _) => return refuse_reused_key(connection, deletion).await.map(Some),
            (None, Enqueued::Full) => return Ok(None),
            // It was purged in between.
            (None, Enqueued::Taken | Enqueued::Accepted) => {}
        }
    }
}
