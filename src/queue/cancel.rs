//! Cancels a queued operation for its requester.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use crate::closed_set::Stored;
use crate::error::{Code, Error};
use crate::operation::{Details, Status, View};
use crate::repository::Repository;
use crate::repository::database::failure::WorkError;
use crate::repository::database::observed::observed;
use crate::repository::statements::find_operation;
use crate::resource::Resource;
use crate::telemetry::metrics;

const CANCELLED: Stored<Code> = Stored::Known(Code::CANCELLED);

impl Repository {
    /// Ends a waiting operation of the requester as cancelled, and returns it. Keeps what the call
    /// holds like [`Repository::delete`]. Refuses with [`Code::GLOBAL_1003`] if the requester has
    /// no such operation, and with [`Code::NOT_CANCELLABLE`] if it is being executed or has ended.
    pub async fn cancel(
        &self,
        requester_id: Uuid,
        operation_id: Uuid,
        held: impl Send + 'static,
    ) -> Result<Details, Error> {
        self.serve(held, move |repository, deadline| async move {
            repository.cancel_by(deadline, requester_id, operation_id).await
        })
        .await
    }

    async fn cancel_by(&self, deadline: Instant, requester_id: Uuid, operation_id: Uuid) -> Result<Details, Error> {
        let was_tried = AtomicBool::new(false);
        let attempted = self.database.run(deadline, &was_tried, move |connection, was_tried| {
            let is_retry = was_tried.swap(true, Ordering::Relaxed);
            Box::pin(cancel_and_find(connection, requester_id, operation_id, is_retry))
        });
        let (is_cancelled, found) = attempted.await?;
        let details = found.ok_or(Error::refused(Code::GLOBAL_1003))?;
        if !is_cancelled {
            return Err(Error::refused(Code::NOT_CANCELLABLE));
        }
        report(requester_id, &details);
        Ok(details)
    }
}

/// Reports a cancelled operation, like a worker reports one that ended: one line in the log, and
/// the metrics. The number of ids is not looked up.
fn report(requester_id: Uuid, Details { operation, attempts, .. }: &Details) {
    if let Stored::Known(resource) = operation.resource {
        metrics::operation_ended(resource, Status::Failure, 0);
    }
    let waited = operation.completed_at.map(|completed_at| completed_at - operation.created_at);
    let resource = operation.resource.clone().into_word(Resource::word);
    tracing::info!(
        request_id = %operation.id,
        requester_id = %requester_id,
        customer_id = %operation.customer_id,
        resource = &*resource,
        code = Code::CANCELLED.word(),
        operation_status = Status::Failure.word(),
        attempts,
        waited_ms = waited.map(|waited| waited.whole_milliseconds() as i64),
        "operation"
    );
}

/// Returns whether this call cancelled the operation, and the operation. The connection of an
/// earlier attempt may have broken between its commit and the answer.
async fn cancel_and_find(
    connection: &mut PgConnection,
    requester_id: Uuid,
    operation_id: Uuid,
    is_retry: bool,
) -> Result<(bool, Option<Details>), WorkError> {
    let is_cancelled = cancel(connection, requester_id, operation_id).await?;
    let found = find_operation(connection, requester_id, operation_id, View::Details).await?;
    let was_cancelled =
        is_retry && found.as_ref().is_some_and(|details| details.operation.error_code == Some(CANCELLED));
    Ok((is_cancelled || was_cancelled, found))
}

/// Returns false if the operation is not in the queue, or is being executed.
pub async fn cancel(connection: &mut PgConnection, requester_id: Uuid, operation_id: Uuid) -> sqlx::Result<bool> {
    let statement = sqlx::query_file_scalar!("src/queue/sql/cancel_operation.sql", requester_id, operation_id);
    observed("cancel_operation", statement.fetch_one(connection)).await
}
