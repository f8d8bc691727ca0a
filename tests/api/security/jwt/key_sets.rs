//! Sets of keys that real issuers publish, and keys that no issuer should use.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::issuer::{Issuer, Manner};
use super::token::{ED25519, P256, RSA, SECOND_RSA, STRANGER, SigningKey, encode, token};
use super::{
    INVALID_TOKEN, TestFile, ask, assert_identified, assert_unauthorized, claims, start_with, start_with_keys,
};
use crate::support::process::Process;
use crate::support::{TestDatabase, TestService};

/// The public half under another id.
fn named(key: &SigningKey, id: &str) -> Value {
    let mut jwk = key.jwk();
    jwk["kid"] = json!(id);
    jwk
}

/// A token of the key whose header has only this and the algorithm.
fn token_with(key: &SigningKey, more: &Value) -> String {
    let mut header = json!({"alg": key.algorithm});
    header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    key.token_with(&header, &claims(Uuid::now_v7()))
}

async fn assert_believed(service: &TestService, token: &str) {
    assert_identified(&ask(service, token).await);
}

async fn assert_refused(service: &TestService, token: &str) {
    assert_unauthorized(&ask(service, token).await, INVALID_TOKEN);
}

#[tokio::test]
async fn each_key_of_one_id_is_tried() {
    let service = start_with_keys(&[&RSA, &SECOND_RSA, &P256].map(|key| named(key, "one"))).await;
    for key in [&RSA, &SECOND_RSA, &P256] {
        assert_believed(&service, &token_with(key, &json!({"kid": "one"}))).await;
    }
    assert_refused(&service, &token_with(&STRANGER, &json!({"kid": "one"}))).await;
    assert_refused(&service, &token_with(&RSA, &json!({"kid": "rsa"}))).await;
}

#[tokio::test]
async fn a_key_may_be_listed_twice() {
    let service = start_with_keys(&[RSA.jwk(), RSA.jwk(), RSA.bare_jwk(), RSA.bare_jwk()]).await;
    assert_believed(&service, &RSA.token(&claims(Uuid::now_v7()))).await;
    assert_believed(&service, &token_with(&RSA, &json!({}))).await;
}

#[tokio::test]
async fn a_token_may_leave_out_the_id_where_several_keys_fit() {
    let service = start_with_keys(&[RSA.jwk(), SECOND_RSA.jwk()]).await;
    assert_believed(&service, &token_with(&RSA, &json!({}))).await;
    assert_believed(&service, &token_with(&SECOND_RSA, &json!({}))).await;
    assert_refused(&service, &token_with(&STRANGER, &json!({}))).await;
}

#[tokio::test]
async fn a_token_may_name_an_id_where_no_key_has_one() {
    let service = start_with_keys(&[RSA.bare_jwk(), SECOND_RSA.bare_jwk()]).await;
    assert_believed(&service, &token_with(&SECOND_RSA, &json!({"kid": "any"}))).await;
    assert_refused(&service, &token_with(&STRANGER, &json!({"kid": "any"}))).await;
}

#[rstest]
#[tokio::test]
async fn ed25519_has_two_names(
    #[values("EdDSA", "Ed25519")] of_key: &str,
    #[values("EdDSA", "Ed25519")] of_token: &str,
) {
    let mut jwk = ED25519.jwk();
    jwk["alg"] = json!(of_key);
    let service = start_with_keys(&[jwk]).await;
    assert_believed(&service, &token_with(&ED25519, &json!({"alg": of_token}))).await;
}

#[tokio::test]
async fn a_modulus_may_have_a_zero_in_front() {
    let (n, _) = RSA.modulus_and_exponent();
    let mut jwk = RSA.jwk();
    jwk["n"] = json!(encode([vec![0], n].concat()));
    let service = start_with_keys(&[jwk]).await;
    assert_believed(&service, &RSA.token(&claims(Uuid::now_v7()))).await;
}

/// The neutral point of the curve. A signature that consists of it and of zero is valid for every message under it.
fn small_order() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "small", "x": encode(neutral_point())})
}

fn neutral_point() -> [u8; 32] {
    let mut point = [0; 32];
    point[0] = 1;
    point
}

fn off_curve() -> Value {
    let mut jwk = P256.jwk();
    jwk["y"] = jwk["x"].clone();
    jwk
}

fn with_exponent_one() -> Value {
    let mut jwk = RSA.jwk();
    jwk["e"] = json!("AQ");
    jwk
}

fn with_even_modulus() -> Value {
    let (mut n, _) = RSA.modulus_and_exponent();
    *n.last_mut().unwrap() &= 0xfe;
    let mut jwk = RSA.jwk();
    jwk["n"] = json!(encode(n));
    jwk
}

#[tokio::test]
async fn nobody_signs_with_a_key_of_small_order() {
    let service = start_with_keys(&[RSA.jwk(), small_order()]).await;
    let anybody = [neutral_point(), [0; 32]].concat();
    let header = json!({"alg": "EdDSA", "kid": "small"}).to_string();
    assert_refused(&service, &token(&header, &claims(Uuid::now_v7()).to_string(), |_| anybody)).await;
    assert_believed(&service, &RSA.token(&claims(Uuid::now_v7()))).await;
}

#[rstest]
#[case::a_point_off_its_curve(off_curve(), "`p256` is not a point of its curve")]
#[case::an_exponent_of_one(with_exponent_one(), "`rsa` has an even modulus, or an exponent that is even, 1,")]
#[case::an_even_modulus(with_even_modulus(), "`rsa` has an even modulus")]
#[case::a_point_of_small_order(small_order(), "`small` is a point of small order")]
#[tokio::test]
async fn a_set_without_a_sound_key_is_a_broken_issuer(#[case] jwk: Value, #[case] reason: &str) {
    let set = json!({"keys": [jwk]}).to_string();
    let issuer = Issuer::with(&[]).await;
    issuer.set(Manner::Answer(set.clone()));
    let start = |issuer: &Issuer| {
        let url = Some(issuer.url());
        start_with(move |settings| {
            settings.requester.jwt.jwks_url = url;
            settings.requester.jwt.refresh_seconds = 1;
        })
    };
    let service = start(&issuer).await;
    let began = Instant::now();
    let ready = async || service.management("/health/ready").await;
    while !ready().await.text.contains(reason) {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", ready().await.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ready().await.status, 503);

    // It does not replace valid keys either.
    issuer.publish(&[&SECOND_RSA]);
    while ready().await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", ready().await.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    issuer.set(Manner::Answer(set));
    let fetches = issuer.fetches();
    while issuer.fetches() < fetches + 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "the keys are not read again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_believed(&service, &SECOND_RSA.token(&claims(Uuid::now_v7()))).await;
    assert_eq!(ready().await.status, 200);
}

#[tokio::test]
async fn what_is_left_out_is_logged_once_for_each_change() {
    let database = TestDatabase::migrated().await;
    let issuer = Issuer::with(&[]).await;
    let mut encryption = SECOND_RSA.jwk();
    encryption["use"] = json!("enc");
    let publish = |keys: &[Value]| issuer.set(Manner::Answer(json!({"keys": keys}).to_string()));
    publish(&[RSA.jwk(), encryption.clone()]);
    let process = Process::serve_with(
        &database.url,
        &[
            ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt"),
            ("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", &issuer.url()),
            ("CUSTOMER_DELETION__REQUESTER__JWT__REFRESH_SECONDS", "1"),
        ],
    );
    let logged = || -> Vec<String> {
        let lines = process.log().into_iter().filter(|line| line["message"] == "keys of the set are left out");
        lines.map(|line| line["left_out"].as_str().unwrap().to_owned()).collect()
    };
    let after_three_fetches = async || {
        let (began, fetches) = (Instant::now(), issuer.fetches());
        while issuer.fetches() < fetches + 3 {
            assert!(began.elapsed() < Duration::from_secs(60), "the keys are not read again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        logged()
    };
    let of_encryption = "`second-rsa` is not for signatures (`use`)";
    let of_point = "`p256` is not a point of its curve";
    assert_eq!(after_three_fetches().await, [of_encryption]);

    publish(&[RSA.jwk(), encryption.clone(), off_curve()]);
    let both = format!("{of_encryption}; {of_point}");
    assert_eq!(after_three_fetches().await, [of_encryption, &both]);

    let log = format!("{:?}", process.log());
    for part in [&encryption["n"], &off_curve()["x"]] {
        assert!(!log.contains(part.as_str().unwrap()), "{log}");
    }
}

#[tokio::test]
async fn the_log_says_that_the_key_of_a_token_is_left_out() {
    let keys = TestFile::new(json!({"keys": [RSA.jwk(), off_curve()]}).to_string());
    let database = TestDatabase::migrated().await;
    let process = Process::serve_with(
        &database.url,
        &[
            ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt"),
            ("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_FILE", keys.path().to_str().unwrap()),
        ],
    );
    let url = format!("http://{}/api/v2/global/call/{}", process.address, Uuid::now_v7());
    let token = P256.token(&claims(Uuid::now_v7()));
    let answer = reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let began = Instant::now();
    let reason = "not authenticated: the key of the token (`kid`) is in the key set but unusable; the log says why";
    while !process.log().iter().any(|line| line["reason"] == reason) {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
