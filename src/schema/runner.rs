//! Runs migrations while the service is in use.
//!
//! A statement that waits for a table lock blocks every later call that uses the table. So a
//! migration waits only briefly. Then it is rolled back, and retried after the calls.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::migrate::{Migration, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::obstacles;
use super::server::{self, TooOld};
use super::{Applied, MIGRATOR, Misfit, applied, breaking, collisions, fits_build, left_out, newest, versions};
use crate::backoff::Backoff;
use crate::config::Settings;
use crate::sqlstate;

/// The advisory lock of a run. sqlx's own lock would be shared with every other application of the
/// database.
const LOCK: i64 = 7_521_086_349_871_207;

/// The longest single wait for another run. The waiting session has a snapshot, and a concurrent
/// build of an index waits for it. So the wait is shorter than `deadlock_timeout`, after which
/// PostgreSQL would see a deadlock of the two.
const WAIT_FOR_ANOTHER_RUN: Duration = Duration::from_millis(200);

/// The longest wait of a migration for one lock. Calls that wait behind it wait longer (1.5 s), and
/// so do not fail. PostgreSQL waits `deadlock_timeout` (1 s) before it ends an autovacuum that is
/// in the way.
const LOCK_TIMEOUT: Duration = Duration::from_millis(1200);

/// The pauses between two tries.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(15) };

/// The reason why a schema cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("cannot work with the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    TooOld(#[from] TooOld),
    #[error(
        "the schema is newer than this build: migration {0} is unknown to it, and names a newer build; use that build"
    )]
    Newer(i64),
    #[error("migrations were left out although newer ones were applied: {0:?}; run their files by hand")]
    LeftOut(Vec<i64>),
    #[error("the search_path of this role leads to no schema; set it to one in which the role may create tables")]
    NoSchema,
    #[error(
        "the table schema_version is in the schema {found_in}, and migrations would create tables in the schema \
         {schema}; set the search_path so that {found_in} comes first"
    )]
    OtherSchema { found_in: String, schema: String },
    #[error(
        "the schema {schema} already has objects that migrations would create: {objects}; they belong to other \
         software, or to a migration that was run by hand and failed in the middle; nothing was changed; docs/dba.md \
         tells how to use a schema of its own"
    )]
    Collision { schema: String, objects: String },
    #[error("another run of the migrations did not end in {0:?}; run `migrate` again when it has ended")]
    AnotherRun(Duration),
    #[error(
        "migration {0} did not get its locks in {1:?}, and changed nothing; end the sessions that it \
         waited for, and run `migrate` again"
    )]
    Locked(i64, Duration),
    #[error("migration {0} failed, and changed nothing: {1}")]
    Migration(i64, sqlx::Error),
    #[error(
        "migration {version} failed: {error}; it left the index {index} half-built, which the next run drops and \
         builds again"
    )]
    HalfBuilt { version: i64, index: String, error: sqlx::Error },
    #[error("after all migrations, {0}")]
    Misfit(#[from] Misfit),
}

/// Brings the schema up to date with the default settings. Returns its versions before and after.
pub async fn migrate(options: &PgConnectOptions) -> Result<(i64, i64), SchemaError> {
    Runner { migrator: &MIGRATOR, patience: Settings::default().migration.patience, tell: &|_| {} }.run(options).await
}

/// Brings a schema up to date.
pub struct Runner<'a> {
    pub migrator: &'a Migrator,
    /// The time for which a migration that does not get its locks is retried.
    pub patience: Duration,
    /// Receives one line for each thing that the run waits for.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

impl Runner<'_> {
    /// Returns the versions of the schema before and after.
    ///
    /// Only `schema_version` says which migrations were applied. Each file writes its number there,
    /// whoever runs it, and the file that reverts it deletes the number. There are no checksums, so
    /// line ends and comments of a file may change.
    pub async fn run(&self, options: &PgConnectOptions) -> Result<(i64, i64), SchemaError> {
        let options = options.clone().application_name("customer-deletion migrate").disable_statement_logging();
        let options = server::without_limits(options);
        let mut connection = server::connect::<SchemaError>(&options).await?;
        self.wait_for_other_runs(&mut connection).await?;

        let known = versions(self.migrator);
        let found = applied(&mut connection).await?;
        let before = self.check(&known, &found)?;
        let pending = self.pending(before);
        collisions::refuse(&mut connection, &pending).await?;
        for migration in pending {
            self.apply(&mut connection, &options, migration).await?;
        }
        let after = applied(&mut connection).await?;
        fits_build(&known, &after)?;
        connection.close().await?;
        Ok((before, after.last().map_or(0, |migration| migration.version)))
    }

    /// One run at a time. The lock ends with the session.
    async fn wait_for_other_runs(&self, connection: &mut PgConnection) -> Result<(), SchemaError> {
        let mut pauses = Pauses::begin(self.patience);
        set_lock_timeout(connection, WAIT_FOR_ANOTHER_RUN).await?;
        let lock = || sqlx::query("select pg_advisory_lock($1)").bind(LOCK);
        while let Err(error) = lock().execute(&mut *connection).await {
            if !sqlstate::is_one_of(&error, &sqlstate::LOCKED) {
                return Err(error.into());
            }
            (self.tell)("another run of the migrations is under way: waiting for its end");
            pauses.pause().await.ok_or(SchemaError::AnotherRun(self.patience))?;
        }
        Ok(())
    }

    /// The newest migration that was applied. Refuses a schema that cannot be brought up to date.
    fn check(&self, known: &BTreeSet<i64>, found: &[Applied]) -> Result<i64, SchemaError> {
        if let Some(newer) = breaking(known, found).last() {
            return Err(SchemaError::Newer(*newer));
        }
        let numbers = found.iter().map(|migration| migration.version).collect();
        let left_out = left_out(known, &numbers);
        if left_out.is_empty() { Ok(newest(&numbers)) } else { Err(SchemaError::LeftOut(left_out)) }
    }

    fn pending(&self, applied: i64) -> Vec<&Migration> {
        let newer = self.migrator.iter().filter(|migration| migration.version > applied);
        newer.filter(|migration| migration.migration_type.is_up_migration()).collect()
    }

    /// Tries a migration until it gets its locks.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        options: &PgConnectOptions,
        migration: &Migration,
    ) -> Result<(), SchemaError> {
        let (version, patience) = (migration.version, self.patience);
        let mut pauses = Pauses::begin(patience);
        while let Err(error) = self.try_to_apply(connection, options, migration).await? {
            if !sqlstate::is_one_of(&error, &sqlstate::LOCKED) {
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
    ) -> sqlx::Result<sqlx::Result<()>> {
        let lock_timeout = if migration.no_tx {
            self.drop_half_built(connection, migration).await?;
            // A concurrent build waits for older transactions, and no call waits for it.
            self.patience
        } else {
            LOCK_TIMEOUT
        };
        set_lock_timeout(connection, lock_timeout).await?;
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *connection).await?;
        let title = format!("migration {} ({})", migration.version, migration.description);
        Ok(tokio::select! {
            result = execute(connection, migration) => result,
            never = obstacles::tell_of_blockers(options, pid, &title, self.tell) => match never {},
        })
    }

    async fn drop_half_built(&self, connection: &mut PgConnection, migration: &Migration) -> sqlx::Result<()> {
        set_lock_timeout(connection, self.patience).await?;
        for (name, quoted) in obstacles::half_built(connection, migration).await? {
            (self.tell)(&format!("the index {name} was left half-built by an earlier run: it is dropped first"));
            let drop = format!("drop index concurrently if exists {quoted}");
            sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *connection).await?;
        }
        Ok(())
    }

    async fn failed(&self, connection: &mut PgConnection, migration: &Migration, error: sqlx::Error) -> SchemaError {
        let version = migration.version;
        match obstacles::half_built(connection, migration).await.unwrap_or_default().pop() {
            Some((index, _)) => SchemaError::HalfBuilt { version, index, error },
            None => SchemaError::Migration(version, error),
        }
    }
}

/// A file is one transaction, unless it says that it cannot run in one.
async fn execute(connection: &mut PgConnection, migration: &Migration) -> sqlx::Result<()> {
    let file = sqlx::raw_sql(migration.sql.clone());
    if migration.no_tx {
        return file.execute(connection).await.map(drop);
    }
    let mut transaction = connection.begin().await?;
    match file.execute(&mut *transaction).await {
        Ok(_) => transaction.commit().await,
        Err(error) => {
            // The rollback must not wait for the next statement, which may come after a pause.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

async fn set_lock_timeout(connection: &mut PgConnection, timeout: Duration) -> sqlx::Result<()> {
    let set = format!("set lock_timeout = {}", timeout.as_millis());
    sqlx::raw_sql(AssertSqlSafe(set)).execute(connection).await.map(drop)
}

/// The pauses between tries.
struct Pauses {
    failures: u32,
    end: Instant,
}

impl Pauses {
    fn begin(patience: Duration) -> Pauses {
        Pauses { failures: 0, end: Instant::now() + patience }
    }

    /// Waits. Returns `None` once the time for tries is over.
    async fn pause(&mut self) -> Option<()> {
        self.failures += 1;
        let rest = self.end.checked_duration_since(Instant::now())?;
        sleep(BACKOFF.pause_after(self.failures).min(rest)).await;
        Some(())
    }
}
