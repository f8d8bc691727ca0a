//! Sends calls, and parses their answers.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use super::contract::{row_of, takes_list};
use super::model::{Answered, Asked, Model, Word};
use crate::support::service::{Answer, with_query};
use crate::support::{TestService, body};

pub const ACTOR: &str = "X-Actor-Id";
pub const PROBLEM: &str = "application/problem+json";

/// A deletion, valid or not.
#[derive(Clone, Debug)]
pub struct Call {
    pub requester: Uuid,
    pub customer: Uuid,
    pub word: Word,
    /// At least one.
    pub ids: Vec<Uuid>,
    pub form: Form,
    pub key: Option<String>,
    /// Whether its caller does not wait for the outcome.
    pub later: bool,
    /// Whether its caller cancels it immediately, if it does not wait.
    pub cancel: bool,
    /// Whether its caller prefers problem documents.
    pub problem: bool,
    pub actor: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The only id in the URL, with a body that lists no ids.
    Url(&'static str),
    Delete(Spelling),
    BatchDelete(Spelling),
    Wrong(Wrong),
}

/// Ways to write the same list of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Plain,
    BackwardsAndTwice,
    UpperCase,
    WithUnknownMembers,
    WithContentType,
    WithQuery,
}

/// Calls that are rejected because their form is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    UrlAndList,
    NoIds(&'static str),
    CutJson,
    NotAList,
    IdInBody,
    IdInUrl,
    Customer,
    TooMany,
    TooLarge,
    Text,
    NoRequester,
    TwoRequesters,
    Route,
    Method,
    Key,
    Query(&'static str),
}

impl Wrong {
    fn code(self) -> &'static str {
        match self {
            Wrong::UrlAndList | Wrong::NoIds(_) | Wrong::CutJson | Wrong::NotAList | Wrong::IdInBody => "BAD_REQUEST",
            Wrong::IdInUrl | Wrong::Customer | Wrong::TooMany | Wrong::Key | Wrong::Query(_) => "BAD_REQUEST",
            Wrong::TooLarge => "PAYLOAD_TOO_LARGE",
            Wrong::Text => "UNSUPPORTED_MEDIA_TYPE",
            Wrong::NoRequester | Wrong::TwoRequesters => "UNAUTHORIZED",
            Wrong::Route => "NOT_FOUND",
            Wrong::Method => "METHOD_NOT_ALLOWED",
        }
    }
}

impl Call {
    pub fn asked(&self) -> Asked {
        let ids = match self.form {
            Form::Url(_) => self.ids[..1].iter(),
            Form::Delete(_) | Form::BatchDelete(_) | Form::Wrong(_) => self.ids.iter(),
        };
        Asked { requester: self.requester, customer: self.customer, word: self.word, ids: ids.copied().collect() }
    }

    /// The answer of the model.
    pub fn predict(&self, model: &mut Model, number: usize) -> Answered {
        let malformed = match self.form {
            Form::Wrong(wrong) => Some(wrong.code()),
            Form::Delete(_) | Form::BatchDelete(_) if !takes_list(self.word) => Some("BAD_REQUEST"),
            Form::Url(_) | Form::Delete(_) | Form::BatchDelete(_) => None,
        };
        match malformed {
            Some(code) => Answered { refusal: Some(code), replay_of: None },
            None => self.name_actor(model, number, |model| model.call(number, &self.asked(), self.key.as_deref())),
        }
    }

    /// The answer of the model if the call is accepted and cancelled.
    pub fn predict_cancelled(&self, model: &mut Model, number: usize) -> Answered {
        self.name_actor(model, number, |model| model.cancelled(number, &self.asked(), self.key.as_deref()))
    }

    fn name_actor(&self, model: &mut Model, number: usize, call: impl FnOnce(&mut Model) -> Answered) -> Answered {
        let answered = call(model);
        if let Some(operation) = model.operations.get_mut(&number) {
            operation.actor.clone_from(&self.actor);
        }
        answered
    }

    /// Returns `None` if its caller waits for the outcome without a limit.
    pub fn preference(&self) -> Option<&'static str> {
        let waits_a_while = self.ids[0].as_u128().is_multiple_of(3);
        self.later.then_some(if waits_a_while { "respond-async, wait=5" } else { "respond-async" })
    }

    pub fn request(&self, service: &TestService) -> RequestBuilder {
        let collection = format!("/api/v2/customer/{}/{}", self.customer, self.word);
        let one = format!("{collection}/{}", self.ids[0]);
        let call = |method: Method, path: &str| service.call(method, path, self.requester);
        let request = match self.form {
            Form::Url("") => call(Method::DELETE, &one),
            Form::Url(empty) => call(Method::DELETE, &one).body(empty),
            Form::Delete(spelling) => spelling.write(&self.ids, call(Method::DELETE, &collection)),
            Form::BatchDelete(spelling) => {
                spelling.write(&self.ids, call(Method::POST, &format!("{collection}:batchDelete")))
            }
            Form::Wrong(wrong) => self.wrong_request(wrong, service, &collection, &one),
        };
        let request = self.preference().iter().fold(request, |request, value| request.header("Prefer", *value));
        let request = if self.problem { request.header("Accept", PROBLEM) } else { request };
        let request = self.actor.iter().fold(request, |request, actor| request.header(ACTOR, actor));
        match &self.key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        }
    }

    fn wrong_request(&self, wrong: Wrong, service: &TestService, collection: &str, one: &str) -> RequestBuilder {
        let delete = |path: &str| service.call(Method::DELETE, path, self.requester);
        let list = body(&self.ids);
        match wrong {
            Wrong::UrlAndList => delete(one).body(list),
            Wrong::NoIds(empty) => delete(collection).body(empty),
            Wrong::CutJson => delete(collection).body(list[..list.len() - 2].to_owned()),
            Wrong::NotAList => delete(collection).body(json!({ "id": self.ids[0] }).to_string()),
            Wrong::IdInBody => delete(collection).body(json!({ "id": [self.ids[0], "1"] }).to_string()),
            Wrong::IdInUrl => delete(&format!("{one}0")),
            Wrong::Customer => delete(&one.replacen(&self.customer.to_string(), "self", 1)),
            Wrong::TooMany => delete(collection).body(body(&(0..1001).map(Uuid::from_u128).collect::<Vec<_>>())),
            Wrong::TooLarge => delete(collection).body(" ".repeat(1024 * 1024) + &list),
            Wrong::Text => delete(collection).header("Content-Type", "text/plain").body(list),
            Wrong::NoRequester => service.anonymous(Method::DELETE, one),
            Wrong::TwoRequesters => delete(one).header("X-Requester-Id", self.requester.to_string()),
            Wrong::Route => delete(&one.replacen(self.word, "contacts", 1)),
            Wrong::Method => service.call(Method::PUT, one, self.requester).body(list),
            // A second key, if the call has one already.
            Wrong::Key => delete(one).header("Idempotency-Key", "two words"),
            Wrong::Query(query) => with_query(delete(one), query),
        }
    }
}

impl Spelling {
    fn write(self, ids: &[Uuid], request: RequestBuilder) -> RequestBuilder {
        match self {
            Spelling::Plain => request.body(body(ids)),
            Spelling::BackwardsAndTwice => {
                request.body(body(&ids.iter().rev().chain(ids).copied().collect::<Vec<_>>()))
            }
            Spelling::UpperCase => {
                let ids: Vec<String> = ids.iter().map(|id| id.to_string().to_uppercase()).collect();
                request.body(json!({ "id": ids }).to_string())
            }
            Spelling::WithUnknownMembers => {
                request.body(json!({ "ids": [1], "id": ids, "reason": { "id": null } }).to_string())
            }
            Spelling::WithContentType => {
                request.header("Content-Type", "application/json; charset=utf-8").body(body(ids))
            }
            Spelling::WithQuery => with_query(request.body(body(ids)), "trace=1&validate=true"),
        }
    }
}

/// Parses an answer. Returns an error if it differs from the contract. A call that was accepted has no refusal yet.
pub fn read(answer: &Answer) -> Result<(Option<&'static str>, Uuid), String> {
    let wrong = |what: &str| format!("{what}: {} {} {:?}", answer.status, answer.text, answer.headers);
    let request_id = answer.header("Request-Id").and_then(|id| id.parse::<Uuid>().ok());
    let request_id = request_id.ok_or_else(|| wrong("no Request-Id"))?;
    let location = format!("/api/v3/global/call/{request_id}");
    let expected = (answer.status == 202).then_some(("respond-async", location.as_str()));
    let applied = answer.header("Preference-Applied").and_then(|applied| applied.split(", ").next());
    if applied.zip(answer.header("Location")) != expected {
        return Err(wrong("not marked as what it is"));
    }
    if matches!(answer.status, 200 | 202) {
        let pageable = json!({ "page": 0, "size": 10, "totalPages": 1, "totalElements": 1 });
        let success = json!({
            "errorCode": "", "errorMessage": "", "content": [{ "requestId": request_id }], "pageable": pageable
        });
        let success = success.to_string();
        return if answer.text == success { Ok((None, request_id)) } else { Err(wrong("no success")) };
    }
    let json: Value = serde_json::from_str(&answer.text).map_err(|_| wrong("no JSON"))?;
    let row = json["errorCode"].as_str().and_then(row_of);
    let (code, status, message) = row.ok_or_else(|| wrong("no code of the contract"))?;
    let told = |member: &str| message.or(json[member].as_str().filter(|text| !text.is_empty()));
    let failure = match answer.header("Content-Type") == Some(PROBLEM) {
        false => json!({ "errorCode": code, "errorMessage": told("errorMessage"), "content": "", "pageable": "" }),
        true => problem(&json, (code, status), told("title"), told("detail"), request_id),
    };
    let failure = failure.to_string();
    if (answer.status, &answer.text) == (status, &failure) {
        Ok((Some(code), request_id))
    } else {
        Err(wrong("no failure of the contract"))
    }
}

/// The expected problem document. Its failures are those of the found one, which are compared with the model.
fn problem(
    found: &Value,
    (code, status): (&str, u16),
    title: Option<&str>,
    detail: Option<&str>,
    request_id: Uuid,
) -> Value {
    let mut problem = json!({
        "type": format!("urn:problem-type:customer-deletion:{code}"),
        "title": title,
        "status": status,
        "detail": detail,
        "instance": format!("urn:uuid:{request_id}"),
        "errorCode": code,
    });
    if let Some(failures) = found.get("failures") {
        problem["failures"] = failures.clone();
    }
    problem
}
