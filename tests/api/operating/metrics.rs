//! The metrics on the management port.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use reqwest::{Method, RequestBuilder};
use uuid::Uuid;

use crate::support::process::Process;
use crate::support::service::{collection, send};
use crate::support::world::Family;
use crate::support::{TestDatabase, World, body, client};

struct Measured {
    world: World,
    family: Family,
    process: Process,
    _database: TestDatabase,
}

impl Measured {
    /// A service in its own process, because the metrics count everything in a process.
    async fn start() -> Measured {
        Measured::start_with(&[]).await
    }

    async fn start_with(environment: &[(&str, &str)]) -> Measured {
        let database = TestDatabase::migrated().await;
        let world = World::new(database.pool.clone());
        let family = world.family().await;
        let process = Process::serve_with(&database.url, environment);
        Measured { world, family, process, _database: database }
    }

    async fn call(&self, method: &str, path: &str, body: String) -> u16 {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let call = client()
            .request(method, format!("http://{}{path}", self.process.address))
            .header("X-Requester-Id", self.family.requester.to_string())
            .header("Idempotency-Key", "once")
            .body(body);
        call.send().await.unwrap().status().as_u16()
    }

    async fn page(&self) -> String {
        let answer = client().get(format!("http://{}/metrics", self.process.management_address)).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        answer.text().await.unwrap()
    }

    /// The value of a series, by its name and labels as the page has them.
    async fn value(&self, series: &str) -> Option<f64> {
        let page = self.page().await;
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

#[tokio::test]
async fn a_deletion_a_replay_and_a_refusal_are_counted() {
    let measured = Measured::start().await;
    let contacts = measured.world.rows(Resource::Contact, measured.family.sub_customer, 3).await;
    let path = collection(measured.family.sub_customer, Resource::Contact);

    assert_eq!(measured.call("DELETE", &path, body(&contacts)).await, 200);
    assert_eq!(measured.call("DELETE", &path, body(&contacts)).await, 200);
    // The route label is the same with a slash, so a caller makes no series by it.
    assert_eq!(measured.call("DELETE", &format!("{path}/"), body(&contacts[..1])).await, 422);
    assert_eq!(measured.call("GET", &path, String::new()).await, 405);
    assert_eq!(measured.call("GET", &format!("{path}/"), String::new()).await, 405);

    for (series, expected) in [
        (r#"customer_deletion_deleted_rows_total{resource="contact"}"#, 3.0),
        (r#"customer_deletion_operations_total{resource="contact",status="SUCCESS"}"#, 1.0),
        (r#"customer_deletion_operations_total{resource="contact",status="FAILURE"}"#, 1.0),
        (r#"customer_deletion_replays_total{resource="contact"}"#, 1.0),
        (
            r#"customer_deletion_requests_total{route="/api/v2/customer/{customer_id}/{resource}",method="DELETE",status="200",code=""}"#,
            2.0,
        ),
        (
            r#"customer_deletion_requests_total{route="/api/v2/customer/{customer_id}/{resource}",method="DELETE",status="422",code="IDEMPOTENCY_KEY_REUSED"}"#,
            1.0,
        ),
        (
            r#"customer_deletion_requests_total{route="/api/v2/customer/{customer_id}/{resource}",method="GET",status="405",code="METHOD_NOT_ALLOWED"}"#,
            2.0,
        ),
        (r#"customer_deletion_statement_duration_seconds_count{statement="delete_contacts"}"#, 3.0),
        ("customer_deletion_requests_in_flight", 0.0),
        ("customer_deletion_defects_total", 0.0),
        ("customer_deletion_database_connections_max", 8.0),
        (r#"customer_deletion_rejected_total{limit="rate"}"#, 0.0),
    ] {
        assert_eq!(measured.value(series).await, Some(expected), "{series}");
    }
}

#[tokio::test]
async fn a_cancel_and_a_call_over_the_limit_of_rows_are_counted() {
    let settings =
        [("CUSTOMER_DELETION__QUEUE__WORKERS", "0"), ("CUSTOMER_DELETION__REQUESTER__DELETED_ROWS_PER_HOUR", "1")];
    let measured = Measured::start_with(&settings).await;
    let family = measured.family;
    let url = |path: &str| format!("http://{}{path}", measured.process.address);
    let path = collection(family.sub_customer, Resource::Contact);
    let call = |call: RequestBuilder| call.header("X-Requester-Id", family.requester.to_string());
    let delete = |id: Uuid| call(client().delete(url(&path)).body(body(&[id])));
    let accepted = send(delete(Uuid::now_v7()).header("Prefer", "respond-async")).await;
    accepted.assert_status(202);
    let cancel = url(&format!("{}:cancel", accepted.header("Location").unwrap()));
    send(call(client().post(cancel))).await.assert_status(200);
    let contacts = measured.world.rows(Resource::Contact, family.sub_customer, 2).await;
    for (contact, status) in contacts.into_iter().zip([200, 429]) {
        send(delete(contact)).await.assert_status(status);
    }

    for (series, expected) in [
        (r#"customer_deletion_operations_total{resource="contact",status="FAILURE"}"#, 1.0),
        (r#"customer_deletion_rejected_total{limit="rows"}"#, 1.0),
        (r#"customer_deletion_deleted_rows_total{resource="contact"}"#, 1.0),
    ] {
        assert_eq!(measured.value(series).await, Some(expected), "{series}");
    }
}

/// The alert on slow calls is about the service, and a caller may ask for a long wait.
#[tokio::test]
async fn the_duration_of_a_call_leaves_out_its_wait() {
    let measured = Measured::start_with(&[("CUSTOMER_DELETION__QUEUE__WORKERS", "0")]).await;
    let family = measured.family;
    let url = |path: &str| format!("http://{}{path}", measured.process.address);
    let path = collection(family.sub_customer, Resource::Contact);
    let call = |call: RequestBuilder| {
        send(call.header("X-Requester-Id", family.requester.to_string()).header("Prefer", "respond-async, wait=2"))
    };
    let began = Instant::now();
    let accepted = call(client().delete(url(&path)).body(body(&[Uuid::now_v7()]))).await;
    accepted.assert_status(202);
    let deletion = began.elapsed();
    call(client().get(url(accepted.header("Location").unwrap()))).await.assert_status(200);
    let status_call = began.elapsed() - deletion;

    for (route, method, status, took) in [
        ("/api/v2/customer/{customer_id}/{resource}", "DELETE", 202, deletion),
        ("/api/v3/global/call/{request_id}", "GET", 200, status_call),
    ] {
        let labels = format!(r#"{{route="{route}",method="{method}",status="{status}"}}"#);
        let value = async |part| {
            measured.value(&format!("customer_deletion_request_duration_seconds_{part}{labels}")).await.unwrap()
        };
        assert_eq!(value("count").await, 1.0, "{labels}");
        let wait = took.as_secs_f64() - value("sum").await;
        assert!(wait > 1.9, "{labels}: {wait} s of {took:?} were left out");
    }
}

#[tokio::test]
async fn a_call_that_waits_is_on_the_gauge_until_it_is_answered() {
    let measured = Measured::start_with(&[("CUSTOMER_DELETION__QUEUE__WORKERS", "0")]).await;
    let family = measured.family;
    let url = |path: &str| format!("http://{}{path}", measured.process.address);
    let call = |call: RequestBuilder| call.header("X-Requester-Id", family.requester.to_string());
    let path = collection(family.sub_customer, Resource::Contact);
    let deletion = call(client().delete(url(&path)).body(body(&[Uuid::now_v7()])));
    let accepted = send(deletion.header("Prefer", "respond-async")).await;
    let location = accepted.header("Location").unwrap();
    let until = async |count: f64| {
        let began = Instant::now();
        while measured.value("customer_deletion_requests_waiting").await != Some(count) {
            assert!(began.elapsed() < Duration::from_secs(30), "{}", measured.page().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until(0.0).await;

    let waiting = tokio::spawn(send(call(client().get(url(location))).header("Prefer", "wait=15")));
    until(1.0).await;
    send(call(client().post(url(&format!("{location}:cancel"))))).await.assert_status(200);
    waiting.await.unwrap().assert_status(200);
    until(0.0).await;
}

#[tokio::test]
async fn a_call_that_is_only_validated_is_a_request_and_no_operation() {
    let measured = Measured::start().await;
    let contacts = measured.world.rows(Resource::Contact, measured.family.sub_customer, 3).await;
    let path = collection(measured.family.sub_customer, Resource::Contact);
    let validated = format!("{path}?validateOnly=true");

    assert_eq!(measured.call("DELETE", &validated, body(&contacts)).await, 200);
    assert_eq!(measured.call("DELETE", &validated, body(&[Uuid::now_v7()])).await, 404);
    assert_eq!(measured.call("DELETE", &path, body(&contacts)).await, 200);
    // The same as the call before, and as another one under its key.
    assert_eq!(measured.call("DELETE", &validated, body(&contacts)).await, 200);
    assert_eq!(measured.call("DELETE", &validated, body(&contacts[..1])).await, 422);

    for (series, expected) in [
        (r#"customer_deletion_deleted_rows_total{resource="contact"}"#, 3.0),
        (r#"customer_deletion_operations_total{resource="contact",status="SUCCESS"}"#, 1.0),
        (r#"customer_deletion_operations_total{resource="contact",status="FAILURE"}"#, 0.0),
        (r#"customer_deletion_operations_total{resource="contact",status="INTERNAL_ERROR"}"#, 0.0),
        (r#"customer_deletion_replays_total{resource="contact"}"#, 0.0),
        (
            r#"customer_deletion_requests_total{route="/api/v2/customer/{customer_id}/{resource}",method="DELETE",status="200",code=""}"#,
            3.0,
        ),
        (r#"customer_deletion_statement_duration_seconds_count{statement="inspect_contacts"}"#, 4.0),
        (r#"customer_deletion_statement_duration_seconds_count{statement="record_failure"}"#, 0.0),
    ] {
        assert_eq!(measured.value(series).await.unwrap_or(0.0), expected, "{series}");
    }
}

#[tokio::test]
async fn readiness_and_the_process_are_on_the_page_without_a_probe() {
    let measured = Measured::start().await;
    let began = Instant::now();
    while measured.value("customer_deletion_ready").await != Some(1.0) {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing asks");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(measured.value("process_resident_memory_bytes").await.unwrap() > 1e6);
    assert!(measured.page().await.contains(r#"customer_deletion_build_info{version=""#));
}

#[tokio::test]
async fn a_retry_is_counted_by_its_sqlstate() {
    let measured = Measured::start().await;
    let contact = measured.world.contact(measured.family.sub_customer).await;
    sqlx::raw_sql(
        "create function fail_to_serialize() returns trigger language plpgsql as
           $$ begin raise exception 'once more' using errcode = '40001'; end $$;
         create trigger fail_to_serialize before update on contact execute function fail_to_serialize();",
    )
    .execute(&measured._database.pool)
    .await
    .unwrap();
    let path = collection(measured.family.sub_customer, Resource::Contact);
    assert_eq!(measured.call("DELETE", &path, body(&[contact])).await, 503);
    // Three tries are two retries.
    assert_eq!(measured.value(r#"customer_deletion_database_retries_total{sqlstate="40001"}"#).await, Some(2.0));
}

#[tokio::test]
async fn the_first_defect_is_counted_from_zero() {
    let measured = Measured::start().await;
    assert_eq!(measured.value("customer_deletion_defects_total").await, Some(0.0));
    let contact = measured.world.contact(measured.family.sub_customer).await;
    sqlx::raw_sql("alter table contact rename to somewhere_else").execute(&measured._database.pool).await.unwrap();
    let path = collection(measured.family.sub_customer, Resource::Contact);
    assert_eq!(measured.call("DELETE", &path, body(&[contact])).await, 500);
    assert_eq!(measured.value("customer_deletion_defects_total").await, Some(1.0));
}

/// Values that callers send must not become labels. Each would be a series for as long as the process lives.
#[tokio::test]
async fn callers_cannot_make_series() {
    let measured = Measured::start().await;
    let probe = async |round: usize| {
        for word in 0..20 {
            measured.call(&format!("METHOD{round}X{word}"), "/api/v2/nothing", String::new()).await;
            measured.call("GET", &format!("/path{round}/{word}"), String::new()).await;
            measured.call("GET", &format!("/api/v3/global/call/{}", Uuid::now_v7()), String::new()).await;
            measured.call("GET", &format!("/api/v3/global/call?status={round}{word}"), String::new()).await;
            measured.call("DELETE", &collection(Uuid::now_v7(), Resource::Zone), format!("{{\"{word}\": 1}}")).await;
        }
        // The names of statements are constants. The service itself may run a statement for the first time at any moment.
        measured.page().await.lines().filter(|line| !line.contains("statement=")).count()
    };
    // The other series that the service makes by itself exist after the second round.
    probe(0).await;
    let before = probe(1).await;
    assert_eq!(probe(2).await, before);
}
