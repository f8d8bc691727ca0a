//! The answers of deletions: everything is deleted, the call is malformed, or a documented rule says no.

use serde_json::json;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::response::Response;
use utoipa::openapi::{Ref, RefOr};

use super::answers::{self, Case, LOCATION, PREFERENCE_APPLIED, REPLAYED};
use super::words::Words;
use super::{Limits, calls, schemas};
use crate::demo::world::OPERATION;
use crate::error::{Code, Error};
use crate::resource::{Resource, Scope};

const DELETED: &str = "Deleted";
const ACCEPTED: &str = "Accepted";
const MALFORMED_ONE: &str = "MalformedDeletion";
const MALFORMED_LIST: &str = "MalformedListDeletion";
const ALLOCATED: &str = "ProductAllocated";

/// All of them, by their names in the document.
pub fn responses(limits: Limits) -> Vec<(String, Response)> {
    let mut responses = vec![
        (DELETED.to_owned(), deleted()),
        (ACCEPTED.to_owned(), accepted()),
        (MALFORMED_ONE.to_owned(), malformed(&malformed_one())),
        (MALFORMED_LIST.to_owned(), malformed(&malformed_list(limits))),
        (
            ALLOCATED.to_owned(),
            refused("The product stays, and can be deleted once no live customer has it.", &[allocated()]),
        ),
    ];
    for resource in Resource::ALL {
        let description = "A documented rule says no. Nothing is deleted. The refusal is recorded, unless it is one of a call that is \
                           only validated.";
        responses.push((refused_name(resource), refused(description, &not_found(resource))));
    }
    responses
}

/// The status of each, and where it is described.
pub fn references(resource: Resource, takes_list: bool) -> Vec<(String, RefOr<Response>)> {
    let malformed = if takes_list { MALFORMED_LIST } else { MALFORMED_ONE };
    let mut references = vec![
        ("200", DELETED.to_owned()),
        ("202", ACCEPTED.to_owned()),
        ("400", malformed.to_owned()),
        ("404", refused_name(resource)),
    ];
    if resource == Resource::Product {
        references.push(("409", ALLOCATED.to_owned()));
    }
    references.into_iter().map(|(status, name)| (status.to_owned(), Ref::from_response_name(name).into())).collect()
}

fn refused_name(resource: Resource) -> String {
    format!("{}Refused", Words::of(resource).title)
}

fn deleted() -> Response {
    let example = json!({ "requestId": OPERATION });
    let mut deleted = answers::success(
        "Everything is deleted, at one time; or would be, with `validateOnly=true`.",
        schemas::DELETED,
        example,
        &[REPLAYED],
    );
    link_to_the_call(&mut deleted, "$response.body#/content/0/requestId");
    deleted
}

fn accepted() -> Response {
    let example = json!({ "requestId": OPERATION });
    let description = "With `Prefer: respond-async`: the call is well-formed and recorded as OPEN. Whether it may be done is found out \
                       when it is done, and told by its status.";
    let headers = [PREFERENCE_APPLIED, LOCATION, REPLAYED];
    let mut accepted = answers::success_named("ACCEPTED", description, schemas::DELETED, example, &headers);
    link_to_the_call(&mut accepted, "$response.body#/content/0/requestId");
    accepted
}

/// A refused call can be asked for as well.
fn refused(description: &str, cases: &[Case]) -> Response {
    let mut refused = answers::failure(description, cases, &[REPLAYED]);
    link_to_the_call(&mut refused, "$response.header.Request-Id");
    refused
}

fn link_to_the_call(response: &mut Response, request_id: &str) {
    let link = |operation_id: &str, description: &str| -> RefOr<Link> {
        let link = LinkBuilder::new().operation_id(operation_id).description(description);
        RefOr::T(link.parameter("requestId", request_id).build())
    };
    response.links.insert("status".to_owned(), link(calls::GET_STATUS, "How the call ended."));
    response
        .links
        .insert("details".to_owned(), link(calls::GET_DETAILS, "How it ended, and which ids caused a refusal."));
}

fn malformed(cases: &[Case]) -> Response {
    answers::failure("The call is malformed. Nothing is deleted, and nothing is recorded.", cases, &[])
}

fn malformed_one() -> [Case; 5] {
    let [customer_id, key, validate_only] = malformed_anyway();
    [
        customer_id,
        Case::malformed("id", "An `id` that is not a UUID", "id in the path is not a UUID"),
        Case::malformed(
            "two-places",
            "An id in the path, and a list in the body",
            "bad request: there is an id in the path and a list `id` in the body; send one of them",
        ),
        key,
        validate_only,
    ]
}

fn malformed_list(limits: Limits) -> [Case; 6] {
    let [customer_id, key, validate_only] = malformed_anyway();
    let too_many =
        format!("`id` lists {} ids; at most {} are allowed", limits.awaited.max_ids + 1, limits.awaited.max_ids);
    [
        customer_id,
        Case::malformed(
            "no-ids",
            "No body, one that was dropped on the way, or an empty list",
            "there is no id in the path and none in the body; the body must be {\"id\": [\"…\"]}",
        ),
        Case::malformed(
            "malformed-id",
            "An id in the list that is not a UUID",
            "`id[0]` in the body is malformed: invalid value: another string, expected a UUID at line 1 column 18",
        ),
        Case::malformed("too-many-ids", "A list that is too long, counted as it is sent", too_many),
        key,
        validate_only,
    ]
}

fn malformed_anyway() -> [Case; 3] {
    [
        Case::malformed("customerId", "A `customerId` that is not a UUID", "customerId in the path is not a UUID"),
        Case::malformed(
            "Idempotency-Key",
            "A key that is empty, too long, or not of visible ASCII characters",
            "Idempotency-Key must be 1 to 255 visible ASCII characters",
        ),
        Case::malformed(
            "validateOnly",
            "A `validateOnly` that is neither `true` nor `false`, or there twice",
            "validateOnly in the query must be true or false, and sent once",
        ),
    ]
}

/// A code has one entry, with every reason for it.
fn not_found(resource: Resource) -> Vec<Case> {
    let (rules, words) = (resource.rules(), Words::of(resource));
    let out_of_scope = match rules.scope {
        Scope::Requester => "`customerId` is not the requester itself, but in its tree",
        Scope::SubCustomer => "`customerId` is in the requester's tree, but not one level below it",
    };
    let reasons = [
        (Code::CUSTOMER_1002, "`customerId` is unknown, deleted, or not in the requester's tree".to_owned()),
        (rules.out_of_scope, out_of_scope.to_owned()),
        (rules.unknown, format!("No live {} has one of the ids", words.singular)),
        (rules.ineligible, words.ineligible.to_owned()),
    ];
    let mut cases: Vec<Case> = Vec::new();
    for (code, reason) in reasons {
        match cases.iter_mut().find(|case| case.error.code() == code) {
            Some(case) => case.when = format!("{}. Or: {reason}", case.when),
            None => cases.push(Case::of(Error::Refused(code), reason)),
        }
    }
    cases.push(no_such_route());
    cases
}

fn allocated() -> Case {
    Case::of(Error::Refused(Code::CUSTOMER_1046), "The product is allocated to a live customer")
}

pub fn no_such_route() -> Case {
    let error = Error::Malformed(Code::NOT_FOUND, Code::NOT_FOUND.message().to_owned());
    Case::of(error, "The path is another than the documented one")
}
