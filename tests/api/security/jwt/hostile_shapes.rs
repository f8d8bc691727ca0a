//! Malformed tokens, and tokens that were changed after they were signed.

use serde_json::json;
use uuid::Uuid;

use super::claims;
use super::forger::{Attack, Forger, NamedAttack, assert_refused};
use super::token::{RSA, encode, token};

fn parts(forger: &Forger) -> [String; 3] {
    let good = forger.good();
    let parts: Vec<_> = good.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

/// The valid token with its parts changed.
fn changed(forger: &Forger, change: impl FnOnce(&mut [String; 3])) -> Attack {
    let mut parts = parts(forger);
    change(&mut parts);
    Attack::bearer(parts.join("."))
}

/// Text that the issuer signed as if it were claims.
fn payload(payload: &str) -> Attack {
    Attack::bearer(token(&RSA.header().to_string(), payload, |message| RSA.sign(message)))
}

/// The last character of a signature of 256 bytes has four unused bits.
fn with_other_trailing_bits(signature: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = signature.split_at(signature.len() - 1);
    let place = ALPHABET.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
    format!("{start}{}", char::from(ALPHABET[place + 1]))
}

const ATTACKS: &[NamedAttack] = &[
    ("two dots", |_| Attack::bearer("..")),
    ("a word", |_| Attack::bearer("secret")),
    ("a uuid", |forger| Attack::bearer(forger.requester.to_string())),
    ("two parts", |forger| Attack::bearer(parts(forger)[..2].join("."))),
    ("an empty signature", |forger| changed(forger, |parts| parts[2].clear())),
    ("four parts", |forger| Attack::bearer(format!("{}.{}", forger.good(), encode("more")))),
    ("a dot at the end", |forger| Attack::bearer(format!("{}.", forger.good()))),
    ("a dot at the start", |forger| Attack::bearer(format!(".{}", forger.good()))),
    ("an encrypted token of five parts", |_| {
        let header = json!({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "rsa"}).to_string();
        Attack::bearer([header.as_str(), "key", "iv", "text", "tag"].map(encode).join("."))
    }),
    ("json in the place of base64", |forger| changed(forger, |parts| parts[1] = forger.claims().to_string())),
    ("a truncated signature", |forger| changed(forger, |parts| parts[2].truncate(300))),
    ("a longer signature", |forger| changed(forger, |parts| parts[2].push_str("AAAA"))),
    ("the signature of another token", |forger| {
        changed(forger, |parts| parts[2] = RSA.token(&claims(Uuid::now_v7())).rsplit('.').next().unwrap().to_owned())
    }),
    ("another spelling of the signature", |forger| {
        changed(forger, |parts| parts[2] = with_other_trailing_bits(&parts[2]))
    }),
    ("padded base64", |forger| changed(forger, |parts| parts[2].push_str("=="))),
    ("the standard alphabet", |forger| {
        changed(forger, |parts| parts[2] = parts[2].replace('-', "+").replace('_', "/"))
    }),
    ("a space within", |forger| changed(forger, |parts| parts[1].insert(10, ' '))),
    ("a changed payload", |forger| changed(forger, |parts| parts[1] = encode(claims(Uuid::now_v7()).to_string()))),
    ("a changed header", |forger| {
        changed(forger, |parts| parts[0] = encode(json!({"kid": "rsa", "alg": "RS256"}).to_string()))
    }),
    ("a header that is not json", |forger| changed(forger, |parts| parts[0] = encode("RS256"))),
    ("a header that is a list", |forger| changed(forger, |parts| parts[0] = encode("[\"RS256\"]"))),
    ("a payload that is empty", |_| payload("")),
    ("a payload that is a list", |forger| payload(&json!([forger.claims()]).to_string())),
    ("a payload that is a token", |forger| payload(&forger.good())),
    ("a payload with something behind it", |forger| payload(&format!("{}{{}}", forger.claims()))),
    ("a claim that is there twice", |forger| {
        let other = format!(r#"{{"customer_id":"{}","#, Uuid::now_v7());
        payload(&forger.claims().to_string().replacen('{', &other, 1))
    }),
    ("an end that is there twice", |forger| payload(&forger.claims().to_string().replacen('{', r#"{"exp":1,"#, 1))),
    ("a name that is twice in a nested object", |forger| {
        payload(&forger.claims().to_string().replacen('{', r#"{"act":{"sub":"a","sub":"b"},"#, 1))
    }),
    ("a claim that is there twice in two spellings", |forger| {
        let other = format!(r#"{{"customer\u005fid":"{}","#, Uuid::now_v7());
        payload(&forger.claims().to_string().replacen('{', &other, 1))
    }),
];

#[tokio::test]
async fn a_malformed_or_changed_token_is_rejected() {
    assert_refused(ATTACKS).await;
}
