//! `operations`: the calls, for operators who have a shell and no token.

use customer_deletion::resource::Resource;
use rstest::rstest;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::concurrency::queued::{accept, ended};
use crate::dba::maintenance::{rows, run};
use crate::support::plan::{explain, rows_read};
use crate::support::{TestDatabase, TestService};

/// Makes a queued operation look as if its attempts had failed.
async fn give_up(database: &TestDatabase, operation: Uuid) {
    let sql = format!(
        "delete from operation_queue where operation_id = '{operation}';
         update operation set status = 'INTERNAL_ERROR', error_code = 'GLOBAL_1001', idempotency_key = null,
           completed_at = now()
         where id = '{operation}'"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();
}

fn ids(listed: &str) -> Vec<Uuid> {
    let listed: Value = serde_json::from_str(listed).unwrap();
    listed.as_array().unwrap().iter().map(|operation| operation["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn operations_are_listed_newest_first_by_requester_customer_and_status() {
    let service = TestService::start_with(|settings| settings.queue.workers = 0).await;
    let (database, family) = (&service.database, service.world.family().await);
    let (requester, customer, contact) = (family.requester, family.sub_customer, Resource::Contact);
    assert_eq!(run(database, &["operations"]).await.done(), "no operation\n");
    let row = service.world.contact(customer).await;
    let deleted = service.delete_one(requester, customer, contact, row).await.assert_deleted();
    let unknown = Uuid::now_v7();
    let refused = service.delete_one(requester, requester, Resource::Zone, unknown).await.request_id();
    let waiting = accept(&service, requester, customer, contact, &[unknown]).await;
    let others = service.delete_one(family.parent, family.parent, Resource::Zone, unknown).await.request_id();

    let list = async |arguments: &[&str]| {
        ids(&run(database, &[&["operations", "--json"][..], arguments].concat()).await.done())
    };
    assert_eq!(list(&[]).await, [others, waiting, refused, deleted]);
    assert_eq!(list(&["--limit", "2"]).await, [others, waiting]);
    assert_eq!(list(&["--requester", &requester.to_string()]).await, [waiting, refused, deleted]);
    assert_eq!(list(&["--customer", &customer.to_string()]).await, [waiting, deleted]);
    assert_eq!(list(&["--status", "failure"]).await, [others, refused]);
    assert_eq!(list(&["--status", "OPEN", "--customer", &family.parent.to_string()]).await, Vec::<Uuid>::new());
    let said =
        run(database, &["operations", "--status", "FAILURE", "--requester", &requester.to_string()]).await.done();
    let line = format!("{refused} FAILURE CUSTOMER_1030, 1 zone of customer {requester}, asked for by {requester} at ");
    assert!(said.starts_with(&line) && said.lines().count() == 1, "{said}");
}

#[tokio::test]
async fn an_operation_is_shown_with_its_ids() {
    let service = TestService::start_with(|settings| settings.queue.workers = 0).await;
    let (database, family) = (&service.database, service.world.family().await);
    let (requester, zone) = (family.requester, service.world.zone(family.requester).await);
    let unknown = Uuid::now_v7();
    let refused = service.delete_list(requester, requester, Resource::Zone, &[zone, unknown]).await.request_id();
    let waiting = accept(&service, requester, requester, Resource::Zone, &[zone]).await;

    let shown = run(database, &["operations", "--id", &refused.to_string(), "--json"]).await.done();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["targetIds"], serde_json::json!([zone, unknown]));
    assert_eq!((&shown["failedIds"], &shown["errorCode"]), (&serde_json::json!([unknown]), &"CUSTOMER_1030".into()));
    assert_eq!(shown["failures"], serde_json::json!([{"id": unknown, "errorCode": "CUSTOMER_1030"}]));
    assert_eq!((&shown["deletedRows"], &shown["attempts"], &shown["freeAt"]), (&0.into(), &0.into(), &Value::Null));
    let shown = run(database, &["operations", "--id", &refused.to_string()]).await.done();
    assert!(shown.contains(&format!("refused ids  1\n    {unknown} CUSTOMER_1030\n")), "{shown}");
    let shown = run(database, &["operations", "--id", &waiting.to_string()]).await.done();
    for part in [
        "status       OPEN\n",
        "attempts     0\n",
        "deleted rows 0\n",
        "can start at ",
        &format!("ids          1\n    {zone}"),
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    run(database, &["operations", "--id", &unknown.to_string()]).await.refused(&["no operation has the id"]);
}

#[tokio::test]
async fn an_internal_error_is_retried_as_a_new_operation() {
    let service = TestService::start_with(|settings| settings.queue.workers = 0).await;
    let (database, family) = (&service.database, service.world.family().await);
    let (requester, customer, contact) = (family.requester, family.sub_customer, Resource::Contact);
    let contacts = service.world.rows(contact, customer, 2).await;
    let failed = accept(&service, requester, customer, contact, &contacts).await;
    give_up(database, failed).await;
    let id = failed.to_string();

    let said = run(database, &["operations", "--retry", &id]).await.done();
    let retried: Uuid = said.split_once("as operation ").unwrap().1.split_once(',').unwrap().0.parse().unwrap();
    assert_eq!(said, format!("operation {failed} is retried as operation {retried}, which is queued\n"));
    // Not twice at the same time.
    let reason = format!("nothing is retried: operation {retried} is queued already");
    run(database, &["operations", "--retry", &id]).await.refused(&[&reason]);
    assert_eq!((rows(&database.pool, "operation").await, rows(&database.pool, "operation_queue").await), (2, 1));

    let worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    assert_eq!(ended(&worker, requester, retried).await["status"], "SUCCESS");
    assert_eq!(service.world.deleted(contact, &contacts).await, contacts);
    run(database, &["verify"]).await.done();
}

#[tokio::test]
async fn only_an_internal_error_is_retried_and_only_if_the_queue_has_room() {
    let service = TestService::start_with(|settings| settings.queue.workers = 0).await;
    let (database, family) = (&service.database, service.world.family().await);
    let (requester, zone, unknown) = (family.requester, Resource::Zone, Uuid::now_v7());
    let refused = service.delete_one(requester, requester, zone, unknown).await.request_id().to_string();
    let waiting = accept(&service, requester, requester, zone, &[unknown]).await;

    let retry = async |id: &str| run(database, &["operations", "--retry", id]).await;
    retry(&refused).await.refused(&["is FAILURE, and not INTERNAL_ERROR"]);
    retry(&waiting.to_string()).await.refused(&["is OPEN, and not INTERNAL_ERROR"]);
    retry(&unknown.to_string()).await.refused(&["nothing is retried: no operation has the id"]);
    give_up(database, waiting).await;
    for _ in 0..2 {
        accept(&service, requester, requester, zone, &[Uuid::now_v7()]).await;
    }
    let mut command = crate::dba::maintenance::maintenance(database, &["operations", "--retry", &waiting.to_string()]);
    command.env("CUSTOMER_DELETION__QUEUE__MAX_OPERATIONS", "2");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("its requester has 2 queued operations already (QUEUE__MAX_OPERATIONS)"), "{said}");
    assert_eq!((rows(&database.pool, "operation").await, rows(&database.pool, "operation_queue").await), (4, 2));
}

/// Otherwise a retry could delete rows that were restored since.
#[tokio::test]
async fn an_internal_error_is_not_retried_if_the_same_call_has_succeeded_since() {
    let service = TestService::start_with(|settings| settings.queue.workers = 0).await;
    let (database, family) = (&service.database, service.world.family().await);
    let (requester, zone) = (family.requester, Resource::Zone);
    let zones = service.world.rows(zone, requester, 2).await;
    let failed = [
        accept(&service, requester, requester, zone, &zones[..1]).await,
        accept(&service, requester, requester, zone, &zones[1..]).await,
    ];
    for operation in failed {
        give_up(database, operation).await;
    }
    let succeeded = service.delete_one(requester, requester, zone, zones[0]).await.assert_deleted();

    let retry = async |id: Uuid| run(database, &["operations", "--retry", &id.to_string()]).await;
    let reason = format!("nothing is retried: operation {succeeded} has succeeded since");
    retry(failed[0]).await.refused(&[&reason]);
    assert_eq!(rows(&database.pool, "operation_queue").await, 0);
    retry(failed[1]).await.done();
}

#[tokio::test]
async fn a_duplicate_is_found_through_an_index() {
    let pool = &TestDatabase::migrated().await.pool;
    let fill = "insert into operation
          (id, requester_id, customer_id, resource, target_ids, status, deleted_rows, completed_at)
        select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'zone', array[gen_random_uuid()], 'SUCCESS', 1, now()
        from generate_series(1, 2000) returning id";
    let id: Uuid = sqlx::query_scalar(fill).fetch_all(pool).await.unwrap()[0];
    sqlx::raw_sql("vacuum analyze operation").execute(pool).await.unwrap();

    let sql = include_str!("../../../src/maintenance/sql/duplicate_of_operation.sql");
    let plan = explain(pool, sql, "uuid", &format!("'{id}'")).await;

    // The operation itself, which is found once by its id and once as a duplicate.
    assert_eq!(rows_read(&plan, "operation"), [1.0, 1.0], "{plan}");
}

#[tokio::test]
async fn an_operation_that_waits_is_cancelled() {
    let service = TestService::start_with(|settings| settings.queue.workers = 0).await;
    let (database, family) = (&service.database, service.world.family().await);
    let (requester, resource) = (family.requester, Resource::Zone);
    let zones = service.world.rows(resource, requester, 2).await;
    let operations = [
        accept(&service, requester, requester, resource, &zones[..1]).await,
        accept(&service, requester, requester, resource, &zones[1..]).await,
    ];
    let cancel = async |id: Uuid| run(database, &["operations", "--cancel", &id.to_string()]).await;

    // A transaction that executes an operation locks its row.
    let mut executing = database.pool.begin().await.unwrap();
    let hold = "select from operation_queue where operation_id = $1 for update";
    sqlx::query(hold).bind(operations[0]).execute(&mut *executing).await.unwrap();
    cancel(operations[0]).await.refused(&["nothing is cancelled", "is being executed"]);
    executing.rollback().await.unwrap();
    assert_eq!(rows(&database.pool, "operation_queue").await, 2);

    let said = cancel(operations[0]).await.done();
    assert_eq!(said, format!("operation {} is cancelled\n", operations[0]));
    let shown = run(database, &["operations", "--id", &operations[0].to_string()]).await.done();
    assert!(shown.contains("status       FAILURE CANCELLED\n"), "{shown}");
    cancel(operations[0]).await.refused(&["has ended: its status is FAILURE"]);
    cancel(Uuid::now_v7()).await.refused(&["nothing is cancelled: no operation has the id"]);

    let worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    assert_eq!(ended(&worker, requester, operations[1]).await["status"], "SUCCESS");
    assert_eq!(service.world.deleted(resource, &zones).await, zones[1..]);
    run(database, &["verify"]).await.done();
}

#[rstest]
#[case::an_unknown_status(&["operations", "--status", "LOST"])]
#[case::two_at_once(&["operations", "--id", "3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098", "--retry", "3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098"])]
#[case::a_filter_beside_an_id(&["operations", "--id", "3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098", "--status", "OPEN"])]
#[tokio::test]
async fn a_mistyped_command_is_status_2(#[case] arguments: &[&str]) {
    assert_eq!(run(&TestDatabase::migrated().await, arguments).await.status, Some(2));
}
