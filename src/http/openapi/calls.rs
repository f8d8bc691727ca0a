//! The calls: three for a resource, or one where it takes no list, two about how a call ended, and the list of them.

use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths, PathsBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponsesBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, Required};

use super::answers::{self, Case};
use super::words::Words;
use super::{Limits, deletions, listing, schemas, shared};
use crate::demo::world::OPERATION;
use crate::error::{Code, Error};
use crate::resource::{Resource, Scope};

pub const STATUS_TAG: &str = "call";
pub const GET_STATUS: &str = "getCallStatus";
pub const GET_DETAILS: &str = "getCallDetails";
const MALFORMED: &str = "MalformedRequestId";
const UNKNOWN: &str = "UnknownRequestId";

/// How a deletion names its rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    One,
    List,
    Batch,
}

pub fn paths(limits: Limits) -> Paths {
    let mut paths = PathsBuilder::new();
    for resource in Resource::ALL {
        let word = resource.word();
        let collection = format!("/api/v2/customer/{{customerId}}/{word}");
        let mut add = |path: String, method: HttpMethod, form: Form| {
            let operation = deletion(resource, form, limits);
            paths = std::mem::take(&mut paths).path(path, PathItem::new(method, operation));
        };
        add(format!("{collection}/{{id}}"), HttpMethod::Delete, Form::One);
        if resource.rules().takes_list {
            add(collection.clone(), HttpMethod::Delete, Form::List);
            add(format!("{collection}:batchDelete"), HttpMethod::Post, Form::Batch);
        }
    }
    paths
        .path("/api/v2/global/call/{requestId}", PathItem::new(HttpMethod::Get, get_status(limits)))
        .path("/api/v3/global/call/{requestId}", PathItem::new(HttpMethod::Get, get_details(limits)))
        .path("/api/v3/global/call", PathItem::new(HttpMethod::Get, listing::list(limits)))
        .build()
}

/// The answers about calls, by their names in the document.
pub fn responses() -> [(&'static str, Response); 2] {
    let malformed =
        Case::malformed("requestId", "A `requestId` that is not a UUID", "requestId in the path is not a UUID");
    let unknown = Case::of(Error::Refused(Code::GLOBAL_1003), "No such operation, or another requester's");
    [
        (MALFORMED, answers::failure("The call is malformed.", &[malformed], &[])),
        (
            UNKNOWN,
            answers::failure("The requester has no such operation.", &[unknown, deletions::no_such_route()], &[]),
        ),
    ]
}

fn deletion(resource: Resource, form: Form, limits: Limits) -> Operation {
    let words = Words::of(resource);
    let (operation_id, summary) = match form {
        Form::One => (format!("delete{}", words.title), format!("Delete {} by the id in the path", words.one)),
        Form::List => (format!("delete{}List", words.title), format!("Delete a list of {}", words.plural)),
        Form::Batch => (
            format!("batchDelete{}", words.title),
            format!("Delete a list of {}, without a body on DELETE", words.plural),
        ),
    };
    let mut operation = OperationBuilder::new()
        .tag(resource.word())
        .operation_id(Some(operation_id))
        .summary(Some(summary))
        .description(Some(description(resource, form, &words)))
        .parameter(path_id("customerId", scope(resource), words.customer));
    if form == Form::One {
        operation = operation.parameter(path_id("id", "The row to delete.", words.ids[0]));
    } else {
        operation = operation.request_body(Some(id_list(&words)));
    }
    let responses = ResponsesBuilder::new()
        .responses_from_iter(deletions::references(resource, form != Form::One))
        .responses_from_iter(shared::references(limits, true));
    operation
        .parameter(validate_only())
        .parameter(idempotency_key())
        .parameter(prefer())
        .responses(responses.build())
        .build()
}

fn description(resource: Resource, form: Form, words: &Words) -> String {
    let rule = format!("Deleted if {}.", words.rule);
    let more = match form {
        Form::One if resource.rules().takes_list => {
            "A body is not needed. One with a list of ids is refused, so that it is never in doubt which rows are meant."
        }
        Form::One => "There is no deletion of a list: one product at a time, and a body with ids is refused.",
        Form::List => {
            "All or nothing: one id that cannot be deleted refuses the list. Some clients and gateways drop the body of a DELETE; then \
             this is a 400 that deletes nothing, and `:batchDelete` is the way."
        }
        Form::Batch => {
            "The same call as the DELETE of a list, for clients and gateways that drop the body of a DELETE. All or nothing: one id that \
             cannot be deleted refuses the list."
        }
    };
    format!("{rule} {more}")
}

fn scope(resource: Resource) -> &'static str {
    match resource.rules().scope {
        Scope::Requester => "The requester itself.",
        Scope::SubCustomer => "A sub-customer of the requester.",
    }
}

fn path_id(name: &str, description: &str, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(Ref::from_schema_name(schemas::ID)))
        .example(Some(json!(example)))
        .build()
}

/// Without a default, which a page would send with every call it tries out.
fn validate_only() -> Parameter {
    ParameterBuilder::new()
        .name("validateOnly")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(
            "With `true`, every check runs and nothing is deleted: the answer is the one that the call would have now. It is no operation, \
             and takes no `Idempotency-Key`: its `requestId` is one that does not exist, unless it is that of an earlier call.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Boolean)))
        .build()
}

/// Without an example, which a page would send with every call it tries out.
fn idempotency_key() -> Parameter {
    let key = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[!-~]+$"));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Visible ASCII characters, your own choice for each call. The same call sent again under the same key gets the recorded \
             answer, and deletes nothing. Keys belong to their requester, and are kept for at least 24 hours; a call that ended in a defect of the service (500, or \
             accepted and then `INTERNAL_ERROR`) leaves its key free.",
        ))
        .schema(Some(key))
        .build()
}

fn prefer() -> Parameter {
    ParameterBuilder::new()
        .name("Prefer")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "`respond-async` (RFC 7240): the call is recorded and answered 202 at once, and done afterwards; its status tells the outcome. \
             A list may be longer then, and a body larger. A requester with too many operations waiting is answered 429. Other preferences are \
             ignored.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn id_list(words: &Words) -> RequestBody {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schemas::ID_LIST)))
        .example(Some(json!({ "id": words.ids })));
    RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content.build()).build()
}

fn get_status(limits: Limits) -> Operation {
    let example = json!({ "status": "SUCCESS" });
    about_a_call(GET_STATUS, "How a call ended", answers::success(FOUND, schemas::CALL_STATUS, example, &[]), limits)
}

fn get_details(limits: Limits) -> Operation {
    let example = json!({
        "requestId": OPERATION,
        "status": "SUCCESS",
        "resource": Resource::Contact.word(),
        "customerId": Words::of(Resource::Contact).customer,
        "createdAt": "2026-01-01T12:00:00Z",
        "completedAt": "2026-01-01T12:00:00Z",
        "errorCode": "",
        "errorMessage": "",
        "failedIds": [],
    });
    about_a_call(
        GET_DETAILS,
        "How a call ended, and why",
        answers::success(FOUND, schemas::CALL_DETAILS, example, &[]),
        limits,
    )
}

const FOUND: &str =
    "The operation was found; `status` tells how it stands. That something was deleted is only said by SUCCESS";

fn about_a_call(operation_id: &str, summary: &str, success: Response, limits: Limits) -> Operation {
    let responses = ResponsesBuilder::new()
        .response("200", success)
        .response("400", Ref::from_response_name(MALFORMED))
        .response("404", Ref::from_response_name(UNKNOWN))
        .responses_from_iter(shared::references(limits, false));
    OperationBuilder::new()
        .tag(STATUS_TAG)
        .operation_id(Some(operation_id))
        .summary(Some(summary))
        .description(Some(
            "Every well-formed deletion is recorded as an operation, a refused one too, and kept for at least 30 days, unless whoever runs \
             the service sets another time, and as long as a row that it deleted; one that is only validated is none. Only the requester's own operations are found; another's and one that never was answer alike.",
        ))
        .parameter(path_id("requestId", "The `requestId` of an answer, or its `Request-Id` header.", OPERATION))
        .responses(responses.build())
        .build()
}
