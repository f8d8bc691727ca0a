//! Time limits of a role or a database, by which PostgreSQL itself ends statements, transactions and sessions. They are meant
//! for people. The service and the commands have their own limits.

use std::time::Duration;

use customer_deletion::config::{self, SessionSettings};
use customer_deletion::resource::Resource;
use customer_deletion::schema::{self, Runner};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::concurrency::queued::{accept, ended};
use crate::dba::maintenance::{age_rows, run};
use crate::dba::roles::{create_role, drop_role};
use crate::support::database::{MAINTENANCE, SERVICE};
use crate::support::{TestDatabase, TestService};

/// Sets every limit that the server supports for the sessions of a role in the database, to less time than any work here takes.
async fn limit(database: &TestDatabase, role: &str) -> Vec<String> {
    let limits = "
        select format('alter role %I in database %I set %I = 300', $1::text, current_database(), name)
        from pg_settings
        where name in (
          'statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout'
        )
        order by name";
    let statements: Vec<String> = sqlx::query_scalar(limits).bind(role).fetch_all(&database.pool).await.unwrap();
    for statement in &statements {
        sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&database.pool).await.unwrap();
    }
    // Version 17 is the first that has all four.
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::integer")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(statements.len(), if version >= 170_000 { 4 } else { 3 }, "{statements:?}");
    statements
}

/// Makes every deletion of a contact, soft or not, take longer than the limits.
async fn slow_down(database: &TestDatabase) {
    sqlx::raw_sql(
        "create function slowly() returns trigger language plpgsql as
           $$ begin perform pg_sleep(0.4); return coalesce(new, old); end $$;
         create trigger slowly before update or delete on contact for each row execute function slowly();",
    )
    .execute(&database.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn calls_and_operations_are_not_ended_by_limits_of_the_role() {
    let database = TestDatabase::migrated().await;
    limit(&database, SERVICE).await;
    slow_down(&database).await;
    let service = TestService::start_on(database, |settings| settings.queue.workers = 1).await;
    let family = service.world.family().await;
    let [called, queued] = service.world.rows(Resource::Contact, family.sub_customer, 2).await.try_into().unwrap();

    service.delete_one(family.requester, family.sub_customer, Resource::Contact, called).await.assert_deleted();
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[queued]).await;
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");

    let ready = service.management("/health/ready").await;
    assert_eq!(ready.status, 200, "{}", ready.text);
}

#[tokio::test]
async fn a_service_whose_role_has_the_settings_is_not_ready_with_limits_and_names_them() {
    let database = TestDatabase::migrated().await;
    let limits = limit(&database, SERVICE).await;
    let given = |settings: &mut config::Settings| settings.database.session_settings = SessionSettings::Given;
    let service = TestService::start_on(database, given).await;

    let ready = service.management("/health/ready").await;

    assert_eq!(ready.status, 503, "{}", ready.text);
    for name in ["idle_session_timeout", "transaction_timeout"] {
        let is_known = limits.iter().any(|limit| limit.contains(name));
        assert_eq!(ready.text.contains(&format!("{name} is 300ms, not 0")), is_known, "{}", ready.text);
    }
}

#[tokio::test]
async fn restore_and_purge_are_not_ended_by_limits_of_the_role() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let rows = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    let deleted = service.delete_list(family.requester, family.sub_customer, Resource::Contact, &rows).await;
    let operation = deleted.assert_deleted().to_string();
    slow_down(&service.database).await;
    limit(&service.database, MAINTENANCE).await;

    run(&service.database, &["restore", "--operation", &operation]).await.done();
    assert!(service.world.deleted(Resource::Contact, &rows).await.is_empty());

    sqlx::raw_sql("alter table contact disable trigger slowly").execute(&service.database.pool).await.unwrap();
    age_rows(&service.database.pool, Resource::Contact, &rows, 100).await;
    sqlx::raw_sql("alter table contact enable trigger slowly").execute(&service.database.pool).await.unwrap();
    // Between the batches, its session is idle for longer than the limit.
    let purge = run(&service.database, &["purge", "--older-than", "90d", "--batch-size", "1"]).await.done();
    assert!(purge.contains("contact                    2"), "{purge}");
}

#[tokio::test]
async fn a_migration_is_not_ended_by_limits_of_the_role() {
    let database = TestDatabase::migrated().await;
    let (role, url) = create_role(&database, "superuser").await;
    limit(&database, &role).await;
    let slow = "select pg_sleep(0.4); insert into schema_version (version, oldest_build) values (9001, 12);";
    let slow = Migration::new(9001, "slow".into(), MigrationType::ReversibleUp, slow.into_sql_str(), false);
    let migrator = Migrator::with_migrations(schema::MIGRATOR.iter().cloned().chain([slow]).collect());

    let result = Runner { migrator: &migrator, patience: Duration::from_secs(60), tell: &|_| {} }
        .run(&url.parse().unwrap())
        .await;

    assert_eq!(result.unwrap(), (schema::expected_version(), 9001));
    drop_role(&database, &role).await;
}
