//! Calls that carry no token, or carry it in the wrong place.

use rstest::rstest;

use super::NO_TOKEN;
use super::forger::{Attack, Forger, assert_refused};

fn padded(forger: &Forger, bytes: usize) -> Attack {
    forger.claiming(|claims| claims["padding"] = "x".repeat(bytes).into())
}

#[rstest]
#[case::nothing(|_: &Forger| Attack::headers(&[]).challenged(NO_TOKEN))]
#[case::an_empty_header(|_: &Forger| Attack::authorization("").challenged(NO_TOKEN))]
#[case::another_scheme(|_: &Forger| Attack::authorization("Basic Y3VzdG9tZXI6c2VjcmV0").challenged(NO_TOKEN))]
#[case::the_token_under_another_scheme(
    |forger: &Forger| Attack::authorization(format!("Basic {}", forger.good())).challenged(NO_TOKEN)
)]
#[case::no_scheme(|forger: &Forger| Attack::authorization(forger.good()).challenged(NO_TOKEN))]
#[case::a_scheme_without_a_space(
    |forger: &Forger| Attack::authorization(format!("Bearer{}", forger.good())).challenged(NO_TOKEN)
)]
#[case::a_colon_after_the_scheme(
    |forger: &Forger| Attack::authorization(format!("Bearer: {}", forger.good())).challenged(NO_TOKEN)
)]
#[case::a_tab_after_the_scheme(
    |forger: &Forger| Attack::authorization(format!("Bearer\t{}", forger.good())).challenged(NO_TOKEN)
)]
#[case::a_scheme_alone(|_: &Forger| Attack::authorization("Bearer").challenged(NO_TOKEN))]
#[case::two_authorization_headers(|forger: &Forger| {
    let value = format!("Bearer {}", forger.good());
    Attack::headers(&[("Authorization", &value), ("Authorization", &value)])
})]
#[case::a_second_header_of_another_scheme(|forger: &Forger| {
    Attack::headers(&[("Authorization", &format!("Bearer {}", forger.good())), ("Authorization", "Basic eDp5")])
})]
#[case::a_second_header_that_is_empty(|forger: &Forger| {
    Attack::headers(&[("Authorization", &format!("Bearer {}", forger.good())), ("Authorization", "")])
})]
#[case::two_tokens_in_one_header(
    |forger: &Forger| Attack::authorization(format!("Bearer {0}, Bearer {0}", forger.good()))
)]
#[case::a_token_in_quotes(|forger: &Forger| Attack::bearer(format!("\"{}\"", forger.good())))]
#[case::a_token_in_the_query(|forger: &Forger| {
    Attack::headers(&[]).query(format!("?access_token={}", forger.good())).challenged(NO_TOKEN)
})]
#[case::a_token_in_a_cookie(|forger: &Forger| {
    Attack::headers(&[("Cookie", &format!("access_token={}", forger.good()))]).challenged(NO_TOKEN)
})]
#[case::a_token_in_the_requester_header(|forger: &Forger| {
    Attack::headers(&[("X-Requester-Id", &forger.good())]).challenged(NO_TOKEN)
})]
#[case::a_token_in_the_header_for_proxies(|forger: &Forger| {
    Attack::headers(&[("Proxy-Authorization", &format!("Bearer {}", forger.good()))]).challenged(NO_TOKEN)
})]
#[case::the_requester_header_alone(|forger: &Forger| {
    Attack::headers(&[("X-Requester-Id", &forger.requester.to_string())]).challenged(NO_TOKEN)
})]
#[case::the_requester_header_beside_a_bad_token(|forger: &Forger| {
    Attack::headers(&[("X-Requester-Id", &forger.requester.to_string()), ("Authorization", "Bearer a.b.c")])
})]
#[case::bytes_that_are_not_ascii(|forger: &Forger| Attack::bearer(format!("{}ü", forger.good())))]
#[case::a_good_token_that_is_too_long(|forger: &Forger| padded(forger, 8 * 1024))]
#[case::a_hundred_kilobytes(|_: &Forger| Attack::bearer("a".repeat(100_000)))]
#[tokio::test]
async fn a_hostile_header_is_refused(#[case] attack: fn(&Forger) -> Attack) {
    assert_refused(attack).await;
}
