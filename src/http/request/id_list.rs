//! The JSON of a list deletion: `{"id": ["…"]}`.

use serde::Deserialize;
use serde::de::{Deserializer, Unexpected, Visitor};
use serde_json::error::Category;
use uuid::Uuid;

use super::id::parse_id;
use crate::error::Error;

/// Unknown members are ignored.
#[derive(Deserialize)]
#[serde(expecting = "an object like {\"id\": [\"…\"]}")]
struct Body {
    id: Option<Vec<BodyId>>,
}

struct BodyId(Uuid);

impl<'de> Deserialize<'de> for BodyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BodyId, D::Error> {
        struct IdVisitor;

        impl Visitor<'_> for IdVisitor {
            type Value = BodyId;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("a UUID")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BodyId, E> {
                parse_id(text).map(BodyId).ok_or_else(|| E::invalid_value(Unexpected::Other("another string"), &self))
            }
        }

        deserializer.deserialize_str(IdVisitor)
    }
}

pub fn parse_body(body: &[u8], max_ids: usize) -> Result<Vec<Uuid>, Error> {
    // serde would accept an array as the members of `Body`, in order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Error::bad_request("the body must be an object like {\"id\": [\"…\"]}, and is an array"));
    }
    let ids = serde_json::from_slice(body).or_else(|_| parse_with_path(body))?.id.unwrap_or_default();
    if ids.len() > max_ids {
        return Err(too_many_ids(ids.len(), max_ids));
    }
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// Parses a body again that failed to parse, and fails with the path of the malformed value. This
/// takes longer, so it is not done for a valid body.
fn parse_with_path(body: &[u8]) -> Result<Body, Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut json);
    let parsed = parsed.map_err(|error| malformed(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| malformed(".", &error))?;
    Ok(parsed)
}

pub fn too_many_ids(sent: usize, allowed: usize) -> Error {
    Error::bad_request(format!("`id` lists {sent} ids; at most {allowed} are allowed"))
}

fn malformed(path: &str, error: &serde_json::Error) -> Error {
    /// A path and a parser's message may quote names and values as long as the body.
    const MAX_LENGTH: usize = 200;

    let short = |text: &str| text.chars().take(MAX_LENGTH).collect::<String>();
    let problem = short(&error.to_string());
    Error::bad_request(match error.classify() {
        Category::Data if path == "." => format!("the body is malformed: {problem}"),
        Category::Data => format!("`{}` in the body is malformed: {problem}", short(path)),
        Category::Syntax | Category::Eof | Category::Io => format!("the body is not valid JSON: {problem}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "6f2c5d1e-3b7a-4c19-9e8d-1a2b3c4d5e6f";

    fn parse(body: &str) -> Result<Vec<Uuid>, String> {
        parse_body(body.as_bytes(), 3).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn lists_are_read_and_unknown_members_ignored() {
        assert_eq!(parse(&format!(r#"{{"id": ["{ONE}"], "because": {{"id": 1}}}}"#)), Ok(vec![parse_id(ONE).unwrap()]));
        for body in ["{}", r#"{"id": null}"#, r#"{"id": []}"#] {
            assert_eq!(parse(body), Ok(vec![]), "{body}");
        }
    }

    #[test]
    fn the_message_names_what_is_wrong() {
        for (body, part) in [
            ("{", "the body is not valid JSON: EOF while parsing an object at line 1 column 1"),
            ("{} {}", "the body is not valid JSON: trailing characters at line 1 column 4"),
            ("id=1", "the body is not valid JSON: expected value at line 1 column 1"),
            (r#"{"id": ['x']}"#, "the body is not valid JSON: expected value at line 1 column 9"),
            ("\u{feff}{}", "the body is not valid JSON: expected value at line 1 column 1"),
            ("null", "the body is malformed: invalid type: null, expected an object like"),
            ("[]", "and is an array"),
            ("\"id\"", "expected an object like"),
            (r#"{"id": "x"}"#, "`id` in the body"),
            (r#"{"id": {}}"#, "`id` in the body"),
            (r#"{"id": [1]}"#, "`id[0]` in the body is malformed: invalid type: integer `1`, expected a UUID"),
            (&format!(r#"{{"id": ["{ONE}", "{ONE}0"]}}"#), "`id[1]` in the body"),
            (r#"{"id": [], "id": []}"#, "duplicate field `id`"),
            (&format!(r#"{{"id": ["{ONE}", "{ONE}", "{ONE}", "{ONE}"]}}"#), "`id` lists 4 ids; at most 3"),
        ] {
            let message = parse(body).unwrap_err();
            assert!(message.contains(part), "{body}: {message}");
        }
    }

    #[test]
    fn a_long_name_or_value_does_not_come_back_whole() {
        let long = "x".repeat(100_000);
        for body in [format!(r#"{{"id": "{long}"}}"#), format!(r#"{{"{long}": tru}}"#)] {
            let message = parse(&body).unwrap_err();
            assert!(message.len() < 500, "{} bytes", message.len());
        }
    }
}
