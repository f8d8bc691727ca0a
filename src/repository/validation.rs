//! A deletion that is only validated: the answer that it would have, without a lock, a wait for a
//! row, or a write.
//!
//! The findings (`sql/inspect_*.sql`) are judged as they are for a deletion. Uncommitted changes of
//! other calls are not visible.

use sqlx::PgConnection;

use super::database::failure::WorkError;
use super::database::observed::observed;
use super::statements;
use crate::eligibility::judge;
use crate::error::Code;
use crate::operation::{Deletion, Outcome};

/// Returns `None` while the call under the same key is open.
///
/// A recorded outcome takes precedence, but the key is read last. Keys are freed only by a purge
/// and by an internal error. So a key that is free now was also free when the rows were read. The
/// answer is correct for one of these two moments.
pub async fn validate(connection: &mut PgConnection, deletion: &Deletion) -> Result<Option<Outcome>, WorkError> {
    // A standby may be behind.
    if !is_writable(connection).await? {
        return Err(WorkError::ReadOnly);
    }
    let findings = statements::inspect(connection, deletion).await?;
    if deletion.idempotency_key.is_some()
        && let Some(recorded) = statements::replay_operation(connection, deletion).await?
    {
        let reused = || Some(Outcome::own(deletion, Some(Code::IDEMPOTENCY_KEY_REUSED)));
        return Ok(if recorded.same_call { recorded.outcome(deletion) } else { reused() });
    }
    Ok(Some(match judge(deletion.resource, findings) {
        Some(refusal) => Outcome::refused(deletion, refusal),
        None => Outcome::own(deletion, None),
    }))
}

async fn is_writable(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let statement = sqlx::query_file_scalar!("src/repository/sql/check_writable.sql");
    observed("check_writable", statement.fetch_one(connection)).await
}
