//! A collector that keeps the exported spans.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

type Received = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

pub struct Collector {
    pub endpoint: String,
    received: Received,
    pub away: Arc<AtomicBool>,
}

impl Collector {
    pub fn start() -> Collector {
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

    /// The spans of a trace, once those with these names have arrived. Other spans may or may not arrive before them.
    pub async fn spans(&self, trace: &str, names: &[&str]) -> Vec<Span> {
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

    /// The first span of the name, in any trace, once it has arrived.
    pub async fn span(&self, name: &str) -> Span {
        let began = Instant::now();
        loop {
            if let Some(span) = self.all_spans().into_iter().find(|span| span.name == name) {
                return span;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{name} did not come");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn all_spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let scopes = received.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The attributes of the resource in the first export.
    pub fn resource(&self) -> BTreeMap<String, Value> {
        let received = self.received.lock().unwrap();
        values(&received[0].resource_spans[0].resource.as_ref().unwrap().attributes)
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The attributes by their names, with values of their own types.
pub fn attributes(span: &Span) -> BTreeMap<String, Value> {
    values(&span.attributes)
}

fn values(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    let value = |attribute: &KeyValue| attribute.value.clone().and_then(|value| value.value).unwrap();
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute))).collect()
}

pub fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

pub fn integer(value: impl Into<i64>) -> Value {
    Value::IntValue(value.into())
}
