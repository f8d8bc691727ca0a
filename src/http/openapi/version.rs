//! Converts the document to OpenAPI 3.0, for gateways and generators that read nothing newer.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Version {
    #[value(name = "3.0")]
    V3_0,
    #[default]
    #[value(name = "3.1")]
    V3_1,
}

impl Version {
    /// Converts a 3.1 document to this version.
    pub fn of(self, document: Value) -> Value {
        match self {
            Version::V3_0 => as_3_0(document),
            Version::V3_1 => document,
        }
    }
}

fn as_3_0(mut document: Value) -> Value {
    document["openapi"] = json!("3.0.3");
    if let Some(license) = document["info"]["license"].as_object_mut() {
        license.shift_remove("identifier");
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        leave_out_bodies_of_delete(paths);
    }
    rewrite_schemas(&mut document);
    document
}

/// OpenAPI 3.0 has no body of a DELETE. A generated client would send the call without its ids.
fn leave_out_bodies_of_delete(paths: &mut Map<String, Value>) {
    for path in paths.values_mut().filter_map(Value::as_object_mut) {
        path.retain(|method, operation| method != "delete" || operation.get("requestBody").is_none());
    }
    paths.retain(|_, path| path.as_object().is_some_and(|methods| !methods.is_empty()));
}

/// Replaces schema keywords that 3.0 does not have. Examples are safe: their only such member,
/// `type`, is never a list.
fn rewrite_schemas(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(rewrite_schemas),
        Value::Object(members) => {
            members.values_mut().for_each(rewrite_schemas);
            if let Some(constant) = members.shift_remove("const") {
                members.insert("enum".to_owned(), json!([constant]));
            }
            // The examples of a response are an object in both versions, and stay.
            if let Some(Value::Array(examples)) = members.get("examples") {
                let example = examples[0].clone();
                members.shift_remove("examples");
                members.insert("example".to_owned(), example);
            }
            if let Some(Value::Array(types)) = members.get("type") {
                let not_null = types.iter().find(|name| *name != "null").cloned();
                members.insert("type".to_owned(), json!(not_null));
                members.insert("nullable".to_owned(), json!(true));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
