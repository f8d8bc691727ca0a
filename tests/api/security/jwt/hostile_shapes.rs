//! Tokens that are none, or were changed after they were signed.

use rstest::rstest;
use serde_json::json;
use uuid::Uuid;

use super::claims;
use super::forger::{Attack, Forger, assert_refused};
use super::token::{RSA, encode, token};

fn parts(forger: &Forger) -> [String; 3] {
    let good = forger.good();
    let parts: Vec<_> = good.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

/// The good token with its parts changed.
fn changed(forger: &Forger, change: impl FnOnce(&mut [String; 3])) -> Attack {
    let mut parts = parts(forger);
    change(&mut parts);
    Attack::bearer(parts.join("."))
}

/// Text that the issuer signed as if it were claims.
fn payload(payload: &str) -> Attack {
    Attack::bearer(token(&RSA.header().to_string(), payload, |message| RSA.sign(message)))
}

/// The last character of a signature of 256 bytes has four bits that mean nothing.
fn with_other_trailing_bits(signature: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = signature.split_at(signature.len() - 1);
    let place = ALPHABET.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
    format!("{start}{}", char::from(ALPHABET[place + 1]))
}

#[rstest]
#[case::two_dots(|_: &Forger| Attack::bearer(".."))]
#[case::a_word(|_: &Forger| Attack::bearer("secret"))]
#[case::a_uuid(|forger: &Forger| Attack::bearer(forger.requester.to_string()))]
#[case::two_parts(|forger: &Forger| Attack::bearer(parts(forger)[..2].join(".")))]
#[case::an_empty_signature(|forger: &Forger| changed(forger, |parts| parts[2].clear()))]
#[case::four_parts(|forger: &Forger| Attack::bearer(format!("{}.{}", forger.good(), encode("more"))))]
#[case::a_dot_at_the_end(|forger: &Forger| Attack::bearer(format!("{}.", forger.good())))]
#[case::a_dot_at_the_start(|forger: &Forger| Attack::bearer(format!(".{}", forger.good())))]
#[case::an_encrypted_token_of_five_parts(|_: &Forger| {
    let header = json!({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "rsa"}).to_string();
    Attack::bearer([header.as_str(), "key", "iv", "text", "tag"].map(encode).join("."))
})]
#[case::json_in_the_place_of_base64(|forger: &Forger| {
    changed(forger, |parts| parts[1] = forger.claims().to_string())
})]
#[case::a_truncated_signature(|forger: &Forger| changed(forger, |parts| parts[2].truncate(300)))]
#[case::a_longer_signature(|forger: &Forger| changed(forger, |parts| parts[2].push_str("AAAA")))]
#[case::the_signature_of_another_token(|forger: &Forger| {
    changed(forger, |parts| parts[2] = RSA.token(&claims(Uuid::now_v7())).rsplit('.').next().unwrap().to_owned())
})]
#[case::another_spelling_of_the_signature(|forger: &Forger| {
    changed(forger, |parts| parts[2] = with_other_trailing_bits(&parts[2]))
})]
#[case::padded_base64(|forger: &Forger| changed(forger, |parts| parts[2].push_str("==")))]
#[case::the_standard_alphabet(|forger: &Forger| {
    changed(forger, |parts| parts[2] = parts[2].replace('-', "+").replace('_', "/"))
})]
#[case::a_space_within(|forger: &Forger| changed(forger, |parts| parts[1].insert(10, ' ')))]
#[case::a_changed_payload(|forger: &Forger| {
    changed(forger, |parts| parts[1] = encode(claims(Uuid::now_v7()).to_string()))
})]
#[case::a_changed_header(|forger: &Forger| {
    changed(forger, |parts| parts[0] = encode(json!({"kid": "rsa", "alg": "RS256"}).to_string()))
})]
#[case::a_header_that_is_not_json(|forger: &Forger| changed(forger, |parts| parts[0] = encode("RS256")))]
#[case::a_header_that_is_a_list(|forger: &Forger| changed(forger, |parts| parts[0] = encode("[\"RS256\"]")))]
#[case::a_payload_that_is_empty(|_: &Forger| payload(""))]
#[case::a_payload_that_is_a_list(|forger: &Forger| payload(&json!([forger.claims()]).to_string()))]
#[case::a_payload_that_is_a_token(|forger: &Forger| payload(&forger.good()))]
#[case::a_payload_with_something_behind_it(|forger: &Forger| payload(&format!("{}{{}}", forger.claims())))]
#[case::a_claim_that_is_there_twice(|forger: &Forger| {
    let other = format!(r#"{{"customer_id":"{}","#, Uuid::now_v7());
    payload(&forger.claims().to_string().replacen('{', &other, 1))
})]
#[case::an_end_that_is_there_twice(|forger: &Forger| {
    payload(&forger.claims().to_string().replacen('{', r#"{"exp":1,"#, 1))
})]
#[case::a_name_that_is_twice_in_a_nested_object(|forger: &Forger| {
    payload(&forger.claims().to_string().replacen('{', r#"{"act":{"sub":"a","sub":"b"},"#, 1))
})]
#[case::a_claim_that_is_there_twice_in_two_spellings(|forger: &Forger| {
    let other = format!(r#"{{"customer\u005fid":"{}","#, Uuid::now_v7());
    payload(&forger.claims().to_string().replacen('{', &other, 1))
})]
#[tokio::test]
async fn a_token_that_is_none_is_refused(#[case] attack: fn(&Forger) -> Attack) {
    assert_refused(attack).await;
}
