//! The claims of a token whose signature has been verified.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::config::RequiredClaim;
use crate::http::request::id::parse_id;

/// The end of the year 9999. A later expiry is in milliseconds by mistake.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// A name that occurs twice in an object is refused at any depth, because parsers differ in which one they take.
#[derive(Debug)]
pub struct Claims(Map<String, Value>);

impl Claims {
    pub fn parse(payload: &[u8]) -> Result<Claims, String> {
        match serde_json::from_slice(payload) {
            Ok(Unambiguous(Value::Object(claims))) => Ok(Claims(claims)),
            Ok(_) | Err(_) => Err("the claims are not a JSON object, or have a name twice".to_owned()),
        }
    }

    /// Checks `exp` and `nbf`. `now` is in seconds since 1970.
    pub fn check_times(&self, now: f64, leeway: Duration) -> Result<(), String> {
        let time = |name| -> Result<Option<f64>, String> {
            let seconds = |value: &Value| value.as_f64().filter(|seconds| *seconds >= 0.0);
            let problem = || format!("the claim `{name}` is not a time in seconds");
            self.0.get(name).map(|value| seconds(value).ok_or_else(problem)).transpose()
        };
        let expiry = time("exp")?.ok_or("the claim `exp` is missing")?;
        if expiry > LAST_SECOND {
            return Err("the claim `exp` is after the year 9999; it must be in seconds".to_owned());
        }
        if expiry + leeway.as_secs_f64() <= now {
            return Err("the token has expired".to_owned());
        }
        match time("nbf")? {
            Some(start) if start > now + leeway.as_secs_f64() => Err("the token is not valid yet".to_owned()),
            Some(_) | None => Ok(()),
        }
    }

    pub fn check_issuer(&self, issuer: &str) -> Result<(), String> {
        match text("iss", self.0.get("iss"))? {
            found if found == issuer => Ok(()),
            _ => Err("the token is of another issuer (`iss`)".to_owned()),
        }
    }

    pub fn check_audience(&self, audiences: &[String]) -> Result<(), String> {
        let found = texts("aud", self.0.get("aud"))?;
        let is_meant = found.iter().any(|audience| audiences.iter().any(|own| own == audience));
        if is_meant { Ok(()) } else { Err("the token is for another audience (`aud`)".to_owned()) }
    }

    pub fn check_required(&self, required: &RequiredClaim) -> Result<(), String> {
        let found = texts(&required.claim, self.find(&required.claim))?;
        let has_value = found.iter().any(|value| required.values.iter().any(|wanted| wanted == value));
        if has_value { Ok(()) } else { Err(format!("the claim `{}` does not have a required value", required.claim)) }
    }

    /// Looks in each of the claims. A claim is a string with spaces between the scopes (RFC 9068), or a list.
    pub fn have_scope(&self, wanted: &str, claims: &[String]) -> bool {
        claims.iter().filter_map(|name| self.find(name)).any(|claim| match claim {
            Value::String(scopes) => scopes.split(' ').any(|scope| scope == wanted),
            Value::Array(scopes) => scopes.iter().any(|scope| scope.as_str() == Some(wanted)),
            _ => false,
        })
    }

    /// Parses the claim as a UUID.
    pub fn id(&self, name: &str) -> Result<Uuid, String> {
        parse_id(text(name, self.single(name)?)?).ok_or_else(|| format!("the claim `{name}` is not a UUID"))
    }

    /// Returns `None` if the claim is missing or null.
    pub fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.single(name)? {
            None | Some(Value::Null) => Ok(None),
            value => text(name, value).map(Some),
        }
    }

    /// Some issuers write a single value as a list.
    fn single(&self, name: &str) -> Result<Option<&Value>, String> {
        match self.find(name) {
            Some(Value::Array(values)) => match values.as_slice() {
                [value] => Ok(Some(value)),
                _ => Err(format!("the claim `{name}` is a list of {} values, not of one", values.len())),
            },
            other => Ok(other),
        }
    }

    fn find(&self, path: &str) -> Option<&Value> {
        find(&self.0, path)
    }
}

/// Finds a claim by its name, or else by a path with dots. A name may itself have dots.
fn find<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let nested = |(dot, _)| find(object.get(&path[..dot])?.as_object()?, &path[dot + 1..]);
    object.get(path).or_else(|| path.match_indices('.').find_map(nested))
}

fn text<'a>(name: &str, value: Option<&'a Value>) -> Result<&'a str, String> {
    let value = value.ok_or_else(|| format!("the claim `{name}` is missing"))?;
    value.as_str().ok_or_else(|| format!("the claim `{name}` is not a string"))
}

/// Accepts a string or a list of strings.
fn texts<'a>(name: &str, value: Option<&'a Value>) -> Result<Vec<&'a str>, String> {
    let list: Option<Vec<_>> = match value {
        Some(Value::Array(values)) => values.iter().map(Value::as_str).collect(),
        other => return text(name, other).map(|text| vec![text]),
    };
    list.ok_or_else(|| format!("the claim `{name}` is a list with a value that is not a string"))
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unambiguous, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Unambiguous)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unambiguous(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unambiguous(value))) = object.next_entry()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a name occurs twice"));
            }
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests;
