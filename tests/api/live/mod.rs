//! Migrations of a system that is in use: a service that is running, calls that keep coming, others that hold locks.

mod compatibility;
mod files;
pub mod load;
mod runner;
mod under_load;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use customer_deletion::config;
use customer_deletion::schema::{MIGRATOR, Runner, SchemaError};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::support::TestDatabase;

/// The migrations of the service, and those of the tests after them.
async fn with_later_migrations() -> Migrator {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/live/migrations"));
    let later = Migrator::new(folder).await.unwrap();
    Migrator::with_migrations(MIGRATOR.iter().chain(later.iter()).cloned().collect())
}

/// One more migration than the service has.
fn with_migration(version: i64, sql: &'static str) -> Migrator {
    let no_tx = sql.starts_with("-- no-transaction");
    let migration = Migration::new(version, "of a test".into(), MigrationType::ReversibleUp, sql.into_sql_str(), no_tx);
    Migrator::with_migrations(MIGRATOR.iter().cloned().chain([migration]).collect())
}

/// Runs as `customer-deletion migrate` does, and gives what it told.
async fn migrate(
    database: &TestDatabase,
    migrator: &Migrator,
    patience: Duration,
) -> (Result<(i64, i64), SchemaError>, Vec<String>) {
    let told = Mutex::new(Vec::new());
    let tell = |line: &str| told.lock().unwrap().push(line.to_owned());
    let settings = config::Migration { patience, ..config::Migration::default() };
    let result = Runner { migrator, settings, tell: &tell }.run(&database.url.parse().unwrap()).await;
    (result, told.into_inner().unwrap())
}
