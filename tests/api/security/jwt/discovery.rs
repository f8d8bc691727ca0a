//! Keys that are found by the configuration of the issuer, if only the issuer is set.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::issuer::{Issuer, Manner, configuration};
use super::token::{P256, RSA, STRANGER, SigningKey, jwks};
use super::{INVALID_TOKEN, ask, assert_identified, assert_unauthorized, claims, ready, start_with, until};
use crate::support::TestService;

async fn start(issuer: &Issuer, refresh_seconds: u64) -> TestService {
    start_with(|settings| {
        settings.requester.jwt.issuer = Some(issuer.name());
        settings.requester.jwt.refresh_seconds = refresh_seconds;
    })
    .await
}

async fn start_ready(issuer: &Issuer, refresh_seconds: u64) -> TestService {
    ready(start(issuer, refresh_seconds).await).await
}

/// The first fetch may have begun before now. Its result is in use before the second begins.
async fn until_asked_again(issuer: &Issuer) {
    let fetches = issuer.configuration_fetches();
    until(|| async { issuer.configuration_fetches() >= fetches + 2 }).await;
}

fn token(issuer: &Issuer, key: &SigningKey) -> String {
    let mut claims = claims(Uuid::now_v7());
    claims["iss"] = json!(issuer.name());
    key.token(&claims)
}

#[tokio::test]
async fn the_keys_are_where_the_issuer_says() {
    let issuer = Issuer::with(&[&RSA]).await;
    let service = start_ready(&issuer, 3600).await;
    assert_identified(&ask(&service, &token(&issuer, &RSA)).await);
    assert_unauthorized(&ask(&service, &RSA.token(&claims(Uuid::now_v7()))).await, INVALID_TOKEN);
    assert_unauthorized(&ask(&service, &token(&issuer, &STRANGER)).await, INVALID_TOKEN);
}

/// The keys are rotated, and move to another URL.
#[tokio::test]
async fn a_rotated_key_is_known_at_its_first_token() {
    let issuer = Issuer::with(&[&RSA]).await;
    let service = start_ready(&issuer, 3600).await;
    let other = Issuer::with(&[&P256]).await;
    issuer.set_configuration(Manner::Answer(configuration(&issuer.name(), &other.url())));

    assert_identified(&ask(&service, &token(&issuer, &P256)).await);
    assert_unauthorized(&ask(&service, &token(&issuer, &RSA)).await, INVALID_TOKEN);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_waited_for_and_survived() {
    let mut issuer = Issuer::stopped().await;
    issuer.publish(&[&RSA]);
    let service = start(&issuer, 1).await;
    let path = "/.well-known/openid-configuration cannot be fetched";
    until(|| async { service.management("/health/ready").await.text.contains(path) }).await;
    assert_eq!(ask(&service, &token(&issuer, &RSA)).await.status, 503);

    issuer.start().await;
    service.until_ready().await;
    until_asked_again(&issuer).await;
    issuer.stop().await;

    // Long enough for refreshes to fail.
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_identified(&ask(&service, &token(&issuer, &RSA)).await);
    }
    assert_eq!(service.management("/health/ready").await.status, 200);
}

fn of(issuer: &Value, jwks_uri: &Value) -> Manner {
    Manner::Answer(json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string())
}

#[rstest]
#[case::of_another_issuer(|_: &Issuer, stranger: &Issuer| of(&json!(stranger.name()), &json!(stranger.url())), "is of the issuer")]
#[case::of_the_issuer_with_a_slash(
    |issuer: &Issuer, stranger: &Issuer| of(&json!(issuer.name() + "/"), &json!(stranger.url())),
    "is of the issuer"
)]
#[case::of_nobody(|_: &Issuer, stranger: &Issuer| of(&Value::Null, &json!(stranger.url())), "is not a configuration")]
#[case::without_keys(|issuer: &Issuer, _: &Issuer| of(&json!(issuer.name()), &Value::Null), "is not a configuration")]
#[case::with_keys_on_a_network(
    |issuer: &Issuer, _: &Issuer| of(&json!(issuer.name()), &json!("http://issuer.example/")),
    "a `jwks_uri` that must be https"
)]
#[case::with_keys_in_a_file(
    |issuer: &Issuer, _: &Issuer| of(&json!(issuer.name()), &json!("file:///etc/jwks.json")),
    "a `jwks_uri` that must begin with https://"
)]
#[case::a_set_of_keys(|_: &Issuer, _: &Issuer| Manner::Answer(jwks(&[&STRANGER])), "is not a configuration")]
#[case::no_json(|_: &Issuer, _: &Issuer| Manner::Answer("<html>".to_owned()), "is not a configuration")]
#[case::an_error(
    |issuer: &Issuer, stranger: &Issuer| {
        Manner::Status("500 Internal Server Error", configuration(&issuer.name(), &stranger.url()))
    },
    "answers 500"
)]
#[case::a_redirection(|_: &Issuer, stranger: &Issuer| Manner::Redirect(stranger.address), "answers 302")]
#[tokio::test]
async fn a_bad_configuration_never_replaces_good_keys(
    #[case] manner: fn(&Issuer, &Issuer) -> Manner,
    #[case] problem: &str,
) {
    let issuer = Issuer::with(&[&RSA]).await;
    let stranger = Issuer::with(&[&STRANGER]).await;
    let service = start_ready(&issuer, 1).await;

    issuer.set_configuration(manner(&issuer, &stranger));
    until_asked_again(&issuer).await;

    assert_identified(&ask(&service, &token(&issuer, &RSA)).await);
    assert_unauthorized(&ask(&service, &token(&issuer, &STRANGER)).await, INVALID_TOKEN);
    assert_eq!(service.management("/health/ready").await.status, 200);
    assert_eq!((stranger.fetches(), stranger.configuration_fetches()), (0, 0));

    // A service that starts now says why it is not ready.
    let late = start(&issuer, 1).await;
    until(|| async { late.management("/health/ready").await.text.contains(problem) }).await;
}
