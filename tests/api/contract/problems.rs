//! Failures as problems (RFC 9457), for a client that prefers `application/problem+json`.

use std::num::NonZeroU32;

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use reqwest::{Body, Method, RequestBuilder};
use serde_json::json;
use uuid::Uuid;

use crate::faults::injected::injector::{Fault, Injector};
use crate::support::service::{Answer, collection, send};
use crate::support::{TestDatabase, TestService, body};

const PROBLEM: &str = "application/problem+json";

async fn as_problem(call: RequestBuilder) -> Answer {
    send(call.header("Accept", PROBLEM)).await
}

/// Asserts the exact problem, and returns its id.
#[track_caller]
fn assert_problem(answer: &Answer, status: u16, code: &str, title: &str, detail: &str) -> Uuid {
    let id = answer.request_id();
    let (title, detail) = (json!(title), json!(detail));
    let expected = format!(
        r#"{{"type":"urn:problem-type:customer-deletion:{code}","title":{title},"status":{status},"detail":{detail},"instance":"urn:uuid:{id}","errorCode":"{code}"}}"#
    );
    assert_eq!((answer.status, answer.text.as_str()), (status, expected.as_str()));
    assert_eq!(answer.header("Content-Type"), Some(PROBLEM));
    assert_eq!((answer.header("Cache-Control"), answer.header("Vary")), (Some("no-store"), None));
    id
}

#[tokio::test]
async fn every_failure_is_a_problem_with_the_headers_of_the_envelope() {
    let service = TestService::start_with(|settings| settings.http.max_body_bytes = 100).await;
    let family = service.world.family().await;
    let path = collection(family.sub_customer, Resource::Contact);
    let call = |method: Method, path: &str| service.call(method, path, family.requester);
    let delete = |text: &str| call(Method::DELETE, &path).body(text.to_owned());

    let answer = as_problem(service.anonymous(Method::DELETE, &path)).await;
    let title = "The call is not authenticated.";
    assert_problem(&answer, 401, "UNAUTHORIZED", title, title);
    assert!(answer.header("WWW-Authenticate").is_some());

    let answer = as_problem(call(Method::GET, &path)).await;
    let title = "The route does not have this method. The Allow header lists its methods.";
    assert_problem(&answer, 405, "METHOD_NOT_ALLOWED", title, title);
    assert_eq!(answer.header("Allow"), Some("DELETE"));

    let detail = "`id[0]` in the body is malformed: \"x\" is not a UUID";
    let answer = as_problem(delete(r#"{"id": ["x"]}"#)).await;
    assert_eq!(answer.json()["title"], "The call is malformed.");
    assert_eq!(answer.json()["type"], "urn:problem-type:customer-deletion:BAD_REQUEST");
    assert!(answer.json()["detail"].as_str().unwrap().starts_with(&detail[..30]), "{}", answer.text);

    let answer = as_problem(delete(&" ".repeat(101))).await;
    let detail = "the body is larger than 100 bytes";
    assert_problem(&answer, 413, "PAYLOAD_TOO_LARGE", "The body is too large.", detail);

    let answer = as_problem(delete("{}").header("Content-Type", "text/plain")).await;
    assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (415, Some("UNSUPPORTED_MEDIA_TYPE")));

    let answer = as_problem(call(Method::GET, &format!("/api/v3/global/call/{}", Uuid::now_v7()))).await;
    let title = "Provided request ID does not exist for your account.";
    assert_problem(&answer, 404, "GLOBAL_1003", title, title);

    let title = "There is no such route.";
    for path in ["/", "/elsewhere", "/docs/elsewhere"] {
        let answer = as_problem(service.anonymous(Method::GET, path)).await;
        assert_problem(&answer, 404, "NOT_FOUND", title, title);
    }
    let management = format!("http://{}/elsewhere", service.management_address);
    assert_problem(&as_problem(reqwest::Client::new().get(management)).await, 404, "NOT_FOUND", title, title);
}

#[tokio::test]
async fn an_outage_is_a_problem_with_a_retry_after() {
    let service = TestService::start_on(TestDatabase::empty().await, |_| {}).await;
    let path = format!("/api/v3/global/call/{}", Uuid::now_v7());
    let answer = as_problem(service.call(Method::GET, &path, Uuid::now_v7())).await;
    let title = "Service unavailable. Please try again";
    assert_problem(&answer, 503, "GLOBAL_1001", title, title);
    assert_eq!(answer.header("Retry-After"), Some("1"));
}

#[tokio::test]
async fn a_defect_is_a_problem_without_a_retry_after() {
    let injector = Injector::start().await;
    injector.inject(&Fault::new("find_operation: reads operation", "XX000")).await;
    let id = injector.delete_later(Resource::Contact, &[Uuid::now_v7()], "k").await.request_id();
    let path = format!("/api/v3/global/call/{id}");
    let answer = as_problem(injector.service.call(Method::GET, &path, injector.family.requester)).await;
    let title = "Service unavailable. Please try again";
    assert_problem(&answer, 500, "GLOBAL_1001", title, title);
    assert_eq!(answer.header("Retry-After"), None);
}

#[tokio::test]
async fn a_call_over_the_rate_is_a_problem_with_a_retry_after() {
    let service = TestService::start_with(|settings| {
        settings.requester.rate_per_second = NonZeroU32::new(1);
        settings.requester.rate_burst = NonZeroU32::new(1);
    })
    .await;
    let requester = Uuid::now_v7();
    let calls = std::iter::repeat_with(|| as_problem(service.call(Method::GET, "/api/elsewhere", requester))).take(20);
    let answers = join_all(calls).await;
    let answer = answers.iter().find(|answer| answer.status == 429).expect("one of 20 calls at once is refused");
    assert_eq!(answer.json()["type"], "urn:problem-type:customer-deletion:TOO_MANY_REQUESTS");
    assert_eq!((&answer.json()["status"], answer.header("Content-Type")), (&json!(429), Some(PROBLEM)));
    assert!(answer.header("Retry-After").is_some());
}

/// Requests that could be read as two, and the last request of a connection, pass through other code.
#[tokio::test]
async fn a_rejected_request_and_a_chunked_one_are_answered_as_problems() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let path = collection(family.sub_customer, Resource::Contact);

    let call = service.call(Method::DELETE, &path, family.requester).header("Upgrade", "websocket");
    let answer = as_problem(call).await;
    assert_problem(&answer, 400, "BAD_REQUEST", "The call is malformed.", "this service does not support websockets");

    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(body(&[Uuid::now_v7()]))]);
    let call = service.call(Method::DELETE, &path, family.requester).body(Body::wrap_stream(chunks));
    let answer = as_problem(call).await;
    assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (404, Some("CUSTOMER_1017")), "{}", answer.text);
    assert_eq!(answer.header("Content-Type"), Some(PROBLEM));
}

#[tokio::test]
async fn a_refused_deletion_is_a_problem_and_its_replay_is_the_same() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let stranger = Uuid::now_v7();
    let call = || {
        let ids = [Uuid::from_u128(7)];
        let call = service.list_call(family.requester, stranger, Resource::Contact, &ids);
        call.header("Idempotency-Key", "a-problem")
    };

    let first = as_problem(call()).await;
    let title = "Customer does not exist";
    let id = assert_problem(&first, 404, "CUSTOMER_1002", title, title);
    assert_eq!(service.details(family.requester, id).await.json()["content"][0]["errorCode"], "CUSTOMER_1002");
    let replay = as_problem(call()).await;
    assert_eq!((&replay.text, replay.header("Idempotency-Replayed")), (&first.text, Some("true")));
    let as_envelope = send(call().header("Accept", "*/*")).await;
    assert_eq!(as_envelope.assert_failed(404, "CUSTOMER_1002", title), id);

    let other = service.list_call(family.requester, stranger, Resource::Contact, &[Uuid::from_u128(8)]);
    let answer = as_problem(other.header("Idempotency-Key", "a-problem")).await;
    let title = "The Idempotency-Key belongs to another call. Send a new call under a new key.";
    assert_problem(&answer, 422, "IDEMPOTENCY_KEY_REUSED", title, title);
}

#[tokio::test]
async fn a_success_is_the_envelope_whatever_is_accepted() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let id = as_problem(service.deletion(family.requester, family.requester, Resource::Zone, &[zone])).await;
    let id = id.assert_deleted();
    let answer = as_problem(service.call(Method::GET, &format!("/api/v2/global/call/{id}"), family.requester)).await;
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("application/json")));
}

#[tokio::test]
async fn a_failure_is_the_envelope_unless_the_problem_is_preferred() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    let call = || service.call(Method::GET, "/api/elsewhere", requester);
    for accepted in [
        "*/*",
        "application/json",
        "application/*",
        "text/html",
        "application/problem+json;q=0",
        "application/problem+json;q=0.5, application/json",
    ] {
        let answer = send(call().header("Accept", accepted)).await;
        answer.assert_failed(404, "NOT_FOUND", "There is no such route.");
        assert_eq!(answer.header("Content-Type"), Some("application/json"), "{accepted}");
    }
    for accepted in ["application/json, application/problem+json", "application/json;q=0.5, application/problem+json"] {
        let answer = send(call().header("Accept", accepted)).await;
        assert_eq!(answer.header("Content-Type"), Some(PROBLEM), "{accepted}");
    }
    let head = send(service.call(Method::HEAD, "/api/elsewhere", requester).header("Accept", PROBLEM)).await;
    assert_eq!((head.status, head.text.as_str(), head.header("Content-Type")), (404, "", Some(PROBLEM)));
}
