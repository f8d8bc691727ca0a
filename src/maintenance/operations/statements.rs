//! One function for each statement of `operations`.

use std::ops::Range;

use sqlx::PgConnection;
use uuid::Uuid;

use super::Arguments;
use super::shown::{ListedOperation, Shown};
use crate::maintenance::MaintenanceError;
use crate::operation::Status;

/// The oldest of the next `count` operations before an id. `None` if there is none.
pub async fn search_end(connection: &mut PgConnection, before: Uuid, count: i64) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_file_scalar!("src/maintenance/sql/search_end.sql", before, count).fetch_optional(connection).await
}

/// The operations with ids in this range that match the arguments, the newest first.
pub async fn search(
    connection: &mut PgConnection,
    Range { start, end }: Range<Uuid>,
    arguments: &Arguments,
) -> sqlx::Result<Vec<ListedOperation>> {
    let sql = sqlx::query_file_as!(
        ListedOperation,
        "src/maintenance/sql/search_operations.sql",
        start,
        end,
        arguments.requester,
        arguments.customer,
        arguments.status.map(Status::word),
    );
    sql.fetch_all(connection).await
}

pub async fn find(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Shown>> {
    sqlx::query_file_as!(Shown, "src/maintenance/sql/show_operation.sql", id).fetch_optional(connection).await
}

/// Finds the operation, or refuses with "nothing is {done}". `done` is a participle, such as
/// `retried`.
pub async fn require(connection: &mut PgConnection, id: Uuid, done: &str) -> Result<Shown, MaintenanceError> {
    let found = find(connection, id).await?;
    found.ok_or_else(|| MaintenanceError::refused(done, format!("no operation has the id {id}")))
}

/// An operation that asks for the same deletion as another one.
pub struct Duplicate {
    pub id: Uuid,
    /// `OPEN` or `SUCCESS`.
    pub status: String,
}

/// A duplicate of the operation that is queued, or that succeeded after it.
pub async fn duplicate(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Duplicate>> {
    sqlx::query_file_as!(Duplicate, "src/maintenance/sql/duplicate_of_operation.sql", id)
        .fetch_optional(connection)
        .await
}
