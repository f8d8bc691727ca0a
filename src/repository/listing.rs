//! The list of a requester's operations.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Repository;
use super::database::observed::observed;
use super::statements::decode;
use crate::error::Error;
use crate::operation::{Listed, Listing, Operation, Status, Stored};
use crate::resource::Resource;

impl Repository {
    /// A part of the requester's operations, and how many there are. Holds the place like [`Repository::delete`].
    pub async fn list_operations(&self, listing: Listing, place: impl Send + 'static) -> Result<Listed, Error> {
        let repository = self.clone();
        self.in_own_task(async move {
            let _place = place;
            let deadline = repository.database.deadline();
            repository.require_schema(deadline).await?;
            repository.database.run(deadline, |connection| Box::pin(list_operations(connection, listing))).await
        })
        .await
    }
}

struct Row {
    total: i64,
    // Nothing of an operation is there where the page is empty.
    id: Option<Uuid>,
    customer_id: Option<Uuid>,
    resource: Option<String>,
    status: Option<String>,
    error_code: Option<String>,
    created_at: Option<OffsetDateTime>,
    completed_at: Option<OffsetDateTime>,
}

async fn list_operations(connection: &mut PgConnection, listing: Listing) -> Result<Listed, sqlx::Error> {
    let statement = sqlx::query_file_as!(
        Row,
        "src/repository/sql/list_operations.sql",
        listing.requester_id,
        listing.status.map(Status::name),
        listing.resource.map(Resource::word),
        i64::from(listing.size),
        i64::from(listing.offset),
        i64::from(Listing::FARTHEST),
    );
    let rows = observed("list_operations", statement.fetch_all(connection)).await?;
    let total = rows.first().map_or(0, |row| row.total);
    Ok(Listed {
        operations: rows.into_iter().filter_map(Row::operation).collect(),
        total: u32::try_from(total).map_err(decode)?,
    })
}

impl Row {
    fn operation(self) -> Option<Operation> {
        Some(Operation {
            id: self.id?,
            customer_id: self.customer_id?,
            resource: self.resource?.into(),
            status: self.status?.into(),
            error_code: self.error_code.map(Stored::from),
            created_at: self.created_at?,
            completed_at: self.completed_at,
        })
    }
}
