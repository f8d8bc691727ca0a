//! The roles of the schema, and the role of the demo's service.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// A DBA runs this after every migration.
const ROLES: &str = include_str!("../../deploy/postgres/roles.sql");

pub const NAME: &str = "customer_deletion_demo";

/// Grants what the roles need, and lets the service log in. The password must not need quoting.
pub async fn create(options: &PgConnectOptions, password: &str) -> sqlx::Result<()> {
    let log_in = format!(
        "do $$
         begin
           if to_regrole('{NAME}') is null then
             create role {NAME} in role customer_deletion_service;
           end if;
         end
         $$;
         alter role {NAME} login password '{password}';"
    );
    let mut connection = options.connect().await?;
    sqlx::raw_sql(ROLES).execute(&mut connection).await?;
    sqlx::raw_sql(AssertSqlSafe(log_in)).execute(&mut connection).await?;
    connection.close().await
}
