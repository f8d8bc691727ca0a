//! Spans, as a collector receives them by OTLP.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer, web};
use customer_deletion::resource::Resource;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use reqwest::RequestBuilder;
use rstest::rstest;

use crate::support::process::{PATIENT, Process, command, output};
use crate::support::service::{collection, send};
use crate::support::world::Family;
use crate::support::{TestDatabase, World, body, client};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

type Received = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// Takes what is exported, and keeps it.
struct Collector {
    endpoint: String,
    received: Received,
    away: Arc<AtomicBool>,
}

impl Collector {
    fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let received = Received::default();
        let away = Arc::new(AtomicBool::new(false));
        let (data, state) = (Data::new(Arc::clone(&received)), Data::from(Arc::clone(&away)));
        let server = HttpServer::new(move || {
            let app = App::new().app_data(data.clone()).app_data(state.clone());
            app.route("/v1/traces", web::post().to(Collector::receive))
        });
        tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        Collector { endpoint, received, away }
    }

    async fn receive(received: Data<Received>, away: Data<AtomicBool>, body: Bytes) -> HttpResponse {
        if away.load(Ordering::SeqCst) {
            return HttpResponse::NotFound().finish();
        }
        received.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        HttpResponse::Ok().content_type("application/x-protobuf").finish()
    }

    /// The spans of a trace, once those with these names are there. Which others come before them is a matter of time.
    async fn spans(&self, trace: &str, names: &[&str]) -> Vec<Span> {
        let began = Instant::now();
        loop {
            let spans: Vec<Span> = self.all_spans().into_iter().filter(|span| hex(&span.trace_id) == trace).collect();
            if names.iter().all(|name| spans.iter().any(|span| span.name == *name)) {
                return spans;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{names:?} did not come, only {spans:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn all_spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let scopes = received.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    fn resource_attribute(&self, key: &str) -> String {
        let received = self.received.lock().unwrap();
        let resource = received[0].resource_spans[0].resource.as_ref().unwrap();
        let attribute = resource.attributes.iter().find(|attribute| attribute.key == key);
        format!("{:?}", attribute.unwrap().value)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key);
    format!("{:?}", attribute.unwrap_or_else(|| panic!("{key}: {span:#?}")).value)
}

fn traced_call(process: &Process, family: Family, path: &str) -> RequestBuilder {
    client()
        .delete(format!("http://{}{path}", process.address))
        .header("X-Requester-Id", family.requester.to_string())
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
}

#[tokio::test]
async fn the_callers_trace_goes_on_with_a_span_for_the_call_and_one_for_its_statement() {
    let collector = Collector::start();
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let contact = world.contact(family.sub_customer).await;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let process = Process::serve_with(&database.url, &[&PATIENT[..], &environment].concat());
    let path = collection(family.sub_customer, Resource::Contact);
    let answer = send(traced_call(&process, family, &path).body(body(&[contact]))).await;
    let request_id = answer.assert_deleted();

    let route = "DELETE /api/v2/customer/{customer_id}/{resource}";
    let spans = collector.spans(TRACE, &[route, "delete_contacts"]).await;
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let call = named(route);
    assert_eq!(hex(&call.parent_span_id), CALLER);
    assert!(attribute(call, "request_id").contains(&request_id.to_string()));
    assert!(attribute(call, "http.response.status_code").contains("200"));
    let statement = named("delete_contacts");
    assert_eq!(statement.parent_span_id, call.span_id);
    assert!(attribute(statement, "db.system.name").contains("postgresql"));
    assert!(collector.resource_attribute("service.name").contains("customer-deletion"));
    assert!(collector.resource_attribute("deployment.environment.name").contains("test"));
    let everything = format!("{spans:?}");
    assert!(!everything.contains(&contact.to_string()), "bodies stay out of traces");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_no_call_and_no_end() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let contact = world.contact(family.sub_customer).await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")];
    let mut process = Process::serve_with(&database.url, &[&PATIENT[..], &environment].concat());
    let path = collection(family.sub_customer, Resource::Contact);
    send(traced_call(&process, family, &path).body(body(&[contact]))).await.assert_deleted();
    assert_eq!(process.terminate().await, Some(0));
}

/// The lines of the log about the collector, by their level, once there are this many.
async fn levels_of_log(process: &Process, count: usize) -> Vec<String> {
    let began = Instant::now();
    loop {
        let log = process.log();
        let lines = log.iter().filter(|line| line["message"].as_str().is_some_and(|text| text.contains("collector")));
        let levels: Vec<_> = lines.map(|line| line["level"].as_str().unwrap().to_owned()).collect();
        if levels.len() >= count {
            return levels;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{log:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn spans_that_cannot_be_sent_are_logged_once_and_so_is_the_end_of_it() {
    let collector = Collector::start();
    collector.away.store(true, Ordering::SeqCst);
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let mut process = Process::serve_with(&database.url, &environment);
    let path = collection(family.sub_customer, Resource::Contact);
    let call = async || send(traced_call(&process, family, &path).body("{")).await;

    call().await;
    assert_eq!(levels_of_log(&process, 1).await, ["WARN"]);
    for _ in 0..5 {
        call().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(levels_of_log(&process, 1).await, ["WARN"]);

    collector.away.store(false, Ordering::SeqCst);
    call().await;
    assert_eq!(levels_of_log(&process, 2).await, ["WARN", "INFO"]);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test]
async fn a_closed_port_in_the_place_of_the_collector_is_logged() {
    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let process = Process::serve_with(&database.url, &environment);
    send(traced_call(&process, family, &collection(family.sub_customer, Resource::Contact)).body("{")).await;
    assert_eq!(levels_of_log(&process, 1).await, ["WARN"]);
}

#[rstest]
#[case::a_protocol("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be `http/protobuf`, and is `grpc`")]
#[case::a_protocol_of_traces("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "must be `http/protobuf`")]
#[case::an_endpoint_of_another_scheme("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://me:hunter2@here", "http://collector:4318")]
#[case::an_endpoint_without_a_host("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", "http://collector:4318")]
#[case::an_exporter("OTEL_TRACES_EXPORTER", "console", "must be `otlp` or `none`, and is `console`")]
#[case::a_sampler("OTEL_TRACES_SAMPLER", "sometimes", "must be one of always_on, ")]
#[case::a_timeout("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "must be a whole number, and is `10s`")]
#[case::a_timeout_of_traces("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1", "must be a whole number, and is `-1`")]
#[case::a_queue("OTEL_BSP_MAX_QUEUE_SIZE", "many", "must be a whole number")]
#[case::a_delay("OTEL_BSP_SCHEDULE_DELAY", "5s", "must be a whole number")]
#[case::a_batch("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1.5", "must be a whole number")]
#[case::a_wait_for_a_batch("OTEL_BSP_EXPORT_TIMEOUT", "-1", "must be a whole number")]
#[case::batches_at_once("OTEL_BSP_MAX_CONCURRENT_EXPORTS", "few", "must be a whole number")]
#[case::a_compression("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "must be `none`, and is `gzip`")]
#[case::a_compression_of_traces("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd", "must be `none`")]
#[case::headers("OTEL_EXPORTER_OTLP_HEADERS", "authorization hunter2", "key=value")]
#[case::headers_of_traces("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b,hunter2", "key=value")]
fn a_variable_that_cannot_be_followed_stops_the_start(
    #[case] variable: &str,
    #[case] value: &str,
    #[case] problem: &str,
) {
    assert_stopped(&[(variable, value)], variable, problem);
}

#[rstest]
#[case::no_number("half")]
#[case::too_large("1.5")]
#[case::not_a_number("NaN")]
fn a_ratio_that_is_none_stops_the_start(#[case] ratio: &str) {
    let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
    let argument = "OTEL_TRACES_SAMPLER_ARG";
    assert_stopped(&[sampler, (argument, ratio)], argument, "must be a number from 0 to 1");
}

#[track_caller]
fn assert_stopped(environment: &[(&str, &str)], variable: &str, problem: &str) {
    let mut serve = command(&["serve"]);
    serve
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
        .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8")
        // An address of no machine: what is not refused for its variable does not run on.
        .env("CUSTOMER_DELETION__HTTP__HOST", "192.0.2.1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
        .envs(environment.iter().copied());
    let output = output(&mut serve);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.starts_with(&format!("customer-deletion: {variable}: ")) && message.contains(problem), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}
