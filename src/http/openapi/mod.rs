//! The OpenAPI document: the template `openapi.yaml`, filled in from the tables of the code and the
//! settings.

mod arguments;
mod failure_examples;
mod template;
#[cfg(test)]
mod tests;
mod version;

use serde_json::{Map, Value, json};

pub use self::arguments::Arguments;
use self::template::Words;
pub use self::version::Version;
use super::listing::{DEFAULT_SIZE, LAST_PAGE, MAX_SIZE};
use super::problem::TYPE_PREFIX;
use super::request::CallLimits;
use crate::config::Settings;
use crate::error::Code;
use crate::operation::{PageQuery, Status};
use crate::resource::{Resource, Scope};

const TEMPLATE: &str = include_str!("openapi.yaml");

/// The document for the command line, with default settings.
pub fn printed(arguments: &Arguments) -> Value {
    let settings = Settings::default();
    let header = Some(settings.requester.header.name.as_str());
    let document = document(header, true, CallLimits::from(&settings), arguments.server());
    arguments.version.of(document)
}

/// The document in OpenAPI 3.1, for requesters that are named by this header, by a token, or by
/// either. `server` is the URL at which callers reach the service.
pub fn document(header: Option<&str>, by_token: bool, limits: CallLimits, server: &str) -> Value {
    let template = template::parse(TEMPLATE);
    let resources = Resource::ALL.map(|resource| words_of(resource, &template));
    let mut document = template::fill(&template, &general_words(header, by_token, limits, server), &resources);
    for response in members(&mut document["components"]["responses"]).values_mut() {
        failure_examples::complete(response, limits);
    }
    for path in members(&mut document["paths"]).values_mut() {
        for operation in members(path).values_mut() {
            // Merge keys put the shared ones last.
            members(&mut operation["responses"]).sort_keys();
        }
    }
    document
}

fn members(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("the template has an object here")
}

/// The values of the placeholders that do not depend on a resource.
fn general_words(header: Option<&str>, by_token: bool, limits: CallLimits, server: &str) -> Words {
    template::words(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "server": server,
        "byHeader": header.is_some(),
        "byToken": by_token,
        "requesterHeader": header,
        "maxIds": limits.synchronous.max_ids,
        "maxIdsLater": limits.asynchronous.max_ids,
        "largestList": limits.synchronous.max_ids.max(limits.asynchronous.max_ids),
        "maxBytes": limits.synchronous.max_bytes,
        "maxBytesLater": limits.asynchronous.max_bytes,
        "resources": Resource::ALL.map(Resource::word),
        "statuses": Status::ALL.map(Status::word),
        "codes": Code::ALL.map(Code::word),
        "codeList": code_list(),
        "problemType": TYPE_PREFIX,
        "maxWait": limits.longest_wait.as_secs(),
        "farthest": PageQuery::FARTHEST,
        "lastPage": LAST_PAGE,
        "largestSize": MAX_SIZE,
        "usualSize": DEFAULT_SIZE,
    }))
}

/// A Markdown list of all codes with their messages.
fn code_list() -> String {
    let item = |code: Code| format!("- `{}` ({}): `{}`", code.word(), code.status().as_u16(), code.message());
    Code::ALL.map(item).join("\n")
}

/// The values of the placeholders that depend on a resource.
fn words_of(resource: Resource, template: &Value) -> Words {
    let rules = resource.rules();
    let scope = match rules.scope {
        Scope::Requester => "requester",
        Scope::SubCustomer => "sub-customer",
    };
    let mut words = template::words(template["x-resources"][resource.word()].clone());
    words.extend(template::words(template["x-scopes"][scope].clone()));
    words.extend(template::words(json!({
        "resource": resource.word(),
        "id": words["ids"][0],
        "takesList": rules.takes_list,
        "outOfScopeCode": rules.out_of_scope.word(),
        "unknownCode": rules.unknown.word(),
        "ineligibleCode": rules.ineligible.word(),
        "inUseCode": rules.reference.map(|reference| reference.in_use.word()),
    })));
    words
}
