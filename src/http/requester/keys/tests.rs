use std::sync::LazyLock;

use serde_json::json;

use super::*;

/// A JWK with this public key, in base64url.
fn ed25519(x: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": x})
}

fn generated() -> Value {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::Engine;
    let pair = Ed25519KeyPair::generate().unwrap();
    ed25519(&base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(pair.public_key()))
}

static RSA: LazyLock<Value> = LazyLock::new(rsa);

fn rsa() -> Value {
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair, RsaKeyPair, RsaPublicKeyComponents};
    use base64::Engine;
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let encode = |bytes| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    json!({"kty": "RSA", "n": encode(key.n), "e": encode(key.e)})
}

fn with(jwk: &Value, more: Value) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    jwk
}

fn parse(keys: &[Value]) -> Result<KeySet, String> {
    KeySet::from_jwks(json!({"keys": keys}).to_string().as_bytes())
}

fn candidates(set: &KeySet, id: Option<&str>, algorithm: Algorithm) -> Result<usize, Unverified> {
    set.candidates(id, algorithm).map(|keys| keys.len())
}

#[test]
fn a_token_gets_the_keys_that_it_can_mean() {
    let set = parse(&[
        with(&RSA, json!({"kid": "a", "alg": "RS256"})),
        with(&RSA, json!({"kid": "a", "alg": "PS256"})),
        with(&RSA, json!({"kid": "b", "alg": "RS256"})),
        with(&generated(), json!({"kid": "c"})),
        with(&RSA, json!({"alg": "RS512"})),
    ])
    .unwrap();
    let find = |id, algorithm| candidates(&set, id, algorithm);

    assert_eq!(find(Some("a"), Algorithm::PS256), Ok(1));
    assert_eq!(find(Some("b"), Algorithm::RS256), Ok(1));
    assert_eq!(find(None, Algorithm::EdDSA), Ok(1));
    assert_eq!(find(None, Algorithm::RS512), Ok(1));
    assert_eq!(find(None, Algorithm::RS256), Ok(2));
    assert_eq!(find(None, Algorithm::HS256), Err(Unverified::OtherAlgorithms));
    assert_eq!(find(Some("c"), Algorithm::RS256), Err(Unverified::OtherAlgorithms));
    assert_eq!(find(Some("d"), Algorithm::RS256), Err(Unverified::UnknownId));
    assert_eq!(find(Some(""), Algorithm::RS512), Err(Unverified::UnknownId));
}

#[test]
fn one_key_that_is_listed_twice_is_one() {
    let (first, second) = (generated(), generated());
    let set =
        parse(&[&first, &first, &second, &first].map(|key| with(key, json!({"kid": "a", "use": "sig"})))).unwrap();
    assert_eq!((set.len(), set.left_out()), (2, [].as_slice()));
    assert_eq!(candidates(&set, Some("a"), Algorithm::EdDSA), Ok(2));
    assert_eq!(parse(&[RSA.clone(), RSA.clone()]).unwrap().len(), 1);
}

#[test]
fn a_set_without_ids_has_the_key_of_any_name() {
    let set = parse(&[generated(), generated(), RSA.clone()]).unwrap();
    for id in [None, Some("a"), Some("")] {
        assert_eq!(candidates(&set, id, Algorithm::EdDSA), Ok(2), "{id:?}");
    }
}

#[test]
fn a_token_is_tried_with_a_few_keys_at_most() {
    let keys: Vec<_> = std::iter::repeat_with(generated).take(9).collect();
    assert_eq!(candidates(&parse(&keys[..8]).unwrap(), None, Algorithm::EdDSA), Ok(8));
    let with_ids: Vec<_> = keys.iter().zip('a'..).map(|(key, id)| with(key, json!({"kid": id}))).collect();
    let set = parse(&with_ids).unwrap();
    assert_eq!(candidates(&set, None, Algorithm::EdDSA), Err(Unverified::TooMany));
    assert_eq!(candidates(&set, Some("i"), Algorithm::EdDSA), Ok(1));
}

#[test]
fn keys_that_no_token_could_tell_apart_are_left_out_after_the_eighth() {
    let keys: Vec<_> = std::iter::repeat_with(generated).take(10).collect();
    let same_id: Vec<_> = keys.iter().map(|key| with(key, json!({"kid": "a"}))).collect();
    for (keys, id, name) in [(keys, None, "a key without an id"), (same_id, Some("a"), "`a`")] {
        let set = parse(&keys).unwrap();
        assert_eq!(candidates(&set, id, Algorithm::EdDSA), Ok(8));
        let reason = format!("{name} comes after 8 others of this `kid` and algorithm");
        assert_eq!(listed(set.left_out()), format!("{reason}; {reason}"));
    }
}

#[test]
fn a_key_keeps_the_algorithms_of_which_eight_others_have_none() {
    let mut keys: Vec<_> = std::iter::repeat_with(|| with(&rsa(), json!({"alg": "RS256"}))).take(8).collect();
    keys.extend([rsa(), rsa()]);
    let set = parse(&keys).unwrap();
    assert_eq!((set.len(), set.left_out()), (10, [].as_slice()));
    for (algorithm, count) in [(Algorithm::RS256, 8), (Algorithm::RS384, 2), (Algorithm::PS256, 2)] {
        assert_eq!(candidates(&set, None, algorithm), Ok(count), "{algorithm:?}");
    }
}

#[test]
fn a_bad_key_does_not_spoil_the_others_and_is_named() {
    let set = parse(&[
        with(&RSA, json!({"kid": "good"})),
        json!({"kty": 7}),
        with(&RSA, json!({"kid": "encryption", "use": "enc"})),
        with(&RSA, json!({"kid": "one", "e": "AQ"})),
    ])
    .unwrap();
    assert_eq!(set.ids(), ["good"]);
    assert_eq!(
        listed(set.left_out()),
        "a key without an id is malformed; `encryption` is not for signatures (`use`); \
         `one` has an even modulus, or an exponent that is even, 1, or longer than 33 bits"
    );
    assert_eq!(candidates(&set, Some("one"), Algorithm::RS256), Err(Unverified::LeftOut));
    assert_eq!(candidates(&set, Some("two"), Algorithm::RS256), Err(Unverified::UnknownId));
}

#[test]
fn a_set_without_a_usable_key_says_why() {
    let problem = "has no public key in it that tokens can be verified with";
    assert_eq!(parse(&[]).unwrap_err(), problem);
    let small_order = ed25519("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(
        parse(&[with(&small_order, json!({"kid": "a\n"}))]).unwrap_err(),
        format!("{problem}: `a\\n` is a point of small order, with which anybody can sign")
    );
    let long = with(&small_order, json!({"kid": "k".repeat(1000)}));
    let problem = parse(&vec![long; 100]).unwrap_err();
    assert!(problem.ends_with("; and 84 more") && problem.len() < 16 * 200, "{problem}");
}

#[test]
fn a_problem_of_a_set_never_quotes_it() {
    for text in [r#"{"keys": "hunter2"}"#, r#"{"keys": {"hunter2": 1}}"#, "hunter2", r#"{"hunter2": []}"#] {
        let problem = KeySet::from_jwks(text.as_bytes()).unwrap_err();
        assert!(problem.starts_with("is not a JWK set") && !problem.contains("hunter2"), "{problem}");
    }
}
