//! Every bad setting of tokens is named as people set it.

use super::*;
use crate::config::tests::{JWT, load};
use crate::config::{RequesterSource, Settings};

fn jwt_source(variables: &[(&str, &str)]) -> Result<JwtSource, String> {
    let source = load(&[&[JWT], variables].concat()).unwrap().requester.source();
    match source.map_err(|error| error.to_string())? {
        RequesterSource::Jwt(source) => Ok(*source),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_jwt_source_needs_to_know_its_keys() {
    let problem = jwt_source(&[]).unwrap_err();
    assert_eq!(
        problem,
        "CUSTOMER_DELETION__REQUESTER__JWT__JWKS_FILE: is not set; to verify tokens, set it, \
         CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL, CUSTOMER_DELETION__REQUESTER__JWT__HMAC_SECRET_FILE or \
         CUSTOMER_DELETION__REQUESTER__JWT__ISSUER"
    );
}

const ISSUER_VARIABLE: &str = "CUSTOMER_DELETION__REQUESTER__JWT__ISSUER";

#[test]
fn the_keys_are_discovered_where_only_the_issuer_is_set() {
    for (issuer, expected) in [
        ("https://issuer.example", "https://issuer.example/.well-known/openid-configuration"),
        ("https://issuer.example/", "https://issuer.example/.well-known/openid-configuration"),
        ("https://issuer.example/realms/a", "https://issuer.example/realms/a/.well-known/openid-configuration"),
        ("http://127.0.0.1:8000/a/", "http://127.0.0.1:8000/a/.well-known/openid-configuration"),
    ] {
        let source = jwt_source(&[(ISSUER_VARIABLE, issuer)]).unwrap();
        let KeySource::Issuer { issuer: name, configuration } = source.keys else { panic!("{:?}", source.keys) };
        assert_eq!((name.as_str(), configuration.as_str()), (issuer, expected));
        assert_eq!(source.issuer.as_deref(), Some(issuer));
    }
    let source = jwt_source(&[(ISSUER_VARIABLE, "my issuer"), JWKS_URL]).unwrap();
    assert!(matches!(source.keys, KeySource::JwksUrl(_)));
}

#[test]
fn an_issuer_without_a_configuration_needs_another_source_of_keys() {
    for (issuer, part) in [
        ("my issuer", "is not a URL"),
        ("http://issuer.example", "must be https"),
        ("https://me:hunter2@issuer.example", "has a user or a password"),
        ("https://issuer.example/?tenant=a", "has a query or a fragment"),
    ] {
        let problem = jwt_source(&[(ISSUER_VARIABLE, issuer)]).unwrap_err();
        assert!(problem.starts_with(&format!("{ISSUER_VARIABLE}: {part}")), "{problem}");
        assert!(problem.contains("__JWKS_URL") && !problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn the_jwt_source_has_defaults() {
    let source =
        jwt_source(&[("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", "https://issuer.example/jwks.json")]).unwrap();
    assert!(matches!(&source.keys, KeySource::JwksUrl(url) if url.as_str() == "https://issuer.example/jwks.json"));
    assert_eq!(source.refresh.as_secs(), 300);
    assert_eq!(
        (
            source.claim.as_str(),
            source.issuer,
            source.audiences,
            source.token_scopes.read,
            source.token_scopes.delete,
            source.required_claims
        ),
        ("customer_id", None, vec![], None, None, vec![])
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
    for name in ["ISSUER", "AUDIENCE", "SCOPE_READ", "SCOPE_DELETE", "REQUIRED_CLAIMS"] {
        let setting = format!("CUSTOMER_DELETION__REQUESTER__JWT__{name}");
        for empty in ["", "\n"] {
            let problem = jwt_source(&[keys, (&setting, empty)]).unwrap_err();
            assert!(problem.starts_with(&format!("{setting}: ")), "{problem}");
        }
    }
}

const JWKS_URL: (&str, &str) = ("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", "https://issuer.example/");

#[test]
fn a_claim_of_a_file_must_have_a_name() {
    // In the environment, empty is not set.
    let mut requester = Settings::default().requester;
    requester.source = Some("jwt".to_owned());
    requester.jwt.jwks_url = Some(JWKS_URL.1.to_owned());
    requester.jwt.claim = String::new();
    assert_eq!(
        requester.source().unwrap_err().to_string(),
        "CUSTOMER_DELETION__REQUESTER__JWT__CLAIM: must name one claim"
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
    assert_eq!(problem, format!("{}: is set beside {}; remove one of them", secret.0, JWKS_URL.0));
}

#[test]
fn the_white_space_of_a_mounted_secret_means_nothing() {
    let source = jwt_source(&[
        (ISSUER_VARIABLE, "https://issuer.example\n"),
        ("CUSTOMER_DELETION__REQUESTER__JWT__AUDIENCE", " a , b\r\n"),
        ("CUSTOMER_DELETION__REQUESTER__JWT__CLAIM", "id\n"),
        ("CUSTOMER_DELETION__REQUESTER__JWT__SCOPE_READ", "read\n"),
        ("CUSTOMER_DELETION__REQUESTER__JWT__SCOPE_DELETE", " delete"),
        ("CUSTOMER_DELETION__REQUESTER__JWT__REFRESH_SECONDS", "7\n"),
    ])
    .unwrap();
    assert_eq!(source.issuer.as_deref(), Some("https://issuer.example"));
    assert_eq!((source.audiences, source.claim.as_str()), (vec!["a".to_owned(), "b".to_owned()], "id"));
    assert_eq!(
        (source.token_scopes.read.as_deref(), source.token_scopes.delete.as_deref()),
        (Some("read"), Some("delete"))
    );
    assert_eq!(source.refresh.as_secs(), 7);
}

#[test]
fn a_list_has_no_empty_element_and_a_single_value_no_comma() {
    for (name, value, part) in [
        ("AUDIENCE", "a,,b", "has an empty element"),
        ("AUDIENCE", ",", "has an empty element"),
        ("REQUIRED_CLAIMS", "a=b,", "has an empty element"),
        ("SCOPE_CLAIMS", "scope,", "has an empty element"),
        ("ISSUER", "https://a.example,https://b.example", "must name one issuer"),
        ("CLAIM", "a,b", "must name one claim"),
        ("SCOPE_READ", "a,b", "must be one token scope"),
        ("SCOPE_DELETE", "a,b", "must be one token scope"),
        ("SCOPE_DELETE", "a b", "must be one token scope"),
    ] {
        let setting = format!("CUSTOMER_DELETION__REQUESTER__JWT__{name}");
        let mut variables = vec![JWKS_URL, (&setting, value)];
        if name == "SCOPE_CLAIMS" {
            variables.push(("CUSTOMER_DELETION__REQUESTER__JWT__SCOPE_DELETE", "delete"));
        }
        let problem = jwt_source(&variables).unwrap_err();
        assert!(problem.starts_with(&format!("{setting}: {part}")), "{problem}");
    }
}

#[test]
fn required_claims_have_names_and_values() {
    const SETTING: &str = "CUSTOMER_DELETION__REQUESTER__JWT__REQUIRED_CLAIMS";
    let required = |text| jwt_source(&[JWKS_URL, (SETTING, text)]).map(|source| source.required_claims);
    let claim = |name: &str, values: &[&str]| RequiredClaim {
        claim: name.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    assert_eq!(
        required("client_id=a, token_use=access, client_id=b=c"),
        Ok(vec![claim("client_id", &["a", "b=c"]), claim("token_use", &["access"])])
    );
    for text in ["token_use", "=access", "token_use=", "a=b,c"] {
        let problem = required(text).unwrap_err();
        assert!(problem.starts_with(&format!("{SETTING}: `")) && problem.contains("claim=value"), "{problem}");
    }
}

#[test]
fn the_claims_of_the_scopes_are_a_setting() {
    const SETTING: &str = "CUSTOMER_DELETION__REQUESTER__JWT__SCOPE_CLAIMS";
    const READ: &str = "CUSTOMER_DELETION__REQUESTER__JWT__SCOPE_READ";
    const DELETE: &str = "CUSTOMER_DELETION__REQUESTER__JWT__SCOPE_DELETE";
    let claims = |variables: &[_]| jwt_source(variables).map(|source| source.token_scopes.claims);
    for scope in [(READ, "read"), (DELETE, "delete")] {
        assert_eq!(claims(&[JWKS_URL, scope]).unwrap(), ["scope", "scp", "roles", "permissions"]);
        assert_eq!(claims(&[JWKS_URL, scope, (SETTING, "realm_access.roles")]).unwrap(), ["realm_access.roles"]);
    }
    assert_eq!(
        jwt_source(&[JWKS_URL, (SETTING, "roles")]).unwrap_err(),
        format!("{SETTING}: has no effect without {READ} or {DELETE}")
    );
}
