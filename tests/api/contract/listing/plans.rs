//! The cost of a list in PostgreSQL for any number of operations, and the effect of its index on other statements.

use customer_deletion::resource::Resource;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ids, listed, record};
use crate::dba::statements::{LIST_TYPES, OPERATION_TYPES, deletions};
use crate::support::plan::{explain, generic_plan, rows_read};
use crate::support::{TestDatabase, TestPool, TestService, World};

const SQL: &str = include_str!("../../../../src/repository/sql/list_operations.sql");
const OF_CUSTOMER: &str = include_str!("../../../../src/repository/sql/list_operations_of_customer.sql");
const OF_TARGET: &str = include_str!("../../../../src/repository/sql/list_operations_of_target.sql");
const ALL: &str = "null";

/// Operations of one requester, in the order of their ids, and a tenth as many of others.
const MANY: &str = "
    insert into operation 
      (id, requester_id, customer_id, resource, target_ids, status, error_code, deleted_rows, created_at, completed_at)
    select
      lpad(to_hex(i), 32, '0')::uuid,
      case when i % 10 = 0 then gen_random_uuid() else $1 end,
      -- One customer has few.
      case when i % 10000 = 2 then $2 else $1 end,
      -- Contacts and addresses are many, zones are few, and there are no products.
      (case when i % 20000 = 1 then 'zone' when i % 3 = 0 then 'contact' else 'address' end)::resource,
      array[$1],
      case when i % 7 = 0 then 'FAILURE' else 'SUCCESS' end,
      case when i % 7 = 0 then 'CUSTOMER_1002' end,
      case when i % 7 = 0 then 0 else 1 end,
      -- Two in a second.
      timestamptz '2026-01-01 00:00:00Z' + i / 2 * interval '1 second',
      now()
    from generate_series(1, 200000) as i";

/// The customer of only a few operations.
const RARE: Uuid = Uuid::from_u128(0xc);

/// A part of the list.
#[derive(Clone, Copy)]
struct Part {
    what: &'static str,
    status: &'static str,
    resource: &'static str,
    from: &'static str,
    before: &'static str,
    /// One more than on the page.
    size: u32,
    offset: u32,
    counted: u32,
    most_rows: u32,
}

const NEWEST: Part = Part {
    what: "no filter",
    status: ALL,
    resource: ALL,
    from: ALL,
    before: "null, null",
    size: 11,
    offset: 0,
    counted: 10_000,
    most_rows: 10_000 + 5 * 11 + 11,
};

/// The middle of all 180,000 operations, of which each status and resource has about equal parts.
const CURSOR: &str = "'2026-01-01 14:00:00Z', '00000000-0000-0000-0000-000000018a88'";

const PARTS: [Part; 11] = [
    NEWEST,
    Part { what: "a status that no operation has", status: "'OPEN'", most_rows: 0, ..NEWEST },
    Part { what: "a resource that no operation has", resource: "'product'", most_rows: 0, ..NEWEST },
    Part { what: "a rare resource", resource: "'zone'", size: 101, most_rows: 30, ..NEWEST },
    Part {
        what: "both",
        status: "'FAILURE'",
        resource: "'address'",
        offset: 9_000,
        most_rows: 10_000 + 9_011 + 11,
        ..NEWEST
    },
    // Each of the five existing runs may contain all of it, and each is read in its order.
    Part { what: "the last page", size: 101, offset: 9_900, most_rows: 10_000 + 50_005 + 101, ..NEWEST },
    Part { what: "after a cursor", before: CURSOR, counted: 0, most_rows: 5 * 11 + 11, ..NEWEST },
    Part {
        what: "a status after a cursor",
        status: "'FAILURE'",
        before: CURSOR,
        counted: 0,
        most_rows: 3 * 11 + 11,
        ..NEWEST
    },
    Part {
        what: "an hour long ago",
        from: "'2026-01-01 02:00:00Z'",
        before: "'2026-01-01 03:00:00Z', '00000000-0000-0000-0000-000000000000'",
        most_rows: 6_480 + 5 * 11 + 11,
        ..NEWEST
    },
    Part { what: "a time to come", from: "'2027-01-01 00:00:00Z'", most_rows: 0, ..NEWEST },
    Part {
        what: "the time before all of them",
        before: "'2025-01-01 00:00:00Z', '00000000-0000-0000-0000-000000000000'",
        most_rows: 0,
        ..NEWEST
    },
];

impl Part {
    async fn assert_cheap(self, pool: &TestPool, sql: &str, more_types: &str, requester: Uuid, more_values: &str) {
        let Part { what, status, resource, from, before, size, offset, counted, most_rows } = self;
        let values =
            format!("'{requester}', {status}, {resource}, {size}, {offset}, {counted}, {from}, {before}{more_values}");
        let plan = explain(pool, sql, &format!("{LIST_TYPES}{more_types}"), &values).await;
        let (rows, pages) = cost(&plan);
        // Numbers of rows are rounded for each of the twenty runs.
        assert!(rows <= f64::from(most_rows) + 40.0, "{what}: {rows} rows {plan}");
        assert!(pages <= f64::from(most_rows) * 1.1 + 300.0, "{what}: {pages} pages {plan}");
    }
}

/// The number of rows of operations, and of all pages, that the plan reads.
fn cost(plan: &Value) -> (f64, f64) {
    let rows = rows_read(plan, "operation");
    assert!(rows.len() >= 3, "it counts, finds and looks up: {plan}");
    let pages = |key: &str| plan[0]["Plan"][key].as_f64().unwrap();
    (rows.iter().sum(), pages("Shared Hit Blocks") + pages("Shared Read Blocks"))
}

/// Without statistics, then after an analyze, and then after a vacuum: before it, each page must be read. One database for all
/// cases, because filling it takes seconds.
#[tokio::test]
#[ignore = "explains 102 statements: takes a quarter of a minute; cargo test --test api -- --ignored 200_000"]
async fn a_list_of_a_requester_with_200_000_operations_reads_little_and_is_right() {
    let requester = Uuid::now_v7();
    let database = TestDatabase::migrated().await;
    sqlx::query(MANY).bind(requester).bind(RARE).execute(&database.pool).await.unwrap();
    let contact = delete_contact(&database.pool).await;
    for before in ["select 1", "analyze", "vacuum analyze"] {
        sqlx::raw_sql(before).execute(&database.pool).await.unwrap();
        assert_lists_read_little(&database.pool, requester).await;
        assert_found_with_a_few_look_ups(&database.pool, requester, contact).await;
    }
    let service = TestService::start_on(database, |_| {}).await;
    assert_right(&service, requester).await;
}

/// Uses one of the operations of [`MANY`].
async fn delete_contact(pool: &TestPool) -> Uuid {
    let world = World::new(pool.clone());
    let contact = world.contact(world.family().await.sub_customer).await;
    let delete = "update contact set deleted_at = now(), deleted_by = $2 where id = $1";
    sqlx::query(delete).bind(contact).bind(Uuid::from_u128(7)).execute(pool).await.unwrap();
    contact
}

async fn assert_lists_read_little(pool: &TestPool, requester: Uuid) {
    for part in PARTS {
        part.assert_cheap(pool, SQL, "", requester, "").await;
        part.assert_cheap(pool, OF_CUSTOMER, ", uuid", requester, &format!(", '{requester}'")).await;
        let rare = Part { most_rows: 20 + 20 + 20, ..part };
        rare.assert_cheap(pool, OF_CUSTOMER, ", uuid", requester, &format!(", '{RARE}'")).await;
    }
}

/// A row names the operation that deleted it, so that no other is read.
async fn assert_found_with_a_few_look_ups(pool: &TestPool, requester: Uuid, contact: Uuid) {
    let values = format!("'{requester}', null, null, 11, 0, 10000, null, null, null, null, '{contact}'");
    let plan = explain(pool, OF_TARGET, &format!("{LIST_TYPES}, uuid, uuid"), &values).await;
    for (table, most) in [("operation", 1.0), ("contact", 1.0), ("product", 0.0)] {
        let rows = rows_read(&plan, table);
        assert!(!rows.is_empty() && rows.iter().sum::<f64>() <= most, "{table}: {rows:?} {plan}");
    }
    assert_eq!(plan[0]["Plan"]["Actual Rows"].as_f64(), Some(1.0), "{plan}");
}

async fn assert_right(service: &TestService, requester: Uuid) {
    let (content, pageable) = listed(service, requester, "?size=3").await;
    let newest: Vec<Uuid> = [199_999, 199_998, 199_997].map(Uuid::from_u128).into();
    assert_eq!((ids(&content), pageable["totalElements"].as_u64()), (newest, Some(10_000)));
    let (content, pageable) = listed(service, requester, "?resource=zone&size=2&page=4").await;
    let oldest: Vec<Uuid> = [20_001, 1].map(Uuid::from_u128).into();
    assert_eq!((ids(&content), pageable["totalElements"].as_u64()), (oldest, Some(10)));
}

/// A plan that was made while the tables were empty is kept while they grow.
#[tokio::test]
async fn each_list_is_planned_with_its_own_index() {
    for (sql, types, index, other) in [
        (SQL, LIST_TYPES.to_owned(), "operation_by_requester", "operation_by_customer"),
        (OF_CUSTOMER, format!("{LIST_TYPES}, uuid"), "operation_by_customer", "operation_by_requester"),
    ] {
        let database = TestDatabase::migrated().await;
        let mut connection = database.pool.acquire().await.unwrap();
        let plan = generic_plan(&mut connection, sql, &types).await;
        assert!(plan.iter().any(|line| line.contains(index)), "{plan:#?}");
        assert!(!plan.iter().any(|line| line.contains(other)), "{plan:#?}");
        let runs = plan.iter().filter(|line| line.contains("Index Cond") && line.contains("ROW(")).count();
        assert_eq!(runs, 2, "the count and the page begin at the cursor: {plan:#?}");
    }
}

/// The two statements are copies.
#[test]
fn the_list_of_a_customer_is_the_list_with_a_customer() {
    let statement = |sql: &str| sql[sql.find("-- $1").unwrap()..].to_owned();
    let without_customer: String = statement(OF_CUSTOMER)
        .lines()
        .filter(|line| !line.contains("operation.customer_id = $10") && *line != "-- $10 customer")
        .map(|line| line.replace("created_at <= 'infinity'", "created_at >= '-infinity'") + "\n")
        .collect();
    assert_eq!(without_customer, statement(SQL));
}

/// If there are few operations, or if each requester had one when the plan was made, all operations of a requester look like a
/// short way to a key or an id. It would get longer with every call.
#[tokio::test]
async fn no_other_statement_goes_through_everything_of_a_requester() {
    let others = OPERATION_TYPES.map(|(sql, types)| (sql.to_owned(), types));
    let statements: Vec<_> = deletions().into_iter().chain(others).collect();
    let database = TestDatabase::migrated().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let each_has_one = "
        insert into operation (id, requester_id, customer_id, resource, target_ids, status)
        select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'contact', array[gen_random_uuid()], 'OPEN'
        from generate_series(1, 20000)";

    for before in ["select 1", "analyze operation", each_has_one, "analyze operation", "vacuum operation"] {
        sqlx::raw_sql(before).execute(&mut *connection).await.unwrap();
        for (sql, types) in &statements {
            let plan = generic_plan(&mut connection, sql, types).await;
            assert!(!plan.iter().any(|line| line.contains("operation_by_")), "{before}: {sql}: {plan:#?}");
        }
    }
}

/// The number of times that a session has read the TOAST table, which has the long values.
async fn reads_of_long_values(connection: &mut PgConnection) -> i64 {
    let reads = "select coalesce(seq_scan, 0) + coalesce(idx_scan, 0) from pg_stat_xact_all_tables
        where relid = (select reltoastrelid from pg_class where oid = 'operation'::regclass)";
    sqlx::query_scalar(reads).fetch_one(connection).await.unwrap()
}

/// The number of such reads by a statement that finds a row.
async fn reads_of_long_values_by(pool: &TestPool, statement: &'static str, bind: impl Fn(Query) -> Query) -> i64 {
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
    let status =
        reads_of_long_values_by(pool, find, |query| query.bind(requester).bind(id).bind(true).bind(false)).await;
    let list = reads_of_long_values_by(pool, SQL, |query| {
        let query = query.bind(requester).bind("OPEN").bind(None::<&str>);
        let query = query.bind(10_i64).bind(0_i64).bind(10_000_i64);
        query.bind(None::<OffsetDateTime>).bind(None::<OffsetDateTime>).bind(None::<Uuid>)
    });

    assert_eq!((status, list.await), (0, 0));
    let all = reads_of_long_values_by(pool, "select target_ids from operation", |query| query).await;
    assert!(all > 0, "the long values are somewhere else");
}
