//! Sends every documented call, and compares every example of its answers with the answer of the service.

use std::time::Duration;

use actix_web::ResponseError;
use actix_web::body::to_bytes;
use customer_deletion::error::Error;
use customer_deletion::resource::Resource;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use uuid::Uuid;

use super::{resolve, served};
use crate::support::resources::{contract, word};
use crate::support::service::{Answer, send, with_query};
use crate::support::world::Family;
use crate::support::{TestDatabase, TestService, body};

/// A documented call, and everything to send it with a success or a failure.
struct Documented<'a> {
    service: &'a TestService,
    without_database: &'a TestService,
    family: Family,
    method: Method,
    path: &'a str,
    /// `None` for the calls about calls.
    resource: Option<Resource>,
    /// The `Accept` header.
    accepted: &'static str,
}

/// The variable parts of a call: those of the path, and a list of ids if the path has none.
#[derive(Clone)]
struct Parts {
    customer: String,
    id: String,
    list: Vec<Uuid>,
}

#[tokio::test]
async fn every_documented_call_is_answered_as_its_examples_say() {
    assert_answered_as_documented("application/json", 200).await;
}

#[tokio::test]
async fn every_documented_failure_is_a_problem_if_that_is_preferred() {
    assert_answered_as_documented("application/problem+json", 180).await;
}

async fn assert_answered_as_documented(accepted: &'static str, least_examples: usize) {
    let service = TestService::shared().await;
    let without_database = TestService::start_on(TestDatabase::empty().await, |_| {}).await;
    let document = served(&service).await;
    let mut compared = 0;

    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let documented = Documented {
                service: &service,
                without_database: &without_database,
                family: service.world.family().await,
                method: method.to_uppercase().parse().unwrap(),
                path,
                resource: Resource::ALL.into_iter().find(|resource| operation["tags"][0] == word(*resource)),
                accepted,
            };
            for (status, response) in operation["responses"].as_object().unwrap() {
                let response = resolve(&document, response);
                let examples = response["content"][accepted]["examples"].as_object().into_iter().flatten();
                for (name, example) in examples {
                    if accepted != "application/json" && is_rendered(name, status) {
                        continue;
                    }
                    let answer = documented.provoke(name, status).await;
                    let place = format!("{method} {path} {status} {name}");
                    assert_eq!(answer.status.to_string(), *status, "{place}: {}", answer.text);
                    assert_same(&answer, &example["value"], &place);
                    assert_documented_headers(&document, response, &answer, &place);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > least_examples, "only {compared} examples were seen");
}

/// Whether no call can cause the example. Then only the envelope is compared.
fn is_rendered(name: &str, status: &str) -> bool {
    name == "TOO_MANY_REQUESTS" || status == "500"
}

/// Compares the whole answer, except for the values that differ in every success.
fn assert_same(answer: &Answer, example: &Value, place: &str) {
    let mut expected = example.clone();
    if answer.status >= 300 {
        if let Some(instance) = expected.get_mut("instance") {
            *instance = format!("urn:uuid:{}", answer.request_id()).into();
            // The refused ids differ from call to call.
            let mut told = answer.json();
            told.as_object_mut().unwrap().shift_remove("failures");
            assert_eq!(told.to_string(), expected.to_string(), "{place}");
            return;
        }
        assert_eq!(answer.text, expected.to_string(), "{place}");
        return;
    }
    let answered = answer.json();
    let own = ["requestId", "resource", "customerId", "createdAt", "completedAt"];
    for (member, value) in expected["content"][0].as_object_mut().unwrap() {
        if own.contains(&member.as_str()) {
            assert_eq!(value.is_string(), answered["content"][0][member].is_string(), "{place}: {member}");
            *value = answered["content"][0][member].clone();
        }
    }
    assert_eq!(answer.text, expected.to_string(), "{place}");
}

fn assert_documented_headers(document: &Value, response: &Value, answer: &Answer, place: &str) {
    let headers = response["headers"].as_object().unwrap();
    for (name, header) in headers {
        let required = resolve(document, header)["required"] == true;
        assert!(!required || answer.header(name).is_some(), "{place}: no {name}");
    }
    for name in ["Allow", "Retry-After", "Idempotency-Replayed", "WWW-Authenticate", "Location", "Preference-Applied"] {
        assert!(answer.header(name).is_none() || headers.contains_key(name), "{place}: an undocumented {name}");
    }
}

impl Documented<'_> {
    /// The answer to a call that has the named example.
    async fn provoke(&self, example: &str, status: &str) -> Answer {
        let good = self.good().await;
        let stranger = Uuid::now_v7();
        let call = match example {
            "SUCCESS" => self.call(&good),
            "ACCEPTED" => self.call(&good).header("Prefer", "respond-async"),
            "customerId" => self.call(&Parts { customer: "nobody".to_owned(), ..good }),
            "id" | "requestId" => self.call(&Parts { id: "nothing".to_owned(), ..good }),
            "status" | "resource" | "targetId" | "createdAfter" | "createdBefore" | "pageToken" | "page" | "size" => {
                self.with_query(&good, &format!("{example}=nonsense"))
            }
            "customer-filter" => self.with_query(&good, "customerId=nonsense"),
            "two-pages" => self.with_query(&good, "page=0&pageToken=nonsense"),
            "view" => self.with_query(&good, "view=nonsense"),
            "twice" => self.with_query(&good, "size=1&size=1"),
            "too-far" => self.with_query(&good, "page=1000"),
            "Idempotency-Key" => self.call(&good).header("Idempotency-Key", "two words"),
            "validateOnly" => with_query(self.call(&good), "validateOnly=maybe"),
            "two-places" => self.call(&good).body(body(&[stranger])),
            "no-ids" => self.request(&good),
            "malformed-id" => self.request(&good).body(r#"{"id": ["nonsense"]}"#),
            "too-many-ids" => self.request(&good).body(body(&vec![stranger; 1001])),
            "UNAUTHORIZED" => self.service.anonymous(self.method.clone(), &self.filled(&good)),
            "METHOD_NOT_ALLOWED" => self.service.call(Method::PATCH, &self.filled(&good), self.family.requester),
            "NOT_FOUND" => {
                let path = format!("{}/and/more", self.filled(&good));
                self.service.call(self.method.clone(), &path, self.family.requester)
            }
            "PAYLOAD_TOO_LARGE" => self.request(&good).body(" ".repeat(1024 * 1024 + 1)),
            "UNSUPPORTED_MEDIA_TYPE" => self.request(&good).header("Content-Type", "text/plain").body("{}"),
            "IDEMPOTENCY_KEY_REUSED" => return self.reuse_a_key(&good).await,
            "TOO_MANY_REQUESTS" => return rendered(&Error::TooManyRequests(Duration::from_secs(1))).await,
            "GLOBAL_1001" if status == "500" => return rendered(&Error::Defect("a defect".to_owned())).await,
            "GLOBAL_1001" => self
                .without_database
                .call(self.method.clone(), &self.filled(&good), self.family.requester)
                .body(if good.list.is_empty() { String::new() } else { body(&good.list) }),
            "CANCELLED" => return self.repeat_a_cancelled_call(&good).await,
            "NOT_CANCELLABLE" => {
                send(self.call(&good)).await.assert_status(200);
                self.call(&good)
            }
            "GLOBAL_1003" => self.call(&Parts { id: stranger.to_string(), ..good }),
            "CUSTOMER_1002" => self.call(&Parts { customer: stranger.to_string(), ..good }),
            code => self.refused_by_its_resource(code, &good).await,
        };
        send(call.header("Accept", self.accepted)).await
    }

    /// A call that is refused with a code of its resource.
    async fn refused_by_its_resource(&self, code: &str, good: &Parts) -> RequestBuilder {
        let resource = self.resource.unwrap_or_else(|| panic!("nothing is known to be answered like {code}"));
        let (contract, world) = (contract(resource), &self.service.world);
        let row = if code == contract.unknown.0 {
            Uuid::now_v7()
        } else if code == contract.not_yours.0 {
            world.row(resource, self.family.sibling).await
        } else if contract.reference.is_some_and(|reference| code == reference.in_use.0) {
            let row = world.row(resource, self.family.requester).await;
            world.reference(resource, row, self.family.sub_customer).await;
            row
        } else {
            panic!("nothing is known to be answered like {code}")
        };
        self.call(&good.clone().about(row))
    }

    /// The parts of a call that is answered with 200.
    async fn good(&self) -> Parts {
        let requester = self.family.requester;
        let Some(resource) = self.resource else {
            let zone = self.service.world.zone(requester).await;
            let call = self.service.deletion(requester, requester, Resource::Zone, &[zone]);
            let waits = self.path.ends_with(":cancel");
            let call = send(if waits { call.header("Prefer", "respond-async") } else { call }).await;
            return Parts { customer: String::new(), id: call.request_id().to_string(), list: Vec::new() };
        };
        let customer = self.family.in_scope(resource);
        let row = self.service.world.row(resource, customer).await;
        let list = if self.path.ends_with("/{id}") { Vec::new() } else { vec![row] };
        Parts { customer: customer.to_string(), id: row.to_string(), list }
    }

    fn filled(&self, parts: &Parts) -> String {
        let path = self.path.replace("{customerId}", &parts.customer);
        path.replace("{id}", &parts.id).replace("{requestId}", &parts.id)
    }

    /// The request, without a body.
    fn request(&self, parts: &Parts) -> RequestBuilder {
        self.service.call(self.method.clone(), &self.filled(parts), self.family.requester)
    }

    fn with_query(&self, parts: &Parts, query: &str) -> RequestBuilder {
        let path = format!("{}?{query}", self.filled(parts));
        self.service.call(self.method.clone(), &path, self.family.requester)
    }

    fn call(&self, parts: &Parts) -> RequestBuilder {
        let request = self.request(parts);
        if parts.list.is_empty() { request } else { request.body(body(&parts.list)) }
    }

    async fn repeat_a_cancelled_call(&self, good: &Parts) -> Answer {
        let key = Uuid::now_v7().to_string();
        let call = || self.call(good).header("Idempotency-Key", &key);
        let accepted = send(call().header("Prefer", "respond-async")).await.request_id();
        let cancel = format!("/api/v3/global/call/{accepted}:cancel");
        send(self.service.call(Method::POST, &cancel, self.family.requester)).await.assert_status(200);
        send(call().header("Accept", self.accepted)).await
    }

    async fn reuse_a_key(&self, good: &Parts) -> Answer {
        let key = Uuid::now_v7().to_string();
        let first = Parts { customer: Uuid::now_v7().to_string(), ..good.clone() };
        assert_eq!(send(self.call(&first).header("Idempotency-Key", &key)).await.status, 404);
        send(self.call(good).header("Idempotency-Key", &key).header("Accept", self.accepted)).await
    }
}

impl Parts {
    /// The same about another row.
    fn about(mut self, row: Uuid) -> Parts {
        self.id = row.to_string();
        self.list.fill(row);
        self
    }
}

/// The answer to an error that a test cannot cause with every call.
async fn rendered(error: &Error) -> Answer {
    let response = error.error_response();
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in response.headers() {
        let name = reqwest::header::HeaderName::from_bytes(name.as_str().as_bytes()).unwrap();
        headers.insert(name, reqwest::header::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    // The service adds one to every answer.
    headers.insert("Request-Id", Uuid::now_v7().to_string().parse().unwrap());
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body()).await.unwrap_or_else(|_| panic!("a body in memory"));
    Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}
