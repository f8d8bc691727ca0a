//! One function for each statement of a restore.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::resource::Resource;

/// A deleted row, and the entities that it refers to.
#[derive(Debug)]
pub struct DeletedRow {
    pub id: Uuid,
    pub customer_id: Uuid,
    pub sub_customer_id: Option<Uuid>,
    pub subscriber_id: Option<Uuid>,
    pub sell_plan_id: Option<Uuid>,
}

macro_rules! lock {
    ($file:literal, $connection:expr, $operation_id:expr) => {
        sqlx::query_file_as!(DeletedRow, $file, $operation_id).fetch_all($connection).await
    };
}

/// The rows that the operation deleted and that were not restored. Empty for a product.
pub async fn lock_deleted(
    connection: &mut PgConnection,
    resource: Resource,
    operation_id: Uuid,
) -> sqlx::Result<Vec<DeletedRow>> {
    match resource {
        Resource::Contact => lock!("src/maintenance/sql/lock_deleted_contacts.sql", connection, operation_id),
        Resource::Address => lock!("src/maintenance/sql/lock_deleted_addresses.sql", connection, operation_id),
        Resource::ExternalParams => {
            lock!("src/maintenance/sql/lock_deleted_external_params.sql", connection, operation_id)
        }
        Resource::Zone => lock!("src/maintenance/sql/lock_deleted_zones.sql", connection, operation_id),
        Resource::Product => Ok(Vec::new()),
    }
}

/// The entities that a resource may refer to.
pub enum Entity {
    Customer,
    Subscriber,
    SellPlan,
}

/// Locks the entities that are live, or that were deleted before the rows that refer to them.
/// Returns their ids.
pub async fn lock_entities(
    connection: &mut PgConnection,
    entity: Entity,
    ids: &[Uuid],
    operation_id: Uuid,
) -> sqlx::Result<HashSet<Uuid>> {
    macro_rules! lock_ids {
        ($file:literal) => {
            sqlx::query_file_scalar!($file, ids, operation_id).fetch_all(connection).await
        };
    }
    let locked = match entity {
        Entity::Customer => lock_ids!("src/maintenance/sql/lock_customers.sql"),
        Entity::Subscriber => lock_ids!("src/maintenance/sql/lock_subscribers.sql"),
        Entity::SellPlan => lock_ids!("src/maintenance/sql/lock_sell_plans.sql"),
    };
    Ok(locked?.into_iter().collect())
}

/// Zones whose name is taken, with the zone that has it.
pub async fn taken_zone_names(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    let taken = sqlx::query_file!("src/maintenance/sql/taken_zone_names.sql", ids).fetch_all(connection).await?;
    Ok(taken.into_iter().map(|zone| (zone.id, zone.other_id)).collect())
}

/// Records the restoration of the operation. The database then restores its rows, all or none.
pub async fn restore(connection: &mut PgConnection, id: Uuid, operation_id: Uuid) -> sqlx::Result<()> {
    sqlx::query_file!("src/maintenance/sql/restore_rows.sql", id, operation_id).execute(connection).await?;
    Ok(())
}
