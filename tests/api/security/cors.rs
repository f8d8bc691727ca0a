//! Calls from web pages on other origins. A browser sends a preflight first, and hides every answer
//! that does not allow the origin.

use std::num::NonZeroU32;

use customer_deletion::resource::Resource;
use reqwest::{Method, RequestBuilder};
use rstest::rstest;
use uuid::Uuid;

use crate::support::service::{Answer, collection, send};
use crate::support::{TestService, body};

const ORIGIN: &str = "https://app.example.com";

async fn service_that_allows(origins: &str) -> TestService {
    TestService::beside_shared(|settings| settings.http.allowed_origins = origins.to_owned()).await
}

fn preflight(service: &TestService, path: &str, origin: &str, method: &str) -> RequestBuilder {
    let call = service.anonymous(Method::OPTIONS, path).header("Origin", origin);
    call.header("Access-Control-Request-Method", method)
}

/// The names in a header, in lower case and sorted.
fn names(answer: &Answer, header: &str) -> Vec<String> {
    let names = answer.header(header).unwrap_or_else(|| panic!("no {header}: {answer:?}")).split(", ");
    let mut names: Vec<String> = names.map(str::to_lowercase).collect();
    names.sort();
    names
}

#[track_caller]
fn assert_hidden(answer: &Answer) {
    for name in ["Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
}

#[track_caller]
fn assert_readable(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(origin), "{answer:?}");
    assert_eq!(answer.header("Access-Control-Allow-Credentials"), None, "{answer:?}");
    let exposed = names(answer, "Access-Control-Expose-Headers");
    assert_eq!(
        exposed,
        ["idempotency-replayed", "location", "preference-applied", "request-id", "retry-after", "www-authenticate"]
    );
    answer.request_id();
}

#[tokio::test]
async fn no_origin_is_allowed_unless_it_is_set() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();

    let answer = send(preflight(&service, "/api/v3/global/call", ORIGIN, "GET")).await;
    answer.assert_failed(401, "UNAUTHORIZED", "The call is not authenticated.");
    assert_hidden(&answer);
    let answer = send(service.call(Method::GET, "/api/v3/global/call", requester).header("Origin", ORIGIN)).await;
    assert_eq!((answer.status, answer.header("Vary")), (200, None));
    assert_hidden(&answer);
}

#[tokio::test]
async fn a_preflight_of_an_allowed_origin_is_answered_without_identity() {
    let service = service_that_allows("http://localhost:3000, https://app.example.com").await;
    let path = collection(Uuid::now_v7(), Resource::Contact);

    for origin in [ORIGIN, "http://localhost:3000"] {
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            let wanted = "content-type,idempotency-key,prefer,traceparent,tracestate,x-request-id,x-requester-id";
            let call = preflight(&service, &path, origin, method).header("Access-Control-Request-Headers", wanted);
            let answer = send(call).await;

            assert_eq!((answer.status, answer.text.as_str()), (200, ""));
            assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(origin));
            assert_eq!(answer.header("Access-Control-Allow-Credentials"), None);
            assert_eq!(names(&answer, "Access-Control-Allow-Methods"), ["delete", "get", "head", "post"]);
            assert_eq!(names(&answer, "Access-Control-Allow-Headers").join(","), wanted);
            assert_eq!(answer.header("Access-Control-Max-Age"), Some("600"));
            assert!(names(&answer, "Vary").contains(&"origin".to_owned()));
            answer.request_id();
        }
    }
}

#[rstest]
#[case::another_origin("https://evil.example", "DELETE", "prefer", "Origin is not allowed")]
#[case::a_longer_host("https://app.example.com.evil.example", "DELETE", "prefer", "Origin is not allowed")]
#[case::another_scheme("http://app.example.com", "DELETE", "prefer", "Origin is not allowed")]
#[case::another_port("https://app.example.com:8443", "DELETE", "prefer", "Origin is not allowed")]
#[case::no_origin("null", "DELETE", "prefer", "Origin is not allowed")]
#[case::another_method("https://app.example.com", "PUT", "prefer", "method is not allowed")]
#[case::another_header("https://app.example.com", "DELETE", "prefer, x-other", "headers are not allowed")]
#[tokio::test]
async fn another_preflight_is_rejected_in_the_envelope(
    #[case] origin: &str,
    #[case] method: &str,
    #[case] headers: &str,
    #[case] part: &str,
) {
    let service = service_that_allows(ORIGIN).await;
    let call = preflight(&service, "/api/v3/global/call", origin, method);

    let answer = send(call.header("Access-Control-Request-Headers", headers)).await;

    answer.assert_malformed(400, "BAD_REQUEST", "the preflight is rejected: ");
    answer.assert_malformed(400, "BAD_REQUEST", part);
    assert_hidden(&answer);
}

#[tokio::test]
async fn every_answer_can_be_read_by_an_allowed_origin() {
    let service = service_that_allows(ORIGIN).await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    let path = collection(family.sub_customer, Resource::Contact);
    let of = |call: RequestBuilder| call.header("Origin", ORIGIN);
    let delete = |text: String| of(service.call(Method::DELETE, &path, family.requester)).body(text);

    for (status, call) in [
        (200, delete(body(&contacts[..1]))),
        (202, delete(body(&contacts[1..])).header("Prefer", "respond-async")),
        (400, delete("{".to_owned())),
        (401, of(service.anonymous(Method::DELETE, &path))),
        // Not a preflight, because it names no method.
        (401, of(service.anonymous(Method::OPTIONS, &path))),
        (404, delete(body(&contacts[..1]))),
        (404, of(service.call(Method::GET, "/api/v9", family.requester))),
        (405, of(service.call(Method::OPTIONS, &path, family.requester))),
        (413, delete(" ".repeat(1024 * 1024 + 1))),
        (415, delete("{}".to_owned()).header("Content-Type", "text/plain")),
    ] {
        let answer = send(call).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_readable(&answer, ORIGIN);
    }
}

/// The browser hides the answer. Other clients that send an Origin need it.
#[tokio::test]
async fn a_call_of_another_origin_is_served_and_hidden() {
    let service = service_that_allows(ORIGIN).await;
    let call = service.call(Method::GET, "/api/v3/global/call", Uuid::now_v7());

    let answer = send(call.header("Origin", "https://evil.example")).await;

    assert_eq!(answer.status, 200);
    assert_hidden(&answer);
    assert!(names(&answer, "Vary").contains(&"origin".to_owned()));
}

#[tokio::test]
async fn preflights_are_no_calls_of_a_requester() {
    let service = TestService::beside_shared(|settings| {
        settings.http.allowed_origins = ORIGIN.to_owned();
        settings.requester.rate_per_second = NonZeroU32::new(1);
        settings.requester.rate_burst = NonZeroU32::new(1);
    })
    .await;
    let requester = Uuid::now_v7().to_string();

    for _ in 0..5 {
        let call = preflight(&service, "/api/v3/global/call", ORIGIN, "GET").header("X-Requester-Id", &requester);
        assert_eq!(send(call).await.status, 200);
    }
    let call = service.anonymous(Method::GET, "/api/v3/global/call").header("Origin", ORIGIN);
    assert_eq!(send(call.header("X-Requester-Id", &requester)).await.status, 200, "none of the preflights counted");
}

#[tokio::test]
async fn with_tokens_every_origin_may_be_allowed() {
    let secret = std::env::temp_dir().join(format!("customer-deletion-secret-{}", Uuid::now_v7()));
    std::fs::write(&secret, "x".repeat(32)).unwrap();
    let service = TestService::beside_shared(|settings| {
        settings.http.allowed_origins = "*".to_owned();
        settings.requester.source = Some("jwt".to_owned());
        settings.requester.jwt.hmac_secret_file = Some(secret.to_str().unwrap().to_owned());
    })
    .await;
    std::fs::remove_file(&secret).unwrap();

    let call = preflight(&service, "/api/v3/global/call", ORIGIN, "GET");
    let answer = send(call.header("Access-Control-Request-Headers", "authorization")).await;
    assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, Some("*")));
    assert!(names(&answer, "Access-Control-Allow-Headers").contains(&"authorization".to_owned()));
    assert_eq!(answer.header("Access-Control-Allow-Credentials"), None);

    let call = service.anonymous(Method::GET, "/api/v3/global/call").header("Origin", ORIGIN);
    let answer = send(call).await;
    assert_eq!((answer.status, answer.header("WWW-Authenticate")), (401, Some("Bearer realm=\"customer-deletion\"")));
    assert_readable(&answer, "*");
}
