//! `Prefer: respond-async`: the call is recorded and answered at once, and done afterwards.

mod acceptance;
mod beside;
mod cancels;
mod fairness;
mod keys;
mod kills;
mod large;
mod leases;
mod outcomes;
mod plans;
mod replicas;
mod trouble;
mod waits;

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use reqwest::RequestBuilder;
use serde_json::Value;
use uuid::Uuid;

use crate::support::service::{Answer, send};
use crate::support::{TestService, body, pause};

/// How long an operation is waited for, on a machine that has much else to do. Tests of how soon one ends have their own times.
const SOON: Duration = Duration::from_secs(120);

/// A service that does what it accepts.
pub async fn at_work() -> TestService {
    TestService::start_with(|settings| settings.queue.workers = 1).await
}

/// The call, by the URL where the resource takes no list.
pub fn call(
    service: &TestService,
    requester: Uuid,
    customer: Uuid,
    resource: Resource,
    ids: &[Uuid],
) -> RequestBuilder {
    let call = service.deletion(requester, customer, resource, ids);
    call.header("Prefer", "respond-async")
}

pub async fn accept(service: &TestService, requester: Uuid, customer: Uuid, resource: Resource, ids: &[Uuid]) -> Uuid {
    assert_accepted(&send(call(service, requester, customer, resource, ids)).await)
}

/// Asserts the documented answer, to the letter, and gives its requestId.
#[track_caller]
pub fn assert_accepted(answer: &Answer) -> Uuid {
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = answer.request_id();
    let expected = format!(
        r#"{{"errorCode":"","errorMessage":"","content":[{{"requestId":"{id}"}}],"pageable":{{"page":0,"size":10,"totalPages":1,"totalElements":1}}}}"#
    );
    assert_eq!(answer.text, expected);
    // A `wait` that was applied follows.
    let applied = answer.header("Preference-Applied").unwrap_or_default();
    assert_eq!(applied.split(", ").next(), Some("respond-async"), "{applied}");
    assert_eq!(answer.header("Location"), Some(format!("/api/v3/global/call/{id}").as_str()));
    id
}

pub async fn details(service: &TestService, requester: Uuid, operation: Uuid) -> Value {
    service.details(requester, operation).await.json()["content"][0].clone()
}

/// The details of an operation that has ended.
pub async fn ended(service: &TestService, requester: Uuid, operation: Uuid) -> Value {
    let began = Instant::now();
    loop {
        let details = details(service, requester, operation).await;
        if details["status"] != "OPEN" {
            return details;
        }
        assert!(began.elapsed() < SOON, "the operation does not end: {details}");
        pause(began).await;
    }
}

/// Rows and operations agree, and the queue has what is open and nothing else.
pub async fn assert_agreement(pool: &crate::support::TestPool) {
    crate::support::audit::assert_agreement(pool).await;
}

pub async fn waiting(pool: &crate::support::TestPool) -> i64 {
    sqlx::query_scalar("select count(*) from operation_queue").fetch_one(pool).await.unwrap()
}

/// Contacts of a customer, made by the server itself.
pub async fn many_contacts(pool: &crate::support::TestPool, customer: Uuid, count: i32) -> Vec<Uuid> {
    sqlx::query_scalar(
        "insert into contact (id, customer_id, email, mobile)
         select gen_random_uuid(), $1, 'a@example.com', '+491510000' from generate_series(1, $2)
         returning id",
    )
    .bind(customer)
    .bind(count)
    .fetch_all(pool)
    .await
    .unwrap()
}

/// A list in the body of a call.
fn list(ids: &[Uuid]) -> String {
    body(ids)
}
