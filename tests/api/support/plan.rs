//! Plans of the service's statements, in sessions that plan as its own do.

use customer_deletion::repository::PLANNING;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::TestPool;

pub async fn set_planning(connection: &mut PgConnection) {
    for (name, value) in PLANNING {
        sqlx::raw_sql(AssertSqlSafe(format!("set {name} = {value}"))).execute(&mut *connection).await.unwrap();
    }
}

/// Makes the plan of a statement with parameters of these types, and returns its lines. The session keeps the plan for
/// [`explain_prepared`].
pub async fn generic_plan(connection: &mut PgConnection, sql: &str, types: &str) -> Vec<String> {
    set_planning(connection).await;
    let prepare = format!("deallocate all; prepare statement ({types}) as {sql}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
    let nulls = vec!["null"; types.split(',').count()].join(", ");
    let explain = format!("explain (costs off) execute statement ({nulls})");
    let lines = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(connection).await.unwrap();
    lines.iter().map(|line| line.get(0)).collect()
}

/// Executes the statement of the last [`generic_plan`], and returns its plan with what it read.
pub async fn explain_prepared(connection: &mut PgConnection, values: &str) -> Value {
    let explain = format!("explain (analyze, buffers, format json) execute statement ({values})");
    sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(connection).await.unwrap().get(0)
}

/// Plans and executes a statement, rolls it back, and returns its plan with what it read.
pub async fn explain(pool: &TestPool, sql: &str, types: &str, values: &str) -> Value {
    let mut tx = pool.begin().await.unwrap();
    generic_plan(&mut tx, sql, types).await;
    let plan = explain_prepared(&mut tx, values).await;
    tx.rollback().await.unwrap();
    plan
}

/// The nodes of a plan that read or write the table: the type of each, and its number of rows, filtered ones included.
pub fn nodes_of<'a>(plan: &'a Value, table: &str) -> Vec<(&'a str, f64)> {
    match plan {
        Value::Array(parts) => parts.iter().flat_map(|part| nodes_of(part, table)).collect(),
        Value::Object(node) => {
            let mut found: Vec<_> = node.values().flat_map(|part| nodes_of(part, table)).collect();
            if node.get("Relation Name").and_then(Value::as_str) == Some(table) {
                let number = |key: &str| node.get(key).and_then(Value::as_f64).unwrap_or(0.0);
                let rows = number("Actual Rows") + number("Rows Removed by Filter");
                found.push((node["Node Type"].as_str().unwrap(), rows * number("Actual Loops").max(1.0)));
            }
            found
        }
        _ => Vec::new(),
    }
}

/// The number of rows that each scan of the table read.
pub fn rows_read(plan: &Value, table: &str) -> Vec<f64> {
    nodes_of(plan, table).into_iter().filter(|(kind, _)| kind.contains("Scan")).map(|(_, rows)| rows).collect()
}
