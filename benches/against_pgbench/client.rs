//! A connection to PostgreSQL for code that does not run beside anything else.

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
        // Compiling long statements costs more than it saves them.
        let options = PgConnectOptions::from_str(url)?.options([("jit", "off")]).disable_statement_logging();
        let connection = runtime.block_on(options.connect())?;
        Ok(Client { connection, runtime })
    }

    /// Runs statements that answer nothing.
    pub fn run(&mut self, sql: &str) -> Result<(), AnyError> {
        self.runtime.block_on(sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection))?;
        Ok(())
    }

    /// The rows of a statement.
    pub fn rows<T>(&mut self, sql: &str) -> Result<Vec<T>, AnyError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let rows = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut self.connection);
        Ok(self.runtime.block_on(rows)?)
    }

    /// The number that a statement answers.
    pub fn number(&mut self, sql: &str) -> Result<i64, AnyError> {
        let number = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection);
        Ok(self.runtime.block_on(number)?)
    }

    pub fn text(&mut self, sql: &str) -> Result<String, AnyError> {
        let text = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection);
        Ok(self.runtime.block_on(text)?)
    }
}
