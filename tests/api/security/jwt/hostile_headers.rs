//! Calls without a token, or with a token in the wrong header.

use super::NO_TOKEN;
use super::forger::{Attack, Forger, NamedAttack, assert_refused};

fn padded(forger: &Forger, bytes: usize) -> Attack {
    forger.claiming(|claims| claims["padding"] = "x".repeat(bytes).into())
}

const ATTACKS: &[NamedAttack] = &[
    ("nothing", |_| Attack::headers(&[]).challenged(NO_TOKEN)),
    ("an empty header", |_| Attack::authorization("").challenged(NO_TOKEN)),
    ("another scheme", |_| Attack::authorization("Basic Y3VzdG9tZXI6c2VjcmV0").challenged(NO_TOKEN)),
    ("the token under another scheme", |forger| {
        Attack::authorization(format!("Basic {}", forger.good())).challenged(NO_TOKEN)
    }),
    ("no scheme", |forger| Attack::authorization(forger.good()).challenged(NO_TOKEN)),
    ("a scheme without a space", |forger| {
        Attack::authorization(format!("Bearer{}", forger.good())).challenged(NO_TOKEN)
    }),
    ("a colon after the scheme", |forger| {
        Attack::authorization(format!("Bearer: {}", forger.good())).challenged(NO_TOKEN)
    }),
    ("a tab after the scheme", |forger| {
        Attack::authorization(format!("Bearer\t{}", forger.good())).challenged(NO_TOKEN)
    }),
    ("a scheme alone", |_| Attack::authorization("Bearer").challenged(NO_TOKEN)),
    ("two authorization headers", |forger| {
        let value = format!("Bearer {}", forger.good());
        Attack::headers(&[("Authorization", &value), ("Authorization", &value)])
    }),
    ("a second header of another scheme", |forger| {
        Attack::headers(&[("Authorization", &format!("Bearer {}", forger.good())), ("Authorization", "Basic eDp5")])
    }),
    ("a second header that is empty", |forger| {
        Attack::headers(&[("Authorization", &format!("Bearer {}", forger.good())), ("Authorization", "")])
    }),
    ("two tokens in one header", |forger| Attack::authorization(format!("Bearer {0}, Bearer {0}", forger.good()))),
    ("a token in quotes", |forger| Attack::bearer(format!("\"{}\"", forger.good()))),
    ("a token in the query", |forger| {
        Attack::headers(&[]).query(format!("?access_token={}", forger.good())).challenged(NO_TOKEN)
    }),
    ("a token in a cookie", |forger| {
        Attack::headers(&[("Cookie", &format!("access_token={}", forger.good()))]).challenged(NO_TOKEN)
    }),
    ("a token in the requester header", |forger| {
        Attack::headers(&[("X-Requester-Id", &forger.good())]).challenged(NO_TOKEN)
    }),
    ("a token in the header for proxies", |forger| {
        Attack::headers(&[("Proxy-Authorization", &format!("Bearer {}", forger.good()))]).challenged(NO_TOKEN)
    }),
    ("the requester header alone", |forger| {
        Attack::headers(&[("X-Requester-Id", &forger.requester.to_string())]).challenged(NO_TOKEN)
    }),
    ("the requester header beside a bad token", |forger| {
        Attack::headers(&[("X-Requester-Id", &forger.requester.to_string()), ("Authorization", "Bearer a.b.c")])
    }),
    ("bytes that are not ascii", |forger| Attack::bearer(format!("{}ü", forger.good()))),
    ("a good token that is too long", |forger| padded(forger, 8 * 1024)),
    ("a hundred kilobytes", |_| Attack::bearer("a".repeat(100_000))),
];

#[tokio::test]
async fn a_hostile_header_is_rejected() {
    assert_refused(ATTACKS).await;
}
