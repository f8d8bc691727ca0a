//! The table of the forms of a call, row by row: each form and its answer.

use customer_deletion::resource::Resource;
use reqwest::Method;
use uuid::Uuid;

use crate::support::resources::{every_list, every_resource, word};
use crate::support::service::{Answer, collection, send};
use crate::support::world::Family;
use crate::support::{TestService, body};

/// Sends a call that must change nothing and be recorded as no operation.
async fn malformed(service: &TestService, call: reqwest::RequestBuilder) -> Answer {
    let before = (service.world.fingerprint().await, service.world.operations().await);
    let answer = send(call).await;
    let after = (service.world.fingerprint().await, service.world.operations().await);
    assert_eq!(after, before, "something changed: {}", answer.text);
    answer
}

/// A service with one row that could be deleted.
async fn service_with_a_row(resource: Resource) -> (TestService, Family, Uuid) {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let row = service.world.row(resource, family.in_scope(resource)).await;
    (service, family, row)
}

#[tokio::test]
async fn an_id_in_the_url_and_a_list_in_the_body_is_a_bad_request() {
    for resource in every_resource() {
        let (service, family, row) = service_with_a_row(resource).await;
        let path = format!("{}/{row}", collection(family.in_scope(resource), resource));

        let call = service.call(Method::DELETE, &path, family.requester).body(body(&[row]));

        malformed(&service, call).await.assert_malformed(400, "BAD_REQUEST", "bad request");
    }
}

#[tokio::test]
async fn an_id_in_the_url_with_an_empty_body_deletes_that_one() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);

        for body in ["", "{}", r#"{"id": null}"#, r#"{"id": []}"#] {
            let row = service.world.row(resource, customer).await;
            let path = format!("{}/{row}", collection(customer, resource));
            let answer = send(service.call(Method::DELETE, &path, family.requester).body(body)).await;
            answer.assert_deleted();
            assert_eq!(service.world.deleted(resource, &[row]).await, [row], "{body:?}");
        }
    }
}

#[tokio::test]
async fn no_id_at_all_never_means_everything() {
    for resource in every_resource() {
        let (service, family, _) = service_with_a_row(resource).await;
        let path = collection(family.in_scope(resource), resource);

        for (method, path) in [(Method::DELETE, path.clone()), (Method::POST, format!("{path}:batchDelete"))] {
            for body in ["", "{}", r#"{"id": null}"#, r#"{"id": []}"#] {
                let call = service.call(method.clone(), &path, family.requester).body(body);
                malformed(&service, call).await.assert_malformed(400, "BAD_REQUEST", "id");
            }
        }
    }
}

#[tokio::test]
async fn the_same_id_twice_is_taken_once() {
    for resource in every_list() {
        let (service, family, row) = service_with_a_row(resource).await;
        let customer = family.in_scope(resource);

        service.delete_list(family.requester, customer, resource, &[row, row, row]).await.assert_deleted();

        let recorded = "select target_ids from operation where requester_id = $1";
        let recorded: Vec<Uuid> =
            sqlx::query_scalar(recorded).bind(family.requester).fetch_one(&service.database.pool).await.unwrap();
        assert_eq!(recorded, [row]);
    }
}

#[tokio::test]
async fn a_malformed_body_is_a_400_that_names_what_is_wrong() {
    for resource in every_resource() {
        let (service, family, row) = service_with_a_row(resource).await;
        let path = collection(family.in_scope(resource), resource);
        let too_many: Vec<Uuid> = (0..1001).map(Uuid::from_u128).collect();

        for (body, part) in [
            (r#"{"id": ["#.to_owned(), "the body is not valid JSON: EOF while parsing"),
            ("nonsense".to_owned(), "the body is not valid JSON: expected ident at line 1 column 2"),
            ("[]".to_owned(), "the body must be an object"),
            ("null".to_owned(), "the body is malformed"),
            (r#"{"id": "x"}"#.to_owned(), "`id` in the body"),
            (r#"{"id": [7]}"#.to_owned(), "`id[0]` in the body"),
            (r#"{"id": [null]}"#.to_owned(), "`id[0]` in the body"),
            (format!(r#"{{"id": ["{row}", "not-a-uuid"]}}"#), "`id[1]` in the body"),
            (format!(r#"{{"id": ["{}"]}}"#, row.simple()), "`id[0]` in the body"),
            (crate::support::body(&too_many), "1001"),
        ] {
            for call in [
                service.call(Method::DELETE, &path, family.requester),
                service.call(Method::POST, &format!("{path}:batchDelete"), family.requester),
            ] {
                malformed(&service, call.body(body.clone())).await.assert_malformed(400, "BAD_REQUEST", part);
            }
        }
    }
}

#[tokio::test]
async fn a_malformed_id_in_the_path_is_named() {
    for resource in every_resource() {
        let (service, family, row) = service_with_a_row(resource).await;
        let customer = family.in_scope(resource);
        let word = word(resource);

        for (path, part) in [
            (format!("/api/v2/customer/nobody/{word}/{row}"), "customerId in the path"),
            (format!("/api/v2/customer/{customer}/{word}/nothing"), "id in the path"),
            (format!("/api/v2/customer/{customer}/{word}/{}", row.simple()), "id in the path"),
            (format!("/api/v2/customer/{customer}/{word}/%20"), "id in the path"),
        ] {
            let call = service.call(Method::DELETE, &path, family.requester);
            malformed(&service, call).await.assert_malformed(400, "BAD_REQUEST", part);
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large() {
    // One resource that takes a list, and one that does not.
    for resource in [Resource::Contact, Resource::Product] {
        let (service, family, row) = service_with_a_row(resource).await;
        let path = collection(family.in_scope(resource), resource);
        let padding = "x".repeat(1024 * 1024);
        let large = format!(r#"{{"because": "{padding}", "id": ["{row}"]}}"#);

        let call = service.call(Method::DELETE, &path, family.requester).body(large);

        malformed(&service, call).await.assert_malformed(413, "PAYLOAD_TOO_LARGE", "1048576");
    }
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_too_large_as_well() {
    let (service, family, _) = service_with_a_row(Resource::Contact).await;
    let path = collection(family.sub_customer, Resource::Contact);
    let chunks = (0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));

    let call = service.call(Method::DELETE, &path, family.requester).body(stream);

    malformed(&service, call).await.assert_malformed(413, "PAYLOAD_TOO_LARGE", "1048576");
}

#[tokio::test]
async fn another_content_type_than_json_is_unsupported() {
    for resource in every_resource() {
        let (service, family, row) = service_with_a_row(resource).await;
        let path = collection(family.in_scope(resource), resource);

        for (content_type, told) in [
            ("text/plain", "Content-Type is `text/plain`"),
            ("application/xml; charset=utf-8", "Content-Type is `application/xml; charset=utf-8`"),
            ("application/x-www-form-urlencoded", "Content-Type is `application/x-www-form-urlencoded`"),
            ("nonsense", "Content-Type is `nonsense`"),
            ("", "Content-Type is empty"),
        ] {
            let call = service
                .call(Method::DELETE, &path, family.requester)
                .header("Content-Type", content_type)
                .body(body(&[row]));
            malformed(&service, call).await.assert_malformed(415, "UNSUPPORTED_MEDIA_TYPE", told);
        }
        for [first, second] in [["application/json", "text/plain"], ["text/plain", "application/json"]] {
            let call = service.call(Method::DELETE, &path, family.requester);
            let call = call.header("Content-Type", first).header("Content-Type", second).body(body(&[row]));
            malformed(&service, call).await.assert_malformed(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                "Content-Type was sent twice",
            );
        }
        let call =
            service.call(Method::DELETE, &path, family.requester).header("Content-Encoding", "gzip").body(body(&[row]));
        malformed(&service, call).await.assert_malformed(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Encoding is `gzip`");
    }
}

#[tokio::test]
async fn json_under_its_names_and_under_none_is_read() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let path = collection(family.sub_customer, Resource::Contact);

    for content_type in [
        None,
        Some("application/json"),
        Some("Application/JSON; charset=utf-8"),
        Some("application/json \t;\tcharset=utf-8"),
        Some("application/problem+json"),
    ] {
        let contact = service.world.contact(family.sub_customer).await;
        let mut call = service.call(Method::DELETE, &path, family.requester).body(body(&[contact]));
        if let Some(content_type) = content_type {
            call = call.header("Content-Type", content_type);
        }
        send(call).await.assert_deleted();
    }
}

#[tokio::test]
async fn a_body_that_comes_in_chunks_without_a_length_is_read() {
    let (service, family, row) = service_with_a_row(Resource::Contact).await;
    let path = collection(family.sub_customer, Resource::Contact);
    let chunks: Vec<_> = body(&[row]).bytes().map(|byte| Ok::<_, std::io::Error>(vec![byte])).collect();
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));

    send(service.call(Method::DELETE, &path, family.requester).body(stream)).await.assert_deleted();
}

#[tokio::test]
async fn product_ids_in_a_body_are_a_bad_request() {
    let (service, family, row) = service_with_a_row(Resource::Product).await;
    let path = collection(family.requester, Resource::Product);

    for (method, path) in [(Method::DELETE, path.clone()), (Method::POST, format!("{path}:batchDelete"))] {
        let call = service.call(method, &path, family.requester).body(body(&[row]));
        malformed(&service, call).await.assert_malformed(400, "BAD_REQUEST", "by its id in the path");
    }
}

#[tokio::test]
async fn unknown_members_are_ignored() {
    for resource in every_list() {
        let (service, family, row) = service_with_a_row(resource).await;
        let path = collection(family.in_scope(resource), resource);
        let body = format!(r#"{{"reason": "moved", "id": ["{row}"], "ids": [1, {{}}]}}"#);

        send(service.call(Method::DELETE, &path, family.requester).body(body)).await.assert_deleted();
    }
}

#[tokio::test]
async fn the_shape_is_judged_before_the_customer() {
    for resource in every_resource() {
        let (service, family, _) = service_with_a_row(resource).await;
        let path = format!("{}/nothing", collection(Uuid::now_v7(), resource));

        let call = service.call(Method::DELETE, &path, family.requester);

        malformed(&service, call).await.assert_malformed(400, "BAD_REQUEST", "id in the path");
    }
}

#[tokio::test]
async fn the_limits_are_settings() {
    let service = TestService::beside_shared(|settings| {
        settings.deletion.max_ids = 2;
        settings.http.max_body_bytes = 150;
    })
    .await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 4).await;
    let path = collection(family.sub_customer, Resource::Contact);
    let call = |ids: &[Uuid]| service.call(Method::DELETE, &path, family.requester).body(body(ids));

    malformed(&service, call(&contacts[..3])).await.assert_malformed(400, "BAD_REQUEST", "at most 2");
    malformed(&service, call(&contacts)).await.assert_malformed(413, "PAYLOAD_TOO_LARGE", "150");
    send(call(&contacts[..2])).await.assert_deleted();
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let service =
        TestService::beside_shared(|settings| settings.http.body_timeout = std::time::Duration::from_millis(300)).await;
    let family = service.world.family().await;
    let path = collection(family.sub_customer, Resource::Contact);
    let stalled = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();

    let call = service.call(Method::DELETE, &path, family.requester).body(reqwest::Body::wrap_stream(stalled));

    malformed(&service, call).await.assert_malformed(400, "BAD_REQUEST", "did not arrive completely");
}
