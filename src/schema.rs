//! The schema: its migrations, and the version this build is made for.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

/// The plain SQL files of `migrations/`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// The version of the schema that this build reads and writes: its newest migration.
pub fn expected_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Why a schema cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("cannot work with the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the schema is newer than this build: migration {0} is unknown here")]
    Newer(i64),
    #[error("a migration failed, and nothing of it remains: {0}")]
    Migration(MigrateError),
}

/// Brings the schema up to date, and tells from which version to which.
///
/// Files that a DBA ran with psql count as applied: they left their numbers in `schema_version`.
pub async fn migrate(options: &PgConnectOptions) -> Result<(i64, i64), SchemaError> {
    let mut connection = options.connect().await?;
    let before = applied_version(&mut connection).await?.unwrap_or(0);
    if before > expected_version() {
        return Err(SchemaError::Newer(before));
    }
    if before > 0 {
        MIGRATOR.skip(&mut connection, Some(before)).await.map_err(translate)?;
    }
    MIGRATOR.run(&mut connection).await.map_err(translate)?;
    let after = applied_version(&mut connection).await?.unwrap_or(0);
    connection.close().await?;
    Ok((before, after))
}

fn translate(error: MigrateError) -> SchemaError {
    match error {
        MigrateError::VersionMissing(version) => SchemaError::Newer(version),
        other => SchemaError::Migration(other),
    }
}

/// The highest number in `schema_version`; none in an empty database.
async fn applied_version(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("select to_regclass('schema_version') is not null").fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(None);
    }
    sqlx::query_scalar("select max(version) from schema_version").fetch_one(connection).await
}
