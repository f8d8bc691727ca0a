//! The DBA's commands, as they are typed, by a member of the maintenance role.

mod actors;
mod customer;
mod load;
mod operations;
mod purge;
mod purge_manners;
mod refused_rows;
mod restore;
mod restore_refusals;

use std::process::Command;

use customer_deletion::resource::Resource;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::database::as_maintenance;
use crate::support::process::{command, output};
use crate::support::resources::table;
use crate::support::{TestDatabase, TestPool};

/// The output and the exit status of a command.
#[derive(Debug)]
pub struct Said {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn maintenance(database: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env("DATABASE_URL", as_maintenance(&database.url));
    command
}

/// Runs the command to its end, while the test can do other things.
pub async fn run(database: &TestDatabase, arguments: &[&str]) -> Said {
    let mut command = maintenance(database, arguments);
    let output = tokio::task::spawn_blocking(move || output(&mut command)).await.unwrap();
    Said {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Said {
    /// Asserts that it succeeded, and returns its output.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.out
    }

    /// Asserts that it was refused, with these parts in its message, and returns all its output.
    #[track_caller]
    pub fn refused(self, parts: &[&str]) -> Said {
        assert_eq!(self.status, Some(1), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part}: {self:?}");
        }
        self
    }
}

/// The number that the summary of a purge shows for a kind of rows.
#[track_caller]
pub fn told(summary: &str, word: &str) -> u64 {
    let line = summary.lines().find_map(|line| line.trim_start().strip_prefix(word)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("{word}: {summary}"))
}

/// The lines that the summaries of a purge and of its dry run have in common.
fn figures(summary: &str) -> Vec<&str> {
    summary.lines().skip(1).filter(|line| !line.starts_with("not known")).collect()
}

/// Makes rows look as if they had been deleted this many days ago, as a DBA who may disable the guard.
pub async fn age_rows(pool: &TestPool, resource: Resource, ids: &[Uuid], days: i32) {
    let table = table(resource);
    let mut tx = pool.begin().await.unwrap();
    for sql in [
        format!("alter table {table} disable trigger {table}_deleted_once"),
        format!(
            "update {table} set deleted_at = coalesce(deleted_at, now()) - make_interval(days => {days})
             where id = any('{}')",
            list(ids)
        ),
        format!("alter table {table} enable trigger {table}_deleted_once"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Makes rows and the operations that deleted them look this many days old.
pub async fn age_deletions(pool: &TestPool, resource: Resource, ids: &[Uuid], days: i32) {
    age_rows(pool, resource, ids, days).await;
    let sql = format!("select deleted_by from {} where id = any($1) and deleted_by is not null", table(resource));
    let operations: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await.unwrap();
    for operation in operations {
        age_operation(pool, operation, days).await;
    }
}

/// Makes an operation look this many days old.
pub async fn age_operation(pool: &TestPool, id: Uuid, days: i32) {
    let mut tx = pool.begin().await.unwrap();
    for sql in [
        "alter table operation disable trigger operation_ends_once".to_owned(),
        format!(
            "update operation set created_at = created_at - make_interval(days => {days}),
               completed_at = completed_at - make_interval(days => {days})
             where id = '{id}'"
        ),
        "alter table operation enable trigger operation_ends_once".to_owned(),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Changes every record of a restore, as a DBA who may disable its guard.
pub async fn change_restorations(pool: &TestPool, change: &str) {
    let sql = format!(
        "alter table restoration disable trigger restoration_is_kept;
         update restoration set {change};
         alter table restoration enable trigger restoration_is_kept"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

fn list(ids: &[Uuid]) -> String {
    format!("{{{}}}", ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(","))
}

/// Returns the ids whose rows exist, deleted or not.
pub async fn present(pool: &TestPool, resource: Resource, ids: &[Uuid]) -> Vec<Uuid> {
    let sql = format!("select id from {} where id = any($1) order by id", table(resource));
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await.unwrap()
}

/// The number of rows in a table.
pub async fn rows(pool: &TestPool, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}"))).fetch_one(pool).await.unwrap()
}

/// A statement of the commands.
pub fn maintenance_sql(name: &str) -> String {
    let path = format!("{}/src/maintenance/sql/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
