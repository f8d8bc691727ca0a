//! Cancels a queued operation, as its requester could.

use sqlx::PgConnection;
use uuid::Uuid;

use super::statements;
use crate::maintenance::MaintenanceError;
use crate::operation::Status;
use crate::queue;

/// Ends the operation as cancelled.
pub async fn cancel(session: &mut PgConnection, id: Uuid) -> Result<(), MaintenanceError> {
    let operation = statements::require(session, id, "cancelled").await?;
    if queue::cancel(session, operation.requester_id, id).await? {
        return Ok(());
    }
    let status = statements::find(session, id).await?.map_or(operation.status, |operation| operation.status);
    let problem = match status == Status::Open.word() {
        true => "is being executed".to_owned(),
        false => format!("has ended: its status is {status}"),
    };
    Err(MaintenanceError::refused("cancelled", format!("operation {id} {problem}")))
}
