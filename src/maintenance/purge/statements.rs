//! One function for each statement of a purge.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::kind::Kind;
use crate::closed_set::Stored;
use crate::operation::Status;
use crate::resource::Resource;

macro_rules! ids {
    ($connection:expr, $file:literal $(, $parameter:expr)+) => {
        sqlx::query_file_scalar!($file $(, $parameter)+).fetch_all($connection).await
    };
}

/// The tries to take the lock of a purge.
const LOCK_TRIES: u32 = 10;
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Returns whether no other purge runs in this database. The lock ends with the session, and the
/// server may notice the end of an earlier purge a moment late.
pub async fn take_purge_lock(connection: &mut PgConnection) -> sqlx::Result<bool> {
    for tries in 1.. {
        let taken = sqlx::query_file_scalar!("src/maintenance/sql/take_purge_lock.sql").fetch_one(&mut *connection);
        let taken = taken.await?;
        if taken || tries == LOCK_TRIES {
            return Ok(taken);
        }
        tokio::time::sleep(PAUSE_BETWEEN_TRIES).await;
    }
    Ok(false)
}

/// Lets new holds wait until the transaction ends.
pub async fn share_hold_lock(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query_file!("src/maintenance/sql/share_hold_lock.sql").fetch_one(connection).await.map(|_| ())
}

/// The purges that this database knows to have ended.
pub async fn ended_purges(connection: &mut PgConnection) -> sqlx::Result<HashSet<Uuid>> {
    let ended = sqlx::query_file_scalar!("src/maintenance/sql/ended_purges.sql").fetch_all(connection);
    Ok(ended.await?.into_iter().collect())
}

/// The columns of an operation that a purge needs.
pub struct OperationRow {
    pub id: Uuid,
    pub resource: Stored<Resource>,
    /// The rows that it deleted long enough ago. Empty if they were restored.
    pub target_ids: Vec<Uuid>,
    pub status: Stored<Status>,
    pub created_at: OffsetDateTime,
}

/// The operations between the two ids, both excluded: at most `count`, and fewer if they have many
/// ids.
pub async fn page_of_operations(
    connection: &mut PgConnection,
    Range { start, end }: Range<Uuid>,
    count: i64,
    deleted_before: OffsetDateTime,
    ids: i64,
) -> sqlx::Result<Vec<OperationRow>> {
    let sql = sqlx::query_file_as!(
        OperationRow,
        "src/maintenance/sql/page_of_operations.sql",
        start,
        end,
        count,
        deleted_before,
        ids,
    );
    sql.fetch_all(connection).await
}

/// The operations that are older than `before` and explain no row that is kept. A row is kept if it
/// was deleted at `kept_from` or later; without `kept_from`, every row is.
pub async fn erasable_operations(
    connection: &mut PgConnection,
    ids: &[Uuid],
    before: OffsetDateTime,
    kept_from: Option<OffsetDateTime>,
) -> sqlx::Result<Vec<Erasable>> {
    sqlx::query_file_as!(Erasable, "src/maintenance/sql/erasable_operations.sql", ids, before, kept_from)
        .fetch_all(connection)
        .await
}

/// A row or record to erase. For an actor, its operation.
pub struct Erasable {
    pub id: Uuid,
    /// The customer under legal hold that keeps it.
    pub holder: Option<Uuid>,
}

/// The operations that the customer sent and that name an actor.
pub async fn actors_of_customer(connection: &mut PgConnection, customer_id: Uuid) -> sqlx::Result<Vec<Erasable>> {
    sqlx::query_file_as!(Erasable, "src/maintenance/sql/actors_of_customer.sql", customer_id)
        .fetch_all(connection)
        .await
}

/// The records of restores that are older than `before`.
pub async fn old_restorations(connection: &mut PgConnection, before: OffsetDateTime) -> sqlx::Result<Vec<Erasable>> {
    sqlx::query_file_as!(Erasable, "src/maintenance/sql/old_restorations.sql", before).fetch_all(connection).await
}

pub async fn count_blocks(connection: &mut PgConnection, resource: Resource) -> sqlx::Result<i64> {
    let table = match resource {
        Resource::Contact => "contact",
        Resource::Address => "address",
        Resource::ExternalParams => "external_params",
        Resource::Zone => "zone",
        Resource::Product => "product",
    };
    sqlx::query_file_scalar!("src/maintenance/sql/count_blocks.sql", table).fetch_one(connection).await
}

/// The rows in a range of blocks that were deleted before a time.
pub async fn expired(
    connection: &mut PgConnection,
    resource: Resource,
    first: i64,
    end: i64,
    before: OffsetDateTime,
) -> sqlx::Result<Vec<Uuid>> {
    ids!(connection, "src/maintenance/sql/expired_rows.sql", resource.word(), first, end, before)
}

/// The rows of one kind that are erased with a customer. Of a live customer, only the deleted rows
/// of a resource. Of a deleted one, all its rows, and the external params of others that are set on
/// it or on its entities.
pub async fn of_customer(
    connection: &mut PgConnection,
    kind: Kind,
    customer_id: Uuid,
    is_deleted: bool,
) -> sqlx::Result<Vec<Uuid>> {
    ids!(connection, "src/maintenance/sql/rows_of_customer.sql", kind.word(), customer_id, is_deleted)
}

/// A time later than any deletion.
const LATEST: OffsetDateTime = datetime!(9999-12-31 0:00 UTC);

/// The condition under which a given row is due. Resources use every field, belongings use
/// `customer` and `live_too`, customers use `live_too`, operations use `before`. Other kinds are
/// always due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Rows that were deleted before this, and operations that are older.
    pub before: OffsetDateTime,
    /// The deleted customer whose resources are all due. Belongings are due only if they are this
    /// customer's. If this is `None`, belongings of every customer are due.
    pub customer: Option<Uuid>,
    /// The operation that must have deleted the rows, or `None` for any. A row may be restored and
    /// deleted again meanwhile.
    pub operation: Option<Uuid>,
    /// Whether live rows are due as well: they were erased before the database was recovered.
    pub live_too: bool,
}

impl Due {
    /// Every deleted row, whatever its age.
    pub const ANY_AGE: Due = Due { before: LATEST, customer: None, operation: None, live_too: false };

    pub fn before(time: OffsetDateTime) -> Due {
        Due { before: time, ..Due::ANY_AGE }
    }
}

/// The result of a batch.
#[derive(Debug, Default)]
pub struct BatchResult {
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
    /// For each row that is kept because of a legal hold, the customer.
    pub holders: Vec<Uuid>,
}

/// Erases the rows that are due, or only counts them. Fails with SQLSTATE 23503 if a row still
/// refers to a customer.
pub async fn erase(
    connection: &mut PgConnection,
    kind: Kind,
    ids: &[Uuid],
    due: Due,
    only_count: bool,
) -> sqlx::Result<BatchResult> {
    let Due { before, customer, operation, live_too } = due;
    macro_rules! rows {
        ($file:literal) => {
            sqlx::query_file_as!(BatchResult, $file, ids, before, customer, only_count, operation, live_too)
                .fetch_one(connection)
                .await
        };
    }
    macro_rules! belongings {
        ($file:literal) => {
            ids!(connection, $file, customer, ids, live_too)
        };
    }
    let erased = match kind {
        Kind::Of(Resource::Contact) => return rows!("src/maintenance/sql/erase_contacts.sql"),
        Kind::Of(Resource::Address) => return rows!("src/maintenance/sql/erase_addresses.sql"),
        Kind::Of(Resource::ExternalParams) => return rows!("src/maintenance/sql/erase_external_params.sql"),
        Kind::Of(Resource::Zone) => return rows!("src/maintenance/sql/erase_zones.sql"),
        Kind::Of(Resource::Product) => return rows!("src/maintenance/sql/erase_products.sql"),
        _ if only_count => Ok(Vec::new()),
        Kind::Allocation => belongings!("src/maintenance/sql/erase_allocations_of_customer.sql"),
        Kind::Subscriber => belongings!("src/maintenance/sql/erase_subscribers_of_customer.sql"),
        Kind::SellPlan => belongings!("src/maintenance/sql/erase_sell_plans_of_customer.sql"),
        Kind::Customer => ids!(connection, "src/maintenance/sql/erase_customers.sql", ids, live_too),
        Kind::Operation => ids!(connection, "src/maintenance/sql/erase_operations.sql", ids, before),
        Kind::Actor => ids!(connection, "src/maintenance/sql/erase_actors.sql", ids),
        Kind::Restoration => ids!(connection, "src/maintenance/sql/erase_restorations.sql", ids),
    };
    Ok(BatchResult { due: ids.len() as i64, erased: erased?, ..BatchResult::default() })
}

/// Whether a customer is live, and the number of customers below it.
pub struct Customer {
    pub live: bool,
    pub below: i64,
}

pub async fn find_customer(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Customer>> {
    sqlx::query_file_as!(Customer, "src/maintenance/sql/find_customer.sql", id).fetch_optional(connection).await
}

/// The id of the transaction.
pub async fn transaction_id(connection: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_file_scalar!("src/maintenance/sql/transaction_id.sql").fetch_one(connection).await
}

/// A row that exists.
pub struct Present {
    pub id: Uuid,
    /// Whether it is live, or its customer is. False for a record.
    pub live: bool,
    /// The operation that deleted it, if one did.
    pub deleted_by: Option<Uuid>,
    /// The customer under legal hold that keeps it.
    pub holder: Option<Uuid>,
}

/// Selects the rows that exist. An open operation is left out, because a worker ends it.
pub async fn present(connection: &mut PgConnection, kind: Kind, ids: &[Uuid]) -> sqlx::Result<Vec<Present>> {
    sqlx::query_file_as!(Present, "src/maintenance/sql/present_rows.sql", kind.word(), ids).fetch_all(connection).await
}
