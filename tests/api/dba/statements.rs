//! The cost of the statements in PostgreSQL: their number, the rows that they read, and the indexes that they write.

use customer_deletion::resource::Resource;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use crate::support::audit::last_session;
use crate::support::plan::{explain, generic_plan, rows_read};
use crate::support::resources::{contract, every_list, every_resource, sql, statement, table};
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, TestService, World, postgres};

/// The statements that the service ran, with their numbers. `None` if the server does not count them.
async fn counted_statements(pool: &TestPool) -> Option<Vec<(String, i64)>> {
    let counted = sqlx::query(
        "select query, calls from pg_stat_statements
         where dbid = (select oid from pg_database where datname = current_database()) and query like '-- %'
           -- The service checks the schema, its role and the queue, and proves a commit, by itself and again and again.
           and query not like all (array['-- check_%', '-- measure_queue:%', '-- prove_commit:%'])",
    )
    .fetch_all(pool)
    .await;
    match counted {
        Ok(rows) => Some(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect()),
        Err(error) => {
            assert!(!postgres::is_complete(), "{error}");
            eprintln!("skipped: this server does not count statements ({error})");
            None
        }
    }
}

#[tokio::test]
async fn a_call_that_succeeds_is_one_statement() {
    let service = TestService::start().await;
    let _ = sqlx::raw_sql("create extension pg_stat_statements").execute(&service.database.pool).await;
    for resource in every_resource() {
        assert_one_statement(&service, resource).await;
    }
}

async fn assert_one_statement(service: &TestService, resource: Resource) {
    let comment = format!("-- {}:", statement("delete", resource));
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let customer = family.in_scope(resource);
    // The first call also verifies the schema.
    service.delete_one(family.requester, customer, resource, Uuid::now_v7()).await;
    let reset =
        "select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()), 0)";
    let _ = sqlx::raw_sql(reset).execute(pool).await;

    for _ in 0..7 {
        let row = service.world.row(resource, customer).await;
        service.delete_one(family.requester, customer, resource, row).await.assert_deleted();
    }

    let Some(statements) = counted_statements(pool).await else {
        return;
    };
    let [(query, calls)] = statements.as_slice() else { panic!("{statements:?}") };
    assert!(query.starts_with(&comment), "{query}");
    assert_eq!(*calls, 7);
}

/// The plan of a deletion as the service runs it, with the number of rows that it read.
async fn explain_deletion(pool: &TestPool, sql: &str, family: Family, resource: Resource, ids: &[Uuid]) -> Value {
    let (operation, requester, customer) = (Uuid::now_v7(), family.requester, family.in_scope(resource));
    let values = format!("'{operation}', '{requester}', '{customer}', '{}', null, false, null", list(ids));
    explain(pool, sql, "uuid, uuid, uuid, uuid[], text, boolean, text", &values).await
}

fn list(ids: &[Uuid]) -> String {
    format!("{{{}}}", ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn a_list_of_100_reads_100_of_a_customers_10_000_rows() {
    let database = TestDatabase::migrated().await;
    let (pool, world) = (&database.pool, World::new(database.pool.clone()));
    let family = world.family().await;
    let mut wanted = Vec::new();
    for resource in every_list() {
        let ids = world.rows(resource, family.in_scope(resource), 10_000).await;
        let mut some: Vec<Uuid> = ids.into_iter().step_by(100).collect();
        some.sort();
        wanted.push((resource, some));
    }
    sqlx::raw_sql("vacuum analyze").execute(pool).await.unwrap();

    for (resource, ids) in wanted {
        assert_eq!(ids.len(), 100);
        let plan = explain_deletion(pool, &sql("delete", resource), family, resource, &ids).await;
        let reads = rows_read(&plan, table(resource));
        assert!(!reads.is_empty() && reads.iter().all(|rows| *rows <= 100.0), "{resource:?}: {reads:?} {plan}");
    }
}

#[tokio::test]
async fn a_refusal_does_not_read_everything_that_a_customer_has() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    // Set on no entity of the requester, so that every kind of entity is searched.
    let foreign = service.world.subscriber(family.sub_customer).await;
    let params = [service.world.external_params(family.requester, "subscriber_id", foreign).await];
    // Most customers have one of each, and this one has thousands. So the planner expects a row or two for a customer.
    let others = "insert into customer (id, name) select gen_random_uuid(), 'a' from generate_series(1, 5000)";
    sqlx::query(others).execute(pool).await.unwrap();
    for table in ["subscriber", "sell_plan"] {
        let fill = format!(
            "insert into {table} (id, customer_id, name)
             select gen_random_uuid(), id, 'a' from customer
             union all
             select gen_random_uuid(), $1, 'a' from generate_series(1, 3000)"
        );
        sqlx::query(AssertSqlSafe(fill)).bind(family.requester).execute(pool).await.unwrap();
    }
    sqlx::raw_sql("vacuum analyze").execute(pool).await.unwrap();

    let sql = include_str!("../../../src/repository/sql/inspect_external_params.sql");
    let values = format!("'{0}', '{0}', '{1}'", family.requester, list(&params));
    let plan = explain(pool, sql, "uuid, uuid, uuid[]", &values).await;

    for table in ["subscriber", "sell_plan"] {
        let reads = rows_read(&plan, table);
        assert!(!reads.is_empty() && reads.iter().all(|rows| *rows <= 1.0), "{table}: {reads:?} {plan}");
    }
}

#[tokio::test]
async fn a_customer_at_the_end_of_a_long_chain_is_judged_in_time() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    // Each customer is below the one before. The guard against cycles would walk up for each of them.
    sqlx::raw_sql(
        "alter table customer disable trigger customer_has_no_cycle_on_insert;
         insert into customer (id, parent_id, name)
         select md5(i::text)::uuid, case when i > 1 then md5((i - 1)::text)::uuid end, 'deep' from generate_series(1, 20000) as i;
         analyze customer;",
    )
    .execute(pool)
    .await
    .unwrap();
    let deepest: Uuid = sqlx::query_scalar("select md5('20000')::uuid").fetch_one(pool).await.unwrap();

    let answer = service.delete_one(family.requester, deepest, Resource::Contact, Uuid::now_v7()).await;

    answer.assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
}

#[tokio::test]
async fn deleting_a_contact_writes_no_index() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "insert into contact (id, customer_id, email, mobile)
         select gen_random_uuid(), $1, 'a@example.com', '+49' from generate_series(1, 1000) returning id",
    )
    .bind(family.sub_customer)
    .fetch_all(pool)
    .await
    .unwrap();
    let wanted: Vec<Uuid> = ids.into_iter().step_by(20).collect();

    service.delete_list(family.requester, family.sub_customer, Resource::Contact, &wanted).await.assert_deleted();

    let updates = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'contact'";
    let row = sqlx::query(updates).fetch_one(&mut *last_session(pool).await).await.unwrap();
    let (updated, without_index): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!((updated, without_index), (50, 50));
}

pub const OPERATION_TYPES: [(&str, &str); 3] = [
    (include_str!("../../../src/repository/sql/find_operation.sql"), "uuid, uuid, boolean, boolean"),
    (include_str!("../../../src/repository/sql/find_target_ids.sql"), "uuid, uuid"),
    (include_str!("../../../src/repository/sql/replay_operation.sql"), "uuid, uuid, uuid, text, uuid[], text"),
];

/// The types of the parameters of every list of operations.
pub const LIST_TYPES: &str = "uuid, text, text, bigint, bigint, bigint, timestamptz, timestamptz, uuid";

/// The statements that delete, one for each resource, with the types of their parameters.
pub fn deletions() -> Vec<(String, &'static str)> {
    every_resource()
        .map(|resource| (sql("delete", resource), "uuid, uuid, uuid, uuid[], text, boolean, text"))
        .collect()
}

/// A plan that was made while the tables were empty is kept while they grow, until somebody analyzes them.
#[tokio::test]
async fn no_statement_that_is_planned_on_empty_tables_reads_one_from_end_to_end() {
    let shares = |resource: &Resource| contract(*resource).shares;
    let mut statements = deletions();
    statements.extend(every_resource().map(|resource| (sql("inspect", resource), "uuid, uuid, uuid[]")));
    let shared = every_resource().filter(shares).map(|resource| sql("share", resource));
    statements.extend(shared.map(|sql| (sql, "uuid[], uuid[], uuid[], uuid[], integer[], integer[], text[]")));
    statements.extend(OPERATION_TYPES.map(|(sql, types)| (sql.to_owned(), types)));
    let count = include_str!("../../../src/repository/sql/count_deleted_rows.sql");
    statements.push((count.to_owned(), "uuid, bigint, bigint"));
    let database = TestDatabase::migrated().await;
    let mut connection = database.pool.acquire().await.unwrap();
    for (sql, types) in statements {
        assert_no_table_is_read(&mut connection, &sql, types).await;
    }
    for (sql, more_types) in [
        (include_str!("../../../src/repository/sql/list_operations.sql"), ""),
        (include_str!("../../../src/repository/sql/list_operations_of_customer.sql"), ", uuid"),
        (include_str!("../../../src/repository/sql/list_operations_of_target.sql"), ", uuid, uuid"),
    ] {
        assert_no_table_is_read(&mut connection, sql, &format!("{LIST_TYPES}{more_types}")).await;
    }
}

async fn assert_no_table_is_read(connection: &mut PgConnection, sql: &str, types: &str) {
    let plan = generic_plan(connection, sql, types).await;
    assert!(plan.iter().any(|line| line.contains("Index")), "{sql}: {plan:#?}");
    assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "{sql}: {plan:#?}");
    let in_order = !plan.iter().any(|line| line.contains("Bitmap"));
    assert!(in_order, "rows are not visited in the order of their ids: {sql}: {plan:#?}");
}
