//! Tokens that are signed with another key, or in another way, than they must be.

use aws_lc_rs::hmac::{HMAC_SHA256, HMAC_SHA512};
use aws_lc_rs::signature::{RSA_PKCS1_SHA384, RSA_PSS_SHA256};
use rstest::rstest;
use serde_json::{Value, json};

use super::forger::{Attack, Forger, assert_refused};
use super::token::{ED25519, P256, RSA, STRANGER, sign_with_secret, token};

/// A token without a signature, that says so in its own way.
fn unsigned(forger: &Forger, algorithm: Value) -> Attack {
    let header = json!({"alg": algorithm, "typ": "JWT", "kid": "rsa"});
    Attack::bearer(token(&header.to_string(), &forger.claims().to_string(), |_| Vec::new()))
}

/// A token that is signed with something public, as if it were a secret.
fn with_public_secret(forger: &Forger, kid: &str, secret: impl AsRef<[u8]>) -> Attack {
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid}).to_string();
    Attack::bearer(token(&header, &forger.claims().to_string(), sign_with_secret(HMAC_SHA256, secret.as_ref())))
}

/// A token of the issuer's key, with bytes in the place of its signature.
fn with_signature(forger: &Forger, header: &Value, signature: &[u8]) -> Attack {
    Attack::bearer(token(&header.to_string(), &forger.claims().to_string(), |_| signature.to_vec()))
}

/// A token of the stranger's key, with something in its header that leads to that key.
fn leading_to_the_stranger(forger: &Forger, change: impl FnOnce(&mut Value)) -> Attack {
    forger.heading(&STRANGER, change)
}

fn text_of_header(forger: &Forger, header: &str) -> Attack {
    Attack::bearer(token(header, &forger.claims().to_string(), |message| RSA.sign(message)))
}

/// The order of the curve's group, with which a signature is as good as zero.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The order of the curve's group, in little-endian order.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature of a curve, as certificates have it.
fn in_der_form(signature: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let mut bytes: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        if bytes[0] >= 0x80 {
            bytes.insert(0, 0);
        }
        [vec![0x02, bytes.len() as u8], bytes].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let body = [integer(r), integer(s)].concat();
    [vec![0x30, body.len() as u8], body].concat()
}

/// A signature that holds for every message under a key of small order.
fn small_order_signature() -> Vec<u8> {
    let mut signature = vec![0; 64];
    signature[0] = 1;
    signature
}

/// The same signature with a second half that is larger than it may be, but equal to it in the group.
fn stretched(mut signature: Vec<u8>) -> Vec<u8> {
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ED25519_ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    signature
}

#[rstest]
#[case::no_algorithm(|forger: &Forger| unsigned(forger, json!("none")))]
#[case::no_algorithm_with_a_capital(|forger: &Forger| unsigned(forger, json!("None")))]
#[case::no_algorithm_in_mixed_case(|forger: &Forger| unsigned(forger, json!("nOnE")))]
#[case::an_algorithm_that_is_null(|forger: &Forger| unsigned(forger, Value::Null))]
#[case::an_algorithm_that_is_empty(|forger: &Forger| unsigned(forger, json!("")))]
#[case::the_right_algorithm_and_no_signature(|forger: &Forger| unsigned(forger, json!("RS256")))]
#[case::no_algorithm_and_a_good_signature(|forger: &Forger| forger.heading(&RSA, |header| header["alg"] = json!("none")))]
#[case::no_word_about_the_algorithm(|forger: &Forger| {
    forger.heading(&RSA, |header| drop(header.as_object_mut().unwrap().remove("alg")))
})]
#[case::an_algorithm_in_small_letters(|forger: &Forger| forger.heading(&RSA, |header| header["alg"] = json!("rs256")))]
#[case::an_algorithm_that_nobody_knows(|forger: &Forger| forger.heading(&RSA, |header| header["alg"] = json!("RS1024")))]
#[case::the_public_key_as_a_secret_in_pem_form(|forger: &Forger| with_public_secret(forger, "rsa", RSA.pem()))]
#[case::the_public_key_as_a_secret_in_one_line(|forger: &Forger| with_public_secret(forger, "rsa", RSA.pem().trim()))]
#[case::the_public_key_as_a_secret_in_der_form(|forger: &Forger| with_public_secret(forger, "rsa", RSA.der()))]
#[case::the_public_key_as_a_secret_as_jwk(|forger: &Forger| with_public_secret(forger, "rsa", RSA.jwk().to_string()))]
#[case::the_modulus_as_a_secret(|forger: &Forger| with_public_secret(forger, "rsa", RSA.modulus_and_exponent().0))]
#[case::the_point_of_the_curve_as_a_secret(|forger: &Forger| {
    with_public_secret(forger, "p256", P256.bare_jwk()["x"].as_str().unwrap())
})]
#[case::an_empty_secret(|forger: &Forger| with_public_secret(forger, "rsa", ""))]
#[case::a_longer_hash_with_an_empty_secret(|forger: &Forger| {
    let header = json!({"alg": "HS512", "kid": "ed25519"}).to_string();
    Attack::bearer(token(&header, &forger.claims().to_string(), sign_with_secret(HMAC_SHA512, b"")))
})]
#[case::another_hash_than_the_key_is_for(|forger: &Forger| {
    let header = json!({"alg": "RS384", "kid": "rsa"}).to_string();
    let sign = |message: &[u8]| RSA.sign_as(&RSA_PKCS1_SHA384, message);
    Attack::bearer(token(&header, &forger.claims().to_string(), sign))
})]
#[case::another_padding_than_the_key_is_for(|forger: &Forger| {
    let header = json!({"alg": "PS256", "kid": "rsa"}).to_string();
    Attack::bearer(token(&header, &forger.claims().to_string(), |message| RSA.sign_as(&RSA_PSS_SHA256, message)))
})]
#[case::an_algorithm_of_another_type_of_key(|forger: &Forger| forger.heading(&P256, |header| header["kid"] = json!("rsa")))]
#[case::an_rsa_signature_by_the_new_name_of_ed25519(|forger: &Forger| {
    forger.heading(&RSA, |header| header["alg"] = json!("Ed25519"))
})]
#[case::ed25519_in_small_letters(|forger: &Forger| forger.heading(&ED25519, |header| header["alg"] = json!("ed25519")))]
#[case::another_edwards_curve(|forger: &Forger| forger.heading(&ED25519, |header| header["alg"] = json!("Ed448")))]
#[case::the_name_of_another_type_of_key(|forger: &Forger| forger.heading(&RSA, |header| header["kid"] = json!("p256")))]
#[case::the_name_of_another_key_of_the_type(|forger: &Forger| {
    forger.heading(&RSA, |header| header["kid"] = json!("second-rsa"))
})]
#[case::another_key_under_the_same_name(|forger: &Forger| leading_to_the_stranger(forger, |_| {}))]
#[case::another_key_without_a_name(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| drop(header.as_object_mut().unwrap().remove("kid")))
})]
#[case::an_unknown_key(|forger: &Forger| leading_to_the_stranger(forger, |header| header["kid"] = json!("stranger")))]
#[case::a_key_without_characters(|forger: &Forger| forger.heading(&RSA, |header| header["kid"] = json!("")))]
#[case::a_key_that_is_a_path(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| header["kid"] = json!("../../../../dev/null"))
})]
#[case::a_key_that_is_a_statement(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| header["kid"] = json!("x' union select 'c2VjcmV0'; drop table contact; --"))
})]
#[case::a_key_that_is_a_command(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| header["kid"] = json!("|| touch /tmp/owned; \0\n"))
})]
#[case::a_key_that_is_very_long(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| header["kid"] = json!("k".repeat(5000)))
})]
#[case::a_key_that_is_a_number(|forger: &Forger| forger.heading(&RSA, |header| header["kid"] = json!(0)))]
#[case::a_list_of_keys(|forger: &Forger| forger.heading(&RSA, |header| header["kid"] = json!(["rsa"])))]
#[case::a_key_in_the_token(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| header["jwk"] = STRANGER.jwk())
})]
#[case::a_key_in_the_token_and_no_name(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| {
        header["jwk"] = STRANGER.bare_jwk();
        header.as_object_mut().unwrap().remove("kid");
    })
})]
#[case::a_key_at_a_url(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| header["jku"] = json!(forger.trap.url()))
})]
#[case::an_unknown_key_at_a_url(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| {
        header["kid"] = json!("stranger");
        header["jku"] = json!(forger.trap.url());
    })
})]
#[case::a_certificate_at_a_url(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| header["x5u"] = json!(forger.trap.url()))
})]
#[case::a_certificate_in_the_token(|forger: &Forger| {
    leading_to_the_stranger(forger, |header| header["x5c"] = json!([STRANGER.pem()]))
})]
#[case::a_critical_extension(|forger: &Forger| {
    forger.heading(&RSA, |header| {
        header["crit"] = json!(["once"]);
        header["once"] = json!(true);
    })
})]
#[case::a_payload_that_is_not_encoded(|forger: &Forger| {
    forger.heading(&RSA, |header| {
        header["crit"] = json!(["b64"]);
        header["b64"] = json!(false);
    })
})]
#[case::no_critical_extension_in_the_list(|forger: &Forger| forger.heading(&RSA, |header| header["crit"] = json!([])))]
#[case::a_token_of_another_type(|forger: &Forger| forger.heading(&RSA, |header| header["typ"] = json!("logout+jwt")))]
#[case::an_algorithm_that_is_there_twice(|forger: &Forger| {
    text_of_header(forger, r#"{"alg":"none","kid":"rsa","alg":"RS256"}"#)
})]
#[case::a_key_that_is_there_twice(|forger: &Forger| {
    text_of_header(forger, r#"{"alg":"RS256","kid":"second-rsa","kid":"rsa"}"#)
})]
#[case::a_curve_signature_in_der_form(|forger: &Forger| {
    let sign = |message: &[u8]| in_der_form(&P256.sign(message));
    Attack::bearer(token(&P256.header().to_string(), &forger.claims().to_string(), sign))
})]
#[case::a_curve_signature_of_zeros(|forger: &Forger| with_signature(forger, &P256.header(), &[0; 64]))]
#[case::a_curve_signature_of_the_order(|forger: &Forger| {
    with_signature(forger, &P256.header(), &[P256_ORDER, P256_ORDER].concat())
})]
#[case::an_edwards_signature_of_zeros(|forger: &Forger| with_signature(forger, &ED25519.header(), &[0; 64]))]
#[case::an_edwards_signature_for_keys_of_small_order(|forger: &Forger| {
    with_signature(forger, &ED25519.header(), &small_order_signature())
})]
#[case::an_edwards_signature_that_is_stretched(|forger: &Forger| {
    let sign = |message: &[u8]| stretched(ED25519.sign(message));
    Attack::bearer(token(&ED25519.header().to_string(), &forger.claims().to_string(), sign))
})]
#[case::an_rsa_signature_of_zeros(|forger: &Forger| with_signature(forger, &RSA.header(), &[0; 256]))]
#[case::an_rsa_signature_of_one(|forger: &Forger| {
    let mut one = [0; 256];
    one[255] = 1;
    with_signature(forger, &RSA.header(), &one)
})]
#[tokio::test]
async fn a_token_of_another_key_is_refused(#[case] attack: fn(&Forger) -> Attack) {
    assert_refused(attack).await;
}
