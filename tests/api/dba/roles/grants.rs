//! The file that a DBA runs after every migration.

use customer_deletion::schema;
use rstest::rstest;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection};

use super::{granted, refusal, session_as};
use crate::support::TestDatabase;
use crate::support::database::{ROLES, connect, revert_to};

/// The privileges on every object in the database, and their owners.
pub async fn privileges(database: &TestDatabase) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', pg_class.relname, pg_class.relowner::regrole, pg_class.relacl) from pg_class
         where pg_class.relnamespace = 'public'::regnamespace and pg_class.relkind in ('r', 'v')
         union all
         select concat_ws(' ', pg_class.relname, pg_attribute.attname, pg_attribute.attacl) from pg_attribute
         join pg_class on pg_class.oid = pg_attribute.attrelid
         where pg_class.relnamespace = 'public'::regnamespace and pg_attribute.attacl is not null
           and pg_attribute.attacl <> '{}'
         union all
         select concat_ws(' ', pg_namespace.nspname, pg_namespace.nspacl) from pg_namespace where nspname = 'public'
         union all
         select concat(pg_database.datacl) from pg_database where datname = current_database()
         order by 1",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap()
}

/// Objects in the schema that have another owner.
pub async fn not_the_owners(database: &TestDatabase, owner: &str) -> Vec<String> {
    sqlx::query_scalar(
        "select relname::text from pg_class
         where relnamespace = 'public'::regnamespace and relowner <> $1::text::regrole
         union all
         select proname::text from pg_proc
         where pronamespace = 'public'::regnamespace and proowner <> $1::text::regrole
         union all
         select typname::text from pg_type
         where typnamespace = 'public'::regnamespace and typowner <> $1::text::regrole
         union all
         select pubname::text from pg_publication where pubowner <> $1::text::regrole",
    )
    .bind(owner)
    .fetch_all(&database.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn everything_in_the_schema_is_the_owners() {
    let others = not_the_owners(&granted().await, "customer_deletion_owner").await;
    assert!(others.is_empty(), "{others:?} are not in deploy/postgres/roles.sql");
}

#[tokio::test]
async fn roles_sql_run_again_by_the_owner_changes_nothing_and_revokes_added_rights() {
    let database = granted().await;
    let before = privileges(&database).await;
    sqlx::raw_sql(
        "grant select (email) on contact to customer_deletion_service;
         grant delete, truncate on zone to customer_deletion_service;
         grant select on live_contact to customer_deletion_support;
         grant update (status) on operation to customer_deletion_maintenance;",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    assert_ne!(privileges(&database).await, before);

    let mut owner = session_as(&database, "customer_deletion_owner").await;
    assert_eq!(refusal(&mut owner, ROLES).await, None);
    assert_eq!(privileges(&database).await, before);
}

#[rstest]
#[case::the_service("customer_deletion_service")]
#[case::the_maintenance("customer_deletion_maintenance")]
#[case::support("customer_deletion_support")]
#[tokio::test]
async fn roles_sql_run_again_revokes_added_rights_on_the_schema_and_the_database(#[case] role: &str) {
    let database = granted().await;
    let before = privileges(&database).await;
    let added = format!(
        "grant all on schema public to {role} with grant option;
         do $$ begin execute format('grant create, temporary on database %I to {role}', current_database()); end $$"
    );
    sqlx::raw_sql(AssertSqlSafe(added)).execute(&database.pool).await.unwrap();
    assert_ne!(privileges(&database).await, before);

    database.grant().await;
    assert_eq!(privileges(&database).await, before);
}

#[rstest]
#[case::in_an_empty_database("")]
#[case::beside_tables_of_other_software("create table schema_version (version text); create table customer (id uuid)")]
#[tokio::test]
async fn roles_sql_without_a_schema_fails_and_changes_nothing(#[case] tables: &'static str) {
    let database = TestDatabase::empty().await;
    sqlx::raw_sql(tables).execute(&database.pool).await.unwrap();
    let before = privileges(&database).await;
    // It leaves its transaction open.
    let mut session = connect(&database.url).await;
    let error = sqlx::raw_sql(ROLES).execute(&mut session).await.unwrap_err().to_string();
    assert!(error.contains("there is no schema yet"), "{error}");
    assert_eq!(privileges(&database).await, before);
}

#[tokio::test]
async fn roles_sql_refuses_a_schema_that_lacks_a_migration() {
    let database = granted().await;
    let mut session = connect(&database.url).await;
    revert_to(&mut session, 10).await;
    sqlx::raw_sql("create table product (theirs integer)").execute(&database.pool).await.unwrap();
    let before = privileges(&database).await;
    let error = sqlx::raw_sql(ROLES).execute(&mut session).await.unwrap_err().to_string();
    let version = schema::expected_version();
    assert!(error.contains(&format!("lacks migrations, of which the newest is {version}")), "{error}");
    assert_eq!(privileges(&database).await, before);
}

#[tokio::test]
async fn the_owner_reverts_migrations_and_migrates_without_being_a_superuser() {
    let database = granted().await;
    let options: PgConnectOptions = database.url.parse().unwrap();
    let owner = options.options([("role", "customer_deletion_owner")]);

    let mut session = sqlx::PgConnection::connect_with(&owner).await.unwrap();
    revert_to(&mut session, 10).await;
    let versions = schema::migrate(&owner).await.unwrap();

    assert_eq!(versions, (10, schema::expected_version()));
    assert_eq!(refusal(&mut session, ROLES).await, None);
}
