//! The list of the calls of a requester, newest first.

mod cursors;
mod filters;
mod found;
mod malformed;
mod pages;
mod plans;

use customer_deletion::resource::Resource;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::resources::word;
use crate::support::service::{Answer, send};
use crate::support::{TestDatabase, TestPool, TestService};

const LIST: &str = "/api/v3/global/call";

/// The words of the contract, not of the code under test.
const STATUSES: [&str; 4] = ["OPEN", "SUCCESS", "FAILURE", "INTERNAL_ERROR"];

async fn list(service: &TestService, requester: Uuid, query: &str) -> Answer {
    send(service.call(Method::GET, &format!("{LIST}{query}"), requester)).await
}

/// The content of a success, and its `pageable`.
async fn listed(service: &TestService, requester: Uuid, query: &str) -> (Vec<Value>, Value) {
    let answer = list(service, requester, query).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let json = answer.json();
    assert_eq!((&json["errorCode"], &json["errorMessage"]), (&json!(""), &json!("")), "{query}");
    (json["content"].as_array().unwrap().clone(), json["pageable"].clone())
}

fn ids(content: &[Value]) -> Vec<Uuid> {
    content.iter().map(|call| call["requestId"].as_str().unwrap().parse().unwrap()).collect()
}

/// Records this many operations with this status, one after the other. The newest comes first.
async fn record(pool: &TestPool, requester: Uuid, status: &str, resource: Resource, count: usize) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "insert into operation (id, requester_id, customer_id, resource, target_ids, status, error_code, deleted_rows, completed_at)
         select id, $2, $2, $3::text::resource, array[id], $4,
           case $4 when 'FAILURE' then 'CUSTOMER_1002' when 'INTERNAL_ERROR' then 'GLOBAL_1001' end,
           case $4 when 'SUCCESS' then 1 else 0 end,
           case when $4 <> 'OPEN' then now() end
         from unnest($1) as id",
    )
    .bind(&ids)
    .bind(requester)
    .bind(word(resource))
    .bind(status)
    .execute(pool)
    .await
    .unwrap();
    ids.reverse();
    ids
}

#[tokio::test]
async fn a_requester_that_never_called_has_an_empty_list() {
    let service = TestService::shared().await;

    let answer = list(&service, Uuid::now_v7(), "").await;

    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text,
        r#"{"errorCode":"","errorMessage":"","content":[],"pageable":{"page":0,"size":10,"totalPages":0,"totalElements":0}}"#
    );
    answer.request_id();
}

#[tokio::test]
async fn calls_are_listed_newest_first_as_their_statuses_show_them() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let mut calls = Vec::new();
    for resource in Resource::ALL {
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        calls.push(service.delete_one(family.requester, customer, resource, row).await.assert_deleted());
        // Refused, because the row is deleted.
        calls.push(service.delete_one(family.requester, customer, resource, row).await.request_id());
    }
    calls.reverse();

    let (content, pageable) = listed(&service, family.requester, "?size=100").await;

    assert_eq!(ids(&content), calls);
    assert_eq!(pageable, json!({ "page": 0, "size": 100, "totalPages": 1, "totalElements": calls.len() }));
    for (call, listed) in calls.into_iter().zip(content) {
        let mut told = service.details(family.requester, call).await.json()["content"][0].clone();
        // They may be long, or take more queries. So they are shown for one call at a time.
        for long in ["failedIds", "failures", "deletedRows", "attempts", "restoredAt"] {
            told.as_object_mut().unwrap().shift_remove(long).unwrap();
        }
        assert_eq!(listed.to_string(), told.to_string());
    }
}

#[tokio::test]
async fn only_the_requesters_own_calls_are_listed() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let requesters = [family.parent, family.requester, family.sub_customer, family.grandchild, family.sibling];
    let mut calls = Vec::new();
    for requester in requesters {
        // About the same customer, who is the requester for one of them.
        let answer = service.delete_one(requester, family.requester, Resource::Zone, Uuid::now_v7()).await;
        calls.push(answer.request_id());
    }

    for (requester, call) in requesters.into_iter().zip(calls) {
        for query in ["", "?resource=zone", "?status=FAILURE", "?status=FAILURE&resource=zone"] {
            let (content, pageable) = listed(&service, requester, query).await;
            assert_eq!(ids(&content), [call], "{query}");
            assert_eq!(pageable["totalElements"], 1, "{query}");
        }
    }
    assert_eq!(listed(&service, family.second_sub_customer, "").await.0, Vec::<Value>::new());
}

#[tokio::test]
async fn an_operation_is_listed_as_open_until_it_ends() {
    let service = TestService::shared().await;
    let pool = &service.database.pool;
    let requester = Uuid::now_v7();
    let open = record(pool, requester, "OPEN", Resource::Contact, 1).await;

    let (content, _) = listed(&service, requester, "?status=OPEN").await;
    assert_eq!((ids(&content), content[0]["completedAt"].is_null()), (open.clone(), true));
    assert_eq!(content[0]["status"], "OPEN");

    let end = "update operation set status = 'SUCCESS', deleted_rows = 1, completed_at = now() where id = $1";
    service.world.execute(end, open[0]).await;

    assert_eq!(listed(&service, requester, "?status=OPEN").await.0, Vec::<Value>::new());
    let (content, _) = listed(&service, requester, "?status=SUCCESS").await;
    assert_eq!((ids(&content), content[0]["completedAt"].is_string()), (open, true));
}

#[tokio::test]
async fn a_list_does_not_come_from_a_database_that_is_away() {
    let service = TestService::start_on(TestDatabase::empty().await, |_| {}).await;
    let answer = list(&service, Uuid::now_v7(), "").await;
    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
}
