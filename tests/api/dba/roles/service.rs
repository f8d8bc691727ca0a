//! Everything that the role of the service must not do. The other tests show what it may do.

use uuid::Uuid;

use super::rights::{Columns, Rights, columns};
use super::{assert_not_permitted, granted, refusal, refusals, service_session};
use crate::support::World;

/// The columns that it reads, by table.
const SELECT: Columns = &[
    ("schema_version", &["*"]),
    ("customer", &["id", "parent_id", "deleted_at"]),
    ("contact", &["id", "customer_id", "deleted_at", "deleted_by"]),
    ("address", &["id", "customer_id", "deleted_at", "deleted_by"]),
    ("subscriber", &["id", "customer_id", "deleted_at"]),
    ("sell_plan", &["id", "customer_id", "deleted_at"]),
    (
        "external_params",
        &["id", "customer_id", "sub_customer_id", "subscriber_id", "sell_plan_id", "deleted_at", "deleted_by"],
    ),
    ("zone", &["id", "customer_id", "deleted_at", "deleted_by"]),
    ("product", &["id", "customer_id", "deleted_at", "deleted_by"]),
    ("product_allocation", &["product_id", "customer_id", "live"]),
    ("operation", &["*"]),
    ("operation_queue", &["*"]),
    ("restoration", &["operation_id", "restored_at"]),
];

/// The columns that it writes: those of a deletion, and those that only allow row locks.
const UPDATE: Columns = &[
    ("contact", &["deleted_at", "deleted_by"]),
    ("address", &["deleted_at", "deleted_by"]),
    ("external_params", &["deleted_at", "deleted_by"]),
    ("zone", &["deleted_at", "deleted_by"]),
    ("product", &["deleted_at", "deleted_by"]),
    ("customer", &["live"]),
    ("subscriber", &["held"]),
    ("sell_plan", &["held"]),
    (
        "operation",
        &[
            "status",
            "error_code",
            "failed_ids",
            "failures",
            "deleted_rows",
            "attempts",
            "idempotency_key",
            "completed_at",
        ],
    ),
    ("operation_queue", &["rank", "attempts", "lease_id", "free_at"]),
];

/// The columns that it inserts.
const INSERT: Columns = &[
    (
        "operation",
        &[
            "id",
            "requester_id",
            "customer_id",
            "resource",
            "target_ids",
            "status",
            "error_code",
            "failed_ids",
            "failures",
            "deleted_rows",
            "idempotency_key",
            "completed_at",
            "actor",
        ],
    ),
    ("operation_queue", &["operation_id", "requester_id", "customer_id", "rank"]),
];

/// The tables whose rows it deletes: an operation that has ended leaves the queue.
const DELETE: &[&str] = &["operation_queue"];

const RIGHTS: Rights = Rights { select: SELECT, update: UPDATE, insert: INSERT, delete: DELETE };

#[tokio::test]
async fn the_role_reads_and_writes_no_other_column_of_any_table() {
    let database = granted().await;
    let mut session = service_session(&database).await;
    let statements = RIGHTS.beyond(&columns(&database).await);
    assert_not_permitted(&refusals(&mut session, statements).await);
}

#[tokio::test]
async fn the_role_removes_and_alters_nothing() {
    let database = granted().await;
    let mut session = service_session(&database).await;
    let statements = RIGHTS.alterations(&columns(&database).await);
    assert_not_permitted(&refusals(&mut session, statements).await);
}

#[tokio::test]
async fn the_role_creates_no_object_and_can_set_no_other_role() {
    let database = granted().await;
    let mut session = service_session(&database).await;
    let statements = [
        "create table mine (id uuid)",
        "create temporary table mine (id uuid)",
        "create view mine as select 1",
        "create schema mine",
        "create sequence mine",
        "create type mine as enum ('a')",
        "create function mine() returns integer language sql as 'select 1'",
        "create trigger mine before delete on contact for each row execute function deleted_once()",
        "create policy mine on contact using (true)",
        "create publication mine for table operation",
        "create subscription mine connection 'dbname=postgres' publication mine",
        "create extension pg_stat_statements",
        "create role mine",
        "create database mine",
        "drop function deleted_once() cascade",
        "alter function deleted_once() security definer",
        "drop publication customer_deletion",
        "alter role customer_deletion_owner login",
        "grant customer_deletion_owner to customer_deletion_service",
        "grant delete on contact to customer_deletion_service",
        "set role customer_deletion_owner",
        "set role customer_deletion_maintenance",
        "set role customer_deletion_support",
        "set session authorization customer_deletion_owner",
        "set session_replication_role = replica",
        "alter system set fsync = off",
        "alter database postgres set work_mem = '1MB'",
        "copy contact to stdout",
        "copy contact (id) to '/tmp/contact'",
        "copy contact (id) to program 'cat'",
        "select pg_read_file('postgresql.conf')",
        "select pg_create_logical_replication_slot('mine', 'pgoutput')",
        "select lo_import('/etc/passwd')",
        "reindex table contact",
        "checkpoint",
    ];
    assert_not_permitted(&refusals(&mut session, statements.map(str::to_owned)).await);
}

#[tokio::test]
async fn a_row_that_it_may_lock_it_cannot_change() {
    let database = granted().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    world.subscriber(family.requester).await;
    world.sell_plan(family.requester).await;
    let everything = "select string_agg(line, ',' order by line) from (
        select customer::text as line from customer union all select subscriber::text from subscriber
        union all select sell_plan::text from sell_plan) as lines";
    let before: String = sqlx::query_scalar(everything).fetch_one(&database.pool).await.unwrap();
    let mut session = service_session(&database).await;

    for (sql, refused) in [
        ("update customer set live = default", None),
        ("update customer set live = false", Some("428C9")),
        ("update subscriber set held = null", None),
        ("update subscriber set held = true", Some("23514")),
        ("update sell_plan set held = default", None),
        ("update sell_plan set held = false", Some("23514")),
    ] {
        assert_eq!(refusal(&mut session, sql).await.as_deref(), refused, "{sql}");
    }
    let after: String = sqlx::query_scalar(everything).fetch_one(&database.pool).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_deletion_and_an_operation_stay_as_they_are_once_they_are_there() {
    let database = granted().await;
    let world = World::new(database.pool.clone());
    let contact = world.contact(world.family().await.sub_customer).await;
    let mut session = service_session(&database).await;
    let record = format!(
        "insert into operation (id, requester_id, customer_id, resource, target_ids, status, error_code, completed_at)
         values ('{0}', '{0}', '{0}', 'contact', '{{{0}}}', 'FAILURE', 'AUTH_1010', now())",
        Uuid::now_v7()
    );
    assert_eq!(refusal(&mut session, &record).await, None);
    // It may end an operation, once.
    let rewrite = "update operation set error_code = 'AUTH_1011'";
    assert_eq!(refusal(&mut session, rewrite).await.as_deref(), Some("23001"));
    let other = "update operation set target_ids = '{}'";
    assert_eq!(refusal(&mut session, other).await.as_deref(), Some("42501"));

    let delete = format!("update contact set deleted_at = now(), deleted_by = null where id = '{contact}'");
    assert_eq!(refusal(&mut session, &delete).await, None);
    let again = format!("update contact set deleted_at = now() where id = '{contact}'");
    assert_eq!(refusal(&mut session, &again).await.as_deref(), Some("23001"));
    // The guard reads the record of a restore, which the service itself may not read.
    let undelete = format!("update contact set deleted_at = null where id = '{contact}'");
    assert_eq!(refusal(&mut session, &undelete).await.as_deref(), Some("23001"));
}
