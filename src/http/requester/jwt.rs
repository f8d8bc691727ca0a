//! The requester in a signed token: `Authorization: Bearer`.

use std::collections::HashMap;
use std::fmt;

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::keyring::Keyring;
use super::keys::NoKey;
use super::{Denial, Requester};
use crate::config::{JwtSource, SettingsError};
use crate::error::Error;
use crate::http::target;

/// The longest token that is looked at.
const MOST_BYTES: usize = 8 * 1024;

/// The end of the year 9999. A time after it is one in milliseconds, and a token with that would never expire.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// RFC 6750: no error is named when no token was sent.
const NO_TOKEN: HeaderValue = HeaderValue::from_static(r#"Bearer realm="customer-deletion""#);
const INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="customer-deletion", error="invalid_token""#);

/// Knows which tokens are believed.
pub struct Verifier {
    pub keyring: Keyring,
    validation: Validation,
    issuer: Option<String>,
    claim: String,
    scope: Option<Scope>,
}

struct Scope {
    name: String,
    challenge: HeaderValue,
}

impl Verifier {
    pub fn new(source: JwtSource) -> Result<Verifier, SettingsError> {
        let keyring = Keyring::open(&source.keys, source.refresh)?;
        if source.issuer.is_none() || source.audience.is_none() {
            tracing::warn!(
                "unless an issuer and an audience are both set, tokens that are meant for other services are believed"
            );
        }
        let scope = source.scope.as_ref().map(|name| Scope { name: name.clone(), challenge: insufficient_scope(name) });
        Ok(Verifier { keyring, validation: validation(&source), issuer: source.issuer, claim: source.claim, scope })
    }

    /// The requester of the token, or 401; 503 while there is no key at all.
    pub async fn requester(&self, headers: &HeaderMap) -> Result<Requester, Denial> {
        let token = bearer(headers)?;
        let header =
            decode_header(token).map_err(|_| invalid("the token is none, or its algorithm is not accepted"))?;
        check_header(&header)?;
        let mut claims = self.claims(token, &header);
        if claims.as_ref().is_err_and(Doubt::may_be_of_an_old_key) && self.keyring.wait_for_refresh().await {
            claims = self.claims(token, &header);
        }
        let claims = claims.map_err(Doubt::into_denial)?;
        let requester = claims.text(&self.claim).and_then(target::parse_id);
        let requester = requester.ok_or_else(|| invalid("the claim of the requester is not a UUID"))?;
        match &self.scope {
            Some(scope) if !claims.have_scope(&scope.name) => {
                Err(Denial::unauthenticated("the token does not have the scope", scope.challenge.clone()))
            }
            Some(_) | None => Ok(Requester(requester)),
        }
    }

    /// The algorithm is one of the key's, whatever the token says.
    fn claims(&self, token: &str, header: &Header) -> Result<Claims, Doubt> {
        let key = self.keyring.find(header.kid.as_deref(), header.alg).map_err(Doubt::Key)?;
        let validation = Validation { algorithms: vec![header.alg], ..self.validation.clone() };
        let claims: Claims = decode(token, &key.decoding_key, &validation).map_err(Doubt::Token)?.claims;
        if claims.0.get("exp").and_then(Value::as_f64).is_none_or(|exp| exp > LAST_SECOND) {
            return Err(Doubt::Claim("the token would never expire"));
        }
        // The library would take a list of issuers, which RFC 7519 does not know.
        if self.issuer.as_deref().is_some_and(|issuer| claims.text("iss") != Some(issuer)) {
            return Err(Doubt::Claim("the token is of another issuer"));
        }
        Ok(claims)
    }
}

/// Why a token is not believed.
enum Doubt {
    Key(NoKey),
    Token(JwtError),
    Claim(&'static str),
}

impl Doubt {
    /// Issuers may rotate a key without giving the new one another name.
    fn may_be_of_an_old_key(&self) -> bool {
        match self {
            Doubt::Key(NoKey::UnknownId | NoKey::OtherAlgorithms | NoKey::Ambiguous) => true,
            Doubt::Token(error) => matches!(error.kind(), ErrorKind::InvalidSignature),
            Doubt::Key(NoKey::NoneYet) | Doubt::Claim(_) => false,
        }
    }

    fn into_denial(self) -> Denial {
        match self {
            Doubt::Key(missing) => no_key(missing),
            Doubt::Token(error) => invalid(reason(&error)),
            Doubt::Claim(reason) => invalid(reason),
        }
    }
}

fn validation(source: &JwtSource) -> Validation {
    let mut validation = Validation::default();
    let mut required = vec!["exp"];
    validation.validate_nbf = true;
    validation.leeway = source.leeway.as_secs();
    validation.validate_aud = source.audience.is_some();
    if let Some(audience) = &source.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    validation
}

fn insufficient_scope(scope: &str) -> HeaderValue {
    let challenge = format!(r#"Bearer realm="customer-deletion", error="insufficient_scope", scope="{scope}""#);
    HeaderValue::from_str(&challenge).expect("a scope is visible ASCII")
}

/// The token of the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Denial> {
    let missing = |reason| Denial::unauthenticated(reason, NO_TOKEN);
    let mut values = headers.get_all(AUTHORIZATION);
    let value = values.next().ok_or_else(|| missing("there is no token"))?;
    if values.next().is_some() {
        return Err(invalid("the Authorization header was sent twice"));
    }
    let value = value.to_str().map_err(|_| invalid("the Authorization header is not ASCII"))?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(missing("the Authorization header has no token, but another scheme"));
    }
    match token.trim_start_matches(' ') {
        "" => Err(missing("the token is empty")),
        token if token.len() > MOST_BYTES => Err(invalid("the token is too long")),
        token => Ok(token),
    }
}

/// Keys that come in the token, or that it points to (`jwk`, `jku`, `x5u`, `x5c`), are not even looked at.
fn check_header(header: &Header) -> Result<(), Denial> {
    if header.crit.is_some() {
        return Err(invalid("the token asks for an extension"));
    }
    // RFC 8725: what an issuer signs for another purpose is no access token.
    let is_access_token = header.typ.as_deref().is_none_or(|typ| {
        let typ = typ.strip_prefix("application/").unwrap_or(typ);
        typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt")
    });
    if is_access_token { Ok(()) } else { Err(invalid("the token is of another type")) }
}

fn invalid(reason: &'static str) -> Denial {
    Denial::unauthenticated(reason, INVALID_TOKEN)
}

fn no_key(missing: NoKey) -> Denial {
    match missing {
        NoKey::UnknownId => invalid("the key of the token is not known"),
        NoKey::OtherAlgorithms => invalid("the key of the token is for other algorithms"),
        NoKey::Ambiguous => invalid("the token does not say which of several keys it means"),
        NoKey::NoneYet => {
            let error = Error::Unavailable("there are no keys yet to verify tokens with".to_owned());
            Denial { error, challenge: None }
        }
    }
}

fn reason(error: &JwtError) -> &'static str {
    match error.kind() {
        ErrorKind::InvalidSignature => "the signature of the token is wrong",
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "a claim that is required is missing, or of another form",
        ErrorKind::InvalidClaimFormat(_) => "a time in the token is none",
        ErrorKind::Json(_) => "the claims are not a JSON object, or have a name in it twice",
        _ => "the token is malformed",
    }
}

/// What a token says, once its signature was found to be right. No name is in it twice: readers differ in which one they
/// believe.
struct Claims(HashMap<String, Value>);

impl Claims {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// RFC 9068 has a string with spaces in `scope`, others have a list, or call it `scp`.
    fn have_scope(&self, wanted: &str) -> bool {
        ["scope", "scp"].into_iter().filter_map(|name| self.0.get(name)).any(|claim| match claim {
            Value::String(scopes) => scopes.split(' ').any(|scope| scope == wanted),
            Value::Array(scopes) => scopes.iter().any(|scope| scope.as_str() == Some(wanted)),
            _ => false,
        })
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Claims, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Claims;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let mut claims = HashMap::new();
        while let Some((name, value)) = map.next_entry()? {
            if claims.insert(name, value).is_some() {
                return Err(A::Error::custom("a claim is there twice"));
            }
        }
        Ok(Claims(claims))
    }
}
