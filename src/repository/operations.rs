//! The list of the recorded operations of a requester.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::database::failure::WorkError;
use super::database::observed::observed;
use crate::closed_set::Stored;
use crate::operation::{Filters, Operation, OperationPage, PageQuery, Status};
use crate::resource::Resource;

struct Row {
    total: i64,
    // Every column of the operation is null if the page is empty.
    id: Option<Uuid>,
    actor: Option<String>,
    customer_id: Option<Uuid>,
    resource: Option<String>,
    status: Option<String>,
    error_code: Option<String>,
    created_at: Option<OffsetDateTime>,
    completed_at: Option<OffsetDateTime>,
}

macro_rules! list {
    ($file:literal, $connection:expr, $listing:expr $(, $more:expr)*) => {
        observed(
            $file,
            sqlx::query_file_as!(
                Row,
                $file,
                $listing.filters.requester_id,
                $listing.filters.status.map(Status::word),
                $listing.filters.resource.map(Resource::word),
                // One more than the page has tells whether older operations follow.
                i64::from($listing.size) + 1,
                i64::from($listing.offset),
                i64::from($listing.count_limit),
                $listing.filters.created_from,
                $listing.before().map(|before| before.created_at),
                $listing.before().map(|before| before.id),
                $($more),*
            )
            .fetch_all($connection),
        )
        .await
    };
}

pub async fn list_operations(connection: &mut PgConnection, listing: &PageQuery) -> Result<OperationPage, WorkError> {
    let Filters { customer_id, target_id, .. } = listing.filters;
    let rows = match (target_id, customer_id) {
        (Some(target), customer) => {
            list!("src/repository/sql/list_operations_of_target.sql", connection, listing, customer, target)
        }
        (None, Some(customer)) => {
            list!("src/repository/sql/list_operations_of_customer.sql", connection, listing, customer)
        }
        (None, None) => list!("src/repository/sql/list_operations.sql", connection, listing),
    }?;
    let total = rows.first().map_or(0, |row| row.total);
    let mut operations: Vec<Operation> = rows.into_iter().filter_map(Row::operation).collect();
    let has_more = operations.len() > listing.size as usize;
    operations.truncate(listing.size as usize);
    let total = u32::try_from(total).map_err(|error| WorkError::Invalid(error.to_string()))?;
    Ok(OperationPage { operations, has_more, total })
}

impl Row {
    fn operation(self) -> Option<Operation> {
        Some(Operation {
            id: self.id?,
            actor: self.actor,
            customer_id: self.customer_id?,
            resource: self.resource?.into(),
            status: self.status?.into(),
            error_code: self.error_code.map(Stored::from),
            created_at: self.created_at?,
            completed_at: self.completed_at,
        })
    }
}
