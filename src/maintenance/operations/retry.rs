//! Retries an operation that ended as an internal error.

use sqlx::PgConnection;
use uuid::Uuid;

use super::shown::Shown;
use super::statements::{self, Duplicate};
use crate::config::Settings;
use crate::maintenance::MaintenanceError;
use crate::operation::{Actor, Deletion, Status, TargetIds};
use crate::queue::{Enqueued, enqueue};
use crate::resource::Resource;

/// Puts a new operation with the same ids into the queue, and returns its id. The old one stays as
/// it is.
pub async fn retry(session: &mut PgConnection, id: Uuid) -> Result<Uuid, MaintenanceError> {
    let refused = |problem| MaintenanceError::refused("retried", problem);
    let failed = statements::require(session, id, "retried").await?;
    let deletion = deletion(failed).map_err(refused)?;
    if let Some(Duplicate { id: duplicate, status }) = statements::duplicate(session, id).await? {
        let state = if status == Status::Open.word() { "is queued already" } else { "has succeeded since" };
        return Err(refused(format!("operation {duplicate} {state}, and asks for the same")));
    }
    let max_operations = Settings::load()?.queue.max_operations;
    match enqueue(session, &deletion, i64::from(max_operations)).await? {
        Enqueued::Accepted => Ok(deletion.operation_id),
        // The id is new, there is no key, and this command does not limit rows. So the queue is full.
        Enqueued::Full | Enqueued::Taken | Enqueued::OverLimit(_) => {
            let problem =
                format!("its requester has {max_operations} queued operations already (QUEUE__MAX_OPERATIONS)");
            Err(refused(problem))
        }
    }
}

/// The same call once more, for the same actor. It has no key, because an operation that ends as an
/// internal error frees its key.
fn deletion(failed: Shown) -> Result<Deletion, String> {
    let Shown { id, requester_id, customer_id, .. } = failed;
    if failed.status != Status::InternalError.word() {
        return Err(format!("the status of operation {id} is {}, and not INTERNAL_ERROR", failed.status));
    }
    let Ok(resource) = failed.resource.parse::<Resource>() else {
        return Err(format!("this build does not know the resource {}; run the newer build", failed.resource));
    };
    let Some(targets) = TargetIds::new(failed.target_ids) else { return Err(format!("operation {id} has no ids")) };
    let actor = failed.actor.as_deref().and_then(Actor::new);
    let operation_id = Uuid::now_v7();
    Ok(Deletion { operation_id, requester_id, customer_id, resource, targets, idempotency_key: None, actor })
}
