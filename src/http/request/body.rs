//! Which ids a call is about: one in the URL, or a list in the body.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{self, Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::{Deserializer, Unexpected, Visitor};
use serde_json::error::Category;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use uuid::Uuid;

use super::admission::Admission;
use super::{media_type, prefer};
use crate::config::Settings;
use crate::error::{Code, Error};
use crate::operation::TargetIds;
use crate::resource::Resource;

/// A body of 1,000 ids has 40 kB, and is read in a few hundred microseconds.
const LONGEST_READ_AT_ONCE: usize = 64 * 1024;

/// How much one call may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a call that waits for its outcome.
    pub awaited: BodyLimits,
    /// Of a call that does not.
    pub later: BodyLimits,
}

#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The longest list of ids.
    pub max_ids: usize,
    /// The largest body, in bytes.
    pub max_bytes: usize,
    /// How long a body may take to come.
    pub timeout: Duration,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Limits {
        let timeout = settings.http.body_timeout;
        Limits {
            awaited: BodyLimits {
                max_ids: settings.deletion.max_ids,
                max_bytes: settings.http.max_body_bytes,
                timeout,
            },
            later: BodyLimits { max_ids: settings.queue.max_ids, max_bytes: settings.queue.max_body_bytes, timeout },
        }
    }
}

impl Limits {
    pub fn of(&self, outcome: prefer::Outcome) -> BodyLimits {
        match outcome {
            prefer::Outcome::Awaited => self.awaited,
            prefer::Outcome::Later => self.later,
        }
    }
}

/// A UUID in its usual form of 36 characters; none for its other spellings.
pub fn parse_id(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

/// An id of the path, or a 400 that names the part of the path.
pub fn path_id(name: &str, text: &str) -> Result<Uuid, Error> {
    parse_id(text).ok_or_else(|| Error::bad_request(format!("{name} in the path is not a UUID")))
}

/// The ids of a call, by the table of shapes.
pub async fn target_ids(
    resource: Resource,
    in_path: Option<Uuid>,
    headers: &HeaderMap,
    payload: Payload,
    limits: BodyLimits,
    room: &mut Room<'_>,
) -> Result<TargetIds, Error> {
    let in_body = ids_of_body(headers, payload, limits, room).await?;
    if in_path.is_none() && !resource.rules().takes_list {
        return Err(Error::bad_request(format!(
            "a {word} is deleted alone, by its id in the path: DELETE …/{word}/{{id}}",
            word = resource.word()
        )));
    }
    in_one_place(in_path, in_body)
}

/// The ids of the path or those of the body: a call has one of them.
pub fn in_one_place(in_path: Option<Uuid>, in_body: Option<TargetIds>) -> Result<TargetIds, Error> {
    match (in_path, in_body) {
        (Some(_), Some(_)) => Err(Error::bad_request(
            "bad request: there is an id in the path and a list `id` in the body; send one of them",
        )),
        (Some(id), None) => Ok(TargetIds::one(id)),
        (None, Some(ids)) => Ok(ids),
        (None, None) => Err(Error::bad_request(
            "there is no id in the path and none in the body; the body must be {\"id\": [\"…\"]}",
        )),
    }
}

/// None where there is no body, or an empty list in it.
async fn ids_of_body(
    headers: &HeaderMap,
    payload: Payload,
    limits: BodyLimits,
    room: &mut Room<'_>,
) -> Result<Option<TargetIds>, Error> {
    let body = match timeout(limits.timeout, read_body(headers, payload, limits.max_bytes, room)).await {
        Ok(body) => body?,
        Err(_) => {
            return Err(Error::bad_request(format!("the body did not come to its end in {:?}", limits.timeout)));
        }
    };
    if body.is_empty() {
        return Ok(None);
    }
    media_type::require_json(headers)?;
    let is_long = body.len() > LONGEST_READ_AT_ONCE;
    let parse = move || parse_body(&body, limits.max_ids).map(TargetIds::new);
    // The thread that serves calls has others to serve meanwhile.
    if is_long {
        return web::block(parse).await.unwrap_or_else(|error| Err(Error::Defect(error.to_string())));
    }
    parse()
}

async fn read_body(
    headers: &HeaderMap,
    mut payload: Payload,
    max_bytes: usize,
    room: &mut Room<'_>,
) -> Result<Bytes, Error> {
    let declared = declared_length(headers).unwrap_or_default();
    if declared > max_bytes {
        return Err(too_large(max_bytes));
    }
    room.make(declared)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| unreadable())?;
        if body.len() + chunk.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        room.make(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The answer to a body over the limit.
pub fn too_large(max_bytes: usize) -> Error {
    Error::Malformed(Code::PAYLOAD_TOO_LARGE, format!("the body is larger than {max_bytes} bytes"))
}

/// Does the work of a call that has no use for a body, unless its body turns out to be malformed meanwhile. The library then
/// closes the connection, and an answer that is not there at once never is.
pub async fn beside_body<T>(mut payload: Payload, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let malformed = async {
        while let Some(chunk) = payload.next().await {
            if chunk.is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        done = work => done,
        () = malformed => Err(unreadable()),
    }
}

fn unreadable() -> Error {
    Error::bad_request("the body could not be read to its end")
}

/// What a body needs that gets longer than those of calls that wait for their outcome.
pub struct Room<'a> {
    admission: &'a Admission,
    /// How long a body may be without it.
    free_bytes: usize,
    place: Option<OwnedSemaphorePermit>,
}

impl<'a> Room<'a> {
    pub fn new(admission: &'a Admission, free_bytes: usize) -> Room<'a> {
        Room { admission, free_bytes, place: None }
    }

    fn make(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.free_bytes && self.place.is_none() {
            self.place = Some(self.admission.place_for_large_body()?);
        }
        Ok(())
    }

    /// The place that was taken, to be held until the work has ended.
    pub fn into_place(self) -> Option<OwnedSemaphorePermit> {
        self.place
    }
}

/// None for a body in chunks, whose length shows at its end.
fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body of a list deletion. Unknown members are ignored.
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
    // An array would pass as the members of the object, in order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Error::bad_request("the body must be an object like {\"id\": [\"…\"]}, and is an array"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed: Result<Body, _> = serde_path_to_error::deserialize(&mut json);
    let body = parsed.map_err(|error| malformed(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| malformed(".", &error))?;

    let ids = body.id.unwrap_or_default();
    if ids.len() > max_ids {
        return Err(too_many_ids(ids.len(), max_ids));
    }
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// The answer to a list over the limit.
pub fn too_many_ids(sent: usize, allowed: usize) -> Error {
    Error::bad_request(format!("`id` lists {sent} ids; at most {allowed} are allowed"))
}

fn malformed(path: &str, error: &serde_json::Error) -> Error {
    /// The name of a member, and a parser's message that quotes a value, can be as long as the body.
    const LONGEST_QUOTE: usize = 200;

    let short = |text: &str| text.chars().take(LONGEST_QUOTE).collect::<String>();
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

    #[test]
    fn only_the_usual_form_of_a_uuid_is_an_id() {
        assert!(parse_id(ONE).is_some());
        assert!(parse_id(&ONE.to_uppercase()).is_some());
        for text in [
            "",
            "6f2c5d1e3b7a4c199e8d1a2b3c4d5e6f",
            &format!("{{{ONE}}}"),
            &format!("urn:uuid:{ONE}"),
            &format!(" {ONE}"),
        ] {
            assert!(parse_id(text).is_none(), "{text}");
        }
    }
}
