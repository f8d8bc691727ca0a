//! Calls that meet each other, or another service, at the same rows.
//!
//! Most tests here take a lock, let the call wait for it, change the tables, and release the lock. So they show the same every
//! time.

mod allocations;
mod hierarchy;
mod lists;
mod order;

use customer_deletion::resource::Resource;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::service::{Answer, send};
use crate::support::world::Family;
use crate::support::{TestPool, TestService};

/// Sends a deletion in the background, so that the test can continue while it waits.
fn in_background(service: &TestService, family: Family, resource: Resource, ids: &[Uuid]) -> JoinHandle<Answer> {
    let customer = family.in_scope(resource);
    tokio::spawn(send(service.deletion(family.requester, customer, resource, ids)))
}

/// A transaction of another service that has executed one statement.
async fn begin(pool: &TestPool, sql: &str, ids: &[Uuid]) -> Transaction<'static, Postgres> {
    let mut tx = pool.begin().await.unwrap();
    run(&mut tx, sql, ids).await.unwrap();
    tx
}

async fn run(connection: &mut PgConnection, sql: &str, ids: &[Uuid]) -> Result<u64, sqlx::Error> {
    let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), |query, id| query.bind(*id));
    query.execute(connection).await.map(|result| result.rows_affected())
}

fn code_of(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}
