//! One function for each statement of a purge.

use std::ops::Range;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::closed_set::closed_set;
use crate::operation::{Status, Stored};
use crate::resource::Resource;

/// Whether no other purge is at work in this database. Held until the session ends.
pub async fn take_purge_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_file_scalar!("src/maintenance/sql/take_purge_lock.sql").fetch_one(connection).await
}

pub async fn now(connection: &mut PgConnection) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_file_scalar!("src/maintenance/sql/now.sql").fetch_one(connection).await
}

/// An operation, as far as a purge wants to know it.
pub struct Operation {
    pub id: Uuid,
    pub resource: Stored<Resource>,
    /// Of the rows that it deleted long enough ago, unless a restore put them back.
    pub target_ids: Vec<Uuid>,
    pub status: Stored<Status>,
    pub created_at: OffsetDateTime,
}

/// The operations after the first id, up to the last; so many of them, or fewer with as many ids.
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

/// Those of the operations that are older than `before` and explain no row that is kept: one deleted at `kept_from` or
/// later, or any row at all.
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
    let erased = sqlx::query_file!("src/maintenance/sql/erase_operations.sql", ids, before).execute(connection);
    Ok(erased.await?.rows_affected())
}

pub async fn count_restorations(connection: &mut PgConnection, before: OffsetDateTime) -> Result<i64, sqlx::Error> {
    sqlx::query_file_scalar!("src/maintenance/sql/count_restorations.sql", before).fetch_one(connection).await
}

pub async fn erase_restorations(connection: &mut PgConnection, before: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let erased = sqlx::query_file!("src/maintenance/sql/erase_restorations.sql", before).execute(connection);
    Ok(erased.await?.rows_affected())
}

/// How many blocks the table of a resource has.
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

/// The rows in some blocks that were deleted before a time.
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

/// The deleted rows of a customer; with `live_too`, all of them, and the external params that others have set on it.
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

/// Which rows may be erased.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Those that were deleted before this.
    pub before: OffsetDateTime,
    /// And everything of this customer, if it is deleted.
    pub customer: Option<Uuid>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// How many rows were to be erased.
    pub due: i64,
    /// How many of them were, and nobody held them.
    pub erased: i64,
    /// How many rows of the resource's reference were erased with them, or would be.
    pub references: i64,
    /// How many rows were not to be erased, because they are in use.
    pub in_use: i64,
}

macro_rules! erase {
    ($file:literal, $connection:expr, $ids:expr, $due:expr, $only_count:expr) => {
        sqlx::query_file_as!(Batch, $file, $ids, $due.before, $due.customer, $only_count).fetch_one($connection).await
    };
}

/// Erases those of the rows that are due, or only counts them.
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

/// Whether a customer is live, and how many there are below it.
pub struct Customer {
    pub live: bool,
    pub below: i64,
}

pub async fn find_customer(connection: &mut PgConnection, id: Uuid) -> Result<Option<Customer>, sqlx::Error> {
    sqlx::query_file_as!(Customer, "src/maintenance/sql/find_customer.sql", id).fetch_optional(connection).await
}

closed_set! {
    /// What a customer has besides its resources, and what goes with it.
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
) -> Result<u64, sqlx::Error> {
    macro_rules! erase {
        ($file:literal) => {
            sqlx::query_file!($file, customer_id, ids).execute(connection).await
        };
    }
    let erased = match kind {
        Belonging::Allocation => erase!("src/maintenance/sql/erase_allocations_of_customer.sql"),
        Belonging::Subscriber => erase!("src/maintenance/sql/erase_subscribers_of_customer.sql"),
        Belonging::SellPlan => erase!("src/maintenance/sql/erase_sell_plans_of_customer.sql"),
    };
    Ok(erased?.rows_affected())
}

/// Fails with SQLSTATE 23503 where something still refers to the customer.
pub async fn erase_customer(connection: &mut PgConnection, id: Uuid) -> Result<u64, sqlx::Error> {
    let erased = sqlx::query_file!("src/maintenance/sql/erase_customer.sql", id).execute(connection);
    Ok(erased.await?.rows_affected())
}
