//! The user for whom the requester calls. No log line has one: `support/log.rs` checks every line of every test.

use customer_deletion::config::Settings;
use customer_deletion::resource::Resource;
use reqwest::{Method, RequestBuilder};
use rstest::rstest;
use serde_json::Value;
use uuid::Uuid;

use super::let_contacts_fail;
use crate::support::TestService;
use crate::support::resources::every_resource;
use crate::support::service::{Answer, send, validating};
use crate::support::world::Family;

const HEADER: &str = "X-Actor-Id";
const ACTOR: &str = "an-actor|jane 4711";

fn record_actors(settings: &mut Settings) {
    settings.requester.header.actor_name = Some(HEADER.to_owned());
}

async fn service() -> TestService {
    TestService::shared_with("actor", record_actors).await
}

fn call(service: &TestService, family: Family, resource: Resource, id: Uuid) -> RequestBuilder {
    service.deletion(family.requester, family.in_scope(resource), resource, &[id])
}

/// The recorded actor, as the status and the list of the requester's operations show it.
async fn shown(service: &TestService, requester: Uuid, operation: Uuid) -> Value {
    let details = service.details(requester, operation).await.json()["content"][0]["actor"].clone();
    let list = send(service.call(Method::GET, "/api/v3/global/call?size=100", requester)).await.json();
    let listed = list["content"].as_array().unwrap().iter().find(|call| call["requestId"] == operation.to_string());
    assert_eq!(listed.expect("it is listed")["actor"], details);
    details
}

#[tokio::test]
async fn the_actor_of_a_deletion_and_of_a_refusal_is_shown_to_the_requester() {
    let service = service().await;
    for resource in every_resource() {
        let family = service.world.family().await;
        let row = service.world.row(resource, family.in_scope(resource)).await;
        let deleted = send(call(&service, family, resource, row).header(HEADER, ACTOR)).await.assert_deleted();
        let refused = send(call(&service, family, resource, row).header(HEADER, ACTOR)).await;
        assert_eq!(refused.status, 404);
        for operation in [deleted, refused.request_id()] {
            assert_eq!(shown(&service, family.requester, operation).await, ACTOR);
        }
    }
}

#[tokio::test]
async fn the_actor_of_an_accepted_call_stays_with_its_operation() {
    let service = TestService::start_with(|settings| {
        record_actors(settings);
        settings.queue.workers = 1;
    })
    .await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    for _ in 0..2 {
        let call = call(&service, family, Resource::Zone, zone).header(HEADER, ACTOR);
        let ended = send(call.header("Prefer", "respond-async, wait=10")).await;
        assert_eq!(shown(&service, family.requester, ended.request_id()).await, ACTOR, "{ended:?}");
    }
    let ends: Vec<(String, String)> = sqlx::query_as("select status, actor from operation order by id")
        .fetch_all(&service.database.pool)
        .await
        .unwrap();
    assert_eq!(ends, [("SUCCESS".to_owned(), ACTOR.to_owned()), ("FAILURE".to_owned(), ACTOR.to_owned())]);
}

#[tokio::test]
async fn the_actor_of_a_defect_is_recorded() {
    let service = TestService::start_with(record_actors).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let_contacts_fail(&service).await;
    let answer = send(call(&service, family, Resource::Contact, contact).header(HEADER, ACTOR)).await;
    assert_eq!(answer.status, 500);
    assert_eq!(shown(&service, family.requester, answer.request_id()).await, ACTOR);
}

#[rstest]
#[case::no_header(&[])]
#[case::an_empty_header(&[""])]
#[tokio::test]
async fn a_call_without_an_actor_has_none(#[case] values: &[&str]) {
    let service = service().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let operation = send(with(call(&service, family, Resource::Zone, zone), values)).await.assert_deleted();
    assert_eq!(shown(&service, family.requester, operation).await, Value::Null);
}

#[tokio::test]
async fn without_the_setting_the_header_means_nothing() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let call = with(call(&service, family, Resource::Zone, zone), &["x", &"x".repeat(300)]);
    let operation = send(call).await.assert_deleted();
    assert_eq!(shown(&service, family.requester, operation).await, Value::Null);
}

fn with(call: RequestBuilder, values: &[&str]) -> RequestBuilder {
    values.iter().fold(call, |call, value| call.header(HEADER, *value))
}

#[tokio::test]
async fn the_longest_actor_has_255_characters() {
    let service = service().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let longest = "an-actor!".repeat(29)[..255].to_owned();
    let operation = send(with(call(&service, family, Resource::Zone, zone), &[&longest])).await.assert_deleted();
    assert_eq!(shown(&service, family.requester, operation).await, longest);
}

/// It is not truncated, and the call is not executed without it: the record would be wrong, and nobody would notice.
#[tokio::test]
async fn a_deletion_for_an_invalid_actor_is_rejected_and_a_read_is_not() {
    let service = service().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let earlier = service.world.zone(family.requester).await;
    let earlier = send(call(&service, family, Resource::Zone, earlier)).await.assert_deleted();
    let before = (service.world.fingerprint().await, service.world.operations().await);
    let too_long = "x".repeat(256);
    for (values, message) in [
        (&[too_long.as_str()][..], "x-actor-id must have 1 to 255 printable ASCII characters"),
        (&["J\u{fc}rgen"], "x-actor-id must have 1 to 255 printable ASCII characters"),
        (&["a\tb"], "x-actor-id must have 1 to 255 printable ASCII characters"),
        (&["an-actor", "an-actor"], "x-actor-id was sent twice"),
    ] {
        let deletion = || with(call(&service, family, Resource::Zone, zone), values);
        for call in [deletion(), validating(deletion()), deletion().header("Prefer", "respond-async")] {
            send(call).await.assert_malformed(400, "BAD_REQUEST", message);
        }
        let path = format!("/api/v3/global/call/{earlier}");
        let read = send(with(service.call(Method::GET, &path, family.requester), values)).await;
        assert_eq!(read.status, 200, "{read:?}");
    }
    assert_eq!((service.world.fingerprint().await, service.world.operations().await), before);
}

#[tokio::test]
async fn a_repeat_for_another_actor_gets_the_first_answer_and_the_first_actor_stays() {
    let service = service().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let repeat = async |actor: &str| -> Answer {
        let call = call(&service, family, Resource::Zone, zone).header("Idempotency-Key", "once");
        send(call.header(HEADER, actor)).await
    };
    let first = repeat(ACTOR).await.assert_deleted();
    let second = repeat("an-actor|of the repeat").await;
    assert_eq!((second.assert_deleted(), second.header("Idempotency-Replayed")), (first, Some("true")));
    assert_eq!(shown(&service, family.requester, first).await, ACTOR);
    assert_eq!(service.world.operations().await, 1);
}

#[tokio::test]
async fn no_metric_has_an_actor() {
    let service = service().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    for _ in 0..2 {
        send(call(&service, family, Resource::Zone, zone).header(HEADER, ACTOR)).await;
    }
    let metrics = service.management("/metrics").await.text;
    assert!(metrics.contains("customer_deletion_") && !metrics.contains("an-actor"));
}
