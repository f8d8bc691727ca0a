//! The page that shows the API. A browser tries it out in `.ci/docs_page.py`.

use customer_deletion::resource::Resource;
use reqwest::Method;

use crate::support::service::{Answer, send};
use crate::support::{TestService, client};

/// The rows of the demo.
const DEMO: &str = include_str!("../../src/demo/world.sql");

async fn get(service: &TestService, path: &str) -> Answer {
    send(service.anonymous(Method::GET, path)).await
}

#[tokio::test]
async fn the_page_is_open_and_made_of_what_the_service_has() {
    let service = TestService::start().await;

    let page = get(&service, "/docs").await;

    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"));
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
    page.request_id();
    let parts: Vec<&str> =
        page.text.split('"').filter(|text| text.starts_with("docs/") || text.ends_with(".json")).collect();
    assert_eq!(parts.len(), 5, "{parts:?}");
    for part in parts {
        let answer = service.anonymous(Method::GET, &format!("/{part}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{part}");
        assert_eq!(answer.headers()["X-Content-Type-Options"], "nosniff", "{part}");
        assert!(answer.headers().contains_key("Cache-Control"), "{part}");
    }
}

#[tokio::test]
async fn the_page_names_no_other_host() {
    let service = TestService::start().await;
    for path in ["/docs", "/docs/start.js"] {
        let text = get(&service, path).await.text;
        assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("\"//"), "{path}: {text}");
    }
    assert!(get(&service, "/docs/start.js").await.text.contains("validatorUrl: null"));
}

#[tokio::test]
async fn the_address_with_a_slash_leads_to_the_page() {
    let service = TestService::start().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();

    let answer = client.get(format!("http://{}/docs/", service.address)).send().await.unwrap();

    assert_eq!((answer.status().as_u16(), answer.headers()["Location"].to_str().unwrap()), (308, "../docs"));
    let answer = client.get(format!("http://{}/docs/?requester=1", service.address)).send().await.unwrap();
    assert_eq!(answer.headers()["Location"], "../docs?requester=1");
    assert_eq!(get(&service, "/docs/").await.text, get(&service, "/docs").await.text);
}

#[tokio::test]
async fn other_files_and_methods_have_the_envelope() {
    let service = TestService::start().await;
    for path in
        ["/docs/index.html", "/docs/swagger-initializer.js", "/docs/a/b", "/docs/..%2f..%2fetc%2fpasswd", "/openapi"]
    {
        get(&service, path).await.assert_failed(404, "NOT_FOUND", "There is no such route.");
    }
    for path in ["/docs", "/docs/start.js", "/openapi.json"] {
        for method in [Method::POST, Method::DELETE] {
            let answer = send(service.anonymous(method, path)).await;
            answer.assert_malformed(405, "METHOD_NOT_ALLOWED", "Allow");
            assert_eq!(answer.header("Allow"), Some("GET, HEAD"));
        }
    }
}

#[tokio::test]
async fn the_ids_that_the_page_fills_in_name_what_they_should() {
    let service = TestService::start().await;
    let document = get(&service, "/openapi.json").await.json();
    for resource in Resource::ALL {
        let path = format!("/api/v2/customer/{{customerId}}/{}/{{id}}", resource.word());
        for parameter in document["paths"][&path]["delete"]["parameters"].as_array().unwrap() {
            let example = parameter["example"].as_str();
            assert_eq!(example.is_some(), parameter["in"] == "path", "{parameter}");
            assert!(example.is_none_or(|id| DEMO.contains(id)), "{parameter}: the demo has no such id");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let service = TestService::start().await;
    let requester = service.world.family().await.requester;
    let status = format!("/api/v3/global/call/{requester}");
    let page = send(service.anonymous(Method::HEAD, "/docs")).await;
    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(send(service.anonymous(Method::HEAD, "/openapi.json")).await.status, 200);
    assert_eq!(send(service.call(Method::HEAD, &status, requester)).await.status, 404);
    for path in ["/health/live", "/health/ready", "/metrics"] {
        let url = format!("http://{}{path}", service.management_address);
        assert_eq!(send(client().head(url)).await.status, 200, "{path}");
    }
}
