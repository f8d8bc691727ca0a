//! The failure examples of a response, with the messages of the code itself.

use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::Error;
use crate::http::delete;
use crate::http::envelope::Failure;
use crate::http::listing::{LAST_PAGE, ListQuery};
use crate::http::negotiation::PROBLEM;
use crate::http::operations;
use crate::http::problem::Problem;
use crate::http::request::{CallLimits, body, id, id_list, idempotency_key, media_type, target_ids};
use crate::operation::TargetIds;

/// The call of the examples.
const SOME_CALL: Uuid = Uuid::from_u128(0x01946983_4c40_7e85_a42b_13860913b370);

/// Adds the `Request-Id` header, and the content that `x-failures` lists.
pub fn complete(response: &mut Value, limits: CallLimits) {
    response["headers"]["Request-Id"] = json!({ "$ref": "#/components/headers/Request-Id" });
    let Some(response) = response.as_object_mut() else { return };
    let Some(Value::Object(failures)) = response.shift_remove("x-failures") else { return };

    let mut codes: Vec<String> = Vec::new();
    let (mut envelopes, mut problems) = (Map::new(), Map::new());
    for (name, mut when) in failures {
        // An entry with a condition is an object.
        if when.is_object() {
            when = when["when"].take();
        }
        let error = failure(&name, limits);
        codes.push(format!("`{}`", error.code_name()));
        problems.insert(name.clone(), json!({ "summary": when, "value": Problem::of(&error, SOME_CALL) }));
        envelopes.insert(name, json!({ "summary": when, "value": Failure::of(&error) }));
    }
    codes.dedup();
    let description = response["description"].as_str().unwrap_or_default();
    response["description"] = format!("{}\n\n`errorCode`: {}", description.trim_end(), codes.join(", ")).into();
    let content = |schema, examples| json!({ "schema": { "$ref": schema }, "examples": examples });
    let content = json!({
        "application/json": content("#/components/schemas/Failure", envelopes),
        PROBLEM: content("#/components/schemas/Problem", problems),
    });
    response.insert("content".to_owned(), content);
}

/// Returns the error for an example. A malformed call has a name of its own; any other failure has
/// its code.
fn failure(name: &str, limits: CallLimits) -> Error {
    let limits = limits.synchronous;
    let some_id = Uuid::nil();
    let malformed = match name {
        "customerId" | "id" | "requestId" => id::path_id(name, "nonsense").err(),
        "Idempotency-Key" => idempotency_key::parse(&header(idempotency_key::KEY, "two words")).err(),
        "validateOnly" => delete::validate_only("validateOnly=maybe").err(),
        "two-places" => target_ids::in_one_place(Some(some_id), Some(TargetIds::one(some_id))).err(),
        "no-ids" => target_ids::in_one_place(None, None).err(),
        "malformed-id" => id_list::parse_body(br#"{"id": ["nonsense"]}"#, limits.max_ids).err(),
        "too-many-ids" => Some(id_list::too_many_ids(limits.max_ids + 1, limits.max_ids)),
        "PAYLOAD_TOO_LARGE" => Some(body::too_large(limits.max_bytes)),
        "UNSUPPORTED_MEDIA_TYPE" => media_type::require_json(&header(CONTENT_TYPE, "text/plain")).err(),
        "status" | "resource" | "targetId" | "createdAfter" | "createdBefore" | "pageToken" | "page" | "size" => {
            ListQuery::parse(&format!("{name}=nonsense"), some_id).err()
        }
        "customer-filter" => ListQuery::parse("customerId=nonsense", some_id).err(),
        "two-pages" => ListQuery::parse("page=0&pageToken=nonsense", some_id).err(),
        "view" => operations::view("view=nonsense").err(),
        "twice" => ListQuery::parse("size=1&size=1", some_id).err(),
        "too-far" => ListQuery::parse(&format!("page={LAST_PAGE}"), some_id).err(),
        code => code.parse().map(Error::refused).ok(),
    };
    malformed.unwrap_or_else(|| panic!("no call fails like the example `{name}`"))
}

fn header(name: HeaderName, value: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_static(value));
    headers
}
