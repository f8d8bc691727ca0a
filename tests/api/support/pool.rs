//! The sessions of a test with its database.

use std::ops::Deref;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{ConnectOptions, Describe, Either, Error, Execute, Executor, PgPool, Postgres, SqlStr};

/// A pool whose statements use one session, as long as they run one after the other.
///
/// sqlx returns a session to its pool in a task of its own, so that the next statement would find none and open another. Both
/// would then plan every statement.
#[derive(Clone, Debug)]
pub struct TestPool(PgPool);

impl TestPool {
    /// Connects at the first statement. Queries are not compiled: a session loads the compiler for longer than a query runs.
    /// Slow statements are not logged, because the log of the services must have no text of the tests.
    pub fn new(options: PgConnectOptions) -> TestPool {
        let pool = PgPoolOptions::new().max_connections(20).test_before_acquire(false);
        TestPool(pool.connect_lazy_with(options.options([("jit", "off")]).disable_statement_logging()))
    }
}

/// A pool with other options.
impl From<PgPool> for TestPool {
    fn from(pool: PgPool) -> TestPool {
        TestPool(pool)
    }
}

impl Deref for TestPool {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.0
    }
}

impl<'c> Executor<'c> for &'c TestPool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        let results = async move {
            let mut session = match pool.acquire().await {
                Ok(session) => session,
                Err(error) => return vec![Err(error)],
            };
            let results = session.fetch_many(query).collect().await;
            session.return_to_pool().await;
            results
        };
        stream::once(results).flat_map(stream::iter).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut session = pool.acquire().await?;
            let row = session.fetch_optional(query).await;
            session.return_to_pool().await;
            row
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        let pool = self.0.clone();
        Box::pin(async move { pool.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        let pool = self.0.clone();
        Box::pin(async move { pool.describe(sql).await })
    }
}
