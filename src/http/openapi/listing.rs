//! The list of the requester's operations.

use serde_json::json;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponsesBuilder};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Type};
use utoipa::openapi::{Ref, Required};

use super::answers::{self, Case};
use super::words::Words;
use super::{Limits, calls, schemas, shared};
use crate::demo::world::OPERATION;
use crate::http::listing::{LARGEST_SIZE, LAST_PAGE, USUAL_SIZE, too_far};
use crate::operation::{Listing, Status};
use crate::resource::Resource;

const MALFORMED: &str = "MalformedList";

pub fn list(limits: Limits) -> Operation {
    let responses = ResponsesBuilder::new()
        .response("200", success())
        .response("400", Ref::from_response_name(MALFORMED))
        .responses_from_iter(shared::references(limits, false));
    OperationBuilder::new()
        .tag(calls::STATUS_TAG)
        .operation_id(Some("listCalls"))
        .summary(Some("The requester's own calls, newest first"))
        .description(Some(format!(
            "Every well-formed deletion of the requester, a refused one too, for as long as it is kept. It goes back as far as the newest {} that \
             were asked for: older ones are neither listed nor counted, and a page beyond them is refused. Narrow it by status or \
             resource then. The ids that caused a refusal are told for one call at a time, at its own address.",
            Listing::FARTHEST
        )))
        .parameters(Some(parameters()))
        .responses(responses.build())
        .build()
}

fn parameters() -> [Parameter; 4] {
    let words = |words: &[&str]| ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.to_vec()));
    let number = |least: u32, most: u32, default: u32| {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most));
        number.default(Some(json!(default)))
    };
    let size = format!("How many calls a page has: at most {LARGEST_SIZE}.");
    [
        parameter("status", "Only calls that stand so.", words(&Status::ALL.map(Status::name))),
        parameter("resource", "Only calls about this.", words(&Resource::ALL.map(Resource::word))),
        parameter("page", "Which page. The first one is 0.", number(0, LAST_PAGE, 0)),
        parameter("size", &size, number(1, LARGEST_SIZE, USUAL_SIZE)),
    ]
}

fn parameter(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn success() -> Response {
    let example = json!({
        "requestId": OPERATION,
        "status": "SUCCESS",
        "resource": Resource::Contact.word(),
        "customerId": Words::of(Resource::Contact).customer,
        "createdAt": "2026-01-01T12:00:00Z",
        "completedAt": "2026-01-01T12:00:00Z",
        "errorCode": "",
        "errorMessage": "",
    });
    answers::success("A page of calls, or none where there are no more.", schemas::CALL_LIST, example, &[])
}

/// The answers about lists, by their names in the document.
pub fn responses() -> [(&'static str, Response); 1] {
    let one_of = |name: &str, words: &[&str]| format!("{name} in the query must be one of {}", words.join(", "));
    let number = |name: &str, least: u32, most: u32| {
        format!("{name} in the query must be a whole number from {least} to {most}")
    };
    let cases = [
        Case::malformed("status", "Another word", one_of("status", &Status::ALL.map(Status::name))),
        Case::malformed("resource", "Another word", one_of("resource", &Resource::ALL.map(Resource::word))),
        Case::malformed("page", "No number, or out of bounds", number("page", 0, LAST_PAGE)),
        Case::malformed("size", "No number, or out of bounds", number("size", 1, LARGEST_SIZE)),
        Case::malformed("twice", "A parameter that is there twice", "size in the query was sent twice"),
        Case { name: "too-far", when: "A page beyond the farthest".to_owned(), error: too_far() },
    ];
    [(MALFORMED, answers::failure("The call is malformed.", &cases, &[]))]
}

pub fn schema(call: Object) -> Object {
    let content = ArrayBuilder::new().items(call).max_items(Some(LARGEST_SIZE as usize)).build();
    schemas::envelope("A success: a page of calls, and empty strings for the error.", content, pageable())
}

fn pageable() -> Object {
    let mut pageable = ObjectBuilder::new().description(Some("Which page it is, and how much there is in all."));
    let farthest = Listing::FARTHEST;
    for (name, least, most) in
        [("page", 0, LAST_PAGE), ("size", 1, LARGEST_SIZE), ("totalPages", 0, farthest), ("totalElements", 0, farthest)]
    {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most));
        pageable = pageable.property(name, number).required(name);
    }
    pageable.build()
}
