//! Which tokens are accepted, and where their keys are.

mod keys;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Deserialize;

pub use self::keys::{KeySource, published_url};

use super::{SettingsError, variable};

/// One of the first three, or else the issuer, is required for the source `jwt`. Lists are
/// comma-separated.
///
/// A claim may be in an object: `realm_access.roles`. A claim whose own name has dots in it is
/// found too.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// A file with the issuer's public keys, as a JWK set.
    pub jwks_file: Option<String>,
    /// Where the issuer publishes its keys.
    pub jwks_url: Option<String>,
    /// A file whose bytes are the secret that is shared with the issuer.
    pub hmac_secret_file: Option<String>,
    /// The value that `iss` must have. Alone, it is also where the issuer's keys are discovered
    /// (OpenID Connect Discovery).
    pub issuer: Option<String>,
    /// A list. `aud` must be one of these, or have one of these in it.
    pub audience: Option<String>,
    /// The claim that names the requester.
    pub claim: String,
    /// A scope that the token must have.
    pub scope: Option<String>,
    /// The list of claims that may have the scope.
    pub scope_claims: Option<String>,
    /// A list of claims with the value that each must have: `token_use=access`. Of a claim that is
    /// listed several times, each value is accepted.
    pub required_claims: Option<String>,
    /// By how much the clocks of the issuer and of this machine may differ.
    pub leeway_seconds: u64,
    /// How often the keys are read again.
    pub refresh_seconds: u64,
}

impl Default for Jwt {
    fn default() -> Jwt {
        Jwt {
            jwks_file: None,
            jwks_url: None,
            hmac_secret_file: None,
            issuer: None,
            audience: None,
            claim: "customer_id".to_owned(),
            scope: None,
            scope_claims: None,
            required_claims: None,
            leeway_seconds: 30,
            refresh_seconds: 300,
        }
    }
}

/// A longer leeway would accept tokens long after their end.
const LONGEST_LEEWAY_SECONDS: u64 = 300;

/// A longer interval would accept a key for too long after its issuer took it back.
const LONGEST_REFRESH_SECONDS: u64 = 24 * 60 * 60;

/// How long a call whose token cannot be verified with the keys at hand waits for newer ones.
pub const WAIT_FOR_KEY: Duration = Duration::from_secs(2);

/// Where issuers have scopes: RFC 9068, Entra ID's two kinds of permissions, and Auth0's.
const SCOPE_CLAIMS: [&str; 4] = ["scope", "scp", "roles", "permissions"];

const ISSUER: &str = "requester.jwt.issuer";

/// Which tokens are accepted.
#[derive(Clone, Debug)]
pub struct JwtSource {
    pub keys: KeySource,
    pub issuer: Option<String>,
    /// Empty if `aud` is not checked.
    pub audiences: Vec<String>,
    pub claim: String,
    pub scope: Option<Scope>,
    pub required_claims: Vec<RequiredClaim>,
    pub leeway: Duration,
    pub refresh: Duration,
}

/// A scope, and the claims that may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub name: String,
    pub claims: Vec<String>,
}

/// A claim, and the values of which it must have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredClaim {
    pub claim: String,
    pub values: Vec<String>,
}

impl Jwt {
    pub fn source(&self) -> Result<JwtSource, SettingsError> {
        let within = |path: &str, value: u64, (least, most): (u64, u64)| {
            let problem = || SettingsError::new(path, format!("must be {least} to {most}, and is {value}"));
            if (least..=most).contains(&value) { Ok(Duration::from_secs(value)) } else { Err(problem()) }
        };
        if self.claim.is_empty() || self.claim.contains(',') {
            return Err(SettingsError::new("requester.jwt.claim", "must name one claim"));
        }
        match self.issuer.as_deref() {
            Some("") => return Err(SettingsError::new(ISSUER, EMPTY)),
            Some(issuer) if issuer.contains(',') => return Err(SettingsError::new(ISSUER, "must name one issuer")),
            Some(_) | None => {}
        }
        Ok(JwtSource {
            keys: self.keys()?,
            issuer: self.issuer.clone(),
            audiences: list("requester.jwt.audience", self.audience.as_deref())?,
            claim: self.claim.clone(),
            scope: self.scope()?,
            required_claims: self.required_claims()?,
            leeway: within("requester.jwt.leeway_seconds", self.leeway_seconds, (0, LONGEST_LEEWAY_SECONDS))?,
            refresh: within("requester.jwt.refresh_seconds", self.refresh_seconds, (1, LONGEST_REFRESH_SECONDS))?,
        })
    }

    fn scope(&self) -> Result<Option<Scope>, SettingsError> {
        const CLAIMS: &str = "requester.jwt.scope_claims";
        let Some(name) = &self.scope else {
            let problem = || format!("is of no use without {}", variable("requester.jwt.scope"));
            return match self.scope_claims {
                Some(_) => Err(SettingsError::new(CLAIMS, problem())),
                None => Ok(None),
            };
        };
        if !is_scope(name) {
            return Err(SettingsError::new(
                "requester.jwt.scope",
                "must be one scope, without spaces, commas and quotes",
            ));
        }
        let claims = match self.scope_claims.as_deref() {
            None => SCOPE_CLAIMS.map(str::to_owned).to_vec(),
            claims => list(CLAIMS, claims)?,
        };
        Ok(Some(Scope { name: name.clone(), claims }))
    }

    fn required_claims(&self) -> Result<Vec<RequiredClaim>, SettingsError> {
        const PATH: &str = "requester.jwt.required_claims";
        let mut required: Vec<RequiredClaim> = Vec::new();
        for text in list(PATH, self.required_claims.as_deref())? {
            let (claim, value) = match text.split_once('=') {
                Some((claim, value)) if !claim.is_empty() && !value.is_empty() => (claim.to_owned(), value.to_owned()),
                _ => return Err(SettingsError::new(PATH, format!("`{text}` is not of the form claim=value"))),
            };
            match required.iter_mut().find(|known| known.claim == claim) {
                Some(known) => known.values.push(value),
                None => required.push(RequiredClaim { claim, values: vec![value] }),
            }
        }
        Ok(required)
    }
}

/// The variable of a template that nobody filled in must not switch the check off.
const EMPTY: &str = "is empty; without it, nothing is checked";

/// Empty if the setting is not set.
fn list(path: &str, text: Option<&str>) -> Result<Vec<String>, SettingsError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    if text.is_empty() {
        return Err(SettingsError::new(path, EMPTY));
    }
    let elements: Vec<_> = text.split(',').map(|element| element.trim().to_owned()).collect();
    if elements.iter().any(String::is_empty) {
        return Err(SettingsError::new(path, "has an empty element; write the list like a,b"));
    }
    Ok(elements)
}

/// RFC 6749: a scope can stand between quotes in a header. A comma would be of a list.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b','))
}
