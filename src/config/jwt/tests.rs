//! Every bad setting of tokens is named as people set it.

use super::*;
use crate::config::tests::{JWT, load};
use crate::config::{Requester, RequesterSource};

fn jwt_source(variables: &[(&str, &str)]) -> Result<JwtSource, String> {
    let source = load(&[&[JWT], variables].concat()).unwrap().requester.source();
    match source.map_err(|error| error.to_string())? {
        RequesterSource::Jwt(source) => Ok(source),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_jwt_source_needs_to_know_its_keys() {
    let problem = jwt_source(&[]).unwrap_err();
    assert_eq!(
        problem,
        "CUSTOMER_DELETION__REQUESTER__JWT__JWKS_FILE: is not set; it, CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL or \
         CUSTOMER_DELETION__REQUESTER__JWT__HMAC_SECRET_FILE must tell how tokens are verified"
    );
}

#[test]
fn the_jwt_source_has_defaults() {
    let source =
        jwt_source(&[("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", "https://issuer.example/jwks.json")]).unwrap();
    assert!(matches!(&source.keys, KeySource::JwksUrl(url) if url.as_str() == "https://issuer.example/jwks.json"));
    assert_eq!((source.leeway.as_secs(), source.refresh.as_secs()), (30, 300));
    assert_eq!(
        (source.claim.as_str(), source.issuer, source.audience, source.scope),
        ("customer_id", None, None, None)
    );
}

#[test]
fn keys_come_by_plain_http_from_the_loopback_address_only() {
    let fetched_from = |url| jwt_source(&[("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", url)]);
    for url in ["http://127.0.0.1:8000/keys", "http://127.9.9.9/", "http://localhost/keys", "http://[::1]:8000/keys"] {
        assert!(fetched_from(url).is_ok(), "{url}");
    }
    for url in
        ["http://10.0.0.1/", "http://issuer.example/", "http://127.0.0.1.example/", "http://[::2]/", "http://0.0.0.0/"]
    {
        let problem = fetched_from(url).unwrap_err();
        assert!(problem.starts_with("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL: must be https"), "{problem}");
    }
}

#[test]
fn a_check_of_tokens_that_is_empty_is_refused() {
    let keys = ("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", "https://issuer.example/");
    for name in ["ISSUER", "AUDIENCE", "SCOPE"] {
        let setting = format!("CUSTOMER_DELETION__REQUESTER__JWT__{name}");
        let problem = jwt_source(&[keys, (&setting, "")]).unwrap_err();
        assert!(problem.starts_with(&format!("{setting}: ")), "{problem}");
    }
}

const JWKS_URL: (&str, &str) = ("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", "https://issuer.example/");

#[test]
fn seconds_of_the_jwt_source_have_bounds() {
    for (name, least, most) in [("LEEWAY_SECONDS", 0, 300), ("REFRESH_SECONDS", 1, 86_400)] {
        let setting = format!("CUSTOMER_DELETION__REQUESTER__JWT__{name}");
        let with = |value: i32| jwt_source(&[JWKS_URL, (&setting, &value.to_string())]);
        assert!(with(least).is_ok() && with(most).is_ok(), "{setting}");
        let problem = format!("{setting}: must be {least} to {most}, and is {}", most + 1);
        assert_eq!(with(most + 1).unwrap_err(), problem);
    }
    let never = ("CUSTOMER_DELETION__REQUESTER__JWT__REFRESH_SECONDS", "0");
    assert!(jwt_source(&[JWKS_URL, never]).unwrap_err().contains("must be 1 to 86400, and is 0"));
}

#[test]
fn a_claim_of_a_file_must_have_a_name() {
    // In the environment, empty is not set.
    let jwt = Jwt { claim: String::new(), jwks_url: Some(JWKS_URL.1.to_owned()), ..Jwt::default() };
    let requester = Requester { source: Some("jwt".to_owned()), jwt, ..Requester::default() };
    assert_eq!(
        requester.source().unwrap_err().to_string(),
        "CUSTOMER_DELETION__REQUESTER__JWT__CLAIM: must name a claim"
    );
}

#[test]
fn a_url_of_keys_has_no_user_and_no_password() {
    for url in ["https://me@issuer.example/", "https://me:hunter2@issuer.example/", "https://:hunter2@issuer.example/"]
    {
        let problem = jwt_source(&[(JWKS_URL.0, url)]).unwrap_err();
        assert!(
            problem.starts_with("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL: has a user or a password"),
            "{problem}"
        );
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn there_is_one_source_of_keys() {
    let secret = ("CUSTOMER_DELETION__REQUESTER__JWT__HMAC_SECRET_FILE", "secret");
    let problem = jwt_source(&[JWKS_URL, secret]).unwrap_err();
    assert_eq!(problem, format!("{}: is set beside {}; one of them must go", secret.0, JWKS_URL.0));
}
