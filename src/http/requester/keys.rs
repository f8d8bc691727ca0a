//! The keys that tokens are signed with. Which algorithms a key is for depends on the key, never on the token.

use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

/// RFC 7518 asks for at least 2048 bits, and the library of the signatures takes at most 8192.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// RFC 7518: a secret is at least as long as the hash. The shortest hash has 32 bytes.
const SHORTEST_SECRET: usize = 32;

/// At least one key.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    /// Whether a token that names a key means one of these.
    has_ids: bool,
}

#[derive(Debug)]
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub decoding_key: DecodingKey,
}

/// Why a set has no key for a token.
#[derive(Debug, PartialEq, Eq)]
pub enum NoKey {
    /// There is no set yet.
    NoneYet,
    UnknownId,
    /// The key, or every key, is for other algorithms.
    OtherAlgorithms,
    /// The token does not say which of several keys it means.
    Ambiguous,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl KeySet {
    /// The usable keys of a JWK set. One that is not understood, or is for another purpose, does not spoil the others.
    pub fn from_jwks(bytes: &[u8]) -> Result<KeySet, String> {
        let jwks: Jwks = serde_json::from_slice(bytes).map_err(|error| format!("is not a JWK set: {error}"))?;
        let keys: Vec<_> = jwks.keys.into_iter().filter_map(usable).map(Arc::new).collect();
        if keys.is_empty() {
            return Err("has no public key in it that tokens can be verified with".to_owned());
        }
        Ok(KeySet { keys, has_ids: true })
    }

    /// One secret, exactly as it is.
    pub fn from_secret(secret: &[u8]) -> Result<KeySet, String> {
        if secret.len() < SHORTEST_SECRET {
            return Err(format!("holds {} bytes, and a secret has at least {SHORTEST_SECRET}", secret.len()));
        }
        // A public key in the place of the secret would let everybody sign.
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
        Ok(KeySet { keys: vec![Arc::new(key)], has_ids: false })
    }

    /// The one key for tokens that name this key and algorithm. A token that names no key needs a set in which only one key
    /// can be meant.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>, NoKey> {
        let id = id.filter(|_| self.has_ids);
        let named: Vec<_> = self.keys.iter().filter(|key| id.is_none() || key.id.as_deref() == id).collect();
        if named.is_empty() {
            return Err(NoKey::UnknownId);
        }
        let fitting: Vec<_> = named.into_iter().filter(|key| key.algorithms.contains(&algorithm)).collect();
        match fitting.as_slice() {
            [] => Err(NoKey::OtherAlgorithms),
            [key] => Ok(Arc::clone(key)),
            [..] => Err(NoKey::Ambiguous),
        }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The ids of the keys that have one, in order.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<_> = self.keys.iter().filter_map(|key| key.id.as_deref()).collect();
        ids.sort_unstable();
        ids
    }
}

/// None for a key that no token may be signed with.
fn usable(jwk: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    if jwk.common.key_operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return None;
    }
    let decoding_key = DecodingKey::from_jwk(&jwk).ok()?;
    let mut algorithms = algorithms(&jwk.algorithm, &decoding_key).to_vec();
    if let Some(only) = jwk.common.key_algorithm {
        algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
    }
    (!algorithms.is_empty()).then_some(Key { id: jwk.common.key_id, algorithms, decoding_key })
}

/// The algorithms that a key of this type, curve and size is for.
fn algorithms(parameters: &AlgorithmParameters, key: &DecodingKey) -> &'static [Algorithm] {
    match (parameters, key.kind()) {
        (AlgorithmParameters::RSA(_), DecodingKeyKind::RsaModulusExponent { n, .. }) if RSA_BITS.contains(&bits(n)) => {
            RSA
        }
        (AlgorithmParameters::EllipticCurve(key), DecodingKeyKind::SecretOrDer(point)) => {
            match (&key.curve, point.len()) {
                (EllipticCurve::P256, 65) => &[Algorithm::ES256],
                (EllipticCurve::P384, 97) => &[Algorithm::ES384],
                _ => &[],
            }
        }
        (AlgorithmParameters::OctetKeyPair(key), DecodingKeyKind::SecretOrDer(point)) => {
            if key.curve == EllipticCurve::Ed25519 && point.len() == 32 { &[Algorithm::EdDSA] } else { &[] }
        }
        // A secret (`oct`) that is published is none.
        _ => &[],
    }
}

/// The length of a number in big-endian order.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros).map_or(0, |first| (number.len() - zeros) * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const N: [u8; 256] = [0xc5; 256];
    const POINT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn rsa(n: &[u8], more: Value) -> Value {
        merged(json!({"kty": "RSA", "n": base64url(n), "e": "AQAB"}), more)
    }

    fn merged(mut jwk: Value, more: Value) -> Value {
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    }

    fn base64url(bytes: &[u8]) -> String {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The algorithms that a key alone in its set is for; none when it is not usable.
    fn algorithms_of(jwk: Value) -> Vec<Algorithm> {
        let set = KeySet::from_jwks(json!({"keys": [jwk]}).to_string().as_bytes());
        set.map(|set| set.keys[0].algorithms.clone()).unwrap_or_default()
    }

    #[test]
    fn a_key_is_for_the_algorithms_of_its_type() {
        assert_eq!(algorithms_of(rsa(&N, json!({}))), RSA);
        assert_eq!(algorithms_of(rsa(&N, json!({"alg": "PS384"}))), [Algorithm::PS384]);
        let p256 = json!({"kty": "EC", "crv": "P-256", "x": POINT, "y": POINT});
        assert_eq!(algorithms_of(p256), [Algorithm::ES256]);
        let ed25519 = json!({"kty": "OKP", "crv": "Ed25519", "x": POINT});
        assert_eq!(algorithms_of(ed25519), [Algorithm::EdDSA]);
    }

    #[test]
    fn a_key_that_no_token_may_be_signed_with_is_left_out() {
        let p256 = json!({"kty": "EC", "crv": "P-256", "x": POINT, "y": POINT});
        for jwk in [
            json!({"kty": "oct", "k": POINT, "alg": "HS256"}),
            rsa(&N, json!({"alg": "HS256"})),
            rsa(&N, json!({"alg": "none"})),
            rsa(&N, json!({"alg": "RSA-OAEP"})),
            rsa(&N, json!({"alg": "ES256"})),
            rsa(&N, json!({"use": "enc"})),
            rsa(&N, json!({"use": "anything"})),
            rsa(&N, json!({"key_ops": ["encrypt"]})),
            rsa(&N, json!({"key_ops": []})),
            rsa(&N[..255], json!({})),
            rsa(&[&[0; 128], &N[..128]].concat(), json!({})),
            rsa(&[&[0x7f], &N[..255]].concat(), json!({})),
            rsa(&[0xc5; 1025], json!({})),
            rsa(&[], json!({})),
            merged(p256.clone(), json!({"crv": "P-384"})),
            merged(p256.clone(), json!({"crv": "P-521"})),
            merged(p256.clone(), json!({"crv": "Ed25519"})),
            merged(p256.clone(), json!({"crv": "secp256k1"})),
            merged(p256.clone(), json!({"alg": "RS256"})),
            merged(p256, json!({"x": "AAEC"})),
            json!({"kty": "OKP", "crv": "X25519", "x": POINT}),
            json!({"kty": "OKP", "crv": "P-256", "x": POINT}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAEC"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": POINT}),
            json!({"n": POINT, "e": "AQAB"}),
            json!("RSA"),
            json!(null),
        ] {
            assert_eq!(algorithms_of(jwk.clone()), [], "{jwk}");
        }
    }

    #[test]
    fn one_bad_key_does_not_spoil_the_others() {
        let jwks = json!({"keys": [{"kty": 7}, rsa(&N, json!({"kid": "good", "use": "sig", "key_ops": ["verify"]}))]});
        let set = KeySet::from_jwks(jwks.to_string().as_bytes()).unwrap();
        assert_eq!(set.ids(), ["good"]);
    }

    #[test]
    fn a_token_gets_the_one_key_that_it_can_mean() {
        let keys = [("a", "RS256"), ("a", "PS256"), ("b", "RS256"), ("c", "ES256")];
        let keys = keys.map(|(kid, alg)| match alg {
            "ES256" => json!({"kid": kid, "kty": "EC", "crv": "P-256", "x": POINT, "y": POINT}),
            _ => rsa(&N, json!({"kid": kid, "alg": alg})),
        });
        let mut keys = keys.to_vec();
        keys.push(rsa(&N, json!({"alg": "RS512"})));
        let set = KeySet::from_jwks(json!({"keys": keys}).to_string().as_bytes()).unwrap();
        let find = |id, algorithm| set.find(id, algorithm).map(|key| key.id.clone());

        assert_eq!(find(Some("a"), Algorithm::PS256), Ok(Some("a".to_owned())));
        assert_eq!(find(Some("b"), Algorithm::RS256), Ok(Some("b".to_owned())));
        assert_eq!(find(None, Algorithm::ES256), Ok(Some("c".to_owned())));
        assert_eq!(find(None, Algorithm::RS512), Ok(None));
        assert_eq!(find(None, Algorithm::RS256), Err(NoKey::Ambiguous));
        assert_eq!(find(None, Algorithm::HS256), Err(NoKey::OtherAlgorithms));
        assert_eq!(find(Some("c"), Algorithm::RS256), Err(NoKey::OtherAlgorithms));
        assert_eq!(find(Some("d"), Algorithm::RS256), Err(NoKey::UnknownId));
        assert_eq!(find(Some(""), Algorithm::RS512), Err(NoKey::UnknownId));
    }

    #[test]
    fn a_name_that_two_keys_have_is_no_name() {
        let keys = [rsa(&N, json!({"kid": "a"})), rsa(&[0xc7; 256], json!({"kid": "a"}))];
        let set = KeySet::from_jwks(json!({"keys": keys}).to_string().as_bytes()).unwrap();
        assert_eq!(set.find(Some("a"), Algorithm::RS256).err(), Some(NoKey::Ambiguous));
    }
}
