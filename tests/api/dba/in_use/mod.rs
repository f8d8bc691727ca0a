//! Migrations of a system in use: a service that is running, calls that keep coming, and other transactions that hold locks.

mod compatibility;
mod files;
pub mod load;
mod other_software;
mod runner;
mod under_load;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use customer_deletion::schema::{MIGRATOR, Runner, SchemaError};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use tokio::time::sleep;

use crate::support::TestDatabase;

const PATIENCE: Duration = Duration::from_secs(60);

/// The migrations of the service, and those of the tests after them.
async fn with_later_migrations() -> Migrator {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/dba/in_use/migrations"));
    let later = Migrator::new(folder).await.unwrap();
    Migrator::with_migrations(MIGRATOR.iter().chain(later.iter()).cloned().collect())
}

/// One more migration than the service has.
fn with_migration(version: i64, sql: &'static str) -> Migrator {
    let no_tx = sql.starts_with("-- no-transaction");
    let migration = Migration::new(version, "of a test".into(), MigrationType::ReversibleUp, sql.into_sql_str(), no_tx);
    Migrator::with_migrations(MIGRATOR.iter().cloned().chain([migration]).collect())
}

/// Runs as `customer-deletion migrate` does, and returns the reported lines.
async fn migrate(
    database: &TestDatabase,
    migrator: &Migrator,
    patience: Duration,
) -> (Result<(i64, i64), SchemaError>, Vec<String>) {
    let told = Told::default();
    let result = migrate_and_tell(database, migrator, patience, &told).await;
    (result, told.lines())
}

/// The same for a caller that waits for a reported line meanwhile.
async fn migrate_and_tell(
    database: &TestDatabase,
    migrator: &Migrator,
    patience: Duration,
    told: &Told,
) -> Result<(i64, i64), SchemaError> {
    let tell = |line: &str| told.0.lock().unwrap().push(line.to_owned());
    Runner { migrator, patience, tell: &tell }.run(&database.url.parse().unwrap()).await
}

/// The lines that migrations have reported so far. Cheap to clone.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    async fn until(&self, beginning: &str) {
        let began = Instant::now();
        while !self.lines().iter().any(|line| line.starts_with(beginning)) {
            assert!(began.elapsed() < Duration::from_secs(50), "no line {beginning:?}: {:?}", self.lines());
            sleep(Duration::from_millis(20)).await;
        }
    }
}
