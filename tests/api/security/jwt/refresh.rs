//! Keys are rotated, and issuers go away and return.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac::HMAC_SHA256;
use futures_util::{StreamExt, stream};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::issuer::{Issuer, Manner};
use super::token::{ED25519, P256, RSA, STRANGER, SigningKey, jwks, sign_with_secret, token};
use super::{
    INVALID_TOKEN, NO_TOKEN, TestFile, ask, assert_identified, assert_unauthorized, claims, contact_path, ready,
    start_with, until,
};
use crate::support::service::send;
use crate::support::{StallWatch, TestService};

/// The shortest time between two refreshes because of tokens with unknown keys.
const PAUSE_SECONDS: u64 = 5;

async fn start(issuer: &Issuer, refresh_seconds: u64) -> TestService {
    start_with(|settings| {
        settings.requester.jwt.jwks_url = Some(issuer.url());
        settings.requester.jwt.refresh_seconds = refresh_seconds;
    })
    .await
}

/// A service that has read the keys of its issuer.
async fn start_with_keys(issuer: &Issuer, refresh_seconds: u64) -> TestService {
    ready(start(issuer, refresh_seconds).await).await
}

/// Waits for two more fetches. The first may have begun before now, and its result is in use before the second begins.
async fn until_fetched_again(issuer: &Issuer) {
    let fetches = issuer.fetches();
    until(|| async { issuer.fetches() >= fetches + 2 }).await;
}

async fn ask_with(service: &TestService, key: &SigningKey) -> u16 {
    ask(service, &key.token(&claims(Uuid::now_v7()))).await.status
}

/// A token that names an unknown key.
fn unknown_key() -> String {
    let mut header = STRANGER.header();
    header["kid"] = json!(Uuid::now_v7());
    STRANGER.token_with(&header, &claims(Uuid::now_v7()))
}

#[tokio::test]
async fn tokens_are_believed_while_the_issuer_is_down() {
    let mut issuer = Issuer::with(&[&RSA]).await;
    let service = start_with_keys(&issuer, 1).await;
    until_fetched_again(&issuer).await;
    issuer.stop().await;

    // Long enough for refreshes to fail.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(ask_with(&service, &RSA).await, 404);
    }
    assert_unauthorized(&ask(&service, &unknown_key()).await, INVALID_TOKEN);
    assert_eq!(service.management("/health/ready").await.status, 200);
}

#[tokio::test]
async fn a_rotated_key_is_known_at_its_first_token() {
    let issuer = Issuer::with(&[&RSA]).await;
    let service = start_with_keys(&issuer, 3600).await;
    assert_eq!(ask_with(&service, &RSA).await, 404);

    let fetches = issuer.fetches();
    issuer.set(Manner::Late(jwks(&[&P256])));

    let twins = tokio::join!(ask_with(&service, &P256), ask_with(&service, &P256), ask_with(&service, &P256));
    assert_eq!(twins, (404, 404, 404), "every call waits for the one refresh");
    assert_eq!(issuer.fetches(), fetches + 1);
    assert_eq!(ask_with(&service, &RSA).await, 401, "a key that the issuer took back");
}

/// The fetch in progress returns the old keys. The one that the token causes begins after it.
#[tokio::test]
async fn a_key_that_is_rotated_during_a_fetch_is_known_at_its_first_token() {
    let issuer = Issuer::with(&[&RSA]).await;
    let service = start_with_keys(&issuer, 1).await;

    issuer.set(Manner::Late(jwks(&[&RSA])));
    let fetches = issuer.fetches();
    until(|| async { issuer.fetches() > fetches }).await;
    issuer.publish(&[&P256]);

    let twins = tokio::join!(ask_with(&service, &P256), ask_with(&service, &P256));
    assert_eq!(twins, (404, 404));
}

/// The public half under another name, or none.
fn renamed(key: &SigningKey, name: Option<&str>) -> Value {
    let mut jwk = key.bare_jwk();
    if let Some(name) = name {
        jwk["kid"] = json!(name);
    }
    json!({"keys": [jwk]})
}

#[rstest]
#[case::the_same_name(&STRANGER, Some("the-key"))]
#[case::no_name(&STRANGER, None)]
#[case::the_same_name_and_another_algorithm(&P256, Some("the-key"))]
#[case::no_name_and_another_algorithm(&P256, None)]
#[tokio::test]
async fn a_key_that_is_rotated_without_a_new_name_is_known_at_its_first_token(
    #[case] new: &SigningKey,
    #[case] name: Option<&str>,
) {
    let issuer = Issuer::with(&[]).await;
    issuer.set(Manner::Answer(renamed(&RSA, name).to_string()));
    let service = start_with_keys(&issuer, 3600).await;
    let token = |key: &SigningKey| {
        let mut header = json!({"alg": key.algorithm});
        if let Some(name) = name {
            header["kid"] = json!(name);
        }
        key.token_with(&header, &claims(Uuid::now_v7()))
    };
    assert_identified(&ask(&service, &token(&RSA)).await);

    let fetches = issuer.fetches();
    issuer.set(Manner::Answer(renamed(new, name).to_string()));

    assert_identified(&ask(&service, &token(new)).await);
    for _ in 0..10 {
        assert_unauthorized(&ask(&service, &token(&RSA)).await, INVALID_TOKEN);
    }
    // The rate of fetches also limits wrong signatures. A machine that stalls for longer than the pause is allowed one more.
    assert!((1..=2).contains(&(issuer.fetches() - fetches)), "{}", issuer.fetches() - fetches);
}

#[tokio::test]
async fn a_secret_that_changes_is_read_at_the_first_token_of_the_new_one() {
    let file = TestFile::new([1; 32]);
    let service = start_with(|settings| settings.requester.jwt.hmac_secret_file = file.setting()).await;
    let token = |secret: &[u8]| {
        token(r#"{"alg":"HS256"}"#, &claims(Uuid::now_v7()).to_string(), sign_with_secret(HMAC_SHA256, secret))
    };
    assert_identified(&ask(&service, &token(&[1; 32])).await);
    file.write([2; 32]);
    assert_identified(&ask(&service, &token(&[2; 32])).await);
}

#[tokio::test]
async fn a_key_that_is_rotated_under_an_attack_is_known_within_seconds() {
    let issuer = Issuer::with(&[&RSA]).await;
    let service = start_with_keys(&issuer, 3600).await;
    assert_unauthorized(&ask(&service, &unknown_key()).await, INVALID_TOKEN);

    issuer.publish(&[&RSA, &ED25519]);

    let rotated = Instant::now();
    until(|| async {
        assert_unauthorized(&ask(&service, &unknown_key()).await, INVALID_TOKEN);
        ask_with(&service, &ED25519).await == 404
    })
    .await;
    assert!(rotated.elapsed() < Duration::from_secs(4 * PAUSE_SECONDS), "{:?}", rotated.elapsed());
}

#[tokio::test]
async fn many_unknown_keys_are_hardly_noticed_by_the_issuer() {
    send_unknown_keys(200).await;
}

#[tokio::test]
#[ignore = "many calls; cargo test --test api -- --ignored unknown_keys"]
async fn thousands_of_unknown_keys_are_hardly_noticed_by_the_issuer() {
    send_unknown_keys(2000).await;
}

async fn send_unknown_keys(calls: usize) {
    let issuer = Issuer::with(&[&RSA]).await;
    let service = start_with_keys(&issuer, 3600).await;
    let fetches = issuer.fetches();

    let began = Instant::now();
    let tokens = (0..calls).map(|_| unknown_key());
    let answers = stream::iter(tokens).map(|token| {
        let service = &service;
        async move { ask(service, &token).await }
    });
    let answers: Vec<_> = answers.buffer_unordered(32).collect().await;

    let most = 1 + began.elapsed().as_secs() / PAUSE_SECONDS;
    let fetched = (issuer.fetches() - fetches) as u64;
    assert!((1..=most).contains(&fetched), "{fetched} fetches in {:?}", began.elapsed());
    for answer in answers {
        assert_unauthorized(&answer, INVALID_TOKEN);
    }
    assert_eq!(ask_with(&service, &RSA).await, 404);
}

#[tokio::test]
async fn an_issuer_that_hangs_holds_no_call() {
    let issuer = Issuer::with(&[&RSA]).await;
    let service = start_with_keys(&issuer, 3600).await;
    issuer.set(Manner::Hang);

    let unknown = unknown_key();
    let waiting = ask(&service, &unknown);
    tokio::pin!(waiting);
    let fetches = issuer.fetches();
    let known = async {
        until(|| async { issuer.fetches() > fetches }).await;
        assert_eq!(ask_with(&service, &RSA).await, 404);
    };
    tokio::select! {
        answer = &mut waiting => panic!("a call with an unknown key waits for the issuer: {}", answer.text),
        () = known => {}
    }
    let began = Instant::now();
    assert_unauthorized(&waiting.await, INVALID_TOKEN);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[rstest]
#[case::nothing(|_| Manner::Answer(String::new()))]
#[case::no_json(|_| Manner::Answer("<html>Down for maintenance</html>".to_owned()))]
#[case::no_set(|_| Manner::Answer("{}".to_owned()))]
#[case::no_keys(|_| Manner::Answer(jwks(&[])))]
#[case::only_a_secret(|_| Manner::Answer(json!({"keys": [{"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"}]}).to_string()))]
#[case::only_keys_for_encryption(|_| {
    let mut jwk = RSA.jwk();
    jwk["use"] = json!("enc");
    Manner::Answer(json!({"keys": [jwk]}).to_string())
})]
#[case::half_of_it(|_| Manner::Answer(jwks(&[&STRANGER])[..100].to_owned()))]
#[case::an_error(|_| Manner::Status("500 Internal Server Error", jwks(&[&STRANGER])))]
#[case::a_part(|_| Manner::Status("206 Partial Content", jwks(&[&STRANGER])))]
#[case::a_redirection_to_a_stranger(Manner::Redirect)]
#[case::far_too_much(|_| Manner::Answer(jwks(&[&STRANGER]) + &" ".repeat(1024 * 1024)))]
#[case::silence(|_| Manner::Hang)]
#[tokio::test]
async fn a_bad_answer_never_replaces_good_keys(#[case] manner: fn(SocketAddr) -> Manner) {
    let issuer = Issuer::with(&[&RSA]).await;
    let stranger = Issuer::with(&[&STRANGER]).await;
    let service = start_with_keys(&issuer, 1).await;

    issuer.set(manner(stranger.address));
    until_fetched_again(&issuer).await;

    assert_eq!(ask_with(&service, &RSA).await, 404);
    assert_eq!(ask_with(&service, &STRANGER).await, 401);
    assert_eq!(service.management("/health/ready").await.status, 200);
    assert_eq!(stranger.fetches(), 0);

    issuer.publish(&[&P256]);
    until(|| async { ask_with(&service, &P256).await == 404 }).await;
}

#[tokio::test]
async fn without_keys_the_service_is_not_ready_and_becomes_so_by_itself() {
    let mut issuer = Issuer::stopped().await;
    issuer.publish(&[&RSA]);
    let service = start(&issuer, 3600).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let path = contact_path(family.sub_customer, contact);
    let delete = |token: String| {
        send(service.anonymous(reqwest::Method::DELETE, &path).header("Authorization", format!("Bearer {token}")))
    };
    let token = RSA.token(&claims(family.requester));
    until(|| async { service.management("/health/ready").await.text.contains("could not be fetched") }).await;

    let ready = service.management("/health/ready").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("DOWN")), "{}", ready.text);
    let answer = delete(token.clone()).await;
    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    assert_eq!((answer.header("Retry-After"), answer.header("WWW-Authenticate")), (Some("1"), None));
    assert_unauthorized(&delete("a.b.c".to_owned()).await, INVALID_TOKEN);
    assert_unauthorized(&send(service.anonymous(reqwest::Method::DELETE, &path)).await, NO_TOKEN);
    assert_eq!(service.world.operations().await, 0);

    issuer.start().await;
    service.until_ready().await;
    delete(token).await.assert_deleted();
}

#[tokio::test]
async fn a_service_whose_issuer_hangs_ends_at_once() {
    let issuer = Issuer::with(&[&RSA]).await;
    issuer.set(Manner::Hang);
    let service = start(&issuer, 3600).await;
    until(|| async { issuer.fetches() > 0 }).await;
    let watch = StallWatch::start();
    drop(service);
    // Less than the drain of 5 seconds, after which the service of a test ends at the latest.
    assert!(watch.took() < Duration::from_secs(4), "{:?}", watch.took());
}

#[tokio::test]
async fn a_file_that_changes_is_read_at_the_first_token_of_a_new_key() {
    let file = TestFile::new(jwks(&[&RSA]));
    let service = start_with(|settings| settings.requester.jwt.jwks_file = file.setting()).await;
    assert_eq!(ask_with(&service, &RSA).await, 404);

    file.write(jwks(&[&P256]));

    assert_eq!(ask_with(&service, &P256).await, 404);
    assert_eq!(ask_with(&service, &RSA).await, 401);
}

#[tokio::test]
async fn a_key_that_is_taken_out_of_its_file_is_forgotten_and_a_broken_file_changes_nothing() {
    let file = TestFile::new(jwks(&[&RSA, &P256]));
    let service = start_with(|settings| {
        settings.requester.jwt.jwks_file = file.setting();
        settings.requester.jwt.refresh_seconds = 1;
    })
    .await;

    file.write(jwks(&[&P256]));
    until(|| async { ask_with(&service, &RSA).await == 401 }).await;
    for broken in ["", "{\"keys\": [", "{\"keys\": []}"] {
        file.write(broken);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(ask_with(&service, &P256).await, 404, "{broken}");
    }
    std::fs::remove_file(file.path()).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(ask_with(&service, &P256).await, 404);
}

#[tokio::test]
async fn a_secret_that_changes_is_read_again() {
    let file = TestFile::new([1; 32]);
    let service = start_with(|settings| {
        settings.requester.jwt.hmac_secret_file = file.setting();
        settings.requester.jwt.refresh_seconds = 1;
    })
    .await;
    let token = |secret: &[u8]| {
        token(r#"{"alg":"HS256"}"#, &claims(Uuid::now_v7()).to_string(), sign_with_secret(HMAC_SHA256, secret))
    };
    assert_identified(&ask(&service, &token(&[1; 32])).await);

    file.write([2; 32]);

    until(|| async { ask(&service, &token(&[2; 32])).await.status == 404 }).await;
    assert_unauthorized(&ask(&service, &token(&[1; 32])).await, INVALID_TOKEN);
}

/// The status and body of the answer to a call whose bytes arrive while its key is fetched.
async fn answer_of_bytes(service: &TestService, head: &str, body: &str) -> String {
    let mut connection = TcpStream::connect(service.address).await.unwrap();
    let token = ED25519.token(&claims(Uuid::now_v7()));
    let path = contact_path(Uuid::now_v7(), Uuid::now_v7());
    let list = path.rsplit_once('/').unwrap().0;
    let head = format!("DELETE {list} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n{head}\r\n\r\n");
    connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

#[rstest]
#[case::malformed_chunks("Transfer-Encoding: chunked", "xyz\r\nabc", "HTTP/1.1 400", "malformed")]
#[case::malformed_later("Transfer-Encoding: chunked", "1\r\n{\r\nxyz\r\n", "HTTP/1.1 400", "malformed")]
#[case::a_truncated_body("Content-Length: 100", "{", "HTTP/1.1 400", "malformed")]
#[case::valid_chunks(
    "Transfer-Encoding: chunked",
    "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    "HTTP/1.1 400",
    "neither the path nor the body"
)]
#[case::a_valid_body("Content-Length: 2", "{}", "HTTP/1.1 400", "neither the path nor the body")]
#[tokio::test]
async fn a_body_that_arrives_while_its_key_is_fetched_is_kept_and_answered(
    #[case] head: &str,
    #[case] body: &str,
    #[case] status: &str,
    #[case] text: &str,
) {
    let issuer = Issuer::with(&[&RSA]).await;
    let service = start_with_keys(&issuer, 3600).await;
    issuer.set(Manner::Late(jwks(&[&RSA, &ED25519])));

    let answer = answer_of_bytes(&service, head, body).await;

    assert!(answer.starts_with(status) && answer.contains(text), "{answer}");
}
