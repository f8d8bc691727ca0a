//! What is sent and what comes back, as schemas.

use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{
    AllOfBuilder, Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::{Limits, listing};
use crate::error::Code;
use crate::operation::Status;
use crate::resource::Resource;

pub const ID: &str = "Id";
pub const ID_LIST: &str = "IdList";
pub const DELETED: &str = "Deleted";
pub const CALL_STATUS: &str = "CallStatus";
pub const CALL_DETAILS: &str = "CallDetails";
pub const CALL_LIST: &str = "CallList";
const FAILURE: &str = "Failure";
const PAGEABLE: &str = "Pageable";

/// The usual form of 36 characters; other spellings of a UUID are refused.
const ID_PATTERN: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

/// All the schemas that have a name.
pub fn all(limits: Limits) -> [(&'static str, Object); 8] {
    [
        (ID, id()),
        (ID_LIST, id_list(limits)),
        (DELETED, success(deleted())),
        (CALL_STATUS, success(call_status())),
        (CALL_DETAILS, success(call_details())),
        (CALL_LIST, listing::schema(call().build())),
        (FAILURE, failure()),
        (PAGEABLE, pageable()),
    ]
}

/// A failure with one of these codes.
pub fn failure_with(codes: &[Code]) -> Schema {
    let codes = codes.iter().map(|code| code.name());
    let narrowed = ObjectBuilder::new()
        .property("errorCode", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes)));
    AllOfBuilder::new().item(Ref::from_schema_name(FAILURE)).item(narrowed).build().into()
}

/// A member that the builders do not have.
pub fn with(member: &str, value: impl Into<Value>) -> Option<Extensions> {
    Some([(member, value.into())].into_iter().collect())
}

fn id() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
        .pattern(Some(ID_PATTERN))
        .description(Some("A UUID in its usual form of 36 characters, in either case."))
        .build()
}

fn id_list(limits: Limits) -> Object {
    let ids = ArrayBuilder::new()
        .items(Ref::from_schema_name(ID))
        .min_items(Some(1))
        .max_items(Some(limits.later.max_ids.max(limits.awaited.max_ids)))
        .description(Some(format!(
            "At most {} ids, or {} with `Prefer: respond-async`. An id that is listed twice is taken once, and counts twice.",
            limits.awaited.max_ids, limits.later.max_ids
        )))
        .build();
    ObjectBuilder::new()
        .property("id", ids)
        .required("id")
        .description(Some("Which rows to delete. Unknown members are ignored."))
        .build()
}

fn success(element: Object) -> Object {
    let description = "A success: one element of content, and empty strings for the error.";
    envelope(description, exactly_one(element), Ref::from_schema_name(PAGEABLE))
}

/// An answer with content.
pub fn envelope(description: &str, content: Array, pageable: impl Into<RefOr<Schema>>) -> Object {
    ObjectBuilder::new()
        .description(Some(description))
        .property("errorCode", constant(""))
        .property("errorMessage", constant(""))
        .property("content", content)
        .property("pageable", pageable)
        .required("errorCode")
        .required("errorMessage")
        .required("content")
        .required("pageable")
        .build()
}

fn failure() -> Object {
    let codes = Code::ALL.map(Code::name);
    ObjectBuilder::new()
        .description(Some(
            "A failure. `content` and `pageable` are empty strings, where a success has an array and an object.",
        ))
        .property(
            "errorCode",
            text("A numbered code is a documented rule that said no, a word is about the call itself.")
                .enum_values(Some(codes)),
        )
        .property(
            "errorMessage",
            text("A sentence for people. The numbered codes have one each, to the letter.").min_length(Some(1)),
        )
        .property("content", constant(""))
        .property("pageable", constant(""))
        .required("errorCode")
        .required("errorMessage")
        .required("content")
        .required("pageable")
        .build()
}

fn pageable() -> Object {
    let mut pageable = ObjectBuilder::new().description(Some("Always the same: there is one element, on one page."));
    for (name, value) in [("page", 0), ("size", 10), ("totalPages", 1), ("totalElements", 1)] {
        pageable = pageable.property(name, constant(value)).required(name);
    }
    pageable.build()
}

fn deleted() -> Object {
    let request_id = Ref::builder()
        .ref_location_from_schema_name(ID)
        .description(Some("The operation, which can be asked for later. The same as the `Request-Id` header."))
        .build();
    ObjectBuilder::new().property("requestId", request_id).required("requestId").build()
}

fn call_status() -> Object {
    ObjectBuilder::new().property("status", status()).required("status").build()
}

fn call_details() -> Object {
    let ids: Array = ArrayBuilder::new()
        .items(Ref::from_schema_name(ID))
        .description(Some("The ids that the first failing rule said no to, at most the first 1,000 of them; none when it is about the customer."))
        .build();
    call().property("failedIds", ids).required("failedIds").build()
}

fn call() -> ObjectBuilder {
    let codes = std::iter::once("").chain(Code::ALL.map(Code::name));
    let members: [(&str, RefOr<Schema>); 8] = [
        ("requestId", Ref::from_schema_name(ID).into()),
        ("status", status().into()),
        ("resource", text("The word of the URL.").enum_values(Some(Resource::ALL.map(Resource::word))).into()),
        ("customerId", Ref::from_schema_name(ID).into()),
        ("createdAt", moment(Type::String.into()).into()),
        (
            "completedAt",
            moment([Type::String, Type::Null].into_iter().collect()).description(Some("Null while it is OPEN.")).into(),
        ),
        ("errorCode", text("Empty unless the call failed.").enum_values(Some(codes)).into()),
        ("errorMessage", text("Empty unless the call failed.").into()),
    ];
    members.into_iter().fold(ObjectBuilder::new(), |call, (name, schema)| call.property(name, schema).required(name))
}

fn status() -> ObjectBuilder {
    text("OPEN is in progress, FAILURE was refused by a documented rule.")
        .enum_values(Some(Status::ALL.map(Status::name)))
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn moment(schema_type: SchemaType) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(schema_type).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

fn constant(value: impl Into<Value>) -> Object {
    let value = value.into();
    let schema_type = if value.is_string() { Type::String } else { Type::Integer };
    ObjectBuilder::new().schema_type(schema_type).extensions(with("const", json!(value))).build()
}

fn exactly_one(element: Object) -> Array {
    ArrayBuilder::new().items(element).min_items(Some(1)).max_items(Some(1)).build()
}
