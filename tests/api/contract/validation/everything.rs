//! All rows of a database, and every trace that a transaction leaves on a row.

use sqlx::AssertSqlSafe;

use crate::support::{TestPool, TestService};

/// The rows of every table, each with its location (`ctid`), the transaction that inserted it (`xmin`), and the last one that
/// locked or changed it (`xmax`), even if that was rolled back.
pub async fn everything(pool: &TestPool) -> Vec<String> {
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public' order by tablename")
            .fetch_all(pool)
            .await
            .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let rows = tables.iter().map(|table| {
        format!("select concat_ws(' ', '{table}', ctid, xmin, xmax, to_jsonb({table})) as row from {table}")
    });
    let sql = format!("{} order by row", rows.collect::<Vec<_>>().join(" union all "));
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn the_snapshot_of_everything_shows_locks_and_rolled_back_updates() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    service.world.contact(family.sub_customer).await;
    let pool = &service.database.pool;
    for (sql, ends) in [
        ("select id from contact for key share", "commit"),
        ("select id from customer for key share", "commit"),
        ("update contact set deleted_at = now()", "rollback"),
    ] {
        let before = everything(pool).await;
        assert_eq!(everything(pool).await, before, "a look is no trace");
        let mut session = pool.acquire().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("begin; {sql}; {ends}"))).execute(&mut *session).await.unwrap();
        assert_ne!(everything(pool).await, before, "{sql}");
    }
}
