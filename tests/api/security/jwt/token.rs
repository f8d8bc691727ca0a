//! Keys, and tokens signed with them. They do not use the library under test.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The issuer's keys, and a stranger's. They are created once, because an RSA key takes a while.
pub static RSA: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::rsa("rsa"));
pub static SECOND_RSA: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::rsa("second-rsa"));
pub static P256: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::ecdsa("p256", "ES256", &ECDSA_P256_SHA256_FIXED_SIGNING));
pub static P384: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::ecdsa("p384", "ES384", &ECDSA_P384_SHA384_FIXED_SIGNING));
pub static ED25519: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::ed25519("ed25519"));
/// Not a key of the issuer, although its id is the same.
pub static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::rsa("rsa"));

pub struct SigningKey {
    pub id: String,
    pub algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub fn rsa(id: &str) -> SigningKey {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        SigningKey { id: id.to_owned(), algorithm: "RS256", pair: Pair::Rsa(pair) }
    }

    fn ecdsa(id: &str, algorithm: &'static str, curve: &'static EcdsaSigningAlgorithm) -> SigningKey {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        SigningKey { id: id.to_owned(), algorithm, pair: Pair::Ecdsa(pair) }
    }

    pub fn ed25519(id: &str) -> SigningKey {
        let pair = Ed25519KeyPair::generate().unwrap();
        SigningKey { id: id.to_owned(), algorithm: "EdDSA", pair: Pair::Ed25519(pair) }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(_) => self.sign_as(&RSA_PKCS1_SHA256, message),
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Signs with one of the algorithms of an RSA key.
    pub fn sign_as(&self, algorithm: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let Pair::Rsa(pair) = &self.pair else { panic!("not an RSA key") };
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(algorithm, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    /// The public half, with its id and its algorithm.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.bare_jwk();
        jwk["kid"] = json!(self.id);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The public half, without an id and an algorithm.
    pub fn bare_jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(_) => {
                let (n, e) = self.modulus_and_exponent();
                json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
            }
            Pair::Ecdsa(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at((pair.public_key().as_ref().len() - 1) / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())}),
        }
    }

    pub fn modulus_and_exponent(&self) -> (Vec<u8>, Vec<u8>) {
        let Pair::Rsa(pair) = &self.pair else { panic!("not an RSA key") };
        let public: RsaPublicKeyComponents<Vec<u8>> = pair.public_key().into();
        (public.n, public.e)
    }

    /// The public half in DER, as certificates have it.
    pub fn der(&self) -> Vec<u8> {
        let Pair::Rsa(pair) = &self.pair else { panic!("not an RSA key") };
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        der.as_ref().to_vec()
    }

    /// The public half, as `openssl rsa -pubout` writes it.
    pub fn pem(&self) -> String {
        let base64 = STANDARD.encode(self.der());
        let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The header of the key's own tokens.
    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm, "typ": "JWT", "kid": self.id})
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        token(&header.to_string(), &claims.to_string(), |message| self.sign(message))
    }
}

/// A set of public keys, as issuers publish it.
pub fn jwks(keys: &[&SigningKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// A token of any header and payload.
pub fn token(header: &str, payload: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", encode(signature))
}

pub fn sign_with_secret(algorithm: hmac::Algorithm, secret: &[u8]) -> impl FnOnce(&[u8]) -> Vec<u8> {
    move |message| hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
