//! Cancels a queued operation, as its requester could.

use sqlx::PgConnection;
use uuid::Uuid;

use super::statements;
use crate::maintenance::MaintenanceError;
use crate::operation::Status;
use crate::queue;

/// Ends the operation as cancelled.
pub async fn cancel(session: &mut PgConnection, id: Uuid) -> Result<(), MaintenanceError> {
    let Some(operation) = statements::find(session, id).await? else {
        return Err(nothing_is_cancelled(&format!("no operation has the id {id}")));
    };
    if queue::cancel(session, operation.requester_id, id).await? {
        return Ok(());
    }
    let status = statements::find(session, id).await?.map_or(operation.status, |operation| operation.status);
    let problem = match status == Status::Open.word() {
        true => "is being executed".to_owned(),
        false => format!("has ended: its status is {status}"),
    };
    Err(nothing_is_cancelled(&format!("operation {id} {problem}")))
}

fn nothing_is_cancelled(problem: &str) -> MaintenanceError {
    MaintenanceError::Refused(format!("nothing is cancelled: {problem}"))
}
