//! The claims of a token whose signature has been verified.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use uuid::Uuid;

use crate::config::RequiredClaim;
use crate::http::request::id::parse_id;

/// The end of the year 9999. A later expiry is in milliseconds by mistake.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// A name that occurs twice in an object is refused at any depth, because parsers differ in which
/// one they take.
#[derive(Debug)]
pub struct Claims(HashMap<String, Claim>);

#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum Claim {
    Text(String),
    Number(f64),
    List(Vec<Claim>),
    Object(Claims),
    Other(#[allow(dead_code, reason = "no check accepts it")] Option<bool>),
}

impl Claims {
    pub fn parse(payload: &[u8]) -> Result<Claims, String> {
        serde_json::from_slice(payload).map_err(|_| "the claims are not a JSON object, or have a name twice".to_owned())
    }

    /// Checks `exp` and `nbf`. `now` is in seconds since 1970.
    pub fn check_times(&self, now: f64, leeway: Duration) -> Result<(), String> {
        let time = |name| -> Result<Option<f64>, String> {
            match self.0.get(name) {
                None => Ok(None),
                Some(Claim::Number(seconds)) if *seconds >= 0.0 => Ok(Some(*seconds)),
                Some(_) => Err(format!("the claim `{name}` is not a time in seconds")),
            }
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

    /// Looks in each of the claims. A claim is a string with spaces between the scopes (RFC 9068),
    /// or a list.
    pub fn have_scope(&self, wanted: &str, claims: &[String]) -> bool {
        claims.iter().filter_map(|name| self.find(name)).any(|claim| match claim {
            Claim::Text(scopes) => scopes.split(' ').any(|scope| scope == wanted),
            Claim::List(scopes) => scopes.iter().any(|scope| scope.as_text() == Some(wanted)),
            Claim::Number(_) | Claim::Object(_) | Claim::Other(_) => false,
        })
    }

    /// Parses the claim as a UUID.
    pub fn id(&self, name: &str) -> Result<Uuid, String> {
        parse_id(text(name, self.single(name)?)?).ok_or_else(|| format!("the claim `{name}` is not a UUID"))
    }

    /// Returns `None` if the claim is missing or null.
    pub fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.single(name)? {
            None | Some(Claim::Other(None)) => Ok(None),
            value => text(name, value).map(Some),
        }
    }

    /// Some issuers write a single value as a list.
    fn single(&self, name: &str) -> Result<Option<&Claim>, String> {
        match self.find(name) {
            Some(Claim::List(values)) => match values.as_slice() {
                [value] => Ok(Some(value)),
                _ => Err(format!("the claim `{name}` is a list of {} values, not of one", values.len())),
            },
            other => Ok(other),
        }
    }

    /// Finds a claim by its name, or else by a path with dots. A name may itself have dots.
    fn find(&self, path: &str) -> Option<&Claim> {
        let nested = |(dot, _)| match self.0.get(&path[..dot])? {
            Claim::Object(claims) => claims.find(&path[dot + 1..]),
            Claim::Text(_) | Claim::Number(_) | Claim::List(_) | Claim::Other(_) => None,
        };
        self.0.get(path).or_else(|| path.match_indices('.').find_map(nested))
    }
}

impl Claim {
    fn as_text(&self) -> Option<&str> {
        if let Claim::Text(text) = self { Some(text) } else { None }
    }
}

fn text<'a>(name: &str, claim: Option<&'a Claim>) -> Result<&'a str, String> {
    let claim = claim.ok_or_else(|| format!("the claim `{name}` is missing"))?;
    claim.as_text().ok_or_else(|| format!("the claim `{name}` is not a string"))
}

/// Accepts a string or a list of strings.
fn texts<'a>(name: &str, claim: Option<&'a Claim>) -> Result<Vec<&'a str>, String> {
    let list: Option<Vec<_>> = match claim {
        Some(Claim::List(values)) => values.iter().map(Claim::as_text).collect(),
        other => return text(name, other).map(|text| vec![text]),
    };
    list.ok_or_else(|| format!("the claim `{name}` is a list with a value that is not a string"))
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Claims, D::Error> {
        struct EachNameOnce;

        impl<'de> Visitor<'de> for EachNameOnce {
            type Value = Claims;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Claims, A::Error> {
                let mut claims = HashMap::new();
                while let Some((name, claim)) = object.next_entry()? {
                    if claims.insert(name, claim).is_some() {
                        return Err(A::Error::custom("a name occurs twice"));
                    }
                }
                Ok(Claims(claims))
            }
        }

        deserializer.deserialize_map(EachNameOnce)
    }
}

#[cfg(test)]
mod tests;
