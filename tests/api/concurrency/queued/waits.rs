//! `Prefer: wait=N`: the caller is answered as soon as the operation has ended, and meanwhile uses no session and no permit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use rstest::rstest;
use serde_json::json;
use uuid::Uuid;

use super::leases::{close_gate, open_gate, shut_out, until_at_the_gate};
use super::{accept, assert_accepted, at_work};
use crate::support::process::Process;
use crate::support::service::{Answer, send};
use crate::support::world::Family;
use crate::support::{StallWatch, TestDatabase, TestService, until};

/// Longer than it takes to report an end, and shorter than a wait without one: 9 seconds is the maximum with the deadline of
/// the tests.
const SOON: Duration = Duration::from_secs(7);

/// A service in its own process, whose metrics count only the callers of this test.
async fn in_a_process(settings: &[(&str, &str)]) -> (TestService, Process) {
    replica(Arc::new(TestDatabase::migrated().await), settings)
}

fn replica(database: Arc<TestDatabase>, settings: &[(&str, &str)]) -> (TestService, Process) {
    let process = Process::serve_with(&database.url, settings);
    (TestService::at((process.address, process.management_address), database), process)
}

const NO_WORKERS: (&str, &str) = ("CUSTOMER_DELETION__QUEUE__WORKERS", "0");

/// One call may be in flight, and there is one session.
const NARROW: [(&str, &str); 3] = [
    NO_WORKERS,
    ("CUSTOMER_DELETION__HTTP__MAX_IN_FLIGHT", "1"),
    ("CUSTOMER_DELETION__DATABASE__MAX_CONNECTIONS", "1"),
];

/// Waits until this many calls wait for the end of an operation.
async fn until_waiting(service: &TestService, calls: usize) {
    let line = format!("\ncustomer_deletion_requests_waiting {calls}\n");
    until(|| async { service.management("/metrics").await.text.contains(&line) }).await;
}

fn status_call(service: &TestService, version: &str, requester: Uuid, operation: Uuid) -> RequestBuilder {
    service.call(Method::GET, &format!("/api/{version}/global/call/{operation}"), requester)
}

async fn timed(call: RequestBuilder) -> (Answer, Duration) {
    let began = Instant::now();
    (send(call).await, began.elapsed())
}

#[rstest]
#[case::status("v2")]
#[case::details("v3")]
#[tokio::test]
async fn a_status_call_is_answered_as_soon_as_the_operation_has_ended(#[case] version: &str) {
    let (service, _working) = in_a_process(&[("CUSTOMER_DELETION__QUEUE__WORKERS", "1")]).await;
    // Another replica, which executes nothing, reports the end as well.
    let (beside, _beside) = replica(Arc::clone(&service.database), &[NO_WORKERS]);
    let (pool, family) = (&service.database.pool, service.world.family().await);
    close_gate(pool).await;
    let contact = service.world.contact(family.sub_customer).await;
    shut_out(pool, contact).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    until_at_the_gate(pool, 1).await;

    let calls = [&service, &beside]
        .map(|replica| timed(status_call(replica, version, family.requester, operation).header("Prefer", "wait=9")));
    let calls = tokio::spawn(join_all(calls));
    until_waiting(&service, 1).await;
    until_waiting(&beside, 1).await;
    open_gate(pool).await;
    let opened = StallWatch::start();
    let calls = calls.await.unwrap();
    // Each replica polls ten times a second, and the call itself takes a moment.
    assert!(opened.took() < Duration::from_secs(3), "an answer came {:?} after the end", opened.took());

    for (answer, took) in calls {
        assert_eq!((answer.status, &answer.json()["content"][0]["status"]), (200, &json!("SUCCESS")));
        assert_eq!((answer.header("Preference-Applied"), answer.header("Retry-After")), (Some("wait=9"), None));
        assert!(took < SOON, "{took:?}");
    }
}

#[tokio::test]
async fn an_operation_that_does_not_end_is_open_after_the_wait_and_says_when_to_ask_again() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;

    let call = || status_call(&service, "v3", family.requester, operation);
    let (answer, took) = timed(call().header("Prefer", "wait=1")).await;
    assert_eq!(answer.json()["content"][0]["status"], "OPEN");
    assert_eq!((answer.header("Preference-Applied"), answer.header("Retry-After")), (Some("wait=1"), Some("1")));
    assert!((Duration::from_secs(1)..SOON).contains(&took), "{took:?}");

    let at_once = send(call()).await;
    assert_eq!((at_once.header("Preference-Applied"), at_once.header("Retry-After")), (None, Some("1")));
    for (age, seconds) in [("20 seconds", ["9", "10", "11"]), ("1 day", ["30", "30", "30"])] {
        let sql = "update operation set created_at = now() - $2::text::interval where id = $1";
        sqlx::query(sql).bind(operation).bind(age).execute(&service.database.pool).await.unwrap();
        for version in ["v2", "v3"] {
            let answer = send(status_call(&service, version, family.requester, operation)).await;
            assert!(seconds.contains(&answer.header("Retry-After").unwrap()), "{age}: {:?}", answer.headers);
        }
    }
}

#[tokio::test]
async fn an_operation_that_has_ended_or_is_unknown_is_answered_at_once() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let ended = service.delete(family.requester, family.requester, Resource::Zone, &[zone]).await.assert_deleted();
    let waits = accept(&service, family.requester, family.requester, Resource::Zone, &[zone]).await;

    for (requester, operation, status) in
        [(family.requester, ended, 200), (family.requester, Uuid::now_v7(), 404), (family.sibling, waits, 404)]
    {
        let call = status_call(&service, "v3", requester, operation).header("Prefer", "wait=9");
        let (answer, took) = timed(call).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(took < SOON, "{took:?}");
    }
}

fn deletion(service: &TestService, family: Family, id: Uuid, wait: u64) -> RequestBuilder {
    let call = service.deletion(family.requester, family.sub_customer, Resource::Contact, &[id]);
    call.header("Prefer", format!("respond-async, wait={wait}"))
}

#[tokio::test]
async fn a_deletion_that_ends_in_time_is_answered_like_one_that_was_awaited() {
    let service = at_work().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;

    let (answer, took) = timed(deletion(&service, family, contact, 7)).await;
    let id = answer.assert_deleted();
    assert_eq!((answer.header("Preference-Applied"), answer.header("Location")), (Some("wait=7"), None));
    assert!(took < SOON, "{took:?}");
    assert_eq!(service.world.deleted(Resource::Contact, &[contact]).await, [contact]);
    assert_eq!(service.details(family.requester, id).await.json()["content"][0]["status"], "SUCCESS");

    let refused = send(deletion(&service, family, contact, 7)).await;
    refused.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
    assert_eq!(refused.header("Preference-Applied"), Some("wait=7"));
    let problem = send(deletion(&service, family, contact, 7).header("Accept", "application/problem+json")).await;
    assert_eq!(problem.json()["failures"][0]["id"], json!(contact));
}

#[tokio::test]
async fn a_deletion_that_does_not_end_in_time_is_accepted() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    for wait in [0, 1] {
        let (answer, took) = timed(deletion(&service, family, Uuid::now_v7(), wait)).await;
        assert_accepted(&answer);
        let applied = if wait == 0 { "respond-async" } else { "respond-async, wait=1" };
        assert_eq!((answer.header("Preference-Applied"), answer.header("Retry-After")), (Some(applied), Some("1")));
        assert!((Duration::from_secs(wait)..SOON).contains(&took), "{took:?}");
    }
}

#[tokio::test]
async fn a_replay_that_waits_in_vain_says_when_to_ask_again() {
    let service = TestService::shared().await;
    let (family, id) = (service.world.family().await, Uuid::now_v7());
    let keyed = |wait| deletion(&service, family, id, wait).header("Idempotency-Key", "half-its-age");
    let operation = assert_accepted(&send(keyed(0)).await);
    let sql = "update operation set created_at = now() - interval '20 seconds' where id = $1";
    sqlx::query(sql).bind(operation).execute(&service.database.pool).await.unwrap();
    let answer = send(keyed(1)).await;
    assert_eq!(assert_accepted(&answer), operation);
    assert_eq!(answer.header("Idempotency-Replayed"), Some("true"));
    assert!(["10", "11"].contains(&answer.header("Retry-After").unwrap()), "{:?}", answer.headers);
}

#[tokio::test]
async fn an_operation_that_is_given_up_names_itself_to_each_caller_that_waits() {
    let (service, _process) = in_a_process(&[NO_WORKERS]).await;
    let (pool, family, id) = (&service.database.pool, service.world.family().await, Uuid::now_v7());
    let keyed = |wait| deletion(&service, family, id, wait).header("Idempotency-Key", "given-up");
    let first = tokio::spawn(send(keyed(7)));
    until_waiting(&service, 1).await;
    let operation: Uuid = sqlx::query_scalar("select id from operation").fetch_one(pool).await.unwrap();
    let replay = tokio::spawn(send(keyed(7)));
    until_waiting(&service, 2).await;
    let sql = "update operation set status = 'INTERNAL_ERROR', error_code = 'GLOBAL_1001', completed_at = now(), \
        idempotency_key = null where id = $1";
    sqlx::query(sql).bind(operation).execute(pool).await.unwrap();
    sqlx::query("delete from operation_queue where operation_id = $1").bind(operation).execute(pool).await.unwrap();

    for (answer, replayed) in [(first.await.unwrap(), None), (replay.await.unwrap(), Some("true"))] {
        let named = answer.assert_failed(500, "GLOBAL_1001", "Service unavailable. Please try again");
        assert_eq!((named, answer.header("Idempotency-Replayed")), (operation, replayed));
        assert_eq!(answer.header("Preference-Applied"), Some("wait=7"));
    }
}

#[tokio::test]
async fn callers_that_are_woken_together_all_learn_of_the_end() {
    let (service, _process) = in_a_process(&NARROW).await;
    let family = service.world.family().await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;
    let mut waiting = Vec::new();
    for calls in 1..=3 {
        waiting.push(tokio::spawn(send(
            status_call(&service, "v3", family.requester, operation).header("Prefer", "wait=9"),
        )));
        until_waiting(&service, calls).await;
    }
    service.cancel(family.requester, operation).await.assert_status(200);
    for answer in join_all(waiting).await {
        let answer = answer.unwrap();
        assert_eq!(answer.json()["content"][0]["errorCode"], "CANCELLED", "{}", answer.text);
        assert_eq!(answer.header("Preference-Applied"), Some("wait=9"));
    }
}

#[tokio::test]
async fn an_operation_that_is_cancelled_ends_the_wait() {
    let (service, _process) = in_a_process(&[NO_WORKERS]).await;
    let family = service.world.family().await;
    let waiting = tokio::spawn(timed(deletion(&service, family, Uuid::now_v7(), 9)));
    until_waiting(&service, 1).await;
    let sql = "select id from operation";
    let operation: Uuid = sqlx::query_scalar(sql).fetch_one(&service.database.pool).await.unwrap();
    service.cancel(family.requester, operation).await.assert_status(200);
    let (answer, took) = waiting.await.unwrap();
    answer.assert_failed(409, "CANCELLED", "The call was cancelled before it was executed.");
    assert!(took < SOON, "{took:?}");
}

#[tokio::test]
async fn waiting_callers_take_no_session_and_no_permit_and_are_bounded() {
    // Four calls may wait, three of them of one requester.
    let (service, _process) = in_a_process(&NARROW).await;
    let family = service.world.family().await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;
    let call = || status_call(&service, "v3", family.requester, operation).header("Prefer", "wait=9");
    let mut waiting = Vec::new();
    for calls in 1..=3 {
        waiting.push(tokio::spawn(send(call())));
        until_waiting(&service, calls).await;
    }

    // A further call cannot wait, and is answered immediately. Others are served.
    let watch = StallWatch::start();
    let answer = send(call()).await;
    assert_eq!((answer.status, answer.header("Preference-Applied")), (200, None), "{}", answer.text);
    assert!(watch.took() < Duration::from_secs(2), "{:?}", watch.took());
    for _ in 0..5 {
        let contact = service.world.contact(family.sub_customer).await;
        service.delete(family.requester, family.sub_customer, Resource::Contact, &[contact]).await.assert_deleted();
    }
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()), "they wait on");
    service.cancel(family.requester, operation).await.assert_status(200);
    for answer in join_all(waiting).await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.header("Preference-Applied")), (200, Some("wait=9")));
    }
}

#[tokio::test]
async fn a_service_that_stops_answers_its_waiting_callers() {
    let (service, mut process) = in_a_process(&[NO_WORKERS]).await;
    let family = service.world.family().await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;
    let call = status_call(&service, "v3", family.requester, operation).header("Prefer", "wait=9");
    let waiting = tokio::spawn(send(call));
    until_waiting(&service, 1).await;
    process.send_sigterm();
    let watch = StallWatch::start();
    let answer = waiting.await.unwrap();
    let took = watch.took();
    assert_eq!(process.exit_code().await, Some(0));
    assert_eq!(answer.json()["content"][0]["status"], "OPEN");
    assert_eq!(answer.header("Preference-Applied"), None, "it did not wait for so long");
    assert!(took < Duration::from_secs(4), "{took:?}");
}
