//! The schema: its migrations, and whether a database has had just those that this build is made for.

use std::collections::BTreeSet;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

/// The plain SQL files of `migrations/`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// The version of the schema that this build reads and writes: its newest migration.
pub fn expected_version() -> i64 {
    expected_versions().last().copied().unwrap_or(0)
}

fn expected_versions() -> BTreeSet<i64> {
    MIGRATOR.iter().map(|migration| migration.version).collect()
}

/// A schema that is not the one of this build.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the schema is at version {found}, and this build is made for version {}{}", expected_version(), gaps(.missing))]
pub struct Misfit {
    /// The newest migration that was applied; 0 for none.
    pub found: i64,
    /// Migrations that were left out although newer ones were applied.
    pub missing: Vec<i64>,
}

fn gaps(missing: &[i64]) -> String {
    if missing.is_empty() { String::new() } else { format!("; migrations were left out: {missing:?}") }
}

/// Judges a schema by the numbers in its `schema_version`.
pub fn fits(applied: &[i64]) -> Result<(), Misfit> {
    let applied: BTreeSet<i64> = applied.iter().copied().collect();
    if applied == expected_versions() {
        return Ok(());
    }
    let found = applied.last().copied().unwrap_or(0);
    Err(Misfit { found, missing: left_out(&applied) })
}

fn left_out(applied: &BTreeSet<i64>) -> Vec<i64> {
    let found = applied.last().copied().unwrap_or(0);
    expected_versions().into_iter().filter(|version| *version < found && !applied.contains(version)).collect()
}

/// Why a schema cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("cannot work with the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the schema is newer than this build: migration {0} is unknown here")]
    Newer(i64),
    #[error("migrations were left out although newer ones were applied: {0:?}; run their files by hand")]
    LeftOut(Vec<i64>),
    #[error("a migration failed, and nothing of it remains: {0}")]
    Migration(MigrateError),
    #[error("after all migrations, {0}")]
    Misfit(#[from] Misfit),
}

/// Brings the schema up to date, and tells from which version to which.
///
/// What was applied is what `schema_version` says. Files that a DBA ran with psql left their numbers there, and those that were
/// taken back with psql took them away.
pub async fn migrate(options: &PgConnectOptions) -> Result<(i64, i64), SchemaError> {
    let mut connection = options.connect().await?;
    let applied: BTreeSet<i64> = applied_versions(&mut connection).await?.into_iter().collect();
    if let Some(newer) = applied.difference(&expected_versions()).last() {
        return Err(SchemaError::Newer(*newer));
    }
    let left_out = left_out(&applied);
    if !left_out.is_empty() {
        return Err(SchemaError::LeftOut(left_out));
    }
    let before = applied.last().copied().unwrap_or(0);
    forget_reverted(&mut connection, before).await?;
    if before > 0 {
        MIGRATOR.skip(&mut connection, Some(before)).await.map_err(translate)?;
    }
    MIGRATOR.run(&mut connection).await.map_err(translate)?;
    fits(&applied_versions(&mut connection).await?)?;
    connection.close().await?;
    Ok((before, expected_version()))
}

fn translate(error: MigrateError) -> SchemaError {
    match error {
        MigrateError::VersionMissing(version) => SchemaError::Newer(version),
        other => SchemaError::Migration(other),
    }
}

/// The numbers in `schema_version`, ascending; none in an empty database.
async fn applied_versions(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    if !exists(connection, "schema_version").await? {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("select version from schema_version order by version").fetch_all(connection).await
}

/// Takes what was taken back by hand out of sqlx's own table as well, so that it is applied again.
async fn forget_reverted(connection: &mut PgConnection, applied: i64) -> Result<(), sqlx::Error> {
    if exists(connection, "_sqlx_migrations").await? {
        let forget = "delete from _sqlx_migrations where version > $1 and version <= $2";
        sqlx::query(forget).bind(applied).bind(expected_version()).execute(connection).await?;
    }
    Ok(())
}

async fn exists(connection: &mut PgConnection, table: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select to_regclass($1) is not null").bind(table).fetch_one(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_just_the_migrations_of_this_build_fit() {
        let all: Vec<i64> = expected_versions().into_iter().collect();
        let newest = expected_version();
        let without = |left_out: i64| all.iter().copied().filter(|version| *version != left_out).collect::<Vec<_>>();

        assert_eq!(fits(&all), Ok(()));
        assert_eq!(fits(&[]), Err(Misfit { found: 0, missing: vec![] }));
        assert_eq!(fits(&without(newest)), Err(Misfit { found: newest - 1, missing: vec![] }));
        assert_eq!(fits(&without(2)), Err(Misfit { found: newest, missing: vec![2] }));
        let newer = [all, vec![newest + 1]].concat();
        assert_eq!(fits(&newer), Err(Misfit { found: newest + 1, missing: vec![] }));
    }
}
