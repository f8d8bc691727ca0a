//! The set of keys that verify tokens.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, crypto};
use serde::Deserialize;
use serde_json::Value;

use super::jwk;

/// The shortest secret, in bytes. RFC 7518: a secret is at least as long as the hash, and the
/// shortest hash has 32 bytes.
const MIN_SECRET: usize = 32;

/// The keys that are tried for one token. Anybody can send tokens that no key fits.
const MAX_CANDIDATES: usize = 8;

/// Limits of a message: the keys it names, and the characters of an id.
const MAX_NAMED: usize = 16;
const MAX_ID: usize = 64;

/// The keys in use, at least one.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    left_out: Vec<LeftOut>,
}

#[derive(Debug)]
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding_key: DecodingKey,
}

/// A key of the issuer's set that is unusable, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    id: Option<String>,
    reason: Cow<'static, str>,
}

/// The reason why no key verifies a token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    #[error("there are no keys yet to verify tokens with")]
    NotFetched,
    #[error("the key of the token (`kid`) is not in the key set")]
    UnknownId,
    #[error("the key of the token (`kid`) is in the key set but unusable; the log says why")]
    LeftOut,
    #[error("the key of the token is for other algorithms (`alg`)")]
    OtherAlgorithms,
    #[error("the token must name its key (`kid`): too many keys are possible")]
    TooMany,
    #[error("the signature of the token is invalid")]
    Signature,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses a JWK set. A key that is malformed, insecure or for another purpose is left out.
    pub fn from_jwks(bytes: &[u8]) -> Result<KeySet, String> {
        // The error's own text could quote a part of a key.
        let jwks: Jwks = serde_json::from_slice(bytes)
            .map_err(|error| format!("is not a JWK set: line {}, column {}", error.line(), error.column()))?;
        let mut set = KeySet { keys: Vec::new(), left_out: Vec::new() };
        for jwk in jwks.keys {
            let id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            match jwk::parse(jwk) {
                Ok((decoding_key, algorithms)) => set.add(Key { id, algorithms, decoding_key }),
                Err(reason) => set.left_out.push(LeftOut { id, reason: reason.into() }),
            }
        }
        if set.keys.is_empty() {
            let reasons = if set.left_out.is_empty() { String::new() } else { format!(": {}", listed(&set.left_out)) };
            return Err(format!("has no public key in it that tokens can be verified with{reasons}"));
        }
        Ok(set)
    }

    /// Takes all bytes of the file as one secret.
    pub fn from_secret(secret: &[u8]) -> Result<KeySet, String> {
        if secret.len() < MIN_SECRET {
            return Err(format!("holds {} bytes, and a secret has at least {MIN_SECRET}", secret.len()));
        }
        // Everybody could sign if a public key were taken for the secret.
        if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err("holds a key in PEM form, and a secret is random bytes".to_owned());
        }
        let algorithms = [(32, Algorithm::HS256), (48, Algorithm::HS384), (64, Algorithm::HS512)];
        let algorithms = algorithms.into_iter().filter(|(bytes, _)| secret.len() >= *bytes);
        let key = Key {
            id: None,
            algorithms: algorithms.map(|(_, algorithm)| algorithm).collect(),
            decoding_key: DecodingKey::from_secret(secret),
        };
        Ok(KeySet { keys: vec![Arc::new(key)], left_out: Vec::new() })
    }

    /// Ignores duplicates. Some issuers list a key several times. Leaves out a key that no token
    /// could reach.
    fn add(&mut self, mut key: Key) {
        let same = self.keys.iter().filter(|known| known.is_same(&key));
        let known: Vec<Algorithm> = same.flat_map(|known| known.algorithms.iter().copied()).collect();
        key.algorithms.retain(|algorithm| !known.contains(algorithm));
        if key.algorithms.is_empty() {
            return;
        }
        let named: Vec<_> = self.keys.iter().filter(|known| known.id == key.id).collect();
        let alike = |algorithm: &Algorithm| named.iter().filter(|known| known.algorithms.contains(algorithm)).count();
        key.algorithms.retain(|algorithm| alike(algorithm) < MAX_CANDIDATES);
        if key.algorithms.is_empty() {
            let reason = format!("comes after {MAX_CANDIDATES} others of this `kid` and algorithm");
            self.left_out.push(LeftOut { id: key.id, reason: reason.into() });
        } else {
            self.keys.push(Arc::new(key));
        }
    }

    /// Returns the keys that may have signed a token with this `kid` and `alg`: at least one.
    /// Several keys may have one id.
    pub fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<Key>>, Unverified> {
        // In a set without ids, any key may be the one that the token names.
        let id = id.filter(|_| self.keys.iter().any(|key| key.id.is_some()));
        let named: Vec<_> = self.keys.iter().filter(|key| id.is_none() || key.id.as_deref() == id).collect();
        if named.is_empty() {
            let is_left_out = self.left_out.iter().any(|key| key.id.as_deref() == id);
            return Err(if is_left_out { Unverified::LeftOut } else { Unverified::UnknownId });
        }
        let fitting: Vec<_> =
            named.into_iter().filter(|key| key.algorithms.contains(&algorithm)).map(Arc::clone).collect();
        match fitting.len() {
            0 => Err(Unverified::OtherAlgorithms),
            1..=MAX_CANDIDATES => Ok(fitting),
            _ => Err(Unverified::TooMany),
        }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The ids in order. Keys without an id are skipped.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<_> = self.keys.iter().filter_map(|key| key.id.as_deref()).collect();
        ids.sort_unstable();
        ids
    }

    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }
}

impl Key {
    /// `signature` is in base64url.
    pub fn verifies(&self, message: &str, signature: &str, algorithm: Algorithm) -> bool {
        crypto::verify(signature, message.as_bytes(), &self.decoding_key, algorithm).unwrap_or(false)
    }

    fn is_same(&self, other: &Key) -> bool {
        self.parts() == other.parts() && self.id == other.id
    }

    fn parts(&self) -> [&[u8]; 2] {
        match self.decoding_key.kind() {
            DecodingKeyKind::SecretOrDer(key) => [key, &[]],
            DecodingKeyKind::RsaModulusExponent { n, e } => [n, e],
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => {
                write!(formatter, "`{}` {}", id.chars().take(MAX_ID).collect::<String>().escape_debug(), self.reason)
            }
            None => write!(formatter, "a key without an id {}", self.reason),
        }
    }
}

/// Lists keys for a message.
pub fn listed(left_out: &[LeftOut]) -> String {
    let mut text: Vec<_> = left_out.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    if left_out.len() > MAX_NAMED {
        text.push(format!("and {} more", left_out.len() - MAX_NAMED));
    }
    text.join("; ")
}

#[cfg(test)]
mod tests;
