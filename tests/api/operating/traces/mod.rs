//! Spans, as a collector receives them by OTLP.

mod caller;
mod collector;
mod conventions;
mod start;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use reqwest::RequestBuilder;
use uuid::Uuid;

use self::collector::Collector;
use crate::support::process::Process;
use crate::support::service::{collection, send};
use crate::support::world::Family;
use crate::support::{StallWatch, TestDatabase, World, body, client};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A service whose spans go to the collector, and a family of customers in its database.
struct Traced {
    collector: Collector,
    process: Process,
    world: World,
    family: Family,
    database: TestDatabase,
}

impl Traced {
    async fn start(environment: &[(&str, &str)]) -> Traced {
        let collector = Collector::start();
        let database = TestDatabase::migrated().await;
        let world = World::new(database.pool.clone());
        let family = world.family().await;
        let to_collector =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
        let process = Process::serve_with(&database.url, &[&to_collector, environment].concat());
        Traced { collector, process, world, family, database }
    }

    /// Deletes contacts of the sub-customer, in the caller's trace.
    fn deletion(&self, contacts: &[Uuid]) -> RequestBuilder {
        let path = collection(self.family.sub_customer, Resource::Contact);
        traced_call(&self.process, self.family, &path).body(body(contacts))
    }
}

fn traced_call(process: &Process, family: Family, path: &str) -> RequestBuilder {
    client()
        .delete(format!("http://{}{path}", process.address))
        .header("X-Requester-Id", family.requester.to_string())
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
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
    let watch = StallWatch::start();
    assert_eq!(process.terminate().await, Some(0));
    assert!(watch.took() < Duration::from_secs(10), "{:?}", watch.took());
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
