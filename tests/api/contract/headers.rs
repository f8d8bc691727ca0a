//! The headers for caches and browsers. `support::service::send` asserts for every call of every test that the answer may not
//! be stored.

use customer_deletion::resource::Resource;
use reqwest::Method;
use uuid::Uuid;

use crate::support::service::{Answer, collection, send, validating};
use crate::support::{TestDatabase, TestService, body};

#[track_caller]
fn assert_is_not_stored(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let headers = ["Cache-Control", "X-Content-Type-Options"].map(|name| {
        let values: Vec<_> = answer.headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{status} {name}: {values:?}");
        values[0].to_str().unwrap()
    });
    assert_eq!(headers, ["no-store", "nosniff"], "{status} {}", answer.text);
    for name in ["Age", "Expires", "ETag", "Last-Modified", "Vary"] {
        assert_eq!(answer.header(name), None, "{status}: a cache has no use for {name}");
    }
}

#[tokio::test]
async fn no_success_is_stored() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 3).await;
    let path = collection(family.sub_customer, Resource::Contact);
    let delete = |ids: &[Uuid]| service.call(Method::DELETE, &path, family.requester).body(body(ids));

    assert_is_not_stored(&send(validating(delete(&contacts[..1]))).await, 200);
    for _ in 0..2 {
        assert_is_not_stored(&send(delete(&contacts[..1]).header("Idempotency-Key", "once")).await, 200);
    }
    assert_is_not_stored(
        &service.delete_one(family.requester, family.sub_customer, Resource::Contact, contacts[1]).await,
        200,
    );
    let accepted = send(delete(&contacts[2..]).header("Prefer", "respond-async")).await;
    assert_is_not_stored(&accepted, 202);
    assert_is_not_stored(&service.status(family.requester, accepted.request_id()).await, 200);
    assert_is_not_stored(&service.details(family.requester, accepted.request_id()).await, 200);
    for method in [Method::GET, Method::HEAD] {
        assert_is_not_stored(&send(service.call(method, "/api/v3/global/call", family.requester)).await, 200);
    }
}

/// A cache may store a 404 and a 405 by default.
#[tokio::test]
async fn no_failure_is_stored() {
    let service = TestService::beside_shared(|settings| settings.http.max_body_bytes = 100).await;
    let family = service.world.family().await;
    let path = collection(family.sub_customer, Resource::Contact);
    let call = |method: Method, path: &str| service.call(method, path, family.requester);
    let delete = |text: &str| call(Method::DELETE, &path).body(text.to_owned());

    assert_is_not_stored(&send(service.anonymous(Method::DELETE, &path)).await, 401);
    assert_is_not_stored(&send(call(Method::GET, "/api/v9")).await, 404);
    assert_is_not_stored(&send(call(Method::GET, &path)).await, 405);
    assert_is_not_stored(&send(delete("{")).await, 400);
    assert_is_not_stored(&send(delete(&" ".repeat(101))).await, 413);
    assert_is_not_stored(&send(delete("{}").header("Content-Type", "text/plain")).await, 415);
    assert_is_not_stored(&send(delete(&body(&[Uuid::now_v7()]))).await, 404);
    assert_is_not_stored(&service.status(family.requester, Uuid::now_v7()).await, 404);
    for path in ["/", "/api", "/elsewhere", "/docs/elsewhere"] {
        let status = if path == "/api" { 401 } else { 404 };
        assert_is_not_stored(&send(service.anonymous(Method::GET, path)).await, status);
    }

    let without_schema = TestService::start_on(TestDatabase::empty().await, |_| {}).await;
    let answer = without_schema.status(family.requester, Uuid::now_v7()).await;
    assert_is_not_stored(&answer, 503);
    assert_eq!(answer.header("Retry-After"), Some("1"));
    assert_is_not_stored(&without_schema.management("/health/ready").await, 503);
}

#[tokio::test]
async fn health_and_metrics_are_not_stored() {
    let service = TestService::shared().await;
    for (path, status) in [("/health/live", 200), ("/health/ready", 200), ("/metrics", 200), ("/elsewhere", 404)] {
        assert_is_not_stored(&service.management(path).await, status);
    }
}
