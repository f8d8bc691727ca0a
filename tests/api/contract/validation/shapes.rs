//! The checks before the customer: identity, limits, routes and form, and the form of `validateOnly` itself.

use std::num::NonZeroU32;

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use reqwest::Method;
use uuid::Uuid;

use super::everything::everything;
use super::{deletion, refused_alike};
use crate::support::resources::{contract, every_resource};
use crate::support::service::{Answer, collection, send, validating, with_query};
use crate::support::{TestDatabase, TestService, body};

#[tokio::test]
async fn a_call_that_is_wrong_in_itself_is_answered_alike() {
    let service = TestService::start().await;
    for resource in every_resource() {
        let family = service.world.family().await;
        let row = service.world.row(resource, family.in_scope(resource)).await;
        let list = collection(family.in_scope(resource), resource);
        let one = format!("{list}/{row}");
        let delete = |path: &str| service.call(Method::DELETE, path, family.requester);
        let too_many: Vec<Uuid> = (0..1001).map(Uuid::from_u128).collect();

        for (call, status, code) in [
            (service.anonymous(Method::DELETE, &one), 401, "UNAUTHORIZED"),
            (delete(&one).header("X-Requester-Id", "another"), 401, "UNAUTHORIZED"),
            (delete(&format!("{one}/more")), 404, "NOT_FOUND"),
            (service.call(Method::PUT, &one, family.requester), 405, "METHOD_NOT_ALLOWED"),
            (service.call(Method::GET, &list, family.requester), 405, "METHOD_NOT_ALLOWED"),
            (delete(&one).body(body(&[row])), 400, "BAD_REQUEST"),
            (delete(&list), 400, "BAD_REQUEST"),
            (delete(&list).body("{}"), 400, "BAD_REQUEST"),
            (delete(&list).body(r#"{"id": ["x"]}"#), 400, "BAD_REQUEST"),
            (delete(&list).body(r#"{"id": "#), 400, "BAD_REQUEST"),
            (delete(&list).body(body(&too_many)), 400, "BAD_REQUEST"),
            (delete(&format!("{list}/x")), 400, "BAD_REQUEST"),
            (delete(&one.replace(&family.in_scope(resource).to_string(), "x")), 400, "BAD_REQUEST"),
            (delete(&one).header("Idempotency-Key", "two words"), 400, "BAD_REQUEST"),
            (delete(&one).header("Idempotency-Key", "a").header("Idempotency-Key", "b"), 400, "BAD_REQUEST"),
            (delete(&one).header("Content-Type", "text/plain").body("{}"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        ] {
            refused_alike(&service, call, status, code).await;
        }
        if resource == Resource::Contact {
            let large = delete(&one).body(" ".repeat(1024 * 1024 + 1));
            refused_alike(&service, large, 413, "PAYLOAD_TOO_LARGE").await;
        }
        assert_eq!(service.world.operations().await, 0);
    }
}

#[tokio::test]
async fn a_limit_on_calls_holds_for_those_that_are_only_validated() {
    let service = TestService::start_with(|settings| {
        settings.requester.rate_per_second = NonZeroU32::new(1);
        settings.requester.rate_burst = NonZeroU32::new(2);
    })
    .await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let calls = (0..20).map(|_| deletion(&service, family.requester, family.requester, Resource::Zone, &[zone]));

    let answers = join_all(calls.map(|call| send(validating(call)))).await;

    let rejected: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!((1..=18).contains(&rejected.len()), "{rejected:?}");
    for answer in rejected {
        answer.assert_malformed(429, "TOO_MANY_REQUESTS", "");
    }
}

#[tokio::test]
async fn a_database_without_a_schema_is_answered_alike() {
    let service = TestService::start_on(TestDatabase::empty().await, |_| {}).await;
    let requester = Uuid::now_v7();
    let call = || deletion(&service, requester, requester, Resource::Zone, &[requester]);
    let [validated, answer] = [send(validating(call())).await, send(call()).await];
    assert_eq!(validated.but_for_its_id(), answer.but_for_its_id());
    validated.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
}

#[tokio::test]
async fn another_word_than_true_or_false_is_a_bad_request_that_names_it() {
    let service = TestService::start().await;
    for resource in every_resource() {
        let family = service.world.family().await;
        let row = service.world.row(resource, family.in_scope(resource)).await;
        let path = collection(family.in_scope(resource), resource);
        let mut calls = vec![service.call(Method::DELETE, &format!("{path}/{row}"), family.requester)];
        if contract(resource).takes_list {
            calls.push(service.list_call(family.requester, family.in_scope(resource), resource, &[row]));
            calls.push(service.call(Method::POST, &format!("{path}:batchDelete"), family.requester).body(body(&[row])));
        }
        let before = everything(&service.database.pool).await;

        for call in calls {
            for query in [
                "validateOnly",
                "validateOnly=",
                "validateOnly=True",
                "validateOnly=1",
                "validateOnly=%20true",
                "validateOnly=true&validateOnly=true",
                "validateOnly=false&x=1&validateOnly=true",
            ] {
                let answer = send(with_query(call.try_clone().unwrap(), query)).await;
                answer.assert_malformed(400, "BAD_REQUEST", "validateOnly");
                service.status(family.requester, answer.request_id()).await.assert_malformed(404, "GLOBAL_1003", "");
            }
            // The order of the checks: identity and route come first, and the customer comes after the form.
            let identified = send(with_query(service.anonymous(Method::DELETE, &path), "validateOnly=1")).await;
            identified.assert_malformed(401, "UNAUTHORIZED", "");
            let stranger = Uuid::now_v7();
            let shape = deletion(&service, stranger, stranger, resource, &[row]);
            send(with_query(shape, "validateOnly=1")).await.assert_malformed(400, "BAD_REQUEST", "validateOnly");
        }
        assert_eq!(everything(&service.database.pool).await, before);
    }
}

#[tokio::test]
async fn false_is_a_call_like_any_other_and_so_is_another_parameter() {
    let service = TestService::shared().await;
    let family = service.world.family().await;

    for query in ["validateOnly=false", "dryRun=true", "validateonly=true", "x", "", "&", "?validateOnly=true"] {
        let zone = service.world.zone(family.requester).await;
        let call = deletion(&service, family.requester, family.requester, Resource::Zone, &[zone]);
        let id = send(with_query(call, query)).await.assert_deleted();
        assert_eq!(service.world.deleted(Resource::Zone, &[zone]).await, [zone], "{query}");
        assert_eq!(service.status(family.requester, id).await.status, 200);
    }
}
