//! The rows that a shared statement reads.

use customer_deletion::resource::Resource;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::support::plan::{explain_prepared, generic_plan, nodes_of};
use crate::support::resources::{contract, every_resource, sql, table};
use crate::support::world::Family;
use crate::support::{TestDatabase, World};

const CALLS: usize = 6;
const IDS: usize = 10;

const TYPES: &str = "uuid[], uuid[], uuid[], uuid[], integer[], integer[], text[]";

/// The plan with the number of rows that it read.
async fn explain(connection: &mut PgConnection, family: Family, resource: Resource, rows: &[Uuid]) -> Value {
    let array = |items: Vec<String>| format!("'{{{}}}'", items.join(","));
    let list = |ids: &[Uuid]| array(ids.iter().map(Uuid::to_string).collect());
    let positions = |offset: usize| array((0..CALLS).map(|call| (call * IDS + offset).to_string()).collect());
    let operations: Vec<Uuid> = (0..CALLS).map(|_| Uuid::now_v7()).collect();
    let arguments = [
        list(&operations),
        list(&[family.requester; CALLS]),
        list(&[family.in_scope(resource); CALLS]),
        list(rows),
        positions(1),
        positions(IDS),
        array(vec!["null".to_owned(); CALLS]),
    ];
    explain_prepared(connection, &arguments.join(", ")).await
}

/// A session may keep a plan from the time when the tables were empty, until somebody analyzes them.
#[tokio::test]
async fn six_calls_for_60_of_10_000_rows_read_60_with_a_plan_of_any_age() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let resources: Vec<Resource> = every_resource().filter(|resource| contract(*resource).shares).collect();
    let mut old_sessions = Vec::new();
    for resource in &resources {
        let mut old = pool.acquire().await.unwrap();
        generic_plan(&mut old, &sql("share", *resource), TYPES).await;
        old_sessions.push(old);
    }
    let world = World::new(pool.clone());
    let family = world.family().await;
    let others = "insert into customer (id, name) select gen_random_uuid(), 'a' from generate_series(1, 5000)";
    sqlx::raw_sql(others).execute(pool).await.unwrap();
    let mut rows = Vec::new();
    for (resource, old) in resources.iter().zip(&mut old_sessions) {
        let ids = world.rows(*resource, family.in_scope(*resource), 10_000).await;
        let mut some: Vec<Uuid> = ids.into_iter().step_by(50).collect();
        let of_the_old_plan = some.split_off(100);
        let plan = explain(old, family, *resource, &of_the_old_plan[..CALLS * IDS]).await;
        assert_few_rows_read(*resource, "an old plan", &plan);
        rows.push(some);
    }

    sqlx::raw_sql("vacuum analyze").execute(pool).await.unwrap();
    for (resource, rows) in resources.iter().zip(rows) {
        let mut new = pool.acquire().await.unwrap();
        generic_plan(&mut new, &sql("share", *resource), TYPES).await;
        let plan = explain(&mut new, family, *resource, &rows[..CALLS * IDS]).await;
        assert_few_rows_read(*resource, "a new plan", &plan);
    }
}

fn assert_few_rows_read(resource: Resource, age: &str, plan: &Value) {
    let nodes = nodes_of(plan, table(resource));
    let scans: Vec<_> = nodes.iter().filter(|(kind, _)| kind.ends_with("Scan")).collect();
    let locked_rows = scans.iter().any(|(kind, _)| *kind == "Tid Scan");
    assert!(locked_rows, "{age}, {resource:?}: what is locked is not looked up again: {plan}");
    assert!(scans.iter().all(|(_, rows)| *rows <= 60.0), "{age}, {resource:?}: {scans:?} {plan}");
    let found = nodes_of(plan, "customer");
    let few_customers = !found.is_empty() && found.iter().all(|(_, rows)| *rows <= 12.0);
    assert!(few_customers, "{age}, {resource:?}: {found:?} {plan}");
}
