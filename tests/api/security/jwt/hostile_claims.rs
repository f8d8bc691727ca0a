//! Tokens that the issuer signed, and that say something else than they must.

use rstest::rstest;
use serde_json::{Value, json};

use super::forger::{Attack, Forger, assert_refused};
use super::token::{RSA, token};
use super::{AUDIENCE, INSUFFICIENT_SCOPE, ISSUER, now};

/// JSON that no value of the test's own can have.
fn exp_as_text(forger: &Forger, exp: &str) -> Attack {
    let claims = forger.claims();
    let text = claims.to_string().replace(&format!("\"exp\":{}", claims["exp"]), &format!("\"exp\":{exp}"));
    Attack::bearer(token(&RSA.header().to_string(), &text, |message| RSA.sign(message)))
}

#[rstest]
#[case::expired(|forger: &Forger| forger.with("exp", json!(now() - 31)))]
#[case::expired_long_ago(|forger: &Forger| forger.with("exp", json!(0)))]
#[case::no_end(|forger: &Forger| forger.without("exp"))]
#[case::an_end_that_is_null(|forger: &Forger| forger.with("exp", Value::Null))]
#[case::an_end_in_a_string(|forger: &Forger| forger.with("exp", json!((now() + 600).to_string())))]
#[case::an_end_in_a_list(|forger: &Forger| forger.with("exp", json!([now() + 600])))]
#[case::an_end_that_is_true(|forger: &Forger| forger.with("exp", json!(true)))]
#[case::a_negative_end(|forger: &Forger| forger.with("exp", json!(-1)))]
#[case::a_fractional_end_in_the_past(|forger: &Forger| forger.with("exp", json!(now() as f64 - 31.5)))]
#[case::an_end_in_milliseconds(|forger: &Forger| forger.with("exp", json!((now() + 600) * 1000)))]
#[case::the_largest_end(|forger: &Forger| forger.with("exp", json!(u64::MAX)))]
#[case::an_end_beyond_64_bits(|forger: &Forger| exp_as_text(forger, "18446744073709551616"))]
#[case::an_end_beyond_numbers(|forger: &Forger| exp_as_text(forger, "1e400"))]
#[case::an_end_that_is_not_a_number(|forger: &Forger| exp_as_text(forger, "NaN"))]
#[case::not_valid_yet(|forger: &Forger| forger.with("nbf", json!(now() + 120)))]
#[case::a_beginning_that_is_null(|forger: &Forger| forger.with("nbf", Value::Null))]
#[case::a_beginning_in_a_string(|forger: &Forger| forger.with("nbf", json!("0")))]
#[case::a_negative_beginning(|forger: &Forger| forger.with("nbf", json!(-1)))]
#[case::another_issuer(|forger: &Forger| forger.with("iss", json!("https://attacker.example")))]
#[case::an_issuer_that_is_longer(|forger: &Forger| forger.with("iss", json!(format!("{ISSUER}/"))))]
#[case::an_issuer_in_capitals(|forger: &Forger| forger.with("iss", json!(ISSUER.to_uppercase())))]
#[case::no_issuer(|forger: &Forger| forger.without("iss"))]
#[case::an_issuer_that_is_null(|forger: &Forger| forger.with("iss", Value::Null))]
#[case::a_list_of_issuers(|forger: &Forger| forger.with("iss", json!([ISSUER, "https://attacker.example"])))]
#[case::another_audience(|forger: &Forger| forger.with("aud", json!("billing")))]
#[case::a_part_of_the_audience(|forger: &Forger| forger.with("aud", json!(&AUDIENCE[..8])))]
#[case::no_audience(|forger: &Forger| forger.without("aud"))]
#[case::an_audience_that_is_null(|forger: &Forger| forger.with("aud", Value::Null))]
#[case::other_audiences(|forger: &Forger| forger.with("aud", json!(["billing", "crm"])))]
#[case::no_audience_in_the_list(|forger: &Forger| forger.with("aud", json!([])))]
#[case::an_audience_beside_a_number(|forger: &Forger| forger.with("aud", json!([AUDIENCE, 7])))]
#[case::audiences_in_one_string(|forger: &Forger| forger.with("aud", json!(format!("billing {AUDIENCE}"))))]
#[case::no_requester(|forger: &Forger| forger.without("customer_id"))]
#[case::the_requester_under_another_name(|forger: &Forger| {
    forger.claiming(|claims| {
        claims["sub"] = claims["customer_id"].take();
        claims.as_object_mut().unwrap().remove("customer_id");
    })
})]
#[case::a_requester_that_is_null(|forger: &Forger| forger.with("customer_id", Value::Null))]
#[case::a_requester_that_is_a_word(|forger: &Forger| forger.with("customer_id", json!("everybody")))]
#[case::a_requester_that_is_a_number(|forger: &Forger| forger.with("customer_id", json!(1)))]
#[case::a_list_of_requesters(|forger: &Forger| {
    forger.with("customer_id", json!([forger.requester, forger.requester]))
})]
#[case::an_empty_list_of_requesters(|forger: &Forger| forger.with("customer_id", json!([])))]
#[case::a_list_in_a_list_of_requesters(|forger: &Forger| forger.with("customer_id", json!([[forger.requester]])))]
#[case::a_requester_in_an_object(|forger: &Forger| forger.with("customer_id", json!({"id": forger.requester})))]
#[case::a_requester_in_braces(|forger: &Forger| {
    forger.with("customer_id", json!(format!("{{{}}}", forger.requester)))
})]
#[case::a_requester_without_hyphens(|forger: &Forger| {
    forger.with("customer_id", json!(forger.requester.simple().to_string()))
})]
#[case::a_requester_as_a_urn(|forger: &Forger| {
    forger.with("customer_id", json!(forger.requester.urn().to_string()))
})]
#[case::a_requester_with_a_space(|forger: &Forger| {
    forger.with("customer_id", json!(format!("{} ", forger.requester)))
})]
#[case::no_scope(|forger: &Forger| forger.without("scope").challenged(INSUFFICIENT_SCOPE))]
#[case::other_scopes(|forger: &Forger| {
    forger.with("scope", json!("openid contacts:read")).challenged(INSUFFICIENT_SCOPE)
})]
#[case::a_scope_that_only_begins_so(|forger: &Forger| {
    forger.with("scope", json!("contacts:delete:own")).challenged(INSUFFICIENT_SCOPE)
})]
#[case::a_scope_in_an_object(|forger: &Forger| {
    forger.with("scope", json!({"contacts:delete": true})).challenged(INSUFFICIENT_SCOPE)
})]
#[tokio::test]
async fn a_token_that_says_something_else_is_refused(#[case] attack: fn(&Forger) -> Attack) {
    assert_refused(attack).await;
}
