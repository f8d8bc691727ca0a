//! The schema: its migrations, and the check that this build works on the schema of a database.

mod collisions;
mod obstacles;
mod runner;
mod server;

use std::collections::BTreeSet;

use sqlx::PgConnection;
use sqlx::migrate::Migrator;

pub use self::runner::{Runner, SchemaError, migrate};
pub use self::server::{OLDEST_MAJOR, TooOld, connect, lift_transaction_timeout, require_version, without_limits};

/// The plain SQL files of `migrations/`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// The version of the schema for which this build is made: its newest migration.
pub fn expected_version() -> i64 {
    newest(&versions(&MIGRATOR))
}

fn versions(migrator: &Migrator) -> BTreeSet<i64> {
    migrator.iter().map(|migration| migration.version).collect()
}

fn newest(versions: &BTreeSet<i64>) -> i64 {
    versions.last().copied().unwrap_or(0)
}

/// A row of `schema_version`: a migration that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    pub version: i64,
    /// The oldest build that works on the schema after it. `None`: only builds that know the
    /// migration.
    pub oldest_build: Option<i64>,
}

/// The reason why this build does not work on a schema.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the schema is at version {found}, and this build is made for version {expected}{}{}",
    listed("; migrations were left out: ", .missing),
    listed("; newer migrations do not work with it: ", .breaking)
)]
pub struct Misfit {
    /// The newest migration that was applied, or 0.
    pub found: i64,
    pub expected: i64,
    /// Migrations that were left out although newer ones were applied.
    pub missing: Vec<i64>,
    /// Newer migrations that do not name this build or an older one.
    pub breaking: Vec<i64>,
}

fn listed(introduction: &str, versions: &[i64]) -> String {
    if versions.is_empty() { String::new() } else { format!("{introduction}{versions:?}") }
}

/// Checks a schema by its `schema_version`.
pub fn fits(applied: &[Applied]) -> Result<(), Misfit> {
    fits_build(&versions(&MIGRATOR), applied)
}

/// A build works on a schema with all of its migrations. Newer ones must name this build or an
/// older one.
fn fits_build(known: &BTreeSet<i64>, applied: &[Applied]) -> Result<(), Misfit> {
    let numbers: BTreeSet<i64> = applied.iter().map(|migration| migration.version).collect();
    let breaking = breaking(known, applied);
    if breaking.is_empty() && numbers.is_superset(known) {
        return Ok(());
    }
    Err(Misfit { found: newest(&numbers), expected: newest(known), missing: left_out(known, &numbers), breaking })
}

fn breaking(known: &BTreeSet<i64>, applied: &[Applied]) -> Vec<i64> {
    let works = |migration: &Applied| migration.oldest_build.is_some_and(|oldest| oldest <= newest(known));
    let unknown = applied.iter().filter(|migration| !known.contains(&migration.version));
    unknown.filter(|migration| !works(migration)).map(|migration| migration.version).collect()
}

fn left_out(known: &BTreeSet<i64>, applied: &BTreeSet<i64>) -> Vec<i64> {
    known.iter().copied().filter(|version| *version < newest(applied) && !applied.contains(version)).collect()
}

/// The rows of `schema_version`, ascending. Empty before the first migration.
async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>, SchemaError> {
    if !collisions::has_history(connection).await? {
        return Ok(Vec::new());
    }
    let select = "select version, oldest_build from schema_version order by 1";
    let rows: Vec<(i64, Option<i64>)> = sqlx::query_as(select).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(version, oldest_build)| Applied { version, oldest_build }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(versions: &[i64]) -> Vec<Applied> {
        versions.iter().map(|version| Applied { version: *version, oldest_build: Some(*version) }).collect()
    }

    fn judge(applied: &[Applied]) -> Result<(), Misfit> {
        fits_build(&BTreeSet::from([1, 2, 4]), applied)
    }

    fn misfit(found: i64, missing: &[i64], breaking: &[i64]) -> Result<(), Misfit> {
        Err(Misfit { found, expected: 4, missing: missing.to_vec(), breaking: breaking.to_vec() })
    }

    #[test]
    fn a_schema_must_have_had_every_migration_of_the_build() {
        assert_eq!(judge(&schema(&[1, 2, 4])), Ok(()));
        assert_eq!(judge(&[]), misfit(0, &[], &[]));
        assert_eq!(judge(&schema(&[1, 2])), misfit(2, &[], &[]));
        assert_eq!(judge(&schema(&[1, 4])), misfit(4, &[2], &[]));
    }

    #[test]
    fn a_newer_migration_says_which_older_builds_work_on_it() {
        let with = |version, oldest_build| [schema(&[1, 2, 4]), vec![Applied { version, oldest_build }]].concat();
        assert_eq!(judge(&with(5, Some(4))), Ok(()));
        assert_eq!(judge(&with(5, Some(1))), Ok(()));
        assert_eq!(judge(&with(5, Some(5))), misfit(5, &[], &[5]));
        assert_eq!(judge(&with(5, None)), misfit(5, &[], &[5]));
        assert_eq!(judge(&with(3, None)), misfit(4, &[], &[3]));
        let late_break = [with(5, Some(4)), schema(&[6])].concat();
        assert_eq!(judge(&late_break), misfit(6, &[], &[6]));
    }

    #[test]
    fn a_misfit_tells_what_to_look_at() {
        assert_eq!(
            misfit(6, &[2], &[6]).unwrap_err().to_string(),
            "the schema is at version 6, and this build is made for version 4; migrations were left out: [2]; newer \
             migrations do not work with it: [6]"
        );
    }
}
