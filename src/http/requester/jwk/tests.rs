use std::sync::LazyLock;

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use num_bigint::BigUint;
use serde_json::json;

use super::*;

/// A modulus of 2048 bits.
static MODULUS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key()).n
});

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn with(mut jwk: Value, more: Value) -> Value {
    jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    jwk
}

fn rsa_of(n: &[u8], e: &[u8]) -> Value {
    json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
}

fn rsa() -> Value {
    rsa_of(&MODULUS, &[1, 0, 1])
}

fn ec_of(curve: &str, x: &[u8], y: &[u8]) -> Value {
    json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
}

fn point(curve: &'static EcdsaSigningAlgorithm) -> (Vec<u8>, Vec<u8>) {
    let pair = EcdsaKeyPair::generate(curve).unwrap();
    let coordinates = &pair.public_key().as_ref()[1..];
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    (x.to_vec(), y.to_vec())
}

fn p256() -> Value {
    let (x, y) = point(&ECDSA_P256_SHA256_FIXED_SIGNING);
    ec_of("P-256", &x, &y)
}

fn ed25519() -> Value {
    let pair = Ed25519KeyPair::generate().unwrap();
    json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
}

fn algorithms_of(jwk: &Value) -> Result<Vec<Algorithm>, &'static str> {
    parse(jwk.clone()).map(|(_, algorithms)| algorithms)
}

#[track_caller]
fn assert_left_out(jwk: &Value, reason: &str) {
    assert_eq!(algorithms_of(jwk), Err(reason), "{jwk}");
}

#[test]
fn a_key_is_for_the_algorithms_of_its_type() {
    let (x, y) = point(&ECDSA_P384_SHA384_FIXED_SIGNING);
    for (jwk, algorithms) in [
        (rsa(), RSA),
        (with(rsa(), json!({"alg": "PS384"})), &[Algorithm::PS384]),
        (with(rsa(), json!({"use": "sig", "key_ops": ["sign", "verify"], "x5c": 7})), RSA),
        (p256(), &[Algorithm::ES256]),
        (ec_of("P-384", &x, &y), &[Algorithm::ES384]),
        (ed25519(), &[Algorithm::EdDSA]),
        (with(ed25519(), json!({"alg": "EdDSA"})), &[Algorithm::EdDSA]),
        (with(ed25519(), json!({"alg": "Ed25519"})), &[Algorithm::EdDSA]),
    ] {
        assert_eq!(algorithms_of(&jwk).as_deref(), Ok(algorithms), "{jwk}");
    }
}

#[test]
fn a_key_for_another_purpose_is_left_out() {
    for purpose in ["enc", "anything", ""] {
        assert_left_out(&with(rsa(), json!({"use": purpose})), "is not for signatures (`use`)");
    }
    for operations in [json!(["encrypt"]), json!([])] {
        assert_left_out(&with(rsa(), json!({"key_ops": operations})), "is not for verifying signatures (`key_ops`)");
    }
    let other = "is for an algorithm that is not accepted for its type (`alg`)";
    for name in ["HS256", "none", "RSA-OAEP", "ES256", "Ed25519", "EdDSA", "rs256", ""] {
        assert_left_out(&with(rsa(), json!({"alg": name})), other);
    }
    assert_left_out(&with(p256(), json!({"alg": "RS256"})), other);
    assert_left_out(&with(ed25519(), json!({"alg": "Ed448"})), other);
    let secret = json!({"kty": "oct", "k": encode([7; 32]), "alg": "HS256"});
    assert_left_out(&secret, "is a secret, which must not be published");
    let pair = with(p256(), json!({"d": encode([7; 32])}));
    assert_left_out(&pair, "has its private half with it, with which anybody can sign");
}

#[test]
fn a_key_of_another_type_or_curve_is_left_out() {
    for jwk in [
        with(p256(), json!({"crv": "P-521"})),
        with(p256(), json!({"crv": "secp256k1"})),
        with(p256(), json!({"crv": "Ed25519"})),
        with(p256(), json!({"crv": null})),
        with(ed25519(), json!({"crv": "X25519"})),
        with(ed25519(), json!({"crv": "P-256"})),
    ] {
        assert_left_out(&jwk, "is of a curve that is not supported (`crv`)");
    }
    assert_left_out(&json!({"kty": "AKP", "alg": "ML-DSA-44"}), "is of a type that is not supported (`kty`)");
    for jwk in [json!({"n": "AQAB", "e": "AQAB"}), json!({"kty": 7}), json!("RSA"), json!(null)] {
        assert_left_out(&jwk, "is malformed");
    }
}

#[test]
fn a_key_with_a_part_missing_or_not_encoded_is_left_out() {
    assert_left_out(&with(rsa(), json!({"e": null})), "has a part of the key missing");
    assert_left_out(&with(p256(), json!({"y": null})), "has a part of the key missing");
    for n in ["A", "AQAB=", "A+/A", "AQ AB"] {
        assert_left_out(&with(rsa(), json!({"n": n})), "has a part of the key that is not base64url");
    }
}

#[test]
fn an_rsa_key_of_another_size_is_left_out() {
    let short = [&[0x7f], &MODULUS[1..]].concat();
    let zeros = [&[0; 128], &MODULUS[..128]].concat();
    let long = [[0xc5; 1024].as_slice(), &[1]].concat();
    for n in [&MODULUS[..255], &short, &zeros, &long, &[]] {
        assert_left_out(&rsa_of(n, &[1, 0, 1]), "has a modulus that is not 2048 to 8192 bits long");
    }
}

#[test]
fn an_unsound_rsa_key_is_left_out() {
    let unsound = "has an even modulus, or an exponent that is even, 1, or longer than 33 bits";
    for e in [&[1][..], &[2], &[1, 0, 0], &[0], &[], &[4, 0, 0, 0, 1], &MODULUS] {
        assert_left_out(&rsa_of(&MODULUS, e), unsound);
    }
    let mut even = MODULUS.clone();
    even[255] &= 0xfe;
    assert_left_out(&rsa_of(&even, &[1, 0, 1]), unsound);

    for factor in [3_u32, 5, 751] {
        let cofactor = (BigUint::from_bytes_be(&MODULUS) / factor) | BigUint::from(1_u32);
        let n = (cofactor * factor).to_bytes_be();
        assert_left_out(&rsa_of(&n, &[1, 0, 1]), "has a modulus with a small factor");
    }
}

#[test]
fn a_number_may_have_zeros_in_front() {
    let (n, e) = ([&[0], MODULUS.as_slice()].concat(), [0, 0, 1, 0, 1]);
    let (key, _) = parse(rsa_of(&n, &e)).unwrap();
    let jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else { panic!("{key:?}") };
    assert_eq!((n.as_slice(), e.as_slice()), (MODULUS.as_slice(), [1, 0, 1].as_slice()));

    let (x, y) = point(&ECDSA_P256_SHA256_FIXED_SIGNING);
    assert!(parse(ec_of("P-256", &[&[0], x.as_slice()].concat(), &y)).is_ok());
}

#[test]
fn a_coordinate_may_lack_its_zeros_in_front() {
    let (x, y) = std::iter::repeat_with(|| point(&ECDSA_P256_SHA256_FIXED_SIGNING)).find(|(x, _)| x[0] == 0).unwrap();
    assert!(parse(ec_of("P-256", &x[1..], &y)).is_ok());
}

#[test]
fn a_point_off_its_curve_is_left_out() {
    let (x, y) = point(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let mut other = y.clone();
    other[31] ^= 1;
    for (x, y) in [(&x[..], &other[..]), (&y, &x), (&x, &x), (&[], &[]), (&[1], &[1]), (&[0xff; 32], &y)] {
        assert_left_out(&ec_of("P-256", x, y), "is not a point of its curve");
    }
    assert_left_out(&ec_of("P-384", &x, &y), "is not a point of its curve");
    let (x, y) = point(&ECDSA_P384_SHA384_FIXED_SIGNING);
    assert_left_out(&ec_of("P-256", &x, &y), "has a coordinate that is too long for its curve");
}

#[test]
fn an_unsound_ed25519_key_is_left_out() {
    let key = |x: &[u8]| json!({"kty": "OKP", "crv": "Ed25519", "x": encode(x)});
    let small = |y: u8| [&[y], [0; 31].as_slice()].concat();
    assert_left_out(&key(&small(1)), "is a point of small order, with which anybody can sign");
    assert_left_out(&key(&small(2)), "is not a point of its curve");
    assert_left_out(&key(&[0xff; 32]), "is not in canonical form");
    for length in [0, 31, 33] {
        assert_left_out(&key(&vec![9; length]), "is not 32 bytes long");
    }
}
