//! A deletion that is only validated: the answer that it would have had, without a lock, a wait for a row, or a write.
//!
//! The findings of the second look (`sql/inspect_*.sql`) are judged as they are for a deletion that did not go through. What other
//! calls have not committed yet is not there.

use std::sync::Arc;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::{Repository, own_outcome, recorded_outcome, statements};
use crate::eligibility::judge;
use crate::error::{Code, Error};
use crate::operation::{Deletion, Outcome};

impl Repository {
    /// How the deletion would end now. It is recorded as no operation, whatever becomes of it.
    ///
    /// # Errors
    ///
    /// As [`Repository::delete`]. Holds the place like it.
    pub async fn validate(&self, deletion: Deletion, place: impl Send + 'static) -> Result<Outcome, Error> {
        let repository = self.clone();
        self.in_own_task(async move {
            let _place = place;
            repository.validate_by(repository.database.deadline(), Arc::new(deletion)).await
        })
        .await
    }

    async fn validate_by(&self, deadline: Instant, deletion: Arc<Deletion>) -> Result<Outcome, Error> {
        self.require_schema(deadline).await?;
        let validated = self.database.run(deadline, |connection| {
            let deletion = Arc::clone(&deletion);
            Box::pin(async move { validate(connection, &deletion).await })
        });
        let validated = validated.await.inspect_err(|error| {
            // Perhaps the schema was changed under the running service. The next call looks.
            if let Error::Defect(_) = error {
                self.schema_fits.doubt();
            }
        });
        validated?.ok_or_else(|| Error::Unavailable("the call under the same key is not decided yet".to_owned()))
    }
}

/// None while the call under the same key is open.
///
/// The key is looked up last, though what is recorded under it comes first: a key that is free now was free when the rows were read,
/// since nothing but a purge, and an operation that is given up, gives keys back. So the answer is that of a deletion at one of these two moments.
async fn validate(connection: &mut PgConnection, deletion: &Deletion) -> Result<Option<Outcome>, sqlx::Error> {
    require_writes(connection).await?;
    let findings = statements::inspect(connection, deletion).await?;
    if deletion.idempotency_key.is_some()
        && let Some(recorded) = statements::replay_operation(connection, deletion).await?
    {
        let reused = || Some(own_outcome(deletion, Some(Code::IDEMPOTENCY_KEY_REUSED)));
        return Ok(if recorded.same_call { recorded_outcome(&recorded, deletion) } else { reused() });
    }
    let refusal = judge(deletion.resource, findings);
    Ok(Some(own_outcome(deletion, refusal.map(|refusal| refusal.code))))
}

/// A replica may be behind, and would not have done the deletion. Like the error that a deletion has there, this one gives the
/// connection up and is tried again on another.
async fn require_writes(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if statements::check_writable(connection).await? {
        Ok(())
    } else {
        Err(sqlx::Error::Protocol("the server does not take writes".to_owned()))
    }
}
