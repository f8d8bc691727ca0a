//! A blocking connection to PostgreSQL.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, FromRow, PgConnection};
use tokio::runtime::{Builder, Runtime};

use crate::AnyError;

pub struct Client {
    connection: PgConnection,
    runtime: Runtime,
}

impl Client {
    pub fn connect(url: &str) -> Result<Client, AnyError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // JIT compilation of the long statements takes longer than it saves.
        let options = PgConnectOptions::from_str(url)?.options([("jit", "off")]).disable_statement_logging();
        let connection = runtime.block_on(options.connect())?;
        Ok(Client { connection, runtime })
    }

    /// Runs statements that return no rows.
    pub fn run(&mut self, sql: &str) -> Result<(), AnyError> {
        self.runtime.block_on(sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection))?;
        Ok(())
    }

    pub fn rows<T>(&mut self, sql: &str) -> Result<Vec<T>, AnyError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let rows = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut self.connection);
        Ok(self.runtime.block_on(rows)?)
    }

    /// For a statement that returns one number.
    pub fn number(&mut self, sql: &str) -> Result<i64, AnyError> {
        let number = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection);
        Ok(self.runtime.block_on(number)?)
    }

    pub fn text(&mut self, sql: &str) -> Result<String, AnyError> {
        let text = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection);
        Ok(self.runtime.block_on(text)?)
    }
}
