//! One function for each statement of `verify`. A statement is one snapshot.

use sqlx::PgConnection;
use uuid::Uuid;

use super::part::Part;

/// A page of operations ends after this many target ids.
const PAGE_IDS: i64 = 10_000;

/// One verified row.
pub struct Verified {
    pub id: Uuid,
    /// The name of its disagreement.
    pub disagreement: Option<String>,
}

/// Verifies the rows of a part that come after an id, in the order of their ids.
pub async fn page(connection: &mut PgConnection, part: Part, after: Uuid, count: i64) -> sqlx::Result<Vec<Verified>> {
    macro_rules! page {
        ($file:literal $(, $parameter:expr)+) => {
            sqlx::query_file_as!(Verified, $file $(, $parameter)+).fetch_all(connection).await
        };
    }
    match part {
        Part::Operations => page!("src/maintenance/sql/verify_operations.sql", after, count, PAGE_IDS),
        Part::Queue => page!("src/maintenance/sql/verify_queue.sql", after, count),
        Part::Restorations => page!("src/maintenance/sql/verify_restorations.sql", after, count),
        Part::Rows(resource) => page!("src/maintenance/sql/verify_rows.sql", resource.word(), after, count),
        Part::Allocations => page!("src/maintenance/sql/verify_allocations.sql", after, count),
        Part::Customers => page!("src/maintenance/sql/verify_customers.sql", after, count),
    }
}

/// The guards of the schema, one line each.
pub async fn schema(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_file_scalar!("src/maintenance/sql/verify_schema.sql").fetch_all(connection).await
}
