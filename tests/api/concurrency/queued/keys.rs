//! `Idempotency-Key` with calls whose callers do not wait.

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use uuid::Uuid;

use super::{assert_accepted, at_work, call, ended, waiting};
use crate::support::TestService;
use crate::support::service::{Answer, send};
use crate::support::world::Family;

async fn send_under(service: &TestService, key: &str, family: Family, ids: &[Uuid]) -> Answer {
    let call = call(service, family.requester, family.sub_customer, Resource::Contact, ids);
    send(call.header("Idempotency-Key", key)).await
}

/// The same without the preference.
async fn await_under(service: &TestService, key: &str, family: Family, ids: &[Uuid]) -> Answer {
    let call = service.list_call(family.requester, family.sub_customer, Resource::Contact, ids);
    send(call.header("Idempotency-Key", key)).await
}

#[tokio::test]
async fn the_same_call_again_is_answered_the_same_and_waits_once() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let ids = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    let first = send_under(&service, "k", family, &ids).await;
    let id = assert_accepted(&first);
    assert_eq!(first.header("Idempotency-Replayed"), None);

    for ids in [[ids[0], ids[1]], [ids[1], ids[0]]] {
        let again = send_under(&service, "k", family, &ids).await;
        assert_eq!((assert_accepted(&again), &again.text), (id, &first.text));
        assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
    }
    assert_eq!((service.world.operations().await, waiting(&service.database.pool).await), (1, 1));
}

#[tokio::test]
async fn a_call_that_waits_has_the_outcome_once_there_is_one() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let ids = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    let id = assert_accepted(&send_under(&service, "k", family, &ids).await);

    let open = await_under(&service, "k", family, &ids).await;
    open.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    assert!(open.header("Retry-After").is_some());

    let worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    assert_eq!(ended(&service, family.requester, id).await["status"], "SUCCESS");
    let done = await_under(&service, "k", family, &ids).await;
    assert_eq!(done.assert_deleted(), id);
    assert_eq!(done.header("Idempotency-Replayed"), Some("true"));
    // The caller that does not wait still gets the URL of the status.
    let again = send_under(&worker, "k", family, &ids).await;
    assert_eq!(assert_accepted(&again), id);
    assert_eq!(service.world.operations().await, 1);
}

#[tokio::test]
async fn a_refusal_under_a_key_is_answered_again() {
    let service = at_work().await;
    let family = service.world.family().await;
    let unknown = [Uuid::now_v7()];
    let id = assert_accepted(&send_under(&service, "k", family, &unknown).await);
    assert_eq!(ended(&service, family.requester, id).await["errorCode"], "CUSTOMER_1017");

    let again = await_under(&service, "k", family, &unknown).await;
    assert_eq!(again.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID"), id);
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
}

#[tokio::test]
async fn another_call_under_the_key_is_refused_and_does_not_wait() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let ids = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    assert_accepted(&send_under(&service, "k", family, &ids).await);

    let message = "The Idempotency-Key belongs to another call. Send a new call under a new key.";
    let other = send_under(&service, "k", family, &ids[..1]).await;
    other.assert_failed(422, "IDEMPOTENCY_KEY_REUSED", message);
    assert_eq!((other.header("Preference-Applied"), other.header("Location")), (None, None));
    let other = await_under(&service, "k", family, &ids[1..]).await;
    other.assert_failed(422, "IDEMPOTENCY_KEY_REUSED", message);
    assert_eq!(waiting(&service.database.pool).await, 1);
}

#[tokio::test]
async fn a_call_that_was_executed_at_once_is_accepted_again_and_not_executed_again() {
    let service = at_work().await;
    let family = service.world.family().await;
    let ids = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    let id = await_under(&service, "k", family, &ids).await.assert_deleted();

    let again = send_under(&service, "k", family, &ids).await;
    assert_eq!(assert_accepted(&again), id);
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
    assert_eq!((service.world.operations().await, waiting(&service.database.pool).await), (1, 0));
}

#[tokio::test]
async fn twins_that_race_are_one_operation() {
    let service = at_work().await;
    let family = service.world.family().await;
    for round in 0..10 {
        let ids = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
        let key = format!("race-{round}");
        let answers = join_all((0..8).map(|_| send_under(&service, &key, family, &ids))).await;
        let first = assert_accepted(&answers[0]);
        assert!(answers.iter().all(|answer| assert_accepted(answer) == first));
        let fresh = answers.iter().filter(|answer| answer.header("Idempotency-Replayed").is_none()).count();
        assert_eq!(fresh, 1);
        assert_eq!(ended(&service, family.requester, first).await["status"], "SUCCESS");
    }
    assert_eq!(service.world.operations().await, 10);
}
