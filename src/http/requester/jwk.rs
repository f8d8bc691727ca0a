//! One public key of a JWK set (RFC 7517).
//!
//! The reason for refusing a key never quotes it.

use std::ops::RangeInclusive;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, ParsedPublicKey,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::ed25519;

/// RFC 7518 requires at least 2048 bits. The library that verifies signatures accepts at most 8192.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// NIST SP 800-89 requires that a modulus has no factor below this number.
const SMALLEST_FACTOR: u32 = 752;

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private half.
    d: Option<IgnoredAny>,
}

/// Parses the name of an algorithm in a JWK or a token.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    // RFC 9864 gives EdDSA with this curve the name Ed25519, which the library that verifies
    // signatures does not know.
    if name == "Ed25519" { Some(Algorithm::EdDSA) } else { name.parse().ok() }
}

/// Returns the key and at least one algorithm, or why no token can be verified with the key.
pub fn parse(jwk: Value) -> Result<(DecodingKey, Vec<Algorithm>), &'static str> {
    let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| "is malformed")?;
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return Err("is not for signatures (`use`)");
    }
    if jwk.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|name| name == "verify")) {
        return Err("is not for verifying signatures (`key_ops`)");
    }
    if jwk.d.is_some() {
        return Err("has its private half with it, with which anybody can sign");
    }
    let (possible, key) = kind(&jwk)?;
    let is_named = |possible: &Algorithm| jwk.alg.as_ref().is_none_or(|name| algorithm(name) == Some(*possible));
    let algorithms: Vec<_> = possible.iter().copied().filter(is_named).collect();
    if algorithms.is_empty() {
        return Err("is for an algorithm that is not accepted for its type (`alg`)");
    }
    Ok((key(&jwk)?, algorithms))
}

type ReadKey = fn(&Jwk) -> Result<DecodingKey, &'static str>;

/// The algorithms of a type of keys, and the function that reads such a key.
fn kind(jwk: &Jwk) -> Result<(&'static [Algorithm], ReadKey), &'static str> {
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Ok((RSA, rsa_key)),
        ("EC", Some("P-256")) => Ok((&[Algorithm::ES256], |jwk| ec_key(jwk, 32, &ECDSA_P256_SHA256_FIXED))),
        ("EC", Some("P-384")) => Ok((&[Algorithm::ES384], |jwk| ec_key(jwk, 48, &ECDSA_P384_SHA384_FIXED))),
        ("OKP", Some("Ed25519")) => Ok((&[Algorithm::EdDSA], ed25519_key)),
        ("oct", _) => Err("is a secret, which must not be published"),
        ("EC" | "OKP", _) => Err("is of a curve that is not supported (`crv`)"),
        _ => Err("is of a type that is not supported (`kty`)"),
    }
}

fn rsa_key(jwk: &Jwk) -> Result<DecodingKey, &'static str> {
    let (n, e) = (number(&jwk.n)?, number(&jwk.e)?);
    if !RSA_BITS.contains(&bits(&n)) {
        return Err("has a modulus that is not 2048 to 8192 bits long");
    }
    // Only the parser of DER keys checks both numbers.
    let der = RsaPublicKeyComponents { n: &n, e: &e }.as_der();
    if !der.is_ok_and(|der| rsa::PublicKey::from_der(der.as_ref()).is_ok()) {
        return Err("has an even modulus, or an exponent that is even, 1, or longer than 33 bits");
    }
    if has_small_factor(&n) {
        return Err("has a modulus with a small factor");
    }
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

fn ec_key(jwk: &Jwk, size: usize, curve: &'static EcdsaVerificationAlgorithm) -> Result<DecodingKey, &'static str> {
    // SEC 1: an uncompressed point begins with 4, and each coordinate is padded to the size of the
    // curve.
    let mut point = vec![4];
    for coordinate in [&jwk.x, &jwk.y] {
        let coordinate = number(coordinate)?;
        let padding = size.checked_sub(coordinate.len()).ok_or("has a coordinate that is too long for its curve")?;
        point.resize(point.len() + padding, 0);
        point.extend(coordinate);
    }
    ParsedPublicKey::new(curve, &point).map_err(|_| "is not a point of its curve")?;
    Ok(DecodingKey::from_ec_der(&point))
}

fn ed25519_key(jwk: &Jwk) -> Result<DecodingKey, &'static str> {
    let key = decode(&jwk.x)?.try_into().map_err(|_| "is not 32 bytes long")?;
    ed25519::check(key)?;
    Ok(DecodingKey::from_ed_der(&key))
}

fn decode(text: &Option<String>) -> Result<Vec<u8>, &'static str> {
    let text = text.as_ref().ok_or("has a part of the key missing")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "has a part of the key that is not base64url")
}

/// Decodes a big-endian number. Some issuers write leading zeros, which the library that verifies
/// signatures refuses.
fn number(text: &Option<String>) -> Result<Vec<u8>, &'static str> {
    let mut number = decode(text)?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    Ok(number)
}

/// `number` has no leading zeros.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn has_small_factor(modulus: &[u8]) -> bool {
    let remainder = |factor| modulus.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % factor);
    (3..SMALLEST_FACTOR).step_by(2).any(|factor| remainder(factor) == 0)
}

#[cfg(test)]
mod tests;
