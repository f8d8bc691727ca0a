//! The OpenAPI document says what the service does.

mod examples;

use customer_deletion::error::Code;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestService;
use crate::support::process::{command, output};
use crate::support::service::send;

fn printed() -> String {
    let output = output(&mut command(&["openapi"]));
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn served(service: &TestService) -> Value {
    let answer = send(service.anonymous(Method::GET, "/openapi.json")).await;
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("application/json")));
    answer.request_id();
    answer.json()
}

/// What a reference in the document stands for.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).expect(reference),
        None => value,
    }
}

#[test]
fn the_printed_document_is_the_reviewed_one() {
    insta::assert_snapshot!("document", printed());
}

#[tokio::test]
async fn the_served_document_is_the_printed_one_with_the_service_s_own_settings() {
    let service = TestService::start_with(|settings| {
        settings.requester.header.name = "x-customer".to_owned();
        settings.deletion.max_ids = 7;
        settings.queue.max_ids = 9;
        settings.http.max_body_bytes = 4321;
    })
    .await;

    let document = served(&service).await;

    let header = &document["components"]["securitySchemes"]["requester"];
    assert_eq!((header["in"].as_str(), header["name"].as_str()), (Some("header"), Some("x-customer")));
    assert_eq!(document["components"]["securitySchemes"].as_object().unwrap().len(), 1);
    assert_eq!(document["security"], json!([{ "requester": [] }]));
    assert_eq!(document["components"]["schemas"]["IdList"]["properties"]["id"]["maxItems"], 9);
    let told = document["components"]["schemas"]["IdList"]["properties"]["id"]["description"].as_str().unwrap();
    assert!(told.starts_with("At most 7 ids, or 9 with"), "{told}");
    let too_large = &document["components"]["responses"]["PayloadTooLarge"];
    let example = &too_large["content"]["application/json"]["examples"]["PAYLOAD_TOO_LARGE"]["value"];
    assert_eq!(example["errorMessage"], "the body is larger than 4321 bytes");

    let printed: Value = serde_json::from_str(&printed()).unwrap();
    assert_eq!(document["paths"], printed["paths"]);
}

#[test]
fn without_settings_both_ways_to_show_who_calls_are_described() {
    let document: Value = serde_json::from_str(&printed()).unwrap();

    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["requester"]["name"], &schemes["requester"]["type"]),
        (&json!("X-Requester-Id"), &json!("apiKey"))
    );
    assert_eq!((&schemes["bearer"]["scheme"], &schemes["bearer"]["bearerFormat"]), (&json!("bearer"), &json!("JWT")));
    assert_eq!(document["security"], json!([{ "requester": [] }, { "bearer": [] }]));
}

#[test]
fn every_code_is_an_example_of_an_answer() {
    let document: Value = serde_json::from_str(&printed()).unwrap();
    let mut described = Vec::new();
    for path in document["paths"].as_object().unwrap().values() {
        for operation in path.as_object().unwrap().values() {
            for response in operation["responses"].as_object().unwrap().values() {
                let content = &resolve(&document, response)["content"]["application/json"];
                let examples = content["examples"].as_object().unwrap().values();
                described.extend(examples.map(|example| example["value"]["errorCode"].as_str().unwrap().to_owned()));
            }
        }
    }
    for code in Code::ALL.map(Code::name) {
        assert!(described.iter().any(|described| described == code), "{code}");
    }
}
