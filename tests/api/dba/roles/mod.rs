//! The privileges in the database: the roles of `deploy/postgres/roles.sql`.

mod grants;
mod installation;
mod maintenance;
pub mod power;
mod rights;
mod service;
mod support;

use sqlx::{AssertSqlSafe, Executor, PgConnection};
use uuid::Uuid;

use crate::support::TestDatabase;
use crate::support::database::{as_service, connect};

/// A database as a DBA sets it up. The grants on the database itself are not part of the template.
async fn granted() -> TestDatabase {
    let database = TestDatabase::migrated().await;
    database.grant().await;
    database
}

/// A session as the running service has it.
async fn service_session(database: &TestDatabase) -> PgConnection {
    connect(&as_service(&database.url)).await
}

/// A session of a superuser that has become the role, with its rights and no others.
async fn session_as(database: &TestDatabase, role: &str) -> PgConnection {
    let mut session = connect(&database.url).await;
    session.execute(AssertSqlSafe(format!("set role {role}"))).await.unwrap();
    session
}

/// The SQLSTATE with which the statement fails, if it does.
async fn refusal(session: &mut PgConnection, sql: &str) -> Option<String> {
    match sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(session).await {
        Ok(_) => None,
        Err(error) => Some(error.as_database_error().unwrap_or_else(|| panic!("{sql}: {error}")).code()?.into_owned()),
    }
}

/// Asserts that each of the statements fails because of a missing privilege.
#[track_caller]
fn assert_not_permitted(done: &[(String, Option<String>)]) {
    let wrong: Vec<_> = done.iter().filter(|(_, refused)| refused.as_deref() != Some("42501")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!done.is_empty());
}

async fn refusals(
    session: &mut PgConnection,
    statements: impl IntoIterator<Item = String>,
) -> Vec<(String, Option<String>)> {
    let mut done = Vec::new();
    for sql in statements {
        let refused = refusal(session, &sql).await;
        done.push((sql, refused));
    }
    done
}

/// A role that can log in, with these attributes. Dropped by [`drop_role`], because roles outlive the database of a test.
pub async fn create_role(database: &TestDatabase, attributes: &str) -> (String, String) {
    let role = format!("test_role_{}", Uuid::now_v7().simple());
    let sql = format!("create role {role} login password '{role}' {attributes}");
    database.pool.execute(AssertSqlSafe(sql)).await.unwrap();
    let after_role = database.url.split_once('@').unwrap().1;
    let url = format!("postgres://{role}:{role}@{after_role}");
    (role, url)
}

pub async fn drop_role(database: &TestDatabase, role: &str) {
    let sql = format!("reassign owned by {role} to current_user; drop owned by {role}; drop role {role}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();
}
