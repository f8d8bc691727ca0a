//! Validations under an `Idempotency-Key`: a recorded answer comes first, and a validation records nothing.

use customer_deletion::resource::Resource;
use reqwest::RequestBuilder;
use uuid::Uuid;

use super::{alike, deletion, refused_alike};
use crate::contract::open_under_key_k;
use crate::support::TestService;
use crate::support::resources::every_resource;
use crate::support::service::{send, validating};
use crate::support::world::Family;

fn under_key(service: &TestService, family: Family, resource: Resource, ids: &[Uuid]) -> RequestBuilder {
    deletion(service, family.requester, family.in_scope(resource), resource, ids).header("Idempotency-Key", "k")
}

#[tokio::test]
async fn a_key_stays_free_until_the_call_itself_and_then_the_recorded_answer_comes_again() {
    let service = TestService::start().await;
    for resource in every_resource() {
        let family = service.world.family().await;
        let rows = service.world.rows(resource, family.in_scope(resource), 2).await;

        // Another call under the key was validated, but did not use it.
        send(validating(under_key(&service, family, resource, &rows[1..]))).await.assert_deleted();
        let first = alike(&service, under_key(&service, family, resource, &rows[..1])).await;
        let id = first.assert_deleted();
        assert_eq!(first.header("Idempotency-Replayed"), None);

        let again = alike(&service, under_key(&service, family, resource, &rows[..1])).await;
        assert_eq!((again.assert_deleted(), again.header("Idempotency-Replayed")), (id, Some("true")));
    }
}

#[tokio::test]
async fn a_refusal_is_answered_again_even_when_the_call_would_now_succeed() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.sibling).await;
    let call = || under_key(&service, family, Resource::Zone, &[zone]);

    refused_alike(&service, call(), 404, "CUSTOMER_1030").await;
    sqlx::query("update zone set customer_id = $1")
        .bind(family.requester)
        .execute(&service.database.pool)
        .await
        .unwrap();

    let again = alike(&service, call()).await;
    assert_eq!((again.status, again.header("Idempotency-Replayed")), (404, Some("true")));
    send(validating(deletion(&service, family.requester, family.requester, Resource::Zone, &[zone])))
        .await
        .assert_deleted();
}

#[tokio::test]
async fn another_call_under_a_used_key_is_refused_alike_whatever_it_is_about() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    let address = service.world.address(family.sub_customer).await;
    send(under_key(&service, family, Resource::Contact, &contacts[..1])).await.assert_deleted();

    let elsewhere = deletion(&service, family.requester, family.second_sub_customer, Resource::Contact, &contacts[..1]);
    for call in [
        under_key(&service, family, Resource::Contact, &contacts[1..]),
        under_key(&service, family, Resource::Contact, &contacts),
        under_key(&service, family, Resource::Contact, &[Uuid::now_v7()]),
        under_key(&service, family, Resource::Address, &[address]),
        elsewhere.header("Idempotency-Key", "k"),
    ] {
        refused_alike(&service, call, 422, "IDEMPOTENCY_KEY_REUSED").await;
    }
}

#[tokio::test]
async fn a_key_of_another_requester_means_nothing() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let [own, other] = [service.world.zone(family.requester).await, service.world.zone(family.sibling).await];
    send(under_key(&service, family, Resource::Zone, &[own])).await.assert_deleted();

    let call = deletion(&service, family.sibling, family.sibling, Resource::Zone, &[other]);

    alike(&service, call.header("Idempotency-Key", "k")).await.assert_deleted();
}

#[tokio::test]
async fn under_the_key_of_a_call_that_is_open_there_is_no_answer_yet() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    open_under_key_k(&service, family.requester, zone).await;

    refused_alike(&service, under_key(&service, family, Resource::Zone, &[zone]), 503, "GLOBAL_1001").await;
    let other = Uuid::now_v7();
    refused_alike(&service, under_key(&service, family, Resource::Zone, &[other]), 422, "IDEMPOTENCY_KEY_REUSED").await;
}
