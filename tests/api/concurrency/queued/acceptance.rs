//! The immediate answer to a call that does not wait. Only the form of the call is checked.

use customer_deletion::resource::Resource;
use reqwest::Method;
use uuid::Uuid;

use super::{accept, assert_accepted, call, details, list, waiting};
use crate::support::TestService;
use crate::support::resources::every_resource;
use crate::support::service::{collection, send};

/// The operations of the requester in the queue.
async fn waiting_of(service: &TestService, requester: Uuid) -> i64 {
    let sql = "select count(*) from operation_queue where requester_id = $1";
    sqlx::query_scalar(sql).bind(requester).fetch_one(&service.database.pool).await.unwrap()
}

#[tokio::test]
async fn a_call_is_accepted_and_open_and_nothing_has_changed() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        let before = service.world.fingerprint().await;

        let operation = accept(&service, family.requester, customer, resource, &[row]).await;
        let open = details(&service, family.requester, operation).await;

        assert_eq!((open["status"].as_str(), open["resource"].as_str()), (Some("OPEN"), Some(resource.word())));
        assert!(open["completedAt"].is_null(), "{open}");
        assert_eq!(open["errorCode"], "");
        assert_eq!(service.status(family.requester, operation).await.json()["content"][0]["status"], "OPEN");
        service.status(family.parent, operation).await.assert_failed(
            404,
            "GLOBAL_1003",
            "Provided request ID does not exist for your account.",
        );
        assert_eq!(service.world.fingerprint().await, before);
        assert_eq!(waiting_of(&service, family.requester).await, 1);
    }
}

#[tokio::test]
async fn every_form_of_a_deletion_is_accepted() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let row = service.world.contact(family.sub_customer).await;
    let collection = collection(family.sub_customer, Resource::Contact);
    for (method, path, body) in [
        (Method::DELETE, format!("{collection}/{row}"), String::new()),
        (Method::DELETE, format!("{collection}/{row}"), "{}".to_owned()),
        (Method::DELETE, collection.clone(), list(&[row])),
        (Method::POST, format!("{collection}:batchDelete"), list(&[row])),
    ] {
        let call = service.call(method, &path, family.requester).body(body);
        assert_accepted(&send(call.header("prefer", "wait=1, Respond-Async; x=y")).await);
    }
    assert_eq!(waiting_of(&service, family.requester).await, 4);
}

#[tokio::test]
async fn another_preference_is_as_none() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let row = service.world.contact(family.sub_customer).await;
    let call = service.list_call(family.requester, family.sub_customer, Resource::Contact, &[row]);
    let answer = send(call.header("Prefer", "wait=10, return=minimal")).await;
    answer.assert_deleted();
    assert_eq!((answer.header("Preference-Applied"), answer.header("Location")), (None, None));
}

#[tokio::test]
async fn a_malformed_call_is_rejected_at_once_and_not_recorded() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let id = Uuid::now_v7();
    let contacts = collection(family.sub_customer, Resource::Contact);
    let products = collection(family.requester, Resource::Product);
    for (path, body, part) in [
        (contacts.clone(), String::new(), "neither the path nor the body has an id"),
        (contacts.clone(), "{\"id\": []}".to_owned(), "neither the path nor the body has an id"),
        (contacts.clone(), "{\"id\": [1]}".to_owned(), "`id[0]`"),
        (format!("{contacts}/{id}"), list(&[id]), "send one of them"),
        (format!("{contacts}/nothing"), String::new(), "id in the path"),
        (products, list(&[id]), "a product is deleted alone"),
    ] {
        let call = service.call(Method::DELETE, &path, family.requester).header("Prefer", "respond-async");
        send(call.body(body)).await.assert_malformed(400, "BAD_REQUEST", part);
    }
    let anonymous = service.anonymous(Method::DELETE, &contacts).header("Prefer", "respond-async");
    assert_eq!(send(anonymous.body(list(&[id]))).await.status, 401);
    assert_eq!((service.world.operations().await, waiting_of(&service, family.requester).await), (0, 0));
}

#[tokio::test]
async fn a_list_may_be_longer_than_that_of_a_call_that_waits_and_has_its_own_limits() {
    let service = TestService::start_with(|settings| {
        settings.deletion.max_ids = 2;
        settings.http.max_body_bytes = 200;
        settings.queue.max_ids = 4;
        settings.queue.max_body_bytes = 300;
    })
    .await;
    let family = service.world.family().await;
    let ids: Vec<Uuid> = (0..5).map(|_| Uuid::now_v7()).collect();
    let call = |ids: &[Uuid]| call(&service, family.requester, family.sub_customer, Resource::Contact, ids);

    assert_accepted(&send(call(&ids[..4])).await);
    send(call(&ids)).await.assert_malformed(400, "BAD_REQUEST", "`id` lists 5 ids; at most 4 are allowed");
    let padded = call(&ids[..1]).body(format!("{}{}", list(&ids[..1]), " ".repeat(300)));
    send(padded).await.assert_malformed(413, "PAYLOAD_TOO_LARGE", "larger than 300 bytes");

    let awaited = service.list_call(family.requester, family.sub_customer, Resource::Contact, &ids[..3]);
    send(awaited).await.assert_malformed(400, "BAD_REQUEST", "at most 2 are allowed");
}

#[tokio::test]
async fn a_requester_with_too_many_queued_operations_is_rejected_and_others_are_not() {
    let service = TestService::start_with(|settings| settings.queue.max_operations = 3).await;
    let family = service.world.family().await;
    let call = |requester: Uuid| call(&service, requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]);
    for _ in 0..3 {
        assert_accepted(&send(call(family.requester)).await);
    }

    let answer = send(call(family.requester)).await;
    answer.assert_malformed(429, "TOO_MANY_REQUESTS", "queued operations. The Retry-After");
    assert!(answer.header("Retry-After").is_some());
    assert_accepted(&send(call(family.parent)).await);
    assert_eq!((service.world.operations().await, waiting(&service.database.pool).await), (4, 4));

    // The limit does not hold for a call that waits for its outcome.
    let contact = service.world.contact(family.sub_customer).await;
    let awaited = service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact).await;
    awaited.assert_deleted();
}

/// A validation has its outcome immediately, also for a list that is too long for a call that waits.
#[tokio::test]
async fn a_call_that_is_only_validated_has_the_outcome_at_once() {
    let service = TestService::start_with(|settings| settings.deletion.max_ids = 2).await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 3).await;
    let path = format!("{}?validateOnly=true", collection(family.sub_customer, Resource::Contact));
    let call = |ids: &[Uuid]| {
        let call = service.call(Method::DELETE, &path, family.requester);
        send(call.header("Prefer", "respond-async").body(list(ids)))
    };
    let good = call(&contacts).await;
    good.assert_deleted();
    assert_eq!((good.header("Preference-Applied"), good.header("Location")), (None, None));
    let unknown = call(&[contacts[0], contacts[1], Uuid::now_v7()]).await;
    unknown.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
    assert!(service.world.deleted(Resource::Contact, &contacts).await.is_empty());
    assert_eq!((service.world.operations().await, waiting(&service.database.pool).await), (0, 0));
}
