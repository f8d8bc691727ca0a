//! The migration files: anybody may run them, each can be reverted, and each says which builds work after it.

use std::collections::{BTreeMap, BTreeSet};

use customer_deletion::schema::{self, MIGRATOR};
use sqlx::migrate::{Migration, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};

use super::{PATIENCE, migrate, with_later_migrations};
use crate::support::TestDatabase;

/// Every object in the schema, without the order of columns, because a column that was added again comes last. It includes the
/// numbers of the applied migrations.
pub async fn catalog(connection: &mut PgConnection) -> BTreeSet<String> {
    let objects: Vec<String> =
        sqlx::query_scalar(include_str!("catalog.sql")).fetch_all(&mut *connection).await.unwrap();
    let has_versions = objects.iter().any(|object| object.starts_with("r schema_version "));
    let versions: Vec<i64> = match has_versions {
        true => sqlx::query_scalar("select version from schema_version").fetch_all(connection).await.unwrap(),
        false => Vec::new(),
    };
    objects.into_iter().chain(versions.iter().map(|version| format!("migration {version}"))).collect()
}

/// The catalog without the words of enums, because PostgreSQL cannot remove one.
fn without_words(catalog: &BTreeSet<String>) -> BTreeSet<String> {
    let line = |object: &String| match (object.starts_with("type "), object.split_once('{'), object.split_once('}')) {
        (true, Some((before, _)), Some((_, after))) => before.to_owned() + after,
        _ => object.clone(),
    };
    catalog.iter().map(line).collect()
}

#[track_caller]
pub fn assert_same(found: &BTreeSet<String>, expected: &BTreeSet<String>, what: &str) {
    let differences: Vec<&String> = found.symmetric_difference(expected).collect();
    assert!(differences.is_empty(), "{what}: {differences:#?}");
}

fn ups(migrator: &Migrator) -> Vec<&Migration> {
    migrator.iter().filter(|migration| migration.migration_type.is_up_migration()).collect()
}

#[tokio::test]
async fn each_migration_can_be_reverted_and_applied_again() {
    let database = TestDatabase::empty().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let migrator = with_later_migrations().await;
    let versions: Vec<i64> = ups(&migrator).iter().map(|migration| migration.version).collect();

    let mut after = BTreeMap::from([(0, catalog(&mut connection).await)]);
    for version in &versions {
        migrator.run_to(*version, &mut connection).await.unwrap();
        after.insert(*version, catalog(&mut connection).await);
    }
    let below = |version: i64| *after.range(..version).next_back().unwrap().0;
    for version in versions.iter().rev() {
        migrator.undo(&mut connection, below(*version)).await.unwrap();
        let what = format!("{version} and back is not what was there before");
        assert_same(&without_words(&catalog(&mut connection).await), &without_words(&after[&below(*version)]), &what);
    }
    migrator.run(&mut connection).await.unwrap();
    assert_same(&catalog(&mut connection).await, &after[&9007], "back and up again is another schema");
}

#[tokio::test]
async fn files_that_sqlx_ran_count_as_applied() {
    let database = TestDatabase::empty().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    MIGRATOR.run_to(6, &mut connection).await.unwrap();
    let versions = schema::migrate(&database.url.parse().unwrap()).await.unwrap();
    assert_eq!(versions, (6, schema::expected_version()));
}

#[tokio::test]
async fn files_with_other_line_ends_are_the_same_migrations() {
    let database = TestDatabase::empty().await;
    let first = |migration: &&Migration| migration.version <= 6;
    let first = Migrator::with_migrations(MIGRATOR.iter().filter(first).cloned().collect());
    let with_crlf = |migration: &Migration| {
        let sql = AssertSqlSafe(migration.sql.as_str().replace('\n', "\r\n")).into_sql_str();
        Migration::new(migration.version, migration.description.clone(), migration.migration_type, sql, migration.no_tx)
    };
    let crlf = Migrator::with_migrations(MIGRATOR.iter().map(with_crlf).collect());
    let newest = schema::expected_version();
    for (migrator, versions) in [(&first, (0, 6)), (&crlf, (6, newest)), (&MIGRATOR, (newest, newest))] {
        assert_eq!(migrate(&database, migrator, PATIENCE).await.0.unwrap(), versions);
    }
}

#[tokio::test]
async fn files_that_a_dba_ran_by_hand_count_as_applied() {
    let database = TestDatabase::empty().await;
    for migration in ups(&MIGRATOR).into_iter().take(6) {
        sqlx::raw_sql(migration.sql.clone()).execute(&database.pool).await.unwrap();
    }

    let versions = schema::migrate(&database.url.parse().unwrap()).await.unwrap();

    assert_eq!(versions, (6, schema::expected_version()));
    let migrated = TestDatabase::migrated().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let mut other_connection = PgConnection::connect(&migrated.url).await.unwrap();
    let expected = catalog(&mut other_connection).await;
    assert_same(&catalog(&mut connection).await, &expected, "files run by hand make another schema");
}

#[tokio::test]
async fn each_migration_says_which_older_builds_work_on_what_it_leaves() {
    let migrator = with_later_migrations().await;
    let ups = ups(&migrator);
    for (position, migration) in ups.iter().enumerate() {
        // A statement that must run outside a transaction is alone in its file, and is recorded by the next file.
        let recorder = if migration.no_tx { ups[position + 1] } else { migration };
        assert!(!recorder.no_tx, "{} is recorded by nobody", migration.version);
        let last = recorder.sql.as_str().lines().last().unwrap();
        let is_record = last.starts_with("insert into schema_version (version, oldest_build) values (");
        assert!(is_record && last.contains(&format!("({}, ", migration.version)), "{}: {last}", migration.version);
    }
}

#[tokio::test]
async fn what_no_transaction_can_do_is_one_statement_that_may_run_again() {
    let migrator = with_later_migrations().await;
    let outside: Vec<&Migration> = migrator.iter().filter(|migration| migration.no_tx).collect();
    assert!(outside.len() >= 2, "the tests have one to try");
    for migration in outside {
        let code: Vec<&str> = migration.sql.as_str().lines().filter(|line| !line.starts_with("--")).collect();
        let code = code.join("\n");
        assert_eq!(code.matches(';').count(), 1, "{code}");
        assert!(code.contains("concurrently if not exists") || code.contains("concurrently if exists"), "{code}");
    }
}
