//! The details of a call: the number of deleted rows, the attempts of the queue, a restore, and the ids on request.

use customer_deletion::resource::Resource;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::concurrency::queued::{accept, at_work, details, ended, many_contacts};
use crate::dba::maintenance::{age_operation, rows, run};
use crate::support::TestService;
use crate::support::resources::every_list;
use crate::support::service::{Answer, send};

async fn with_query(service: &TestService, version: &str, requester: Uuid, operation: Uuid, query: &str) -> Answer {
    let path = format!("/api/{version}/global/call/{operation}{query}");
    send(service.call(Method::GET, &path, requester)).await
}

/// The details with the ids.
async fn full(service: &TestService, requester: Uuid, operation: Uuid) -> Value {
    let answer = with_query(service, "v3", requester, operation, "?view=full").await;
    answer.assert_status(200);
    answer.json()["content"][0].clone()
}

#[tokio::test]
async fn the_rows_of_a_success_are_counted_and_its_ids_are_shown_on_request() {
    for resource in every_list() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let mut ids = service.world.rows(resource, customer, 3).await;
        let sent = [ids.clone(), ids[..1].to_vec()].concat();
        ids.sort();
        let operation = service.delete_list(family.requester, customer, resource, &sent).await.assert_deleted();

        let usual = with_query(&service, "v3", family.requester, operation, "").await.text;
        let members = r#""failedIds":[],"failures":[],"deletedRows":3,"attempts":0,"restoredAt":null}]"#;
        assert!(usual.contains(members), "{usual}");
        let full = with_query(&service, "v3", family.requester, operation, "?view=full").await.text;
        let told = serde_json::to_string(&ids).unwrap();
        let expected = usual.replace(r#""restoredAt":null"#, &format!(r#""restoredAt":null,"targetIds":{told}"#));
        assert_eq!(full, expected);
    }
}

#[tokio::test]
async fn a_refusal_and_an_open_call_have_deleted_no_rows() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let (requester, customer) = (family.requester, family.sub_customer);
    let contact = service.world.contact(customer).await;
    let unknown = Uuid::from_u128(7);
    let refused = service.delete_list(requester, customer, Resource::Contact, &[contact, unknown]).await.request_id();
    let open = accept(&service, requester, customer, Resource::Contact, &[contact]).await;

    for (operation, status, ids) in [(refused, "FAILURE", vec![unknown, contact]), (open, "OPEN", vec![contact])] {
        let told = full(&service, requester, operation).await;
        assert_eq!((&told["status"], &told["deletedRows"]), (&json!(status), &json!(0)), "{told}");
        assert_eq!((&told["attempts"], &told["restoredAt"]), (&json!(0), &Value::Null), "{told}");
        assert_eq!(told["targetIds"], json!(ids));
    }
}

/// Rows that refer to a deleted one stay live.
#[tokio::test]
async fn rows_of_other_tables_do_not_go_with_a_deleted_one() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;
    let allocation = service.world.allocation(product, family.sub_customer).await;
    let detach = "update product_allocation set detached_at = now() where id = $1";
    service.world.execute(detach, allocation).await;
    let operation =
        service.delete_one(family.requester, family.requester, Resource::Product, product).await.assert_deleted();

    assert_eq!(details(&service, family.requester, operation).await["deletedRows"], 1);
    let left: i64 = sqlx::query_scalar("select count(*) from product_allocation where product_id = $1")
        .bind(product)
        .fetch_one(&service.database.pool)
        .await
        .unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn the_attempts_of_the_queue_are_counted_while_a_call_waits_and_after_its_end() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let (requester, customer) = (family.requester, family.sub_customer);
    let contacts = service.world.rows(Resource::Contact, customer, 2).await;
    let mut operations = Vec::new();
    for contact in &contacts {
        operations.push(accept(&service, requester, customer, Resource::Contact, &[*contact]).await);
    }
    let failed_before = "update operation_queue set attempts = 3, free_at = now()";
    sqlx::raw_sql(failed_before).execute(&service.database.pool).await.unwrap();
    for operation in &operations {
        let told = details(&service, requester, *operation).await;
        assert_eq!((&told["status"], &told["attempts"]), (&json!("OPEN"), &json!(3)), "{told}");
    }

    let cancelled = service.cancel(requester, operations[0]).await;
    cancelled.assert_status(200);
    assert_eq!(cancelled.json()["content"][0], details(&service, requester, operations[0]).await);
    assert_eq!(cancelled.json()["content"][0]["attempts"], 3);
    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    let told = ended(&service, requester, operations[1]).await;
    assert_eq!((&told["status"], &told["attempts"], &told["deletedRows"]), (&json!("SUCCESS"), &json!(4), &json!(1)));
}

#[tokio::test]
async fn a_restore_is_shown_and_stays_shown_after_another_deletion() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let (requester, customer) = (family.requester, family.sub_customer);
    let contacts = service.world.rows(Resource::Contact, customer, 2).await;
    let delete = || service.delete_list(requester, customer, Resource::Contact, &contacts);
    let first = delete().await.assert_deleted();
    let before = full(&service, requester, first).await;
    assert_eq!(before["restoredAt"], Value::Null);

    run(&service.database, &["restore", "--operation", &first.to_string()]).await.done();

    let restored_at: OffsetDateTime =
        sqlx::query_scalar("select restored_at from restoration").fetch_one(&service.database.pool).await.unwrap();
    let after = full(&service, requester, first).await;
    let mut expected = before.clone();
    expected["restoredAt"] = after["restoredAt"].clone();
    assert_eq!(after, expected);
    assert_eq!(OffsetDateTime::parse(after["restoredAt"].as_str().unwrap(), &Rfc3339).unwrap(), restored_at);

    let second = delete().await.assert_deleted();
    assert_eq!(full(&service, requester, first).await, after);
    assert_eq!(full(&service, requester, second).await["restoredAt"], Value::Null);
}

/// A purge erases rows, and later the operation. Until then, the status shows what the operation did.
#[tokio::test]
async fn a_purge_of_rows_changes_nothing_of_what_the_call_did() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let zones = service.world.rows(Resource::Zone, family.requester, 2).await;
    let operation =
        service.delete_list(family.requester, family.requester, Resource::Zone, &zones).await.assert_deleted();
    let before = full(&service, family.requester, operation).await;
    assert_eq!((&before["deletedRows"], before["targetIds"].as_array().unwrap().len()), (&json!(2), 2));

    run(database, &["purge", "--zone", &zones[0].to_string()]).await.done();
    assert_eq!(full(&service, family.requester, operation).await, before);
    run(database, &["purge", "--operation", &operation.to_string()]).await.done();
    assert_eq!(rows(&database.pool, "zone").await, 0);
    assert_eq!(full(&service, family.requester, operation).await, before);

    age_operation(&database.pool, operation, 400).await;
    run(database, &["purge", "--older-than", "40d"]).await.done();
    for query in ["", "?view=full"] {
        let gone = with_query(&service, "v3", family.requester, operation, query).await;
        gone.assert_failed(404, "GLOBAL_1003", "Provided request ID does not exist for your account.");
    }
}

#[rstest]
#[case::empty("?view=", "view in the query must be full")]
#[case::without_a_value("?view", "view in the query must be full")]
#[case::another_word("?view=basic", "view in the query must be full")]
#[case::in_capitals("?view=FULL", "view in the query must be full")]
#[case::two_words("?view=full,basic", "view in the query must be full")]
#[case::twice("?view=full&vi%65w=full", "view in the query was sent twice")]
#[tokio::test]
async fn a_view_that_is_not_full_is_a_bad_request(#[case] query: &str, #[case] part_of_message: &str) {
    let service = TestService::shared().await;
    let (requester, operation) = (Uuid::now_v7(), Uuid::now_v7());
    let answer = with_query(&service, "v3", requester, operation, query).await;
    answer.assert_malformed(400, "BAD_REQUEST", part_of_message);
    // Version 2 has no view, and ignores it as before.
    let unknown = with_query(&service, "v2", requester, operation, query).await;
    unknown.assert_failed(404, "GLOBAL_1003", "Provided request ID does not exist for your account.");
}

#[tokio::test]
async fn nobody_else_reads_the_ids_of_a_call() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let operation =
        service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact).await.assert_deleted();
    for stranger in [family.parent, family.sub_customer, family.sibling, Uuid::now_v7()] {
        let foreign = with_query(&service, "v3", stranger, operation, "?view=full").await;
        foreign.assert_failed(404, "GLOBAL_1003", "Provided request ID does not exist for your account.");
        assert_eq!(foreign.text, with_query(&service, "v3", stranger, Uuid::now_v7(), "").await.text);
    }
    let read = with_query(&service, "v3", family.requester, operation, "?x=%ff&vi%65w=fu%6Cl&").await;
    assert_eq!(read.json()["content"][0]["targetIds"], json!([contact]));
}

#[rstest]
#[case::ten_thousand(10_000)]
#[ignore = "takes memory and time; cargo test --test api -- --ignored long_list"]
#[case::the_most(100_000)]
#[tokio::test]
async fn the_ids_of_a_long_list_are_shown_whole(#[case] many: i32) {
    let service = at_work().await;
    let family = service.world.family().await;
    let mut contacts = many_contacts(&service.database.pool, family.sub_customer, many).await;
    contacts.sort();
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &contacts).await;
    let told = ended(&service, family.requester, operation).await;
    assert_eq!((&told["status"], &told["deletedRows"]), (&json!("SUCCESS"), &json!(many)));
    assert_eq!(told.get("targetIds"), None);

    let told = full(&service, family.requester, operation).await;
    assert!(told["targetIds"] == json!(contacts), "{} ids", told["targetIds"].as_array().unwrap().len());
}

/// The memory for a list of ids is reserved before it is read.
#[tokio::test]
async fn ids_that_do_not_fit_into_memory_are_not_read() {
    let service = TestService::start_with(|settings| settings.queue.max_ids = 1_000_000).await;
    let (requester, id) = (Uuid::now_v7(), Uuid::now_v7());
    let sql = format!(
        "insert into operation (id, requester_id, customer_id, resource, target_ids, status)
         select '{id}', '{requester}', '{requester}', 'zone', array_agg('{id}'::uuid), 'OPEN' from generate_series(1, 300000)"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&service.database.pool).await.unwrap();

    let answer = with_query(&service, "v3", requester, id, "?view=full").await;

    answer.assert_malformed(429, "TOO_MANY_REQUESTS", "");
    with_query(&service, "v3", requester, id, "").await.assert_status(200);
}
