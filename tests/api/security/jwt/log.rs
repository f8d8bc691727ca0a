//! The log lines about tokens.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::token::{RSA, STRANGER, jwks};
use super::{TestFile, claims};
use crate::support::process::Process;
use crate::support::{TestDatabase, until};

#[tokio::test]
async fn the_log_says_why_and_shows_no_token() {
    let database = TestDatabase::migrated().await;
    let keys = TestFile::new(jwks(&[&RSA]));
    let process = Process::serve_with(
        &database.url,
        &[
            ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt"),
            ("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_FILE", keys.path().to_str().unwrap()),
            ("CUSTOMER_DELETION__LOG__LEVEL", "trace"),
        ],
    );
    let requester = Uuid::now_v7();
    let mut unknown = STRANGER.header();
    unknown["kid"] = "a-stranger's-key".into();
    let mut nobody = claims(requester);
    nobody.as_object_mut().unwrap().remove("customer_id");
    let tokens = [
        RSA.token(&claims(requester)),
        STRANGER.token(&claims(requester)),
        STRANGER.token_with(&unknown, &claims(requester)),
        RSA.token(&nobody),
    ];
    let path = format!("/api/v2/global/call/{}", Uuid::now_v7());
    let client = reqwest::Client::new();
    let mut bodies = Vec::new();
    for token in &tokens {
        let call = client.get(format!("http://{}{path}?token={token}", process.address)).bearer_auth(token);
        bodies.push(call.send().await.unwrap().text().await.unwrap());
    }
    assert_eq!(bodies[1], bodies[2], "the answer does not tell why");

    let log = log_with_lines(&process, 4).await;

    for part in tokens.iter().flat_map(|token| token.split('.')) {
        assert!(!log.contains(part), "{part} is in the log");
    }
    assert!(!log.contains("stranger"), "{log}");
    assert!(log.contains("not authenticated: the signature of the token is invalid"), "{log}");
    assert!(log.contains("not authenticated: the key of the token (`kid`) is not in the key set"), "{log}");
    assert!(log.contains("not authenticated: the claim `customer_id` is missing"), "{log}");
    assert!(log.contains(&format!(r#""requester_id":"{requester}""#)), "{log}");
}

#[tokio::test]
async fn a_secret_in_the_url_of_the_keys_is_not_shown() {
    let database = TestDatabase::migrated().await;
    let process = Process::serve_with(
        &database.url,
        &[
            ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt"),
            ("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", "http://127.0.0.1:1/jwks.json?key=hunter2#hunter3"),
        ],
    );
    let ready = format!("http://{}/health/ready", process.management_address);
    let refused = async || reqwest::get(&ready).await.unwrap().text().await.unwrap();
    let began = Instant::now();
    while !refused().await.contains("http://127.0.0.1:1/jwks.json cannot be fetched") {
        assert!(began.elapsed() < Duration::from_secs(20), "{} {:?}", refused().await, process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let shown = format!("{} {:?}", refused().await, process.log());
    assert!(shown.contains("could not be refreshed"), "{shown}");
    assert!(!shown.contains("hunter"), "{shown}");
}

/// The log, once it has the lines of this many calls.
async fn log_with_lines(process: &Process, calls: usize) -> String {
    let log = || process.log().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    until(|| async { log().matches(r#""message":"call""#).count() >= calls }).await;
    log()
}
