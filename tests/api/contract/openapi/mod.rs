//! The OpenAPI document describes the service.

mod examples;

use customer_deletion::error::Code;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestService;
use crate::support::process::{command, output};
use crate::support::service::send;

fn printed(arguments: &[&str]) -> Value {
    let output = output(&mut command(&[&["openapi"], arguments].concat()));
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn served(service: &TestService) -> Value {
    let answer = send(service.anonymous(Method::GET, "/openapi.json")).await;
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("application/json")));
    answer.request_id();
    answer.json()
}

/// The value that a reference in the document stands for.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).expect(reference),
        None => value,
    }
}

#[tokio::test]
async fn the_served_document_has_the_settings_of_the_service() {
    let service = TestService::start_with(|settings| {
        settings.requester.header.name = "x-customer".to_owned();
        settings.deletion.max_ids = 7;
        settings.queue.max_ids = 9;
        settings.http.max_body_bytes = 4321;
        settings.queue.max_body_bytes = 5432;
    })
    .await;

    let document = served(&service).await;

    let components = &document["components"];
    assert_eq!(components["securitySchemes"].as_object().unwrap().len(), 1);
    assert_eq!(components["securitySchemes"]["requester"]["name"], "x-customer");
    assert_eq!(document["security"], json!([{ "requester": [] }]));
    let list = &components["schemas"]["IdList"]["properties"]["id"];
    assert_eq!(list["maxItems"], 9);
    let text = list["description"].as_str().unwrap();
    assert!(text.starts_with("At most 7 ids, or 9 with"), "{text}");
    let text = components["parameters"]["Prefer"]["description"].as_str().unwrap();
    assert!(text.contains("up to 9 ids and the body 5432 bytes"), "{text}");
    let too_large = &components["responses"]["PayloadTooLarge"];
    let text = too_large["description"].as_str().unwrap();
    assert!(text.starts_with("The body is larger than 4321 bytes.") && text.contains("allows 5432 bytes"), "{text}");
    let example = &too_large["content"]["application/json"]["examples"]["PAYLOAD_TOO_LARGE"]["value"];
    assert_eq!(example["errorMessage"], "the body is larger than 4321 bytes");
    let malformed = &components["responses"]["MalformedListDeletion"]["content"]["application/json"];
    let message = malformed["examples"]["too-many-ids"]["value"]["errorMessage"].as_str().unwrap();
    assert_eq!(message, "`id` lists 8 ids; at most 7 are allowed");

    let printed = printed(&[]);
    assert_eq!(document["paths"], printed["paths"]);
    assert_eq!((&document["openapi"], &document["servers"]), (&printed["openapi"], &printed["servers"]));
}

#[test]
fn without_settings_both_ways_to_authenticate_are_described() {
    let document = printed(&[]);

    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["requester"]["name"], &schemes["requester"]["type"]),
        (&json!("X-Requester-Id"), &json!("apiKey"))
    );
    assert_eq!((&schemes["bearer"]["scheme"], &schemes["bearer"]["bearerFormat"]), (&json!("bearer"), &json!("JWT")));
    assert_eq!(document["security"], json!([{ "requester": [] }, { "bearer": [] }]));
}

#[test]
fn the_printed_document_has_the_version_and_the_server_that_were_asked_for() {
    let usual = printed(&[]);
    assert_eq!((&usual["openapi"], &usual["servers"]), (&json!("3.1.0"), &json!([{ "url": "/" }])));
    assert_eq!(printed(&["--version", "3.1"]), usual);

    let older = printed(&["--version", "3.0", "--server", "https://api.example.com/"]);
    assert_eq!(older["openapi"], "3.0.3");
    assert_eq!(older["servers"], json!([{ "url": "https://api.example.com" }]));
}

#[test]
fn another_version_or_server_is_refused_and_told_what_is_possible() {
    for (arguments, parts) in [
        (["--version", "2.0"], ["invalid value '2.0' for '--version <VERSION>'", "[possible values: 3.0, 3.1]"]),
        (["--version", "3.0.3"], ["invalid value '3.0.3'", "[possible values: 3.0, 3.1]"]),
        (["--server", "api.example.com"], ["invalid value 'api.example.com'", "an example is https://api.example.com"]),
        (["--server", "ftp://x"], ["invalid value 'ftp://x' for '--server <URL>'", "begin with https:// or http://"]),
    ] {
        let output = output(&mut command(&[&["openapi"], &arguments[..]].concat()));
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{complaint}");
        for part in parts {
            assert!(complaint.contains(part), "{complaint}");
        }
    }
}

#[test]
fn every_code_is_an_example_of_an_answer() {
    let document = printed(&[]);
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
    for code in Code::ALL.map(Code::word) {
        assert!(described.iter().any(|described| described == code), "{code}");
    }
}
