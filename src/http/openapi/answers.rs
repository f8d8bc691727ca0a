//! How an answer is described: its cases as examples, its codes, its headers.

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::schemas;
use crate::error::{Code, Error};
use crate::http::envelope;

const REQUEST_ID: &str = "Request-Id";
pub const REPLAYED: &str = "Idempotency-Replayed";
pub const LOCATION: &str = "Location";
pub const PREFERENCE_APPLIED: &str = "Preference-Applied";
pub const RETRY_AFTER: &str = "Retry-After";
pub const ALLOW: &str = "Allow";
pub const AUTHENTICATE: &str = "WWW-Authenticate";

/// A failure as it may be answered: its name in the document, when it comes, and the error itself.
pub struct Case {
    pub name: &'static str,
    pub when: String,
    pub error: Error,
}

impl Case {
    /// Named after its code.
    pub fn of(error: Error, when: impl Into<String>) -> Case {
        Case { name: error.code().name(), when: when.into(), error }
    }

    /// A malformed call.
    pub fn malformed(name: &'static str, when: impl Into<String>, message: impl Into<String>) -> Case {
        Case { name, when: when.into(), error: Error::bad_request(message) }
    }
}

/// A failure that is one of these cases.
pub fn failure(description: &str, cases: &[Case], headers: &[&str]) -> Response {
    let mut codes: Vec<Code> = cases.iter().map(|case| case.error.code()).collect();
    codes.dedup();
    let examples = cases.iter().map(|case| {
        let value = envelope::failure_as_json(&case.error);
        (case.name.to_owned(), ExampleBuilder::new().summary(&case.when).value(Some(value)).build())
    });
    answer(description, schemas::failure_with(&codes), examples.collect(), headers)
}

/// A success whose content has one such element.
pub fn success(description: &str, schema: &str, example: Value, headers: &[&str]) -> Response {
    success_named("SUCCESS", description, schema, example, headers)
}

/// The same, whose example has another name.
pub fn success_named(name: &str, description: &str, schema: &str, example: Value, headers: &[&str]) -> Response {
    let example = ExampleBuilder::new().summary(description).value(Some(envelope::success_as_json(example))).build();
    answer(description, Ref::from_schema_name(schema), vec![(name.to_owned(), example)], headers)
}

fn answer(
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    examples: Vec<(String, Example)>,
    headers: &[&str],
) -> Response {
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let response = ResponseBuilder::new().description(description).content("application/json", content);
    let headers = [&[REQUEST_ID], headers].concat();
    headers
        .into_iter()
        .fold(response, |response, name| response.header_ref(name, Ref::new(format!("#/components/headers/{name}"))))
        .build()
}

/// All the headers that have a name.
pub fn headers() -> [(&'static str, Header); 7] {
    let header = |schema: RefOr<Schema>, description: &str| {
        HeaderBuilder::new().schema(Some(schema)).description(Some(description))
    };
    let text = || RefOr::from(ObjectBuilder::new().schema_type(Type::String));
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let always = || schemas::with("required", true);
    [
        (
            REQUEST_ID,
            header(
                Ref::from_schema_name(schemas::ID).into(),
                "The id of the call. For a deletion it is the operation's.",
            )
            .extensions(always())
            .build(),
        ),
        (
            REPLAYED,
            header(
                ObjectBuilder::new().schema_type(Type::String).extensions(schemas::with("const", json!("true"))).into(),
                "There when this is the recorded answer to an earlier call under the same `Idempotency-Key`.",
            )
            .build(),
        ),
        (
            LOCATION,
            header(text(), "Where the outcome can be asked for: `getCallDetails` of the operation.")
                .extensions(always())
                .build(),
        ),
        (
            PREFERENCE_APPLIED,
            header(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .extensions(schemas::with("const", json!("respond-async")))
                    .into(),
                "The preference that was followed.",
            )
            .extensions(always())
            .build(),
        ),
        (RETRY_AFTER, header(seconds.into(), "How many seconds to wait.").extensions(always()).build()),
        (ALLOW, header(text(), "The methods that the route has.").extensions(always()).build()),
        (
            AUTHENTICATE,
            header(
                text(),
                "How to authenticate: `Bearer` where the service asks for a token, `Gateway` where its gateway does.",
            )
            .extensions(always())
            .build(),
        ),
    ]
}
