//! `Prefer: respond-async`: the call is recorded and answered immediately, and executed later.

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

/// The longest wait of tests for an operation, on a busy machine. Tests of its duration have their own limits.
const SOON: Duration = Duration::from_secs(120);

/// A service that executes the operations that it accepts.
pub async fn at_work() -> TestService {
    TestService::start_with(|settings| settings.queue.workers = 1).await
}

/// The call. The id is in the URL if the resource takes no list.
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

/// Asserts the exact documented answer, and returns its requestId.
#[track_caller]
pub fn assert_accepted(answer: &Answer) -> Uuid {
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = answer.request_id();
    let expected = format!(
        r#"{{"errorCode":"","errorMessage":"","content":[{{"requestId":"{id}"}}],"pageable":{{"page":0,"size":10,"totalPages":1,"totalElements":1}}}}"#
    );
    assert_eq!(answer.text, expected);
    // If a `wait` was applied, it follows.
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

/// Asserts that rows and operations agree, and that the queue has exactly the open operations.
pub async fn assert_agreement(pool: &crate::support::TestPool) {
    crate::support::audit::assert_agreement(pool).await;
}

pub async fn waiting(pool: &crate::support::TestPool) -> i64 {
    sqlx::query_scalar("select count(*) from operation_queue").fetch_one(pool).await.unwrap()
}

/// Contacts of a customer, created by the server itself.
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

fn list(ids: &[Uuid]) -> String {
    body(ids)
}
