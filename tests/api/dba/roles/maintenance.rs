//! Everything that the maintenance role must not do. The tests of `restore` and `purge` show what it may do.

use uuid::Uuid;

use super::rights::{Columns, Rights, columns};
use super::{assert_not_permitted, granted, refusal, refusals, session_as};
use crate::support::{TestDatabase, World};

const ROLE: &str = "customer_deletion_maintenance";

const SELECT: Columns = &[
    ("schema_version", &["*"]),
    ("customer", &["id", "parent_id", "deleted_at", "live"]),
    ("subscriber", &["id", "customer_id", "deleted_at"]),
    ("sell_plan", &["id", "customer_id", "deleted_at"]),
    ("contact", &["id", "customer_id", "deleted_at", "deleted_by"]),
    ("address", &["id", "customer_id", "deleted_at", "deleted_by"]),
    (
        "external_params",
        &["id", "customer_id", "sub_customer_id", "subscriber_id", "sell_plan_id", "deleted_at", "deleted_by"],
    ),
    ("zone", &["id", "customer_id", "name", "deleted_at", "deleted_by"]),
    ("product", &["id", "customer_id", "deleted_at", "deleted_by"]),
    ("product_allocation", &["id", "product_id", "customer_id", "customer_live", "live"]),
    ("operation_queue", &["*"]),
    ("purge", &["*"]),
    ("erasure", &["*"]),
    ("legal_hold", &["*"]),
    (
        "operation",
        &[
            "id",
            "requester_id",
            "customer_id",
            "resource",
            "target_ids",
            "failed_ids",
            "failures",
            "deleted_rows",
            "attempts",
            "status",
            "error_code",
            "created_at",
            "completed_at",
            "actor",
        ],
    ),
    (
        "restoration",
        &[
            "id",
            "operation_id",
            "requester_id",
            "customer_id",
            "resource",
            "restored_ids",
            "restored_by",
            "restored_at",
        ],
    ),
];

const UPDATE: Columns = &[
    ("contact", &["deleted_by"]),
    ("address", &["deleted_by"]),
    ("external_params", &["deleted_by"]),
    ("zone", &["deleted_by"]),
    ("product", &["deleted_by"]),
    ("customer", &["live"]),
    ("subscriber", &["held"]),
    ("sell_plan", &["held"]),
    ("purge", &["erased", "ended_at"]),
    ("erasure", &["erased_rows"]),
    ("legal_hold", &["released_at"]),
    ("operation", &["status", "error_code", "attempts", "completed_at", "actor"]),
    ("operation_queue", &["attempts"]),
];

/// The database sets who restores and who purges, and when.
const INSERT: Columns = &[
    ("restoration", &["id", "operation_id", "requester_id", "customer_id", "resource", "restored_ids"]),
    ("purge", &["id", "kind", "rows_before", "operations_before", "subject_ids"]),
    ("erasure", &["operation_id", "purge_id", "erased_rows"]),
    ("legal_hold", &["id", "customer_id", "reason"]),
    (
        "operation",
        &["id", "requester_id", "customer_id", "resource", "target_ids", "status", "idempotency_key", "actor"],
    ),
    ("operation_queue", &["operation_id", "requester_id", "customer_id", "rank"]),
];

const DELETE: &[&str] = &[
    "contact",
    "address",
    "external_params",
    "zone",
    "product",
    "product_allocation",
    "operation",
    "restoration",
    "customer",
    "subscriber",
    "sell_plan",
    "erasure",
    "operation_queue",
];

const RIGHTS: Rights = Rights { select: SELECT, update: UPDATE, insert: INSERT, delete: DELETE };

#[tokio::test]
async fn the_role_reads_and_writes_no_other_column_of_any_table() {
    let database = granted().await;
    let mut session = session_as(&database, ROLE).await;
    let statements = RIGHTS.beyond(&columns(&database).await);
    assert!(statements.iter().any(|statement| statement == "select email from contact"));
    assert_not_permitted(&refusals(&mut session, statements).await);
}

#[tokio::test]
async fn the_role_alters_nothing_and_removes_no_record_of_the_schema() {
    let database = granted().await;
    let mut session = session_as(&database, ROLE).await;
    let statements = RIGHTS.alterations(&columns(&database).await);
    assert!(statements.iter().any(|statement| statement == "delete from schema_version"));
    assert_not_permitted(&refusals(&mut session, statements).await);
}

#[tokio::test]
async fn the_role_creates_no_object_and_can_set_no_other_role() {
    let database = granted().await;
    let (member, url) = super::create_role(&database, &format!("in role {ROLE}")).await;
    let mut session = crate::support::database::connect(&url).await;
    let statements = [
        "create table mine (id uuid)",
        "create temporary table mine (id uuid)",
        "create view mine as select 1",
        "create function mine() returns integer language sql as 'select 1'",
        "create publication mine for table operation",
        "drop publication customer_deletion",
        "drop publication customer_deletion_restorations",
        "drop function deleted_once() cascade",
        "create or replace function deleted_once() returns trigger language plpgsql as 'begin return null; end'",
        "set session_replication_role = replica",
        "set role customer_deletion_owner",
        "set role customer_deletion_service",
        "grant customer_deletion_owner to customer_deletion_maintenance",
        "create role mine",
    ];
    let done = refusals(&mut session, statements.map(str::to_owned)).await;
    super::drop_role(&database, &member).await;
    assert_not_permitted(&done);
}

#[tokio::test]
async fn the_role_restores_nothing_without_a_record_and_no_product_at_all() {
    let database = granted().await;
    let (contact, product) = deleted_rows(&database).await;
    let mut session = session_as(&database, ROLE).await;
    let record = "insert into restoration (id, operation_id, requester_id, customer_id, resource, restored_ids)
         select gen_random_uuid(), id, requester_id, customer_id, resource, target_ids from operation";

    for (sql, refused) in [
        // The right to lock a row does not allow changes of it, deleted or live.
        (format!("update contact set deleted_by = null where id = '{contact}'"), Some("23001")),
        (format!("update product set deleted_by = null where id = '{product}'"), Some("23001")),
        (format!("update product set deleted_by = '{contact}' where deleted_at is null"), Some("23514")),
        (record.to_owned(), None),
        (format!("update contact set deleted_by = '{product}' where id = '{contact}'"), Some("23514")),
    ] {
        assert_eq!(refusal(&mut session, &sql).await.as_deref(), refused, "{sql}");
    }
}

/// A contact and a product that one operation deleted, and a live product.
async fn deleted_rows(database: &TestDatabase) -> (Uuid, Uuid) {
    let world = World::new(database.pool.clone());
    let customer = world.family().await.sub_customer;
    let (contact, product) = (world.contact(customer).await, world.product(customer).await);
    let operation = Uuid::now_v7();
    world.execute("update contact set deleted_at = now(), deleted_by = $1", operation).await;
    let record = "insert into operation (
           id, requester_id, customer_id, resource, target_ids, status, deleted_rows, completed_at
         ) select $1, customer_id, customer_id, 'contact', array[id], 'SUCCESS', 1, now() from contact";
    world.execute(record, operation).await;
    world.execute("update product set deleted_at = now(), deleted_by = $1", operation).await;
    world.product(customer).await;
    (contact, product)
}
