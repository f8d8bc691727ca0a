//! The order in which a deletion locks customers and entities, and a restore its rows.
//!
//! A deletion locks the sub-customer first and the requester second, and entities in ascending order of their ids. A
//! transaction that locks several of them in the same order never deadlocks with it.

use customer_deletion::resource::Resource;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{begin, in_background, run};
use crate::dba::maintenance::maintenance_sql;
use crate::support::resources::{every_list, sql, statement, table};
use crate::support::service::until_so_many_wait;
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, TestService, World};

const LOW: Uuid = Uuid::from_u128(1);
const HIGH: Uuid = Uuid::from_u128(2);

/// Asserts that no transaction has locked the row.
async fn assert_free(pool: &TestPool, table: &str, id: Uuid) {
    let sql = format!("select from {table} where id = $1 for update nowait");
    begin(pool, &sql, &[id]).await.rollback().await.unwrap();
}

async fn insert_customer(pool: &TestPool, id: Uuid, parent: Option<Uuid>) {
    let sql = "insert into customer (id, parent_id, name) values ($1, $2, 'A customer')";
    sqlx::query(sql).bind(id).bind(parent).execute(pool).await.unwrap();
}

#[tokio::test]
async fn customers_are_locked_from_the_sub_customer_up() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    for (resource, is_lower) in
        [(Resource::Contact, true), (Resource::Contact, false), (Resource::Address, true), (Resource::Address, false)]
    {
        println!("{resource:?} of a {} customer", if is_lower { "lower" } else { "higher" });
        let mut ids = [Uuid::now_v7(), Uuid::now_v7()];
        ids.sort();
        let [low, high] = ids;
        let (requester, sub_customer) = if is_lower { (high, low) } else { (low, high) };
        let family = Family { requester, sub_customer, ..service.world.family().await };
        insert_customer(pool, requester, None).await;
        insert_customer(pool, sub_customer, Some(requester)).await;
        let row = service.world.row(resource, sub_customer).await;

        let holding = begin(pool, "select from customer where id = $1 for update", &[sub_customer]).await;
        let call = in_background(&service, family, resource, &[row]);
        until_so_many_wait(pool, 1).await;
        assert_free(pool, "customer", requester).await;
        holding.rollback().await.unwrap();

        call.await.unwrap().assert_deleted();
    }
}

/// The entities of external params: the table, the column that refers to it, and a statement that creates one.
const INSERT: [(&str, &str, &str); 3] = [
    ("customer", "sub_customer_id", "insert into customer (id, parent_id, name) values ($1, $2, 'A')"),
    ("subscriber", "subscriber_id", "insert into subscriber (id, customer_id, name) values ($1, $2, 'A')"),
    ("sell_plan", "sell_plan_id", "insert into sell_plan (id, customer_id, name) values ($1, $2, 'A')"),
];

/// A service whose plans read tables in the order in which they are stored. The usual settings make it read the index, which
/// gives the order of ids.
async fn service_that_reads_tables() -> TestService {
    let database = TestDatabase::migrated().await;
    let url = database.url.split('?').next().unwrap().to_owned();
    let options = "-c%20enable_indexscan%3Doff%20-c%20enable_bitmapscan%3Don";
    TestService::start_on(database, |settings| settings.database.url = Some(format!("{url}?options={options}").into()))
        .await
}

#[tokio::test]
async fn what_external_params_are_set_on_is_locked_in_the_order_of_its_ids() {
    let service = service_that_reads_tables().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    for (table, column, sql) in INSERT {
        println!("{table}");
        let mut rows = Vec::new();
        // The table stores the higher one first.
        for entity in [HIGH, LOW] {
            sqlx::query(sql).bind(entity).bind(family.requester).execute(pool).await.unwrap();
            rows.push(service.world.external_params(family.requester, column, entity).await);
        }

        let holding = begin(pool, &format!("select from {table} where id = $1 for update"), &[LOW]).await;
        let call = in_background(&service, family, Resource::ExternalParams, &rows);
        until_so_many_wait(pool, 1).await;
        assert_free(pool, table, HIGH).await;
        holding.rollback().await.unwrap();

        call.await.unwrap().assert_deleted();
    }
}

/// Runs a statement in a session that reads tables as they are stored, and asserts that it waits for the row with the low id
/// before it locks the other.
async fn assert_locks_the_lower_first(pool: &TestPool, table: &str, sql: String) {
    let stored = format!("select id from {table} where id in ($1, $2) order by ctid");
    let stored: Vec<Uuid> =
        sqlx::query_scalar(AssertSqlSafe(stored)).bind(LOW).bind(HIGH).fetch_all(pool).await.unwrap();
    assert_eq!(stored, [HIGH, LOW], "{table}");

    let holding = begin(pool, &format!("select from {table} where id = $1 for update"), &[LOW]).await;
    let mut session = begin(pool, "set local enable_indexscan = off", &[]).await;
    run(&mut session, "set local enable_bitmapscan = off", &[]).await.unwrap();
    let waiting = tokio::spawn(async move { run(&mut session, &sql, &[]).await.map(|_| ()) });
    until_so_many_wait(pool, 1).await;
    assert_free(pool, table, HIGH).await;
    holding.rollback().await.unwrap();
    waiting.await.unwrap().unwrap();
}

/// The text of a statement with its arguments.
fn with_arguments(sql: String, arguments: &[String]) -> String {
    let numbered = arguments.iter().enumerate();
    numbered.fold(sql, |sql, (index, argument)| sql.replace(&format!("${}", index + 1), argument))
}

fn id(id: Uuid) -> String {
    format!("'{id}'::uuid")
}

fn list(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(|each| id(*each)).collect();
    format!("array[{}]", ids.join(", "))
}

/// The settings of a session make its plans read an index. The statements do not rely on them.
#[tokio::test]
async fn entities_are_locked_in_the_order_of_their_ids_whatever_the_plan() {
    let database = TestDatabase::migrated().await;
    let (pool, world) = (&database.pool, World::new(database.pool.clone()));
    for (table, column, insert) in INSERT {
        let requester = world.customer(None).await;
        let mut rows = Vec::new();
        for entity in [HIGH, LOW] {
            begin(pool, insert, &[entity, requester]).await.commit().await.unwrap();
            rows.push(world.external_params(requester, column, entity).await);
        }

        let lock = maintenance_sql(&format!("lock_{table}s"));
        let lock = with_arguments(lock, &[list(&[HIGH, LOW]), id(Uuid::now_v7())]);
        assert_locks_the_lower_first(pool, table, lock).await;

        let [operation, requester] = [Uuid::now_v7(), requester].map(id);
        let rest = ["null::text", "false", "null::text"].map(str::to_owned);
        let arguments = [&[operation, requester.clone(), requester, list(&rows)][..], &rest].concat();
        let delete = with_arguments(sql("delete", Resource::ExternalParams), &arguments);
        assert_locks_the_lower_first(pool, table, delete).await;
    }
}

#[tokio::test]
async fn rows_to_restore_are_locked_in_the_order_of_their_ids_whatever_the_plan() {
    let database = TestDatabase::migrated().await;
    let (pool, world) = (&database.pool, World::new(database.pool.clone()));
    for resource in every_list() {
        let (family, operation) = (world.family().await, Uuid::now_v7());
        world.insert_rows(resource, family.in_scope(resource), &[HIGH, LOW]).await;
        for row in [HIGH, LOW] {
            let delete = format!("update {} set deleted_at = now(), deleted_by = $2 where id = $1", table(resource));
            begin(pool, &delete, &[row, operation]).await.commit().await.unwrap();
        }
        let record = "
            insert into operation
              (id, requester_id, customer_id, resource, target_ids, status, deleted_rows, completed_at)
            values ($1, $2, $2, 'contact', array[$3, $4], 'SUCCESS', 2, now())";
        begin(pool, record, &[operation, family.requester, LOW, HIGH]).await.commit().await.unwrap();

        let lock = with_arguments(maintenance_sql(&statement("lock_deleted", resource)), &[id(operation)]);
        assert_locks_the_lower_first(pool, table(resource), lock).await;
    }
}
