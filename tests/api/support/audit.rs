//! The audit that ends a test: `verify`, and nothing deleted without an operation.

use customer_deletion::maintenance::verify::{Disagreement, verify};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use super::TestPool;

const DELETED_ELSEWHERE: &str = "select count(*) from deletion_history where operation_id is null";

/// Asserts that rows and operations agree, and that every deleted row has its operation.
pub async fn assert_agreement(pool: &TestPool) {
    assert_agreement_beside_others(pool).await;
    let deleted_elsewhere: i64 = sqlx::query_scalar(DELETED_ELSEWHERE).fetch_one(pool).await.unwrap();
    assert_eq!(deleted_elsewhere, 0, "rows are deleted without an operation");
}

/// Asserts that rows and operations agree. Other services may have deleted rows too.
pub async fn assert_agreement_beside_others(pool: &TestPool) {
    let found = disagreements(pool).await;
    assert!(found.is_empty(), "{found:#?}");
}

/// The disagreements in the tables. Some tests have a schema of their own.
pub async fn disagreements(pool: &TestPool) -> Vec<Disagreement> {
    let mut connection = pool.acquire().await.unwrap();
    let verification = verify(&mut connection, None).await.unwrap();
    verification.disagreements.into_iter().filter(|found| found.part != "schema").collect()
}

/// A session after the end of all others. An idle session may report what it counted only at its end.
pub async fn last_session(pool: &TestPool) -> PoolConnection<Postgres> {
    let mut session = pool.acquire().await.unwrap();
    let end = "select pid, pg_terminate_backend(pid, 20000) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()";
    let ended: Vec<(i32, bool)> = sqlx::query_as(end).fetch_all(&mut *session).await.unwrap();
    // PostgreSQL returns false also for a session that has just ended by itself.
    let others: Vec<i32> = ended.into_iter().filter_map(|(pid, has_ended)| (!has_ended).then_some(pid)).collect();
    let left = "select count(*) from pg_stat_activity where pid = any($1)";
    let left: i64 = sqlx::query_scalar(left).bind(others).fetch_one(&mut *session).await.unwrap();
    assert_eq!(left, 0, "sessions do not end");
    session
}

/// The deadlocks that PostgreSQL has ended in the database, whose other sessions end.
pub async fn deadlocks(pool: &TestPool) -> i64 {
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    sqlx::query_scalar(deadlocks).fetch_one(&mut *last_session(pool).await).await.unwrap()
}
