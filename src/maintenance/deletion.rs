//! An operation whose rows are to be restored or erased.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::operation::{Status, Stored};
use crate::resource::Resource;

pub struct RecordedDeletion {
    pub requester_id: Uuid,
    pub customer_id: Uuid,
    pub resource: Stored<Resource>,
    pub target_ids: Vec<Uuid>,
    pub status: Stored<Status>,
    pub created_at: OffsetDateTime,
}

pub async fn find(connection: &mut PgConnection, operation_id: Uuid) -> sqlx::Result<Option<RecordedDeletion>> {
    sqlx::query_file_as!(RecordedDeletion, "src/maintenance/sql/find_deletion.sql", operation_id)
        .fetch_optional(connection)
        .await
}
