//! The statements about one call and its operation. Each is one round trip, and one transaction
//! unless the caller began one.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::database::failure::WorkError;
use super::database::observed::observed;
use crate::closed_set::Stored;
use crate::eligibility::Findings;
use crate::error::Code;
use crate::id_failure::{self, IdFailure};
use crate::operation::{Actor, Deletion, Details, IdempotencyKey, Operation, Outcome, Status, View};
use crate::resource::Resource;

pub enum DeleteResult {
    /// Every row is deleted. The operation is recorded, unless it was open.
    Deleted,
    /// The id or the key belongs to a recorded operation. Nothing was changed.
    Replayed,
    /// No row could be deleted, or the product is allocated.
    NotEligible,
    /// Some rows could not be deleted. With [`Record::IsMade`] the others are rolled back. With
    /// [`Record::IsOpen`] the caller rolls them back.
    InPart,
    /// The requester has deleted too many rows; nothing was changed. It may try again after this
    /// long.
    OverLimit(Duration),
}

/// The record of a successful deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// The statement makes it.
    IsMade,
    /// The operation is open already. The caller ends it in the same transaction.
    IsOpen,
}

/// Deletes every target and records the success, or changes nothing.
pub async fn delete(connection: &mut PgConnection, deletion: &Deletion, record: Record) -> sqlx::Result<DeleteResult> {
    macro_rules! delete {
        ($file:literal) => {
            observed(
                $file,
                sqlx::query_file_scalar!(
                    $file,
                    deletion.operation_id,
                    deletion.requester_id,
                    deletion.customer_id,
                    deletion.targets.as_slice(),
                    deletion.idempotency_key.as_ref().map(IdempotencyKey::as_str),
                    record == Record::IsOpen,
                    deletion.actor.as_ref().map(Actor::as_str),
                )
                .fetch_one(connection),
            )
            .await
        };
    }
    let row = match deletion.resource {
        Resource::Contact => delete!("src/repository/sql/delete_contacts.sql"),
        Resource::Address => delete!("src/repository/sql/delete_addresses.sql"),
        Resource::ExternalParams => delete!("src/repository/sql/delete_external_params.sql"),
        Resource::Zone => delete!("src/repository/sql/delete_zones.sql"),
        Resource::Product => delete!("src/repository/sql/delete_products.sql"),
    };
    match row {
        Ok(0) => Ok(DeleteResult::NotEligible),
        Ok(rows) if rows == deletion.targets.count() as i64 => Ok(DeleteResult::Deleted),
        Ok(_) => Ok(DeleteResult::InPart),
        // The table of operations accepts a success only with all of its rows.
        Err(error) if violates(&error, &["operation_is_valid"]) => Ok(DeleteResult::InPart),
        Err(error) if violates(&error, &["operation_pkey", "operation_idempotency_key"]) => Ok(DeleteResult::Replayed),
        Err(error) if was_taken_into_use(&error, deletion.resource) => Ok(DeleteResult::NotEligible),
        Err(error) => Err(error),
    }
}

/// Whether a live row that refers to a target was inserted while the statement ran.
fn was_taken_into_use(error: &sqlx::Error, resource: Resource) -> bool {
    resource.rules().reference.is_some_and(|reference| violates(error, &[reference.constraint]))
}

fn violates(error: &sqlx::Error, constraints: &[&str]) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.constraint())
        .is_some_and(|constraint| constraints.contains(&constraint))
}

/// Finds out in one snapshot why a deletion was not possible.
pub async fn inspect(connection: &mut PgConnection, deletion: &Deletion) -> sqlx::Result<Findings> {
    let Deletion { requester_id, customer_id, .. } = *deletion;
    macro_rules! inspect {
        ($file:literal) => {{
            let ids = deletion.targets.as_slice();
            let statement = sqlx::query_file_as!(Findings, $file, requester_id, customer_id, ids);
            observed($file, statement.fetch_one(connection)).await
        }};
    }
    match deletion.resource {
        Resource::Contact => inspect!("src/repository/sql/inspect_contacts.sql"),
        Resource::Address => inspect!("src/repository/sql/inspect_addresses.sql"),
        Resource::ExternalParams => inspect!("src/repository/sql/inspect_external_params.sql"),
        Resource::Zone => inspect!("src/repository/sql/inspect_zones.sql"),
        Resource::Product => inspect!("src/repository/sql/inspect_products.sql"),
    }
}

/// The record of a call that deleted nothing.
pub struct FailureRecord<'a> {
    pub status: Status,
    pub code: Code,
    pub failed_ids: &'a [Uuid],
    pub failures: &'a [IdFailure],
    /// Whether the operation takes the call's idempotency key.
    pub keeps_key: bool,
}

/// Records a call that deleted nothing. Returns false if its id or its key is taken.
pub async fn record_failure(
    connection: &mut PgConnection,
    deletion: &Deletion,
    failure: FailureRecord<'_>,
) -> sqlx::Result<bool> {
    let key = deletion.idempotency_key.as_ref().filter(|_| failure.keeps_key);
    let statement = sqlx::query_file!(
        "src/repository/sql/record_failure.sql",
        deletion.operation_id,
        deletion.requester_id,
        deletion.customer_id,
        deletion.resource.word(),
        deletion.targets.as_slice(),
        failure.status.word(),
        failure.code.word(),
        failure.failed_ids,
        key.map(IdempotencyKey::as_str),
        id_failure::to_json(failure.failures),
        deletion.actor.as_ref().map(Actor::as_str),
    );
    let result = observed("record_failure", statement.execute(connection)).await?;
    Ok(result.rows_affected() == 1)
}

/// The requester's operation with this id. It has at most 1,000 refused ids.
pub async fn find_operation(
    connection: &mut PgConnection,
    requester_id: Uuid,
    operation_id: Uuid,
    view: View,
) -> Result<Option<Details>, WorkError> {
    let statement = sqlx::query_file!(
        "src/repository/sql/find_operation.sql",
        requester_id,
        operation_id,
        view != View::Status,
        view == View::Full,
    );
    let Some(row) = observed("find_operation", statement.fetch_optional(connection)).await? else { return Ok(None) };
    let operation = Operation {
        id: row.id,
        actor: row.actor,
        customer_id: row.customer_id,
        resource: row.resource.into(),
        status: row.status.into(),
        error_code: row.error_code.map(Stored::from),
        created_at: row.created_at,
        completed_at: row.completed_at,
    };
    Ok(Some(Details {
        operation,
        failed_ids: row.failed_ids,
        failures: stored_failures(row.failures.as_deref())?,
        deleted_rows: row.deleted_rows.unsigned_abs(),
        attempts: row.attempts.unsigned_abs(),
        restored_at: row.restored_at,
        target_count: row.target_count.unsigned_abs() as usize,
    }))
}

/// The ids of the requester's operation.
pub async fn find_target_ids(
    connection: &mut PgConnection,
    requester_id: Uuid,
    operation_id: Uuid,
) -> sqlx::Result<Option<Vec<Uuid>>> {
    let statement = sqlx::query_file_scalar!("src/repository/sql/find_target_ids.sql", requester_id, operation_id);
    observed("find_target_ids", statement.fetch_optional(connection)).await
}

fn stored_failures(stored: Option<&str>) -> Result<Vec<IdFailure>, WorkError> {
    id_failure::from_json(stored).map_err(|error| WorkError::Invalid(error.to_string()))
}

/// The operation under a call's id or key.
pub struct Recorded {
    pub operation_id: Uuid,
    pub status: Stored<Status>,
    /// The code of a failure.
    pub error_code: Option<Stored<Code>>,
    pub failures: Vec<IdFailure>,
    /// Whether it was the same call: about the same ids of the same resource and customer.
    pub same_call: bool,
}

impl Recorded {
    /// Returns `None` if there is no outcome yet: the operation is open, or a newer build recorded
    /// a status that this build does not know.
    pub fn outcome(&self, deletion: &Deletion) -> Option<Outcome> {
        let has_outcome = match self.status {
            Stored::Known(status) => status != Status::Open,
            Stored::Unknown(_) => false,
        };
        has_outcome.then(|| Outcome {
            operation_id: self.operation_id,
            refusal: self.error_code.clone(),
            failures: self.failures.clone(),
            replayed: self.operation_id != deletion.operation_id,
        })
    }
}

/// The operation with the id of the call, or else under its key.
pub async fn replay_operation(
    connection: &mut PgConnection,
    deletion: &Deletion,
) -> Result<Option<Recorded>, WorkError> {
    let statement = sqlx::query_file!(
        "src/repository/sql/replay_operation.sql",
        deletion.operation_id,
        deletion.requester_id,
        deletion.customer_id,
        deletion.resource.word(),
        deletion.targets.as_slice(),
        deletion.idempotency_key.as_ref().map(IdempotencyKey::as_str),
    );
    let Some(row) = observed("replay_operation", statement.fetch_optional(connection)).await? else { return Ok(None) };
    Ok(Some(Recorded {
        operation_id: row.id,
        status: row.status.into(),
        error_code: row.error_code.map(Stored::from),
        failures: stored_failures(row.failures.as_deref())?,
        same_call: row.same_call,
    }))
}
