//! `Idempotency-Key`: sending the same call again gives the recorded answer and deletes nothing.

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use uuid::Uuid;

use super::open_under_key_k;
use crate::support::resources::every_resource;
use crate::support::service::{Answer, collection, send};
use crate::support::{TestService, body};

async fn delete_under_key(
    service: &TestService,
    key: &str,
    (requester, customer): (Uuid, Uuid),
    resource: Resource,
    ids: &[Uuid],
) -> Answer {
    let call = service.deletion(requester, customer, resource, ids);
    send(call.header("Idempotency-Key", key)).await
}

#[tokio::test]
async fn a_success_is_answered_again() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let place = (family.requester, family.in_scope(resource));
        let row = service.world.row(resource, place.1).await;

        let first = delete_under_key(&service, "k", place, resource, &[row]).await;
        first.assert_deleted();
        assert_eq!(first.header("Idempotency-Replayed"), None);
        let before = service.world.fingerprint().await;

        for _ in 0..2 {
            let again = delete_under_key(&service, "k", place, resource, &[row]).await;
            assert_eq!((again.status, &again.text), (first.status, &first.text));
            assert_eq!(again.request_id(), first.request_id());
            assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
        }
        assert_eq!(service.world.fingerprint().await, before);
        assert_eq!(service.world.operations().await, 1);
    }
}

#[tokio::test]
async fn a_refusal_is_answered_again_even_when_the_call_would_now_succeed() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let place = (family.requester, family.in_scope(resource));
        let row = service.world.row(resource, place.1).await;
        let elsewhere = Uuid::now_v7();

        let first = delete_under_key(&service, "k", (family.requester, elsewhere), resource, &[row]).await;
        first.assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
        sqlx::query("insert into customer (id, parent_id, name) values ($1, $2, 'Late')")
            .bind(elsewhere)
            .bind(family.requester)
            .execute(&service.database.pool)
            .await
            .unwrap();
        let again = delete_under_key(&service, "k", (family.requester, elsewhere), resource, &[row]).await;

        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert_eq!(again.request_id(), first.request_id());
        assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
        assert!(service.world.deleted(resource, &[row]).await.is_empty());
    }
}

#[tokio::test]
async fn the_same_list_in_another_order_or_by_the_other_url_is_the_same_call() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let place = (family.requester, family.sub_customer);
    let [a, b] = service.world.rows(Resource::Contact, family.sub_customer, 2).await.try_into().unwrap();

    let first = delete_under_key(&service, "k", place, Resource::Contact, &[a, b]).await;
    let reordered = delete_under_key(&service, "k", place, Resource::Contact, &[b, a, b]).await;
    let path = format!("{}:batchDelete", collection(family.sub_customer, Resource::Contact));
    let call = service.call(reqwest::Method::POST, &path, family.requester).body(body(&[a, b]));
    let posted = send(call.header("Idempotency-Key", "k")).await;

    let id = first.assert_deleted();
    assert_eq!((reordered.assert_deleted(), posted.assert_deleted()), (id, id));
}

#[tokio::test]
async fn another_call_under_the_same_key_is_refused_and_changes_nothing() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let place = (family.requester, family.sub_customer);
    let [first, second] = service.world.rows(Resource::Contact, family.sub_customer, 2).await.try_into().unwrap();
    let address = service.world.address(family.sub_customer).await;
    delete_under_key(&service, "k", place, Resource::Contact, &[first]).await.assert_deleted();
    let before = service.world.fingerprint().await;

    for (place, resource, ids) in [
        (place, Resource::Contact, vec![second]),
        (place, Resource::Contact, vec![first, second]),
        (place, Resource::Address, vec![address]),
        ((family.requester, family.second_sub_customer), Resource::Contact, vec![first]),
    ] {
        let answer = delete_under_key(&service, "k", place, resource, &ids).await;
        answer.assert_malformed(422, "IDEMPOTENCY_KEY_REUSED", "new key");
        assert_eq!(answer.header("Idempotency-Replayed"), None);
        let details = service.details(family.requester, answer.request_id()).await.json();
        assert_eq!(details["content"][0]["errorCode"], "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(service.world.fingerprint().await, before);
}

#[tokio::test]
async fn a_key_belongs_to_its_requester() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let other_zone = service.world.zone(family.sibling).await;

    let own = (family.requester, family.requester);
    let other = (family.sibling, family.sibling);
    let first = delete_under_key(&service, "k", own, Resource::Zone, &[zone]).await.assert_deleted();
    let second = delete_under_key(&service, "k", other, Resource::Zone, &[other_zone]).await.assert_deleted();

    assert_ne!(first, second);
}

#[tokio::test]
async fn a_malformed_key_is_a_bad_request() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let place = (family.requester, family.sub_customer);

    for key in ["", "two words", "k\u{fc}hn", &"k".repeat(256)] {
        let answer = delete_under_key(&service, key, place, Resource::Contact, &[contact]).await;
        answer.assert_malformed(400, "BAD_REQUEST", "Idempotency-Key");
    }
    let call = service.list_call(family.requester, family.sub_customer, Resource::Contact, &[contact]);
    let doubled = send(call.header("Idempotency-Key", "a").header("Idempotency-Key", "b")).await;
    doubled.assert_malformed(400, "BAD_REQUEST", "Idempotency-Key");
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());

    delete_under_key(&service, &"k".repeat(255), place, Resource::Contact, &[contact]).await.assert_deleted();
}

#[tokio::test]
async fn twins_that_race_have_one_effect_and_one_answer() {
    race_twins(10).await;
}

#[tokio::test]
async fn racing_calls_with_different_ids_under_one_key_have_one_winner() {
    race_under_one_key(10).await;
}

#[tokio::test]
#[ignore = "many rounds; cargo test --test api -- --ignored racing_calls_under_one_key"]
async fn racing_calls_under_one_key_have_one_effect_in_many_rounds() {
    race_twins(100).await;
    race_under_one_key(100).await;
}

async fn race_twins(rounds: i64) {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let place = (family.requester, family.sub_customer);

    for round in 0..rounds {
        let contacts = service.world.rows(Resource::Contact, family.sub_customer, 3).await;
        let key = format!("round-{round}");
        let twins = (0..6).map(|_| delete_under_key(&service, &key, place, Resource::Contact, &contacts));
        let answers = join_all(twins).await;

        let ids: Vec<Uuid> = answers.iter().map(Answer::assert_deleted).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "one operation for all: {ids:?}");
        let originals = answers.iter().filter(|answer| answer.header("Idempotency-Replayed").is_none()).count();
        assert_eq!(originals, 1);
    }
    assert_eq!(service.world.operations().await, rounds);
}

async fn race_under_one_key(rounds: i64) {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let place = (family.requester, family.sub_customer);

    for round in 0..rounds {
        let contacts = service.world.rows(Resource::Contact, family.sub_customer, 4).await;
        let key = format!("round-{round}");
        let calls = contacts
            .iter()
            .map(|contact| delete_under_key(&service, &key, place, Resource::Contact, std::slice::from_ref(contact)));
        let answers = join_all(calls).await;

        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort();
        assert_eq!(statuses, [200, 422, 422, 422]);
        assert_eq!(service.world.deleted(Resource::Contact, &contacts).await.len(), 1);
    }
}

#[tokio::test]
async fn a_call_under_the_key_of_one_that_is_open_has_no_outcome_yet() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    open_under_key_k(&service, family.requester, zone).await;

    let place = (family.requester, family.requester);
    let answer = delete_under_key(&service, "k", place, Resource::Zone, &[zone]).await;

    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    assert!(service.world.deleted(Resource::Zone, &[zone]).await.is_empty());
}
