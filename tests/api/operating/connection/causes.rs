//! Readiness and the line of each call show why there is no connection. The log shows when this begins and ends.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use rstest::rstest;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::process::{IMPATIENT, Process};
use crate::support::proxy::{Proxy, Weather};
use crate::support::service::{collection, send};
use crate::support::{TestDatabase, client, until};

/// The reason of readiness, and the reason of a call.
async fn reasons(process: &Process) -> (String, String) {
    let ready = send(client().get(format!("http://{}/health/ready", process.management_address))).await;
    assert_eq!(ready.status, 503, "{}", ready.text);
    let somebody = Uuid::now_v7();
    let url = format!("http://{}{}/{somebody}", process.address, collection(somebody, Resource::Zone));
    let answer = send(client().delete(url).header("X-Requester-Id", somebody.to_string())).await;
    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    let id = answer.request_id().to_string();
    let line = line(process, |line| line["request_id"] == id).await;
    (ready.json()["reason"].as_str().unwrap().to_owned(), line["reason"].as_str().unwrap().to_owned())
}

/// The first matching line of the log.
async fn line(process: &Process, is_so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        if let Some(line) = process.log().into_iter().find(&is_so) {
            return line;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no such line: {:#?}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// On a busy machine, a connection attempt may time out. Then one of the next answers shows the cause.
async fn assert_told(process: &Process, cause: &str) {
    let began = Instant::now();
    let tells = |reason: &str| reason.contains("no connection to PostgreSQL") && reason.contains(cause);
    let (mut readiness_told, mut call_told) = (false, false);
    while !(readiness_told && call_told) {
        let (of_readiness, of_call) = reasons(process).await;
        readiness_told |= tells(&of_readiness);
        call_told |= tells(&of_call);
        assert!(began.elapsed() < Duration::from_secs(60), "{of_readiness}; {of_call}");
    }
}

#[rstest]
#[case::refused("postgres://u@127.0.0.1:1/app", "in 2s: Connection refused")]
#[case::unknown_host(
    "postgres://u@a-label-of-more-than-sixty-three-characters-which-no-name-can-have.example/app",
    ": failed to lookup address information"
)]
#[case::no_socket("postgres://u@/app?host=/nowhere", "in 2s: No such file or directory")]
#[tokio::test]
async fn a_server_that_is_not_there_is_told_from_others(#[case] url: &str, #[case] cause: &str) {
    assert_told(&Process::serve_as(url, &IMPATIENT), cause).await;
}

#[tokio::test]
async fn what_a_server_says_is_passed_on() {
    let database = TestDatabase::migrated().await;
    let role = format!("crowded_{}", Uuid::now_v7().simple());
    let create = format!("create role {role} login password 'crowded' connection limit 0");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&database.pool).await.unwrap();
    let rest = database.url.split_once('@').unwrap().1.split('?').next().unwrap();
    for (url, cause) in [
        (format!("postgres://{role}:crowded@{rest}"), "in 2s: too many connections for role"),
        (format!("postgres://{role}:crowded@{rest}"), "(SQLSTATE 53300)"),
        (format!("postgres://nobody_at_all:hunter2@{rest}"), "(SQLSTATE 28"),
        // The server of the tests has no certificate.
        (format!("postgres://{role}:crowded@{rest}?sslmode=require"), ": TLS failed: server does not support TLS"),
    ] {
        assert_told(&Process::serve_as(&url, &IMPATIENT), cause).await;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("drop role {role}"))).execute(&database.pool).await.unwrap();
}

#[tokio::test]
async fn a_server_that_goes_silent_is_told_from_one_that_has_no_connection_free() {
    let (_database, proxy, url) = Proxy::with_database().await;
    proxy.set(Weather::Frozen);
    assert_told(&Process::serve_impatiently(&url), "no answer to an attempt to connect").await;
}

const OUTAGE: &str = "the database cannot be used, and calls are answered 503";

#[tokio::test]
async fn an_outage_is_logged_while_there_are_no_keys_for_tokens_either() {
    let jwt = [
        ("CUSTOMER_DELETION__REQUESTER__SOURCE", "jwt"),
        ("CUSTOMER_DELETION__REQUESTER__JWT__JWKS_URL", "http://127.0.0.1:1/keys"),
    ];
    let process = Process::serve_as("postgres://u@127.0.0.1:1/app", &[&IMPATIENT[..], &jwt].concat());
    let ready = send(client().get(format!("http://{}/health/ready", process.management_address))).await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("the keys of the issuer"), "{}", ready.text);
    let begin = line(&process, |line| line["message"] == OUTAGE).await;
    assert!(begin["reason"].as_str().unwrap().contains("Connection refused"), "{begin}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_logged_when_it_begins_and_when_it_ends() {
    let (_database, proxy, url) = Proxy::with_database().await;
    let process = Process::serve(&url);
    let ready = async || send(client().get(format!("http://{}/health/ready", process.management_address))).await.status;
    assert_eq!(ready().await, 200);
    let is_begin = |line: &Value| line["message"] == OUTAGE;
    let is_end = |line: &Value| line["message"] == "the database can be used again";
    assert!(!process.log().iter().any(|line| is_begin(line) || is_end(line)), "{:#?}", process.log());

    proxy.go_away().await;
    for _ in 0..2 {
        assert_eq!(ready().await, 503);
    }
    let begin = line(&process, is_begin).await;
    assert_eq!(begin["level"], "WARN");
    assert!(begin["reason"].as_str().unwrap().contains("Connection refused"), "{begin}");

    proxy.set(Weather::Fair);
    until(|| async { ready().await == 200 }).await;
    assert_eq!(line(&process, is_end).await["level"], "INFO");
    assert_eq!(process.log().iter().filter(|line| is_begin(line)).count(), 1, "{:#?}", process.log());
}
