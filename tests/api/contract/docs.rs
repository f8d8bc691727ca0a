//! The page that shows the API. A browser sends calls from it in `.ci/docs_page.py`.

use customer_deletion::resource::Resource;
use reqwest::Method;

use crate::support::service::{Answer, send};
use crate::support::{TestService, client};

/// The rows of the sample data.
const DEMO: &str = include_str!("../../../src/demo/world.sql");

async fn get(service: &TestService, path: &str) -> Answer {
    send(service.anonymous(Method::GET, path)).await
}

#[tokio::test]
async fn the_docs_page_needs_no_identity_and_every_file_it_names_is_served() {
    let service = TestService::shared().await;

    let page = get(&service, "/docs").await;

    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"));
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
    page.request_id();
    let parts: Vec<&str> =
        page.text.split('"').filter(|text| text.starts_with("docs/") || text.ends_with(".json")).collect();
    assert_eq!(parts.len(), 6, "{parts:?}");
    for part in parts {
        let answer = service.anonymous(Method::GET, &format!("/{part}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{part}");
        assert_eq!(answer.headers()["X-Content-Type-Options"], "nosniff", "{part}");
        assert_eq!(answer.headers()["Cache-Control"], "no-cache", "{part}");
    }
}

#[tokio::test]
async fn a_file_that_the_reader_has_is_not_sent_again() {
    let service = TestService::shared().await;
    let mut tags = Vec::new();
    for path in [
        "/docs",
        "/docs/start.js",
        "/docs/narrow.css",
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/favicon-32x32.png",
        "/openapi.json",
    ] {
        let ask = |method, known: &str| service.anonymous(method, path).header("If-None-Match", known).send();
        let first = ask(Method::GET, "\"another\"").await.unwrap();
        assert_eq!(first.status().as_u16(), 200, "{path}");
        let tag = first.headers()["ETag"].to_str().unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag} is not a strong tag");

        // A proxy that compresses weakens a tag.
        for known in [tag.clone(), format!("W/{tag}"), format!("\"another\", {tag}"), "*".to_owned()] {
            for method in [Method::GET, Method::HEAD] {
                let answer = ask(method, &known).await.unwrap();
                assert_eq!(answer.status().as_u16(), 304, "{path}: {known}");
                for name in ["ETag", "Cache-Control", "Access-Control-Allow-Origin", "Content-Security-Policy"] {
                    assert_eq!(answer.headers().get(name), first.headers().get(name), "{path}: {name}");
                }
                // A cache would take this length for that of the file.
                assert!(!answer.headers().contains_key("Content-Length"), "{path}");
                assert_eq!(answer.bytes().await.unwrap().len(), 0, "{path}");
            }
        }
        for known in ["", "nonsense", "\"", &tag[1..], "\"\""] {
            assert_eq!(ask(Method::GET, known).await.unwrap().status().as_u16(), 200, "{path}: {known}");
        }
        tags.push(tag);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 7, "two files have one tag");
}

/// The document contains the limits, so other settings make another document.
#[tokio::test]
async fn a_document_with_another_content_has_another_tag() {
    let services = [
        TestService::start().await,
        TestService::start().await,
        TestService::start_with(|settings| settings.deletion.max_ids = 7).await,
    ];
    let mut tags = Vec::new();
    for service in &services {
        tags.push(get(service, "/openapi.json").await.header("ETag").unwrap().to_owned());
    }
    assert_eq!(tags[0], tags[1], "two replicas differ");
    assert_ne!(tags[0], tags[2]);
}

#[tokio::test]
async fn the_page_names_no_other_host() {
    let service = TestService::shared().await;
    for path in ["/docs", "/docs/start.js"] {
        let text = get(&service, path).await.text;
        assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("\"//"), "{path}: {text}");
    }
    assert!(get(&service, "/docs/start.js").await.text.contains("validatorUrl: null"));
}

#[tokio::test]
async fn the_address_with_a_slash_leads_to_the_page() {
    let service = TestService::shared().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();

    let answer = client.get(format!("http://{}/docs/", service.address)).send().await.unwrap();

    assert_eq!((answer.status().as_u16(), answer.headers()["Location"].to_str().unwrap()), (308, "../docs"));
    let answer = client.get(format!("http://{}/docs/?requester=1", service.address)).send().await.unwrap();
    assert_eq!(answer.headers()["Location"], "../docs?requester=1");
    assert_eq!(get(&service, "/docs/").await.text, get(&service, "/docs").await.text);
}

#[tokio::test]
async fn other_files_and_methods_have_the_envelope() {
    let service = TestService::shared().await;
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
    let service = TestService::shared().await;
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
    let service = TestService::shared().await;
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
