//! Runs migrations on a system that is in use.
//!
//! A statement that waits for a lock of a table makes everybody wait who comes after it, for as long as the one who holds the
//! lock pleases. So a migration waits a moment only, is taken back, lets the others through, and is tried again.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::obstacles::{self, HalfBuiltIndex};
use super::{Applied, MIGRATOR, Misfit, applied, breaking, exists, fits_build, left_out, newest, versions};
use crate::config;

/// How long it waits at a time for another run to end. Who waits has a snapshot, and whoever builds an index concurrently waits
/// for it: so it is shorter than the time after which PostgreSQL would take the two for a deadlock.
const WAIT_FOR_ANOTHER_RUN: Duration = Duration::from_millis(200);

/// The first pause between two tries; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Why a schema cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("cannot work with the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(
        "the schema is newer than this build: migration {0} is unknown here, and does not say that it works with it"
    )]
    Newer(i64),
    #[error("migrations were left out although newer ones were applied: {0:?}; run their files by hand")]
    LeftOut(Vec<i64>),
    #[error("another run of the migrations did not end in {0:?}")]
    AnotherRun(Duration),
    #[error("migration {0} did not get its locks in {1:?}, and nothing of it remains")]
    Locked(i64, Duration),
    #[error("a migration failed, and nothing of it remains: {0}")]
    Migration(MigrateError),
    #[error(
        "a migration failed: {error}; it left the index {index} half-built, which the next run drops and builds again"
    )]
    HalfBuilt { index: String, error: MigrateError },
    #[error("after all migrations, {0}")]
    Misfit(#[from] Misfit),
}

/// Brings the schema up to date with the settings that nobody changed, and tells from which version to which.
pub async fn migrate(options: &PgConnectOptions) -> Result<(i64, i64), SchemaError> {
    Runner { migrator: &MIGRATOR, settings: config::Migration::default(), tell: &|_| {} }.run(options).await
}

/// Brings a schema up to date.
pub struct Runner<'a> {
    pub migrator: &'a Migrator,
    pub settings: config::Migration,
    /// Is told what it waits for, a line at a time.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

impl Runner<'_> {
    /// Tells from which version to which it went.
    ///
    /// What was applied is what `schema_version` says. Files that a DBA ran with psql left their numbers there, and those that
    /// were taken back with psql took them away.
    pub async fn run(&self, options: &PgConnectOptions) -> Result<(i64, i64), SchemaError> {
        let options = options.clone().application_name("customer-deletion migrate").disable_statement_logging();
        let mut connection = options.connect().await?;
        // The limit that the role or the database may have is meant for calls.
        sqlx::raw_sql("set statement_timeout = 0").execute(&mut connection).await?;
        self.wait_for_other_runs(&mut connection).await?;

        let known = versions(self.migrator);
        let found = applied(&mut connection).await?;
        let before = self.check(&known, &found)?;
        if before < newest(&known) {
            self.align(&mut connection, before).await?;
            for migration in self.pending(before) {
                self.apply(&mut connection, &options, migration).await?;
            }
        }
        let after = applied(&mut connection).await?;
        fits_build(&known, &after)?;
        connection.close().await?;
        Ok((before, after.last().map_or(0, |migration| migration.version)))
    }

    /// One run at a time. The lock is sqlx's own, and ends with the session.
    async fn wait_for_other_runs(&self, connection: &mut PgConnection) -> Result<(), SchemaError> {
        let mut pauses = Pauses::begin(self.settings.patience);
        set_lock_timeout(connection, WAIT_FOR_ANOTHER_RUN).await?;
        while let Err(error) = connection.lock().await {
            if !is_for_a_lock(&error) {
                return Err(SchemaError::Migration(error));
            }
            (self.tell)("another run of the migrations is under way: waiting for its end");
            pauses.pause().await.ok_or(SchemaError::AnotherRun(self.settings.patience))?;
        }
        Ok(())
    }

    /// The newest migration that was applied, in a schema that can be brought up to date, or needs not to be.
    fn check(&self, known: &BTreeSet<i64>, found: &[Applied]) -> Result<i64, SchemaError> {
        if let Some(newer) = breaking(known, found).last() {
            return Err(SchemaError::Newer(*newer));
        }
        let numbers = found.iter().map(|migration| migration.version).collect();
        let left_out = left_out(known, &numbers);
        if left_out.is_empty() { Ok(newest(&numbers)) } else { Err(SchemaError::LeftOut(left_out)) }
    }

    /// Makes sqlx's own table say what `schema_version` says.
    async fn align(&self, connection: &mut PgConnection, applied: i64) -> Result<(), SchemaError> {
        if exists(connection, "_sqlx_migrations").await? {
            let forget = "delete from _sqlx_migrations where version > $1";
            sqlx::query(forget).bind(applied).execute(&mut *connection).await?;
        }
        if applied > 0 {
            self.migrator.skip(connection, Some(applied)).await.map_err(SchemaError::Migration)?;
        }
        Ok(())
    }

    fn pending(&self, applied: i64) -> impl Iterator<Item = &Migration> {
        let newer = self.migrator.iter().filter(move |migration| migration.version > applied);
        newer.filter(|migration| migration.migration_type.is_up_migration())
    }

    /// Tries a migration until it gets its locks.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        options: &PgConnectOptions,
        migration: &Migration,
    ) -> Result<(), SchemaError> {
        let (version, patience) = (migration.version, self.settings.patience);
        let mut pauses = Pauses::begin(patience);
        while let Err(error) = self.try_to_apply(connection, options, migration).await? {
            if !is_for_a_lock(&error) {
                return Err(self.failed(connection, migration, error).await);
            }
            (self.tell)(&format!("migration {version} did not get its locks in time, and lets the others go first"));
            pauses.pause().await.ok_or(SchemaError::Locked(version, patience))?;
        }
        Ok(())
    }

    async fn try_to_apply(
        &self,
        connection: &mut PgConnection,
        options: &PgConnectOptions,
        migration: &Migration,
    ) -> Result<Result<(), MigrateError>, sqlx::Error> {
        let lock_timeout = if migration.no_tx {
            self.drop_half_built(connection, migration).await?;
            // What is done concurrently makes nobody wait, and waits for everybody.
            self.settings.patience
        } else {
            self.settings.lock_timeout
        };
        set_lock_timeout(connection, lock_timeout).await?;
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *connection).await?;
        let title = format!("migration {} ({})", migration.version, migration.description);
        Ok(tokio::select! {
            result = self.migrator.run_to(migration.version, connection) => result,
            never = obstacles::tell_of_blockers(options, pid, &title, self.tell) => match never {},
        })
    }

    async fn drop_half_built(&self, connection: &mut PgConnection, migration: &Migration) -> Result<(), sqlx::Error> {
        set_lock_timeout(connection, self.settings.patience).await?;
        for index in obstacles::half_built(connection, migration).await? {
            (self.tell)(&format!(
                "the index {} was left half-built by an earlier run: it is dropped first",
                index.name
            ));
            index.drop(connection).await?;
        }
        Ok(())
    }

    async fn failed(&self, connection: &mut PgConnection, migration: &Migration, error: MigrateError) -> SchemaError {
        match obstacles::half_built(connection, migration).await.unwrap_or_default().pop() {
            Some(HalfBuiltIndex { name: index, .. }) => SchemaError::HalfBuilt { index, error },
            None => SchemaError::Migration(error),
        }
    }
}

async fn set_lock_timeout(connection: &mut PgConnection, timeout: Duration) -> Result<(), sqlx::Error> {
    let set = format!("set lock_timeout = {}", timeout.as_millis());
    sqlx::raw_sql(AssertSqlSafe(set)).execute(connection).await.map(drop)
}

/// Whether it failed for a lock that it did not get in time, or that it and another waited for each other.
fn is_for_a_lock(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

/// The pauses between tries, until patience ends.
struct Pauses {
    next: Duration,
    end: Instant,
}

impl Pauses {
    fn begin(patience: Duration) -> Pauses {
        Pauses { next: FIRST_PAUSE, end: Instant::now() + patience }
    }

    /// None when patience has ended.
    async fn pause(&mut self) -> Option<()> {
        let pause = self.next.min(self.end.checked_duration_since(Instant::now())?);
        sleep(pause).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        Some(())
    }
}
