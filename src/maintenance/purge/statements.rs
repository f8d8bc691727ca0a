//! One function for each statement of a purge.

use std::ops::Range;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::closed_set::closed_set;
use crate::operation::{Status, Stored};
use crate::resource::Resource;

/// Returns whether no other purge runs in this database. The lock ends with the session.
pub async fn take_purge_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_file_scalar!("src/maintenance/sql/take_purge_lock.sql").fetch_one(connection).await
}

pub async fn now(connection: &mut PgConnection) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_file_scalar!("src/maintenance/sql/now.sql").fetch_one(connection).await
}

/// The columns of an operation that a purge needs.
pub struct Operation {
    pub id: Uuid,
    pub resource: Stored<Resource>,
    /// The rows that it deleted long enough ago. Empty if they were restored.
    pub target_ids: Vec<Uuid>,
    pub status: Stored<Status>,
    pub created_at: OffsetDateTime,
}

/// The operations after the first id, up to the last: at most `count`, and fewer if they have many ids.
pub async fn page_of_operations(
    connection: &mut PgConnection,
    Range { start, end }: Range<Uuid>,
    count: i64,
    deleted_before: OffsetDateTime,
    ids: i64,
) -> Result<Vec<Operation>, sqlx::Error> {
    let sql = sqlx::query_file_as!(
        Operation,
        "src/maintenance/sql/page_of_operations.sql",
        start,
        end,
        count,
        deleted_before,
        ids,
    );
    sql.fetch_all(connection).await
}

/// The operations that are older than `before` and explain no row that is kept. A row is kept if it was deleted at
/// `kept_from` or later; without `kept_from`, every row is.
pub async fn erasable_operations(
    connection: &mut PgConnection,
    ids: &[Uuid],
    before: OffsetDateTime,
    kept_from: Option<OffsetDateTime>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_file_scalar!("src/maintenance/sql/erasable_operations.sql", ids, before, kept_from)
        .fetch_all(connection)
        .await
}

pub async fn erase_operations(
    connection: &mut PgConnection,
    ids: &[Uuid],
    before: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let erased =
        sqlx::query_file_scalar!("src/maintenance/sql/erase_operations.sql", ids, before).fetch_one(connection);
    Ok(erased.await?.unsigned_abs())
}

pub async fn count_restorations(connection: &mut PgConnection, before: OffsetDateTime) -> Result<i64, sqlx::Error> {
    sqlx::query_file_scalar!("src/maintenance/sql/count_restorations.sql", before).fetch_one(connection).await
}

pub async fn erase_restorations(connection: &mut PgConnection, before: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let erased = sqlx::query_file!("src/maintenance/sql/erase_restorations.sql", before).execute(connection);
    Ok(erased.await?.rows_affected())
}

pub async fn count_blocks(connection: &mut PgConnection, resource: Resource) -> Result<i64, sqlx::Error> {
    let table = match resource {
        Resource::Contact => "contact",
        Resource::Address => "address",
        Resource::ExternalParams => "external_params",
        Resource::Zone => "zone",
        Resource::Product => "product",
    };
    sqlx::query_file_scalar!("src/maintenance/sql/count_blocks.sql", table).fetch_one(connection).await
}

macro_rules! ids {
    ($connection:expr, $file:literal $(, $parameter:expr)+) => {
        sqlx::query_file_scalar!($file $(, $parameter)+).fetch_all($connection).await
    };
}

/// The rows in a range of blocks that were deleted before a time.
pub async fn expired(
    connection: &mut PgConnection,
    resource: Resource,
    first: i64,
    end: i64,
    before: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    match resource {
        Resource::Contact => ids!(connection, "src/maintenance/sql/expired_contacts.sql", first, end, before),
        Resource::Address => ids!(connection, "src/maintenance/sql/expired_addresses.sql", first, end, before),
        Resource::ExternalParams => {
            ids!(connection, "src/maintenance/sql/expired_external_params.sql", first, end, before)
        }
        Resource::Zone => ids!(connection, "src/maintenance/sql/expired_zones.sql", first, end, before),
        Resource::Product => ids!(connection, "src/maintenance/sql/expired_products.sql", first, end, before),
    }
}

/// The deleted rows of a customer. With `live_too`, all rows, and the external params that others have set on it.
pub async fn of_customer(
    connection: &mut PgConnection,
    resource: Resource,
    customer_id: Uuid,
    live_too: bool,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let (id, all) = (customer_id, live_too);
    match resource {
        Resource::Contact => ids!(connection, "src/maintenance/sql/contacts_of_customer.sql", id, all),
        Resource::Address => ids!(connection, "src/maintenance/sql/addresses_of_customer.sql", id, all),
        Resource::ExternalParams => ids!(connection, "src/maintenance/sql/external_params_of_customer.sql", id, all),
        Resource::Zone => ids!(connection, "src/maintenance/sql/zones_of_customer.sql", id, all),
        Resource::Product => ids!(connection, "src/maintenance/sql/products_of_customer.sql", id, all),
    }
}

/// The resource of an operation, and the ids of its call.
pub async fn find_operation(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<(Resource, Vec<Uuid>)>, sqlx::Error> {
    let found = sqlx::query_file!("src/maintenance/sql/find_deletion.sql", id).fetch_optional(connection).await?;
    let Some(found) = found else { return Ok(None) };
    let resource = found.resource.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Some((resource, found.target_ids)))
}

/// Selects the rows that are deleted: by this operation, or by anybody.
pub async fn deleted_rows(
    connection: &mut PgConnection,
    resource: Resource,
    ids: &[Uuid],
    operation_id: Option<Uuid>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    ids!(connection, "src/maintenance/sql/deleted_rows.sql", resource.word(), ids, operation_id)
}

/// Selects the rows that are live.
pub async fn live_rows(
    connection: &mut PgConnection,
    resource: Resource,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    ids!(connection, "src/maintenance/sql/live_rows.sql", resource.word(), ids)
}

/// The rows that may be erased.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Rows that were deleted before this.
    pub before: OffsetDateTime,
    /// And every row of this customer, if it is deleted.
    pub customer: Option<Uuid>,
}

/// The result of a batch.
#[derive(Debug)]
pub struct Batch {
    /// The rows that were due.
    pub due: i64,
    /// The rows of these that were erased. Locked rows are not.
    pub erased: Vec<Uuid>,
    /// For each erased row that an operation had deleted, that operation.
    pub operations: Vec<Uuid>,
    /// The referring rows that were erased with them, or would be.
    pub references: i64,
    /// The rows that are kept because they are in use.
    pub in_use: i64,
}

macro_rules! erase {
    ($file:literal, $connection:expr, $ids:expr, $due:expr, $only_count:expr) => {
        sqlx::query_file_as!(Batch, $file, $ids, $due.before, $due.customer, $only_count).fetch_one($connection).await
    };
}

/// Erases the rows that are due, or only counts them.
pub async fn erase(
    connection: &mut PgConnection,
    resource: Resource,
    ids: &[Uuid],
    due: Due,
    only_count: bool,
) -> Result<Batch, sqlx::Error> {
    match resource {
        Resource::Contact => erase!("src/maintenance/sql/erase_contacts.sql", connection, ids, due, only_count),
        Resource::Address => erase!("src/maintenance/sql/erase_addresses.sql", connection, ids, due, only_count),
        Resource::ExternalParams => {
            erase!("src/maintenance/sql/erase_external_params.sql", connection, ids, due, only_count)
        }
        Resource::Zone => erase!("src/maintenance/sql/erase_zones.sql", connection, ids, due, only_count),
        Resource::Product => erase!("src/maintenance/sql/erase_products.sql", connection, ids, due, only_count),
    }
}

/// Whether a customer is live, and the number of customers below it.
pub struct Customer {
    pub live: bool,
    pub below: i64,
}

pub async fn find_customer(connection: &mut PgConnection, id: Uuid) -> Result<Option<Customer>, sqlx::Error> {
    sqlx::query_file_as!(Customer, "src/maintenance/sql/find_customer.sql", id).fetch_optional(connection).await
}

closed_set! {
    /// The rows that a customer has besides its resources. They are erased with it.
    #[derive(Clone, Copy, Debug)]
    pub enum Belonging {
        Allocation,
        Subscriber,
        SellPlan,
    }
}

impl Belonging {
    pub fn word(self) -> &'static str {
        match self {
            Belonging::Allocation => "allocation",
            Belonging::Subscriber => "subscriber",
            Belonging::SellPlan => "sell-plan",
        }
    }
}

/// The ids of what the customer has.
pub async fn belongings(
    connection: &mut PgConnection,
    kind: Belonging,
    customer_id: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    match kind {
        Belonging::Allocation => ids!(connection, "src/maintenance/sql/allocations_of_customer.sql", customer_id),
        Belonging::Subscriber => ids!(connection, "src/maintenance/sql/subscribers_of_customer.sql", customer_id),
        Belonging::SellPlan => ids!(connection, "src/maintenance/sql/sell_plans_of_customer.sql", customer_id),
    }
}

/// Erases them, if the customer is deleted.
pub async fn erase_belongings(
    connection: &mut PgConnection,
    kind: Belonging,
    customer_id: Uuid,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    macro_rules! erase {
        ($file:literal) => {
            sqlx::query_file_scalar!($file, customer_id, ids).fetch_all(connection).await
        };
    }
    match kind {
        Belonging::Allocation => erase!("src/maintenance/sql/erase_allocations_of_customer.sql"),
        Belonging::Subscriber => erase!("src/maintenance/sql/erase_subscribers_of_customer.sql"),
        Belonging::SellPlan => erase!("src/maintenance/sql/erase_sell_plans_of_customer.sql"),
    }
}

/// Fails with SQLSTATE 23503 if a row still refers to the customer.
pub async fn erase_customer(connection: &mut PgConnection, id: Uuid) -> Result<u64, sqlx::Error> {
    let erased = sqlx::query_file!("src/maintenance/sql/erase_customer.sql", id).execute(connection);
    Ok(erased.await?.rows_affected())
}
