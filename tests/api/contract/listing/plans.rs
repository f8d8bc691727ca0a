//! What a list costs PostgreSQL, however many operations there are, and what its index must not do to other statements.

use customer_deletion::repository::PLANNING;
use customer_deletion::resource::Resource;
use rstest::rstest;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};
use uuid::Uuid;

use super::{ids, listed, record};
use crate::dba::statements::{OPERATION_TYPES, deletions, explain, rows_read};
use crate::support::{TestDatabase, TestService};

const SQL: &str = include_str!("../../../../src/repository/sql/list_operations.sql");
const TYPES: &str = "uuid, text, text, bigint, bigint, bigint";
const ALL: &str = "null";

/// Operations of one requester, in the order of their ids, and a tenth as many of others.
const MANY: &str = "
    insert into operation (id, requester_id, customer_id, resource, target_ids, status, error_code, deleted_rows, completed_at)
    select
      lpad(to_hex(i), 32, '0')::uuid,
      case when i % 10 = 0 then gen_random_uuid() else $1 end,
      $1,
      -- Contacts and addresses are many, zones are few, and products are none.
      (case when i % 20000 = 1 then 'zone' when i % 3 = 0 then 'contact' else 'address' end)::resource,
      array[$1],
      case when i % 7 = 0 then 'FAILURE' else 'SUCCESS' end,
      case when i % 7 = 0 then 'CUSTOMER_1002' end,
      case when i % 7 = 0 then 0 else 1 end,
      now()
    from generate_series(1, 200000) as i";

/// How many rows of operations the plan reads, and how many pages of anything.
fn cost(plan: &Value) -> (f64, f64) {
    let mut rows = Vec::new();
    rows_read(plan, "operation", &mut rows);
    assert!(rows.len() >= 3, "it counts, finds and looks up: {plan}");
    let pages = |key: &str| plan[0]["Plan"][key].as_f64().unwrap();
    (rows.iter().sum(), pages("Shared Hit Blocks") + pages("Shared Read Blocks"))
}

async fn fill(requester: Uuid) -> TestDatabase {
    let database = TestDatabase::migrated().await;
    sqlx::query(MANY).bind(requester).execute(&database.pool).await.unwrap();
    database
}

/// Nobody has counted the rows yet; somebody has; and most pages need not be looked at.
#[rstest]
#[case::never_analyzed("select 1")]
#[case::analyzed("analyze operation")]
#[case::vacuumed("vacuum analyze operation")]
#[tokio::test]
async fn a_list_reads_little_of_a_requesters_200_000_operations(#[case] before: &'static str) {
    let requester = Uuid::now_v7();
    let database = fill(requester).await;
    sqlx::raw_sql(before).execute(&database.pool).await.unwrap();

    for (what, status, resource, size, offset, most_rows) in [
        ("no filter", ALL, ALL, 10, 0, 10_000 + 50 + 10),
        ("a status that no operation has", "'OPEN'", ALL, 10, 0, 0),
        ("a resource that no operation has", ALL, "'product'", 10, 0, 0),
        ("a rare resource", ALL, "'zone'", 100, 0, 30),
        ("both", "'FAILURE'", "'address'", 10, 9_000, 10_000 + 9_010 + 10),
        // Each of the five runs that there are may have all of it, and each is read in its order.
        ("the last page", ALL, ALL, 100, 9_900, 10_000 + 50_000 + 100),
    ] {
        let values = format!("'{requester}', {status}, {resource}, {size}, {offset}, 10000");
        let plan = explain(&database.pool, SQL, TYPES, &values).await;
        let (rows, pages) = cost(&plan);
        // Numbers of rows are rounded for each of the twenty runs.
        assert!(rows <= f64::from(most_rows) + 40.0, "{what}: {rows} rows {plan}");
        assert!(pages <= f64::from(most_rows) * 1.1 + 200.0, "{what}: {pages} pages {plan}");
    }
}

#[tokio::test]
async fn a_list_of_a_requester_with_200_000_operations_is_right() {
    let requester = Uuid::now_v7();
    let service = TestService::start_on(fill(requester).await, |_| {}).await;

    let (content, pageable) = listed(&service, requester, "?size=3").await;
    let newest: Vec<Uuid> = [199_999, 199_998, 199_997].map(Uuid::from_u128).into();
    assert_eq!((ids(&content), pageable["totalElements"].as_u64()), (newest, Some(10_000)));
    let (content, pageable) = listed(&service, requester, "?resource=zone&size=2&page=4").await;
    let oldest: Vec<Uuid> = [20_001, 1].map(Uuid::from_u128).into();
    assert_eq!((ids(&content), pageable["totalElements"].as_u64()), (oldest, Some(10)));
}

/// Where operations are few, or where each requester had one when the plan was made, everything of a requester looks like a
/// short way to a key or an id. It would get longer with every call.
#[tokio::test]
async fn no_other_statement_goes_through_everything_of_a_requester() {
    let others = OPERATION_TYPES.map(|(sql, types)| (sql.to_owned(), types));
    for (sql, types) in deletions().into_iter().chain(others) {
        assert_not_through_everything(&sql, types).await;
    }
}

async fn assert_not_through_everything(sql: &str, types: &str) {
    let database = TestDatabase::migrated().await;
    let mut connection = database.pool.acquire().await.unwrap();
    for (name, value) in PLANNING {
        sqlx::raw_sql(AssertSqlSafe(format!("set {name} = {value}"))).execute(&mut *connection).await.unwrap();
    }
    let each_has_one = "
        insert into operation (id, requester_id, customer_id, resource, target_ids, status)
        select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'contact', array[gen_random_uuid()], 'OPEN'
        from generate_series(1, 20000)";

    for before in ["select 1", "analyze operation", each_has_one, "analyze operation", "vacuum operation"] {
        sqlx::raw_sql(before).execute(&mut *connection).await.unwrap();
        let prepare = format!("deallocate all; prepare statement ({types}) as {sql}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        let nulls = vec!["null"; types.split(',').count()].join(", ");
        let explain = format!("explain (costs off) execute statement ({nulls})");
        let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        assert!(!plan.iter().any(|line| line.contains("operation_by_requester")), "{before}: {plan:#?}");
    }
}

/// How often a session has read the part of the table where long values are.
async fn reads_of_long_values(connection: &mut PgConnection) -> i64 {
    let reads = "select coalesce(seq_scan, 0) + coalesce(idx_scan, 0) from pg_stat_xact_all_tables
        where relid = (select reltoastrelid from pg_class where oid = 'operation'::regclass)";
    sqlx::query_scalar(reads).fetch_one(connection).await.unwrap()
}

/// How often a statement that finds something does.
async fn reads_of_long_values_by(pool: &PgPool, statement: &'static str, bind: impl Fn(Query) -> Query) -> i64 {
    let mut tx = pool.begin().await.unwrap();
    let before = reads_of_long_values(&mut tx).await;
    let rows = bind(sqlx::query(statement)).fetch_all(&mut *tx).await.unwrap();
    assert!(!rows.is_empty());
    reads_of_long_values(&mut tx).await - before
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

#[tokio::test]
async fn the_ids_of_a_call_are_read_neither_for_its_status_nor_for_a_list() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let requester = Uuid::now_v7();
    let [id] = record(pool, requester, "OPEN", Resource::Contact, 1).await[..] else { panic!() };
    let long = "update operation
        set target_ids = array(select gen_random_uuid() from generate_series(1, 100000) order by 1)
        where id = $1";
    sqlx::query(long).bind(id).execute(pool).await.unwrap();

    let find = include_str!("../../../../src/repository/sql/find_operation.sql");
    let status = reads_of_long_values_by(pool, find, |query| query.bind(requester).bind(id).bind(true).bind(false)).await;
    let list = reads_of_long_values_by(pool, SQL, |query| {
        let query = query.bind(requester).bind("OPEN").bind(None::<&str>);
        query.bind(10_i64).bind(0_i64).bind(10_000_i64)
    });

    assert_eq!((status, list.await), (0, 0));
    let all = reads_of_long_values_by(pool, "select target_ids from operation", |query| query).await;
    assert!(all > 0, "the long values are somewhere else");
}
