//! A service whose settings do not allow it to verify tokens does not start, and names the setting.

use customer_deletion::config::Settings;
use customer_deletion::server::{Server, StartError};
use rstest::rstest;

use super::TestFile;
use super::token::{RSA, jwks};
use crate::support::process::{command, output};

/// The variables of a service with these settings of tokens.
fn variables(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let others = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
        ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt"),
        ("CUSTOMER_DELETION__HTTP__HOST", "127.0.0.1"),
        ("CUSTOMER_DELETION__HTTP__PORT", "0"),
        ("CUSTOMER_DELETION__MANAGEMENT__HOST", "127.0.0.1"),
        ("CUSTOMER_DELETION__MANAGEMENT__PORT", "0"),
    ];
    let others = others.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = settings
        .iter()
        .map(|(name, value)| (format!("CUSTOMER_DELETION__REQUESTER__JWT__{name}"), (*value).to_owned()));
    others.chain(settings).collect()
}

/// Starts as the command does, in this process.
#[track_caller]
fn assert_stopped(settings: &[(&str, &str)], setting: &str, part: &str) {
    let environment = variables(settings).into_iter().collect();
    let started = Settings::from_environment(environment).map_err(StartError::from).and_then(Server::bind);
    assert_names(&started.err().expect("the start stops").to_string(), setting, part);
}

#[track_caller]
fn assert_names(message: &str, setting: &str, part: &str) {
    let start = format!("CUSTOMER_DELETION__REQUESTER__JWT__{setting}: ");
    assert!(message.starts_with(&start) && message.contains(part), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_bad_setting_is_the_only_line_of_the_command_and_its_failure() {
    for (settings, setting) in
        [(("REFRESH_SECONDS", "0"), "REFRESH_SECONDS"), (("JWKS_FILE", "/nowhere/jwks.json"), "JWKS_FILE")]
    {
        let output = output(command(&["serve"]).envs(variables(&[settings])));
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert_names(message.strip_prefix("customer-deletion: ").expect("the command names itself"), setting, "");
        assert!(output.stdout.is_empty());
    }
}

#[rstest]
#[case::no_keys(&[], "JWKS_FILE", "HMAC_SECRET_FILE")]
#[case::a_file_that_is_missing(&[("JWKS_FILE", "/nowhere/jwks.json")], "JWKS_FILE", "/nowhere/jwks.json cannot be read")]
#[case::a_file_that_is_a_folder(&[("JWKS_FILE", "/tmp")], "JWKS_FILE", "cannot be read")]
#[case::a_secret_that_is_missing(&[("HMAC_SECRET_FILE", "/nowhere/secret")], "HMAC_SECRET_FILE", "cannot be read")]
#[case::a_file_beside_a_url(
    &[("JWKS_FILE", "/nowhere"), ("JWKS_URL", "https://issuer.example/")],
    "JWKS_URL",
    "beside CUSTOMER_DELETION__REQUESTER__JWT__JWKS_FILE"
)]
#[case::a_url_beside_a_secret(
    &[("JWKS_URL", "https://issuer.example/"), ("HMAC_SECRET_FILE", "/nowhere")],
    "HMAC_SECRET_FILE",
    "beside CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL"
)]
#[case::a_url_that_is_none(&[("JWKS_URL", "issuer:hunter2@here")], "JWKS_URL", "https://")]
#[case::a_url_with_a_password(&[("JWKS_URL", "https://me:hunter2@issuer.example/")], "JWKS_URL", "password")]
#[case::a_url_of_a_file(&[("JWKS_URL", "file:///etc/jwks.json")], "JWKS_URL", "https://")]
#[case::plain_http_over_a_network(&[("JWKS_URL", "http://issuer.example/")], "JWKS_URL", "https")]
#[case::plain_http_to_a_name_like_the_loopback(&[("JWKS_URL", "http://localhost.example/")], "JWKS_URL", "https")]
#[case::a_refresh_without_a_pause(&[("JWKS_URL", "https://issuer.example/"), ("REFRESH_SECONDS", "0")], "REFRESH_SECONDS", "1 to")]
#[case::an_issuer_without_a_configuration(&[("ISSUER", "http://me:hunter2@issuer.example/")], "ISSUER", "JWKS_URL")]
#[case::claims_of_no_scope(&[("JWKS_URL", "https://issuer.example/"), ("SCOPE_CLAIMS", "roles")], "SCOPE_CLAIMS", "SCOPE_READ or")]
#[case::a_required_claim_without_a_value(
    &[("JWKS_URL", "https://issuer.example/"), ("REQUIRED_CLAIMS", "client_id")],
    "REQUIRED_CLAIMS",
    "claim=value"
)]
#[case::two_scopes(&[("JWKS_URL", "https://issuer.example/"), ("SCOPE_READ", "one two")], "SCOPE_READ", "one token scope")]
#[case::a_scope_in_quotes(&[("JWKS_URL", "https://issuer.example/"), ("SCOPE_DELETE", "\"one\"")], "SCOPE_DELETE", "one token scope")]
#[case::an_empty_audience(&[("JWKS_URL", "https://issuer.example/"), ("AUDIENCE", "")], "AUDIENCE", "empty")]
#[case::an_empty_issuer(&[("JWKS_URL", "https://issuer.example/"), ("ISSUER", "")], "ISSUER", "empty")]
#[case::an_empty_scope_to_read(&[("JWKS_URL", "https://issuer.example/"), ("SCOPE_READ", "")], "SCOPE_READ", "one token scope")]
#[case::an_empty_scope_to_delete(&[("JWKS_URL", "https://issuer.example/"), ("SCOPE_DELETE", "")], "SCOPE_DELETE", "one token scope")]
fn a_bad_setting_stops_the_start(#[case] settings: &[(&str, &str)], #[case] setting: &str, #[case] part: &str) {
    assert_stopped(settings, setting, part);
}

#[rstest]
#[case::nothing("", "is not a JWK set")]
#[case::no_json("hunter2", "is not a JWK set")]
#[case::no_keys(r#"{"keys": []}"#, "no public key")]
#[case::only_a_secret(
    r#"{"keys": [{"kty": "oct", "k": "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnRlcjI"}]}"#,
    "no public key"
)]
#[case::only_an_unsound_key(
    r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "x": "AQ", "y": "AQ"}]}"#,
    "`a` is not a point of its curve"
)]
#[case::a_single_key(r#"{"kty": "RSA", "n": "AQAB", "e": "AQAB"}"#, "is not a JWK set")]
fn a_file_without_keys_stops_the_start(#[case] content: &str, #[case] part: &str) {
    let file = TestFile::new(content);
    assert_stopped(&[("JWKS_FILE", file.path().to_str().unwrap())], "JWKS_FILE", part);
}

#[rstest]
#[case::nothing(String::new(), "holds 0 bytes")]
#[case::too_short("hunter2".repeat(4) + "abc", "holds 31 bytes")]
#[case::a_public_key(RSA.pem(), "PEM")]
fn a_secret_that_is_none_stops_the_start(#[case] content: String, #[case] part: &str) {
    let file = TestFile::new(content);
    assert_stopped(&[("HMAC_SECRET_FILE", file.path().to_str().unwrap())], "HMAC_SECRET_FILE", part);
}

#[test]
fn a_file_that_is_too_large_stops_the_start() {
    let file = TestFile::new(jwks(&[&RSA]) + &" ".repeat(1024 * 1024));
    assert_stopped(&[("JWKS_FILE", file.path().to_str().unwrap())], "JWKS_FILE", "larger than");
}
