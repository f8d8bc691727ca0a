//! The data that support staff may see.

use super::{assert_not_permitted, granted, refusal, refusals, session_as};

#[tokio::test]
async fn support_reads_the_history_the_calls_and_the_customers() {
    let database = granted().await;
    let mut session = session_as(&database, "customer_deletion_support").await;
    for sql in [
        "select * from deletion_history",
        "select id, requester_id, actor, customer_id, resource, target_ids, status, error_code, failed_ids, failures, created_at from operation",
        "select id, parent_id, name, deleted_at from customer",
        "select operation_id, restored_ids, restored_at from restoration",
    ] {
        assert_eq!(refusal(&mut session, sql).await, None, "{sql}");
    }
}

#[tokio::test]
async fn support_sees_no_other_personal_data_and_writes_nothing() {
    let database = granted().await;
    let mut session = session_as(&database, "customer_deletion_support").await;
    let statements = [
        "select from contact",
        "select email from contact",
        "select from live_contact",
        "select from address",
        "select value from external_params",
        "select idempotency_key from operation",
        "update customer set name = 'a'",
        "update contact set deleted_at = now()",
        "delete from operation",
        "insert into customer (id) values (gen_random_uuid())",
        "create table mine (id uuid)",
        "create temporary table mine (id uuid)",
    ];
    assert_not_permitted(&refusals(&mut session, statements.map(str::to_owned)).await);
}
