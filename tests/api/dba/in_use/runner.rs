//! A migration that is blocked or fails.

use std::time::Duration;

use customer_deletion::schema::{self, SchemaError};

use super::{PATIENCE, Told, migrate, migrate_and_tell, with_migration};
use crate::support::{TestDatabase, World};

/// Enough for a few tries, each of which may have time to find the session that blocks it.
const LITTLE_PATIENCE: Duration = Duration::from_secs(5);

const COLUMN: &str = "
    alter table zone add column colour text;
    insert into schema_version (version, oldest_build) values (9001, 12);";

#[tokio::test]
async fn a_migration_that_gets_no_lock_is_given_up_and_leaves_nothing() {
    let database = TestDatabase::migrated().await;
    let mut holding = database.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table zone in row share mode").execute(&mut *holding).await.unwrap();
    let migrator = with_migration(9001, COLUMN);

    let (result, told) = migrate(&database, &migrator, LITTLE_PATIENCE).await;

    assert!(matches!(result, Err(SchemaError::Locked(9001, _))), "{result:?}");
    assert!(told.iter().any(|line| line.contains("idle in transaction, transaction open for")), "{told:?}");
    holding.rollback().await.unwrap();
    assert_eq!(migrate(&database, &migrator, PATIENCE).await.0.unwrap(), (schema::expected_version(), 9001));
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    let database = TestDatabase::migrated().await;
    let migrator = with_migration(9001, "alter table zone add column colour text; select 1 / 0;");

    let (result, _) = migrate(&database, &migrator, PATIENCE).await;

    assert!(result.unwrap_err().to_string().contains("division by zero"));
    let there: bool = sqlx::query_scalar("select exists (select from pg_attribute where attname = 'colour')")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert!(!there);
}

#[tokio::test]
async fn of_two_runs_at_once_the_second_finds_everything_done() {
    let database = TestDatabase::migrated().await;
    let mut holding = database.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table zone in row share mode").execute(&mut *holding).await.unwrap();
    let migrator = with_migration(9001, COLUMN);

    let told = Told::default();
    let let_go = async {
        told.until("another run").await;
        holding.rollback().await.unwrap();
    };
    let run = || migrate_and_tell(&database, &migrator, PATIENCE, &told);
    let (one, other, ()) = tokio::join!(run(), run(), let_go);

    let mut before = [one.unwrap(), other.unwrap()];
    before.sort();
    assert_eq!(before, [(schema::expected_version(), 9001), (9001, 9001)]);
}

const UNIQUE_INDEX: &str = "-- no-transaction
    create unique index concurrently if not exists contact_mobile_key on contact (mobile);";
const UNIQUE_INDEX_IS_VALID: &str = "
    insert into schema_version (version, oldest_build) values (9001, 12);";

#[tokio::test]
async fn an_index_that_was_left_half_built_is_named_and_the_next_run_builds_it() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let customer = world.customer(None).await;
    let twins = [world.contact(customer).await, world.contact(customer).await];
    let migrator = with_migration(9001, UNIQUE_INDEX);

    let (result, _) = migrate(&database, &migrator, PATIENCE).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("left the index contact_mobile_key half-built"), "{error}");
    assert_eq!(validity(&database).await, Some(false));

    world.execute("delete from contact where id = $1", twins[0]).await;
    let (result, told) = migrate(&database, &migrator, PATIENCE).await;
    // Its number is recorded by the migration after it, which is not here.
    assert!(matches!(result, Err(SchemaError::Misfit(_))), "{result:?}");
    assert!(told.iter().any(|line| line.contains("contact_mobile_key was left half-built")), "{told:?}");
    assert_eq!(validity(&database).await, Some(true));

    sqlx::raw_sql(UNIQUE_INDEX_IS_VALID).execute(&database.pool).await.unwrap();
    assert_eq!(migrate(&database, &migrator, PATIENCE).await.0.unwrap(), (9001, 9001));
}

#[tokio::test]
async fn an_index_of_other_software_is_not_dropped_because_of_its_name() {
    let database = TestDatabase::migrated().await;
    let theirs = "create table theirs (mobile text); create index contact_mobile_key on theirs (mobile);
        update pg_index set indisvalid = false where indexrelid = 'contact_mobile_key'::regclass";
    sqlx::raw_sql(theirs).execute(&database.pool).await.unwrap();

    let (_, told) = migrate(&database, &with_migration(9001, UNIQUE_INDEX), PATIENCE).await;

    assert!(!told.iter().any(|line| line.contains("half-built")), "{told:?}");
    assert_eq!(validity(&database).await, Some(false));
}

async fn validity(database: &TestDatabase) -> Option<bool> {
    let sql = "select indisvalid from pg_index where indexrelid = to_regclass('contact_mobile_key')";
    sqlx::query_scalar(sql).fetch_optional(&database.pool).await.unwrap()
}
