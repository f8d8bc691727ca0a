//! The section `[requester.jwt]`.

mod keys;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Deserialize;

pub use self::keys::{KeySource, published_url};

use super::{SettingsError, variable};

/// Lists are separated by commas.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSettings {
    pub jwks_file: Option<String>,
    pub jwks_url: Option<String>,
    pub hmac_secret_file: Option<String>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub claim: String,
    pub actor_claim: Option<String>,
    pub scope_read: Option<String>,
    pub scope_delete: Option<String>,
    pub scope_claims: Option<String>,
    pub required_claims: Option<String>,
    pub refresh_seconds: u64,
}

/// The largest difference between the clocks of the issuer and of this machine.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// The longest wait for newer keys of a call whose token cannot be verified with the known ones.
pub const WAIT_FOR_KEY: Duration = Duration::from_secs(2);

/// The claims in which RFC 9068, Entra ID (`scp`, `roles`) and Auth0 put scopes.
const SCOPE_CLAIMS: [&str; 4] = ["scope", "scp", "roles", "permissions"];

const ISSUER: &str = "requester.jwt.issuer";
const READ: &str = "requester.jwt.scope_read";
const DELETE: &str = "requester.jwt.scope_delete";

/// The checks of a token.
#[derive(Clone, Debug)]
pub struct JwtSource {
    pub keys: KeySource,
    pub issuer: Option<String>,
    /// Empty if `aud` is not checked.
    pub audiences: Vec<String>,
    pub claim: String,
    /// `None` if the actor is not recorded.
    pub actor_claim: Option<String>,
    pub token_scopes: TokenScopes,
    pub required_claims: Vec<RequiredClaim>,
    pub refresh: Duration,
}

/// The required token scopes, and the claims that may contain them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenScopes {
    /// `None` if every token may read.
    pub read: Option<String>,
    /// `None` if every token may delete.
    pub delete: Option<String>,
    pub claims: Vec<String>,
}

/// A claim, and its accepted values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredClaim {
    pub claim: String,
    pub values: Vec<String>,
}

impl JwtSettings {
    pub fn source(&self) -> Result<JwtSource, SettingsError> {
        let claims =
            [("requester.jwt.claim", Some(&self.claim)), ("requester.jwt.actor_claim", self.actor_claim.as_ref())];
        let is_one = |claim: &String| !claim.is_empty() && !claim.contains(',');
        if let Some((path, _)) = claims.into_iter().find(|(_, claim)| claim.is_some_and(|claim| !is_one(claim))) {
            return Err(SettingsError::new(path, "must name one claim"));
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
            actor_claim: self.actor_claim.clone(),
            token_scopes: self.token_scopes()?,
            required_claims: self.required_claims()?,
            refresh: Duration::from_secs(self.refresh_seconds),
        })
    }

    fn token_scopes(&self) -> Result<TokenScopes, SettingsError> {
        const CLAIMS: &str = "requester.jwt.scope_claims";
        let read = token_scope(READ, self.scope_read.as_deref())?;
        let delete = token_scope(DELETE, self.scope_delete.as_deref())?;
        let claims = match self.scope_claims.as_deref() {
            Some(_) if read.is_none() && delete.is_none() => {
                let problem = format!("has no effect without {} or {}", variable(READ), variable(DELETE));
                return Err(SettingsError::new(CLAIMS, problem));
            }
            None => SCOPE_CLAIMS.map(str::to_owned).to_vec(),
            claims => list(CLAIMS, claims)?,
        };
        Ok(TokenScopes { read, delete, claims })
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

/// An empty variable of a template must not switch a check off.
const EMPTY: &str = "is empty; remove it or set a value";

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

fn token_scope(path: &str, name: Option<&str>) -> Result<Option<String>, SettingsError> {
    match name {
        Some(name) if !is_token_scope(name) => {
            Err(SettingsError::new(path, "must be one token scope, without spaces, commas and quotes"))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

/// A token scope (RFC 6749) can stand between quotes in a header. A comma would make it a list.
fn is_token_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b','))
}
