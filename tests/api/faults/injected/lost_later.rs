//! A connection breaks between a commit and its answer, while an operation is accepted and executed. The operation is queued
//! once, and executed once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use customer_deletion::resource::Resource;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::Value;
use uuid::Uuid;

use super::lost_answer::{
    DELETION, KEYS, RECORD, Thief, assert_rows_and_operations_agree, recorded, service_behind_a_thief,
};
use crate::concurrency::queued::{accept, assert_accepted, call, ended, waiting};
use crate::support::process::Process;
use crate::support::resources::every_resource;
use crate::support::service::send;
use crate::support::world::Family;
use crate::support::{TestService, until};

/// The answer of PostgreSQL when a transaction is committed.
const COMMIT: &[u8] = b"COMMIT\0";

/// A statement that records a call, or leases an operation, returns one row and is its own transaction.
const ONE_ROW: &[u8] = DELETION;

#[tokio::test]
async fn a_call_whose_record_is_not_answered_waits_once() {
    let (service, thief, _) = service_behind_a_thief(ONE_ROW).await;
    let mut expected = Vec::new();
    for resource in every_resource() {
        let family = service.world.family().await;
        for key in KEYS {
            let row = service.world.row(resource, family.in_scope(resource)).await;
            let call = call(&service, family.requester, family.in_scope(resource), resource, &[row]);
            thief.to_lose.store(1, Ordering::SeqCst);
            let answer = send(key.into_iter().fold(call, |call, key| call.header("Idempotency-Key", key))).await;

            let id = assert_accepted(&answer);
            assert_eq!(answer.header("Idempotency-Replayed"), None);
            assert!(thief.to_lose.load(Ordering::SeqCst) < 1, "no answer was lost");
            expected.push((id, "OPEN".to_owned()));
            assert_eq!(recorded(&service).await, expected);
            assert_eq!(waiting(&service.database.pool).await, expected.len() as i64);
        }
    }
    assert_rows_and_operations_agree(&service).await;
}

#[tokio::test]
async fn the_refusal_of_a_key_that_is_anothers_is_answered_as_one_when_its_answer_is_lost() {
    let (service, thief, family) = service_behind_a_thief(RECORD).await;
    let send_about = async |id: Uuid| {
        let call = call(&service, family.requester, family.sub_customer, Resource::Contact, &[id]);
        send(call.header("Idempotency-Key", "k")).await
    };
    assert_accepted(&send_about(Uuid::now_v7()).await);
    thief.to_lose.store(1, Ordering::SeqCst);
    let answer = send_about(Uuid::now_v7()).await;

    assert_eq!(thief.to_lose.load(Ordering::SeqCst), 0, "no answer was lost");
    assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (422, Some("IDEMPOTENCY_KEY_REUSED")));
    assert_eq!((answer.header("Preference-Applied"), answer.header("Idempotency-Replayed")), (None, None));
    let statuses: Vec<String> = recorded(&service).await.into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, ["OPEN", "FAILURE"]);
    assert_eq!(waiting(&service.database.pool).await, 1);
}

#[tokio::test]
async fn a_cancel_whose_answer_is_lost_is_found_and_answered_as_one() {
    let (service, thief, family) = service_behind_a_thief(ONE_ROW).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;
    thief.to_lose.store(1, Ordering::SeqCst);
    let answer = service.cancel(family.requester, operation).await;

    assert!(thief.to_lose.load(Ordering::SeqCst) < 1, "no answer was lost");
    answer.assert_status(200);
    assert_eq!(answer.text, service.details(family.requester, operation).await.text);
    assert_eq!(answer.json()["content"][0]["errorCode"], "CANCELLED");
    assert_eq!(waiting(&service.database.pool).await, 0);
    assert_rows_and_operations_agree(&service).await;
    let again = service.cancel(family.requester, operation).await;
    assert_eq!((again.status, again.json()["errorCode"].as_str()), (409, Some("NOT_CANCELLABLE")));
}

/// A service that accepts calls and whose answers all arrive, and one that executes them and loses answers.
async fn worker_behind_a_thief(kind: &'static [u8]) -> (TestService, TestService, Thief, Family) {
    let service = TestService::start().await;
    sqlx::raw_sql(
        "create table ends (operation_id uuid);
         create function note() returns trigger language plpgsql security definer as $$
         begin insert into ends values (new.id); return null; end $$;
         create trigger note after update on operation for each row execute function note();",
    )
    .execute(&service.database.pool)
    .await
    .unwrap();
    let (thief, url) = Thief::before(&service.database.url, kind).await;
    let worker = TestService::beside(&service, |settings| {
        settings.database.url = Some(SecretString::from(url));
        settings.queue.workers = 1;
        settings.queue.lease = Duration::from_secs(3);
    })
    .await;
    let family = service.world.family().await;
    // Now the schema and the role are verified.
    let first = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;
    assert_eq!(ended(&service, family.requester, first).await["status"], "FAILURE");
    (service, worker, thief, family)
}

/// The end of an operation may be read before the answer to its commit reaches the thief.
async fn until_lost(thief: &Thief) {
    until(|| async { thief.to_lose.load(Ordering::SeqCst) < 1 }).await;
}

#[rstest]
#[case::the_commit_of_a_success(COMMIT, true)]
#[case::the_commit_of_a_refusal(COMMIT, false)]
#[case::a_lease(ONE_ROW, true)]
#[tokio::test]
async fn an_operation_is_executed_once_whatever_answer_is_lost(#[case] kind: &'static [u8], #[case] succeeds: bool) {
    let (service, worker, thief, family) = worker_behind_a_thief(kind).await;
    for _ in 0..3 {
        let contact = service.world.contact(family.sub_customer).await;
        let ids = if succeeds { vec![contact] } else { vec![contact, Uuid::now_v7()] };
        thief.to_lose.store(1, Ordering::SeqCst);
        let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &ids).await;

        let ended = ended(&service, family.requester, operation).await;
        assert_eq!(ended["status"], if succeeds { "SUCCESS" } else { "FAILURE" }, "{ended}");
        until_lost(&thief).await;
        // Time enough for a second execution: the pause after a failure is a second.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let ends: i64 = sqlx::query_scalar("select count(*) from ends where operation_id = $1")
            .bind(operation)
            .fetch_one(&service.database.pool)
            .await
            .unwrap();
        assert_eq!(ends, 1);
        assert_eq!(service.world.deleted(Resource::Contact, &[contact]).await.len(), usize::from(succeeds));
    }
    assert_rows_and_operations_agree(&service).await;
    assert_eq!(waiting(&service.database.pool).await, 0);
    drop(worker);
}

/// The attempt sees an error, and finds out that it has ended the operation nevertheless.
#[tokio::test]
async fn an_operation_whose_commit_is_not_answered_has_its_line_and_is_counted() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let (thief, url) = Thief::before(&service.database.url, COMMIT).await;
    let worker = Process::serve(&url);
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    for (contact, to_lose) in contacts.iter().zip([0, 1]) {
        thief.to_lose.store(to_lose, Ordering::SeqCst);
        let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[*contact]).await;
        assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
        until_lost(&thief).await;

        let is_its_line = |line: &Value| line["message"] == "operation" && line["request_id"] == operation.to_string();
        until(|| async { worker.log().iter().any(is_its_line) }).await;
        let lines: Vec<Value> = worker.log().into_iter().filter(is_its_line).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert_eq!((&lines[0]["operation_status"], &lines[0]["attempts"]), (&"SUCCESS".into(), &1.into()));
    }
    let page = reqwest::get(format!("http://{}/metrics", worker.management_address)).await.unwrap();
    let page = page.text().await.unwrap();
    for line in [
        r#"customer_deletion_operations_total{resource="contact",status="SUCCESS"} 2"#,
        r#"customer_deletion_deleted_rows_total{resource="contact"} 2"#,
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}
