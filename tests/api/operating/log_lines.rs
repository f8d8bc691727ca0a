//! Each call has one line with the action, the customer and the outcome. Every test checks that no line has a token, a body or
//! personal data (`support/log.rs`).

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use reqwest::RequestBuilder;
use rstest::rstest;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::process::Process;
use crate::support::service::{collection, send, until_somebody_waits};
use crate::support::{TestDatabase, World, body, client};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The one line of the call with this id.
async fn line_of(process: &Process, request_id: Uuid) -> Value {
    let began = Instant::now();
    loop {
        let lines = process.log();
        let own: Vec<&Value> = lines.iter().filter(|line| line["request_id"] == request_id.to_string()).collect();
        match own[..] {
            [line] => return line.clone(),
            [] => assert!(began.elapsed() < Duration::from_secs(20), "no line"),
            _ => panic!("{own:#?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The first line of a call with this field.
async fn line_with(process: &Process, field: &str, value: Value) -> Value {
    let began = Instant::now();
    loop {
        let is_it = |line: &Value| line["message"] == "call" && line[field] == value;
        if let Some(line) = process.log().into_iter().find(is_it) {
            return line;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no line: {:#?}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_call_has_one_line_with_what_for_whom_and_its_outcome() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let contacts = world.rows(Resource::Contact, family.sub_customer, 2).await;
    let process = Process::serve(&database.url);
    let path = collection(family.sub_customer, Resource::Contact);
    let call = |path: &str| -> RequestBuilder {
        let url = format!("http://{}{path}", process.address);
        client().delete(url).header("X-Requester-Id", family.requester.to_string())
    };

    let deleted = send(
        call(&path)
            .header("X-Request-Id", "gateway-17")
            .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
            .body(body(&contacts)),
    )
    .await;
    let line = line_of(&process, deleted.assert_deleted()).await;
    for (field, expected) in [
        ("level", Value::from("INFO")),
        ("message", "call".into()),
        ("gateway_request_id", "gateway-17".into()),
        ("trace_id", TRACE.into()),
        ("requester_id", family.requester.to_string().into()),
        ("customer_id", family.sub_customer.to_string().into()),
        ("resource", "contact".into()),
        ("ids", 2.into()),
        ("method", "DELETE".into()),
        ("route", "/api/v2/customer/{customer_id}/{resource}".into()),
        ("status", 200.into()),
        ("code", Value::Null),
    ] {
        assert_eq!(line[field], expected, "{field}: {line}");
    }
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");

    let anonymous = client().delete(format!("http://{}{path}", process.address));
    for (call, status, code, reason) in [
        (call(&path).body(body(&contacts)), 404, "CUSTOMER_1017", None),
        (call(&path).body("{\"id\": 7}"), 400, "BAD_REQUEST", None),
        (call("/api/v2/nothing"), 404, "NOT_FOUND", None),
        (call("/api/v3/global/call/1"), 405, "METHOD_NOT_ALLOWED", None),
        (anonymous, 401, "UNAUTHORIZED", Some("not authenticated: the requester header is missing")),
    ] {
        let answer = send(call).await;
        let line = line_of(&process, answer.request_id()).await;
        assert_eq!(answer.status, status);
        assert_eq!((&line["status"], &line["code"]), (&status.into(), &code.into()), "{line}");
        assert_eq!(line["reason"].as_str(), reason, "{line}");
    }
}

#[tokio::test]
async fn a_cancelled_operation_has_its_line() {
    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let process = Process::serve_with(&database.url, &[("CUSTOMER_DELETION__QUEUE__WORKERS", "0")]);
    let url = |path: &str| format!("http://{}{path}", process.address);
    let call = |call: RequestBuilder| send(call.header("X-Requester-Id", family.requester.to_string()));
    let path = collection(family.sub_customer, Resource::Contact);
    let accepted =
        call(client().delete(url(&path)).header("Prefer", "respond-async").body(body(&[Uuid::now_v7()]))).await;
    let cancel = url(&format!("{}:cancel", accepted.header("Location").unwrap()));
    let cancelled = call(client().post(&cancel)).await;
    cancelled.assert_status(200);
    call(client().post(&cancel)).await.assert_status(409);
    line_of(&process, cancelled.request_id()).await;

    let lines: Vec<Value> = process.log().into_iter().filter(|line| line["message"] == "operation").collect();
    let [line] = &lines[..] else { panic!("{lines:#?}") };
    for (field, expected) in [
        ("level", "INFO"),
        ("request_id", &accepted.request_id().to_string()),
        ("requester_id", &family.requester.to_string()),
        ("customer_id", &family.sub_customer.to_string()),
        ("resource", "contact"),
        ("operation_status", "FAILURE"),
        ("code", "CANCELLED"),
    ] {
        assert_eq!(line[field], expected, "{field}: {line}");
    }
    assert!(line["waited_ms"].as_u64().is_some(), "{line}");
    assert_eq!(line["attempts"], 0, "{line}");
}

#[tokio::test]
async fn the_line_of_a_call_that_is_only_validated_says_so() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let contact = world.contact(family.sub_customer).await;
    let process = Process::serve(&database.url);
    let path = format!("{}/{contact}", collection(family.sub_customer, Resource::Contact));
    let call = |query: &str| {
        let url = format!("http://{}{path}{query}", process.address);
        client().delete(url).header("X-Requester-Id", family.requester.to_string())
    };

    for (call, expected) in [
        (call("?validateOnly=true"), Value::Bool(true)),
        (call("?validateOnly=true").body("{"), Value::Bool(true)),
        (call("?validateOnly=maybe"), Value::Null),
        (call("?validateOnly=false"), Value::Null),
        (call(""), Value::Null),
    ] {
        let answer = send(call).await;
        let line = line_of(&process, answer.request_id()).await;
        assert_eq!((&line["validate_only"], &line["status"]), (&expected, &answer.status.into()), "{line}");
    }
}

/// Only a deletion has an operation that shows the outcome.
#[rstest]
#[case::of_a_validation("?validateOnly=true", "the client hung up", "")]
// The service does not read the next request until this one is answered.
#[case::of_a_deletion(
    "",
    "the client hung up; the operation tells how it ended",
    "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
)]
#[tokio::test]
async fn the_line_of_a_call_whose_client_hangs_up_promises_an_operation_if_there_is_one(
    #[case] query: &str,
    #[case] expected: &str,
    #[case] behind: &str,
) {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let process = Process::serve(&database.url);
    // All reads wait, so that the call is running when its client hangs up.
    let mut holding = database.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table zone in access exclusive mode").execute(&mut *holding).await.unwrap();
    let mut client = TcpStream::connect(process.address).await.unwrap();
    let path = format!("{}/{}{query}", collection(family.requester, Resource::Zone), Uuid::now_v7());
    let head = format!("DELETE {path} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {}\r\n\r\n", family.requester);
    client.write_all(format!("{head}{behind}").as_bytes()).await.unwrap();
    until_somebody_waits(&database.pool).await;
    client.set_zero_linger().unwrap();
    drop(client);

    let validate_only = if query.is_empty() { Value::Null } else { Value::Bool(true) };
    let line = line_with(&process, "validate_only", validate_only).await;
    assert_eq!(line["reason"], expected, "{line}");
    holding.rollback().await.unwrap();
}

#[tokio::test]
async fn what_a_caller_sends_in_any_place_is_in_no_line() {
    const SECRET: &str = "personal-0815";

    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let process = Process::serve(&database.url);
    let url = format!("http://{}{}", process.address, collection(family.sub_customer, Resource::Contact));
    let identified = |url: &str| client().delete(url).header("X-Requester-Id", family.requester.to_string());
    for call in [
        identified(&url).body(format!("{{\"id\": [\"{SECRET}\"]}}")),
        identified(&url).body(format!("{{\"{SECRET}\": ")),
        identified(&url).header("Content-Type", SECRET).body("{}"),
        identified(&url).header("Authorization", format!("Bearer {SECRET}")),
        identified(&url).header("Idempotency-Key", SECRET),
        identified(&url).header("X-Request-Id", format!("{SECRET} is, no id")),
        identified(&url).header("traceparent", SECRET),
        identified(&format!("{url}/{SECRET}")),
        identified(&format!("{url}?name={SECRET}")),
        identified(&format!("http://{}/{SECRET}", process.address)),
        client().delete(&url).header("X-Requester-Id", SECRET),
    ] {
        let answer = send(call).await;
        let line = line_of(&process, answer.request_id()).await.to_string();
        assert!(!line.contains(SECRET), "{line}");
    }
    assert!(!process.log().iter().any(|line| line.to_string().contains(SECRET)), "{:#?}", process.log());
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_its_body_has_a_line_too() {
    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let process = Process::serve(&database.url);
    let mut client = TcpStream::connect(process.address).await.unwrap();
    let head = format!(
        "DELETE {} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {}\r\nX-Request-Id: gateway-18\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        collection(family.sub_customer, Resource::Contact),
        family.requester
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    client.set_zero_linger().unwrap();
    drop(client);

    let line = line_with(&process, "gateway_request_id", "gateway-18".into()).await;
    assert_eq!(line["requester_id"], family.requester.to_string(), "{line}");
    let reason = line["reason"].as_str().or(line["code"].as_str());
    assert!(reason.is_some(), "{line}");
}

#[tokio::test]
async fn a_call_whose_connection_is_closed_at_the_limit_has_a_word_of_its_own() {
    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let process = Process::serve_with(&database.url, &[("CUSTOMER_DELETION__HTTP__MAX_CONNECTIONS", "1")]);
    let mut slow = TcpStream::connect(process.address).await.unwrap();
    let head = format!(
        "DELETE {} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {}\r\nX-Request-Id: gateway-19\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        collection(family.sub_customer, Resource::Contact),
        family.requester
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    let _new = TcpStream::connect(process.address).await.unwrap();

    let line = line_with(&process, "gateway_request_id", "gateway-19".into()).await;
    assert_eq!(line["reason"], "the connection was closed at the limit of connections", "{line}");
    let page = send(client().get(format!("http://{}/metrics", process.management_address))).await.text;
    for (by, calls) in [("client", 0), ("limit", 1)] {
        let line = format!("customer_deletion_requests_abandoned_total{{by=\"{by}\"}} {calls}\n");
        assert!(page.contains(&line), "{line}");
    }
}
