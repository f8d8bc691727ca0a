//! The requester in a signed token: `Authorization: Bearer`.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::{AUTHORIZATION, HeaderMap};

use super::actor::SentActor;
use super::claims::Claims;
use super::keyring::Keyring;
use super::keys::Unverified;
use super::token::Token;
use super::token_scope::MissingTokenScopes;
use crate::config::{JwtSource, LEEWAY, SettingsError};
use crate::error::Error;
use crate::http::call::Requester;

/// A longer token is refused.
const MAX_BYTES: usize = 8 * 1024;

/// RFC 6750: the challenge has no error if there was no token.
const NO_TOKEN: &str = r#"Bearer realm="customer-deletion""#;
const INVALID_TOKEN: &str = r#"Bearer realm="customer-deletion", error="invalid_token""#;

pub struct Verifier {
    pub keyring: Keyring,
    source: JwtSource,
}

impl Verifier {
    pub fn new(source: JwtSource) -> Result<Verifier, SettingsError> {
        let keyring = Keyring::open(&source.keys, source.refresh)?;
        let is_for_this_service = !source.audiences.is_empty() || !source.required_claims.is_empty();
        if source.issuer.is_none() || !is_for_this_service {
            tracing::warn!(
                "tokens for other services are accepted: set CUSTOMER_DELETION__REQUESTER__JWT__ISSUER, and __AUDIENCE or \
                 __REQUIRED_CLAIMS"
            );
        }
        Ok(Verifier { keyring, source })
    }

    /// Denies with 503 while there is no key at all.
    pub async fn requester(&self, headers: &HeaderMap) -> Result<(Requester, SentActor, MissingTokenScopes), Error> {
        let token = Token::parse(bearer(headers)?).map_err(invalid)?;
        let mut verified = self.verify(&token);
        // Issuers may rotate a key and keep its id, so an invalid signature may be of a new key.
        let may_be_of_a_new_key = verified.as_ref().is_err_and(|unverified| *unverified != Unverified::NotFetched);
        if may_be_of_a_new_key && self.keyring.wait_for_refresh().await {
            verified = self.verify(&token);
        }
        verified.map_err(denial)?;
        let claims = Claims::parse(&token.payload).map_err(invalid)?;
        let requester = self.requester_of(&claims).map_err(invalid)?;
        Ok((requester, self.actor_of(&claims), MissingTokenScopes::of(&claims, &self.source.token_scopes)))
    }

    /// Checks the signature. The key decides which algorithms are possible, never the token.
    fn verify(&self, token: &Token<'_>) -> Result<(), Unverified> {
        let keys = self.keyring.candidates(token.key_id.as_deref(), token.algorithm)?;
        let is_verified = keys.iter().any(|key| key.verifies(token.message, token.signature, token.algorithm));
        if is_verified { Ok(()) } else { Err(Unverified::Signature) }
    }

    fn requester_of(&self, claims: &Claims) -> Result<Requester, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        claims.check_times(now, LEEWAY)?;
        if let Some(issuer) = &self.source.issuer {
            claims.check_issuer(issuer)?;
        }
        if !self.source.audiences.is_empty() {
            claims.check_audience(&self.source.audiences)?;
        }
        for required in &self.source.required_claims {
            claims.check_required(required)?;
        }
        claims.id(&self.source.claim).map(Requester)
    }

    fn actor_of(&self, claims: &Claims) -> SentActor {
        let name = self.source.actor_claim.as_deref();
        name.map_or(SentActor::NONE, |name| SentActor::from_claim(name, claims.text(name)))
    }
}

fn denial(unverified: Unverified) -> Error {
    match unverified {
        Unverified::NotFetched => Error::Unavailable(unverified.to_string()),
        other => invalid(other.to_string()),
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let missing = |reason| Error::unauthenticated(reason, NO_TOKEN);
    let mut values = headers.get_all(AUTHORIZATION);
    let value = values.next().ok_or_else(|| missing("the Authorization header is missing"))?;
    if values.next().is_some() {
        return Err(invalid("the Authorization header was sent twice"));
    }
    let value = value.to_str().map_err(|_| invalid("the Authorization header is not ASCII"))?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(missing("the scheme of the Authorization header is not Bearer"));
    }
    match token.trim_start_matches(' ') {
        "" => Err(missing("the token is empty")),
        token if token.len() > MAX_BYTES => Err(invalid(format!("the token is longer than {MAX_BYTES} bytes"))),
        token => Ok(token),
    }
}

fn invalid(reason: impl Into<Cow<'static, str>>) -> Error {
    Error::unauthenticated(reason, INVALID_TOKEN)
}
