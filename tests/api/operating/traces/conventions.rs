//! Names, types, kinds and status of the spans, compared with the semantic conventions of OpenTelemetry.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use reqwest::{Method, Url};
use uuid::Uuid;

use super::collector::{attributes, hex, integer, text};
use super::{CALLER, TRACE, Traced};
use crate::support::client;
use crate::support::service::{collection, hang_up, send, send_deletion, until_somebody_waits};

const ROUTE: &str = "/api/v2/customer/{customer_id}/{resource}";
const DELETION: &str = "DELETE /api/v2/customer/{customer_id}/{resource}";

type Attributes = BTreeMap<String, Value>;

fn table<const N: usize>(rows: [(&str, Value); N]) -> Attributes {
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    spans.iter().find(|span| span.name == name).unwrap()
}

fn status(span: &Span) -> StatusCode {
    span.status.as_ref().map_or(StatusCode::Unset, |status| status.code())
}

/// Every attribute of a span for a statement, with the address of the database from its URL.
fn of_statement(name: &str, database: &Url) -> Attributes {
    table([
        ("db.system.name", text("postgresql")),
        ("db.namespace", text(database.path().trim_start_matches('/'))),
        ("db.query.summary", text(name)),
        ("server.address", text(database.host_str().unwrap())),
        ("server.port", integer(database.port().unwrap())),
    ])
}

#[tokio::test]
async fn a_deletion_has_a_span_in_the_callers_trace_and_one_for_its_statement() {
    let attributes_of_the_resource = "deployment.environment.name=test,service.name=deletion";
    let traced = Traced::start(&[("OTEL_RESOURCE_ATTRIBUTES", attributes_of_the_resource)]).await;
    let contact = traced.world.contact(traced.family.sub_customer).await;
    let call = traced.deletion(&[contact]).header("X-Forwarded-Proto", "https");
    let request_id = send(call).await.assert_deleted();
    let spans = traced.collector.spans(TRACE, &[DELETION, "delete_contacts"]).await;

    let call = named(&spans, DELETION);
    assert_eq!(hex(&call.parent_span_id), CALLER);
    assert_eq!((call.kind(), status(call)), (SpanKind::Server, StatusCode::Unset));
    let expected = table([
        ("http.request.method", text("DELETE")),
        ("url.scheme", text("https")),
        ("url.path", text(&collection(traced.family.sub_customer, Resource::Contact))),
        ("http.route", text(ROUTE)),
        ("http.response.status_code", integer(200)),
        ("customer_deletion.request_id", text(&request_id.to_string())),
    ]);
    assert_eq!(attributes(call), expected);

    let statement = named(&spans, "delete_contacts");
    assert_eq!(statement.parent_span_id, call.span_id);
    assert_eq!((statement.kind(), status(statement)), (SpanKind::Client, StatusCode::Unset));
    let database = traced.database.url.parse().unwrap();
    assert_eq!(attributes(statement), of_statement("delete_contacts", &database));

    let resource = traced.collector.resource();
    assert_eq!(resource["service.name"], text("deletion"));
    assert_eq!(resource["service.version"], text(env!("CARGO_PKG_VERSION")));
    assert_eq!(resource["deployment.environment.name"], text("test"));
    assert_eq!(resource["telemetry.sdk.language"], text("rust"));
    assert!(!format!("{spans:?}").contains(&contact.to_string()), "bodies stay out of traces");
}

#[tokio::test]
async fn a_refusal_is_no_error_and_its_code_is_exported() {
    let traced = Traced::start(&[]).await;
    let answer = send(traced.deletion(&[Uuid::now_v7()])).await;
    let request_id = answer.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
    let spans = traced.collector.spans(TRACE, &[DELETION]).await;
    let call = named(&spans, DELETION);
    assert_eq!(status(call), StatusCode::Unset);
    let expected = table([
        ("http.request.method", text("DELETE")),
        ("url.scheme", text("http")),
        ("url.path", text(&collection(traced.family.sub_customer, Resource::Contact))),
        ("http.route", text(ROUTE)),
        ("http.response.status_code", integer(404)),
        ("customer_deletion.request_id", text(&request_id.to_string())),
        ("customer_deletion.error_code", text("CUSTOMER_1017")),
    ]);
    assert_eq!(attributes(call), expected);
}

#[tokio::test]
async fn a_statement_that_fails_and_the_call_that_it_fails_are_errors() {
    let traced = Traced::start(&[]).await;
    let contact = traced.world.contact(traced.family.sub_customer).await;
    traced.world.execute("alter table contact rename column deleted_by to lost", Uuid::nil()).await;
    let answer = send(traced.deletion(&[contact])).await;
    assert_eq!(answer.status, 500);
    let spans = traced.collector.spans(TRACE, &[DELETION, "delete_contacts"]).await;

    let call = named(&spans, DELETION);
    assert_eq!(status(call), StatusCode::Error);
    assert_eq!(attributes(call)["http.response.status_code"], integer(500));
    assert_eq!(attributes(call)["error.type"], text("500"));
    assert_eq!(attributes(call)["customer_deletion.error_code"], text("GLOBAL_1001"));

    let statement = named(&spans, "delete_contacts");
    assert_eq!(status(statement), StatusCode::Error);
    let database = traced.database.url.parse().unwrap();
    let mut expected = of_statement("delete_contacts", &database);
    // undefined_column
    expected.extend(table([("db.response.status_code", text("42703")), ("error.type", text("42703"))]));
    assert_eq!(attributes(statement), expected);
}

#[tokio::test]
async fn a_call_whose_client_hangs_up_is_an_error() {
    let traced = Traced::start(&[]).await;
    let contact = traced.world.contact(traced.family.sub_customer).await;
    let mut holder = traced.database.pool.begin().await.unwrap();
    sqlx::query("select from contact where id = $1 for update").bind(contact).execute(&mut *holder).await.unwrap();
    let client = send_deletion(traced.process.address, traced.family, contact).await;
    until_somebody_waits(&traced.database.pool).await;
    hang_up(client).await;
    let call = traced.collector.span(DELETION).await;
    holder.rollback().await.unwrap();
    assert_eq!(status(&call), StatusCode::Error);
    let attributes = attributes(&call);
    assert_eq!(attributes["error.type"], text("cancelled"));
    assert!(!attributes.contains_key("http.response.status_code"));
}

#[tokio::test]
async fn what_a_caller_makes_up_is_bounded() {
    let traced = Traced::start(&[]).await;
    let method = Method::from_bytes("LONG".repeat(100).as_bytes()).unwrap();
    let path = format!("/{}", "long/".repeat(1_000));
    let answer = send(client().request(method, format!("http://{}{path}", traced.process.address))).await;
    assert_eq!(answer.status, 404);
    let call = traced.collector.span("HTTP").await;
    assert_eq!((call.kind(), status(&call)), (SpanKind::Server, StatusCode::Unset));
    let expected = table([
        ("http.request.method", text("_OTHER")),
        ("http.request.method_original", text(&"LONG".repeat(8))),
        ("url.scheme", text("http")),
        ("url.path", text(&path[..256])),
        ("http.response.status_code", integer(404)),
        ("customer_deletion.request_id", text(answer.header("Request-Id").unwrap())),
        ("customer_deletion.error_code", text("NOT_FOUND")),
    ]);
    assert_eq!(attributes(&call), expected);
}

#[tokio::test]
async fn an_accepted_operation_has_a_span_when_it_is_executed_and_upkeep_has_none() {
    let mut traced = Traced::start(&[("CUSTOMER_DELETION__QUEUE__WORKERS", "1")]).await;
    let contact = traced.world.contact(traced.family.sub_customer).await;
    let answer = send(traced.deletion(&[contact]).header("Prefer", "respond-async")).await;
    let request_id = answer.request_id();
    let operation = traced.collector.span("operation").await;
    assert_eq!((operation.kind(), status(&operation)), (SpanKind::Consumer, StatusCode::Unset));
    let expected = table([("customer_deletion.request_id", text(&request_id.to_string()))]);
    assert_eq!(attributes(&operation), expected);

    // By then the service has checked its database and its queue several times. When it ends, it sends every span.
    traced.until_asked_again("claim_operation", 3).await;
    traced.until_asked_again("measure_queue", 2).await;
    assert_eq!(traced.process.terminate().await, Some(0));
    let spans = traced.collector.all_spans();
    let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).map(|span| &*span.name).collect();
    assert_eq!(roots, ["operation"]);
}

impl Traced {
    /// Waits until a statement was executed this many times.
    async fn until_asked_again(&self, statement: &str, times: u64) {
        let series = format!("customer_deletion_statement_duration_seconds_count{{statement=\"{statement}\"}} ");
        let began = Instant::now();
        loop {
            let page = send(client().get(format!("http://{}/metrics", self.process.management_address))).await.text;
            let count = page.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok());
            if count.is_some_and(|count| count >= times) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{statement} was done {count:?} times");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
