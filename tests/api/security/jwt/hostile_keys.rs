//! Tokens that are signed with the wrong key or the wrong algorithm.

use aws_lc_rs::hmac::{HMAC_SHA256, HMAC_SHA512};
use aws_lc_rs::signature::{RSA_PKCS1_SHA384, RSA_PSS_SHA256};
use serde_json::{Value, json};

use super::forger::{Attack, Forger, NamedAttack, assert_refused};
use super::token::{ED25519, P256, RSA, STRANGER, sign_with_secret, token};

/// A token without a signature, whose header says so in this way.
fn unsigned(forger: &Forger, algorithm: Value) -> Attack {
    let header = json!({"alg": algorithm, "typ": "JWT", "kid": "rsa"});
    Attack::bearer(token(&header.to_string(), &forger.claims().to_string(), |_| Vec::new()))
}

/// A token that is signed with a public value, as if it were a secret.
fn with_public_secret(forger: &Forger, kid: &str, secret: impl AsRef<[u8]>) -> Attack {
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid}).to_string();
    Attack::bearer(token(&header, &forger.claims().to_string(), sign_with_secret(HMAC_SHA256, secret.as_ref())))
}

/// A token of the issuer's key, whose signature is replaced by these bytes.
fn with_signature(forger: &Forger, header: &Value, signature: &[u8]) -> Attack {
    Attack::bearer(token(&header.to_string(), &forger.claims().to_string(), |_| signature.to_vec()))
}

/// A token of the stranger's key, whose header points to that key.
fn leading_to_the_stranger(forger: &Forger, change: impl FnOnce(&mut Value)) -> Attack {
    forger.heading(&STRANGER, change)
}

fn text_of_header(forger: &Forger, header: &str) -> Attack {
    Attack::bearer(token(header, &forger.claims().to_string(), |message| RSA.sign(message)))
}

/// The order of the curve's group. As a number in a signature it is equal to zero.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The order of the curve's group, in little-endian order.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature of a curve in DER, as certificates have it.
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

/// A signature that is valid for every message under a key of small order.
fn small_order_signature() -> Vec<u8> {
    let mut signature = vec![0; 64];
    signature[0] = 1;
    signature
}

/// The same signature with a second half that exceeds the limit, but is equal to it in the group.
fn stretched(mut signature: Vec<u8>) -> Vec<u8> {
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ED25519_ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    signature
}

const ATTACKS: &[NamedAttack] = &[
    ("no algorithm", |forger| unsigned(forger, json!("none"))),
    ("no algorithm with a capital", |forger| unsigned(forger, json!("None"))),
    ("no algorithm in mixed case", |forger| unsigned(forger, json!("nOnE"))),
    ("an algorithm that is null", |forger| unsigned(forger, Value::Null)),
    ("an algorithm that is empty", |forger| unsigned(forger, json!(""))),
    ("the right algorithm and no signature", |forger| unsigned(forger, json!("RS256"))),
    ("no algorithm and a good signature", |forger| forger.heading(&RSA, |header| header["alg"] = json!("none"))),
    ("no word about the algorithm", |forger| {
        forger.heading(&RSA, |header| drop(header.as_object_mut().unwrap().remove("alg")))
    }),
    ("an algorithm in small letters", |forger| forger.heading(&RSA, |header| header["alg"] = json!("rs256"))),
    ("an algorithm that nobody knows", |forger| forger.heading(&RSA, |header| header["alg"] = json!("RS1024"))),
    ("the public key as a secret in pem form", |forger| with_public_secret(forger, "rsa", RSA.pem())),
    ("the public key as a secret in one line", |forger| with_public_secret(forger, "rsa", RSA.pem().trim())),
    ("the public key as a secret in der form", |forger| with_public_secret(forger, "rsa", RSA.der())),
    ("the public key as a secret as jwk", |forger| with_public_secret(forger, "rsa", RSA.jwk().to_string())),
    ("the modulus as a secret", |forger| with_public_secret(forger, "rsa", RSA.modulus_and_exponent().0)),
    ("the point of the curve as a secret", |forger| {
        with_public_secret(forger, "p256", P256.bare_jwk()["x"].as_str().unwrap())
    }),
    ("an empty secret", |forger| with_public_secret(forger, "rsa", "")),
    ("a longer hash with an empty secret", |forger| {
        let header = json!({"alg": "HS512", "kid": "ed25519"}).to_string();
        Attack::bearer(token(&header, &forger.claims().to_string(), sign_with_secret(HMAC_SHA512, b"")))
    }),
    ("another hash than the key is for", |forger| {
        let header = json!({"alg": "RS384", "kid": "rsa"}).to_string();
        let sign = |message: &[u8]| RSA.sign_as(&RSA_PKCS1_SHA384, message);
        Attack::bearer(token(&header, &forger.claims().to_string(), sign))
    }),
    ("another padding than the key is for", |forger| {
        let header = json!({"alg": "PS256", "kid": "rsa"}).to_string();
        Attack::bearer(token(&header, &forger.claims().to_string(), |message| RSA.sign_as(&RSA_PSS_SHA256, message)))
    }),
    ("an algorithm of another type of key", |forger| forger.heading(&P256, |header| header["kid"] = json!("rsa"))),
    ("an rsa signature by the new name of ed25519", |forger| {
        forger.heading(&RSA, |header| header["alg"] = json!("Ed25519"))
    }),
    ("ed25519 in small letters", |forger| forger.heading(&ED25519, |header| header["alg"] = json!("ed25519"))),
    ("another edwards curve", |forger| forger.heading(&ED25519, |header| header["alg"] = json!("Ed448"))),
    ("the name of another type of key", |forger| forger.heading(&RSA, |header| header["kid"] = json!("p256"))),
    ("the name of another key of the type", |forger| {
        forger.heading(&RSA, |header| header["kid"] = json!("second-rsa"))
    }),
    ("another key under the same name", |forger| leading_to_the_stranger(forger, |_| {})),
    ("another key without a name", |forger| {
        leading_to_the_stranger(forger, |header| drop(header.as_object_mut().unwrap().remove("kid")))
    }),
    ("an unknown key", |forger| leading_to_the_stranger(forger, |header| header["kid"] = json!("stranger"))),
    ("a key without characters", |forger| forger.heading(&RSA, |header| header["kid"] = json!(""))),
    ("a key that is a path", |forger| {
        leading_to_the_stranger(forger, |header| header["kid"] = json!("../../../../dev/null"))
    }),
    ("a key that is a statement", |forger| {
        leading_to_the_stranger(forger, |header| {
            header["kid"] = json!("x' union select 'c2VjcmV0'; drop table contact; --")
        })
    }),
    ("a key that is a command", |forger| {
        leading_to_the_stranger(forger, |header| header["kid"] = json!("|| touch /tmp/owned; \0\n"))
    }),
    ("a key that is very long", |forger| {
        leading_to_the_stranger(forger, |header| header["kid"] = json!("k".repeat(5000)))
    }),
    ("a key that is a number", |forger| forger.heading(&RSA, |header| header["kid"] = json!(0))),
    ("a list of keys", |forger| forger.heading(&RSA, |header| header["kid"] = json!(["rsa"]))),
    ("a key in the token", |forger| leading_to_the_stranger(forger, |header| header["jwk"] = STRANGER.jwk())),
    ("a key in the token and no name", |forger| {
        leading_to_the_stranger(forger, |header| {
            header["jwk"] = STRANGER.bare_jwk();
            header.as_object_mut().unwrap().remove("kid");
        })
    }),
    ("a key at a url", |forger| leading_to_the_stranger(forger, |header| header["jku"] = json!(forger.trap.url()))),
    ("an unknown key at a url", |forger| {
        leading_to_the_stranger(forger, |header| {
            header["kid"] = json!("stranger");
            header["jku"] = json!(forger.trap.url());
        })
    }),
    ("a certificate at a url", |forger| {
        leading_to_the_stranger(forger, |header| header["x5u"] = json!(forger.trap.url()))
    }),
    ("a certificate in the token", |forger| {
        leading_to_the_stranger(forger, |header| header["x5c"] = json!([STRANGER.pem()]))
    }),
    ("a critical extension", |forger| {
        forger.heading(&RSA, |header| {
            header["crit"] = json!(["once"]);
            header["once"] = json!(true);
        })
    }),
    ("a payload that is not encoded", |forger| {
        forger.heading(&RSA, |header| {
            header["crit"] = json!(["b64"]);
            header["b64"] = json!(false);
        })
    }),
    ("no critical extension in the list", |forger| forger.heading(&RSA, |header| header["crit"] = json!([]))),
    ("a token of another type", |forger| forger.heading(&RSA, |header| header["typ"] = json!("logout+jwt"))),
    ("an algorithm that is there twice", |forger| {
        text_of_header(forger, r#"{"alg":"none","kid":"rsa","alg":"RS256"}"#)
    }),
    ("a key that is there twice", |forger| text_of_header(forger, r#"{"alg":"RS256","kid":"second-rsa","kid":"rsa"}"#)),
    ("a curve signature in der form", |forger| {
        let sign = |message: &[u8]| in_der_form(&P256.sign(message));
        Attack::bearer(token(&P256.header().to_string(), &forger.claims().to_string(), sign))
    }),
    ("a curve signature of zeros", |forger| with_signature(forger, &P256.header(), &[0; 64])),
    ("a curve signature of the order", |forger| {
        with_signature(forger, &P256.header(), &[P256_ORDER, P256_ORDER].concat())
    }),
    ("an edwards signature of zeros", |forger| with_signature(forger, &ED25519.header(), &[0; 64])),
    ("an edwards signature for keys of small order", |forger| {
        with_signature(forger, &ED25519.header(), &small_order_signature())
    }),
    ("an edwards signature that is stretched", |forger| {
        let sign = |message: &[u8]| stretched(ED25519.sign(message));
        Attack::bearer(token(&ED25519.header().to_string(), &forger.claims().to_string(), sign))
    }),
    ("an rsa signature of zeros", |forger| with_signature(forger, &RSA.header(), &[0; 256])),
    ("an rsa signature of one", |forger| {
        let mut one = [0; 256];
        one[255] = 1;
        with_signature(forger, &RSA.header(), &one)
    }),
];

#[tokio::test]
async fn a_token_with_the_wrong_key_or_algorithm_is_rejected() {
    assert_refused(ATTACKS).await;
}
