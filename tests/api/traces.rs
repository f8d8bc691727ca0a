//! Spans, as a collector receives them by OTLP.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer, web};
use customer_deletion::resource::Resource;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use reqwest::RequestBuilder;

use crate::support::process::{Process, command, output};
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
}

impl Collector {
    fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let received = Received::default();
        let data = Data::new(Arc::clone(&received));
        let server = HttpServer::new(move || {
            App::new().app_data(data.clone()).route("/v1/traces", web::post().to(Collector::receive))
        });
        tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        Collector { endpoint, received }
    }

    async fn receive(received: Data<Received>, body: Bytes) -> HttpResponse {
        received.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        HttpResponse::Ok().content_type("application/x-protobuf").finish()
    }

    /// The spans of a trace, once there are this many.
    async fn spans(&self, trace: &str, count: usize) -> Vec<Span> {
        let began = Instant::now();
        loop {
            let spans: Vec<Span> = self.all_spans().into_iter().filter(|span| hex(&span.trace_id) == trace).collect();
            if spans.len() >= count {
                return spans;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "only {} spans came: {spans:#?}", spans.len());
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
    let process = Process::serve_with(&database.url, &environment);
    let path = collection(family.sub_customer, Resource::Contact);
    let answer = send(traced_call(&process, family, &path).body(body(&[contact]))).await;
    let request_id = answer.assert_deleted();

    let spans = collector.spans(TRACE, 2).await;
    let named =
        |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"));
    let call = named("DELETE /api/v2/customer/{customer_id}/{resource}");
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
    let mut process = Process::serve_with(&database.url, &environment);
    let path = collection(family.sub_customer, Resource::Contact);
    send(traced_call(&process, family, &path).body(body(&[contact]))).await.assert_deleted();
    assert_eq!(process.terminate().await, Some(0));
}

#[test]
fn a_protocol_that_cannot_be_spoken_stops_the_start() {
    let mut serve = command(&["serve"]);
    serve
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .env("CUSTOMER_DELETION__REQUESTER__SOURCE", "header")
        .env("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", "127.0.0.0/8")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let output = output(&mut serve);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("OTEL_EXPORTER_OTLP_PROTOCOL: must be `http/protobuf`, and is `grpc`"), "{message}");
}
