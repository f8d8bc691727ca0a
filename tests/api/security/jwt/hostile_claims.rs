//! Tokens that the issuer signed, with invalid claims.

use serde_json::{Value, json};

use super::forger::{Attack, Forger, NamedAttack, assert_refused};
use super::token::{RSA, token};
use super::{AUDIENCE, INSUFFICIENT_SCOPE, ISSUER, now};

/// JSON that no value of serde_json can have.
fn exp_as_text(forger: &Forger, exp: &str) -> Attack {
    let claims = forger.claims();
    let text = claims.to_string().replace(&format!("\"exp\":{}", claims["exp"]), &format!("\"exp\":{exp}"));
    Attack::bearer(token(&RSA.header().to_string(), &text, |message| RSA.sign(message)))
}

const ATTACKS: &[NamedAttack] = &[
    ("expired", |forger| forger.with("exp", json!(now() - 31))),
    ("expired long ago", |forger| forger.with("exp", json!(0))),
    ("no end", |forger| forger.without("exp")),
    ("an end that is null", |forger| forger.with("exp", Value::Null)),
    ("an end in a string", |forger| forger.with("exp", json!((now() + 600).to_string()))),
    ("an end in a list", |forger| forger.with("exp", json!([now() + 600]))),
    ("an end that is true", |forger| forger.with("exp", json!(true))),
    ("a negative end", |forger| forger.with("exp", json!(-1))),
    ("a fractional end in the past", |forger| forger.with("exp", json!(now() as f64 - 31.5))),
    ("an end in milliseconds", |forger| forger.with("exp", json!((now() + 600) * 1000))),
    ("the largest end", |forger| forger.with("exp", json!(u64::MAX))),
    ("an end beyond 64 bits", |forger| exp_as_text(forger, "18446744073709551616")),
    ("an end beyond numbers", |forger| exp_as_text(forger, "1e400")),
    ("an end that is not a number", |forger| exp_as_text(forger, "NaN")),
    ("not valid yet", |forger| forger.with("nbf", json!(now() + 120))),
    ("a beginning that is null", |forger| forger.with("nbf", Value::Null)),
    ("a beginning in a string", |forger| forger.with("nbf", json!("0"))),
    ("a negative beginning", |forger| forger.with("nbf", json!(-1))),
    ("another issuer", |forger| forger.with("iss", json!("https://attacker.example"))),
    ("an issuer that is longer", |forger| forger.with("iss", json!(format!("{ISSUER}/")))),
    ("an issuer in capitals", |forger| forger.with("iss", json!(ISSUER.to_uppercase()))),
    ("no issuer", |forger| forger.without("iss")),
    ("an issuer that is null", |forger| forger.with("iss", Value::Null)),
    ("a list of issuers", |forger| forger.with("iss", json!([ISSUER, "https://attacker.example"]))),
    ("another audience", |forger| forger.with("aud", json!("billing"))),
    ("a part of the audience", |forger| forger.with("aud", json!(&AUDIENCE[..8]))),
    ("no audience", |forger| forger.without("aud")),
    ("an audience that is null", |forger| forger.with("aud", Value::Null)),
    ("other audiences", |forger| forger.with("aud", json!(["billing", "crm"]))),
    ("no audience in the list", |forger| forger.with("aud", json!([]))),
    ("an audience beside a number", |forger| forger.with("aud", json!([AUDIENCE, 7]))),
    ("audiences in one string", |forger| forger.with("aud", json!(format!("billing {AUDIENCE}")))),
    ("no requester", |forger| forger.without("customer_id")),
    ("the requester under another name", |forger| {
        forger.claiming(|claims| {
            claims["sub"] = claims["customer_id"].take();
            claims.as_object_mut().unwrap().remove("customer_id");
        })
    }),
    ("a requester that is null", |forger| forger.with("customer_id", Value::Null)),
    ("a requester that is a word", |forger| forger.with("customer_id", json!("everybody"))),
    ("a requester that is a number", |forger| forger.with("customer_id", json!(1))),
    ("a list of requesters", |forger| forger.with("customer_id", json!([forger.requester, forger.requester]))),
    ("an empty list of requesters", |forger| forger.with("customer_id", json!([]))),
    ("a list in a list of requesters", |forger| forger.with("customer_id", json!([[forger.requester]]))),
    ("a requester in an object", |forger| forger.with("customer_id", json!({"id": forger.requester}))),
    ("a requester in braces", |forger| forger.with("customer_id", json!(format!("{{{}}}", forger.requester)))),
    ("a requester without hyphens", |forger| forger.with("customer_id", json!(forger.requester.simple().to_string()))),
    ("a requester as a urn", |forger| forger.with("customer_id", json!(forger.requester.urn().to_string()))),
    ("a requester with a space", |forger| forger.with("customer_id", json!(format!("{} ", forger.requester)))),
    ("no scope", |forger| forger.without("scope").challenged(INSUFFICIENT_SCOPE)),
    ("other scopes", |forger| forger.with("scope", json!("openid contacts:read")).challenged(INSUFFICIENT_SCOPE)),
    ("a scope that only begins so", |forger| {
        forger.with("scope", json!("contacts:delete:own")).challenged(INSUFFICIENT_SCOPE)
    }),
    ("a scope in an object", |forger| {
        forger.with("scope", json!({"contacts:delete": true})).challenged(INSUFFICIENT_SCOPE)
    }),
];

#[tokio::test]
async fn a_token_with_an_invalid_claim_is_rejected() {
    assert_refused(ATTACKS).await;
}
