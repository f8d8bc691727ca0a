//! Connections on which nothing is asked.

use std::time::Duration;

use customer_deletion::limits::descriptors;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{DESCRIPTORS, Target};
use crate::support::client;

impl Target {
    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.child.id())).unwrap().count()
    }

    /// Connects so often, and says nothing, or only a part of a head.
    async fn connect_idle(&self, count: usize) -> Vec<TcpStream> {
        descriptors::raise();
        let bytes = |index: usize| if index.is_multiple_of(2) { "" } else { "GET / HTTP/1.1\r\nHost: te" };
        let connecting = (0..count).map(|index| Target::connect(self.process.address, bytes(index).as_bytes()));
        join_all(connecting).await.into_iter().flatten().collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_costs_one_descriptor() {
    const CONNECTIONS: usize = 600;

    let target = Target::start().await;
    let before = target.descriptors();
    let idle = target.connect_idle(CONNECTIONS).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let more = target.descriptors() - before;
    assert!(more < CONNECTIONS * 3 / 2, "{more} descriptors");
    target.assert_serves(Duration::from_secs(1)).await;
    assert_eq!(idle.len(), CONNECTIONS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_idle_connections_than_there_may_be_keep_nobody_out() {
    let target = Target::start().await;
    let mut known = TcpStream::connect(target.process.address).await.unwrap();
    assert_eq!(ask(&mut known, target.usual.requester).await, "HTTP/1.1 404");

    let idle = target.connect_idle(2 * DESCRIPTORS).await;
    target.assert_serves(Duration::from_secs(2)).await;
    assert!(target.descriptors() < DESCRIPTORS);
    assert_eq!(ask(&mut known, target.usual.requester).await, "HTTP/1.1 404", "the gateway's connection is open");
    let page = client().get(format!("http://{}/metrics", target.process.management_address)).send().await.unwrap();
    let page = page.text().await.unwrap();
    let name = r#"customer_deletion_connection_limit_reached_total{port="calls"} "#;
    let reached: f64 = page.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap();
    assert!(reached > 500.0, "{reached}");
    drop(idle);
}

/// Asks for the status of an unknown call.
async fn ask(connection: &mut TcpStream, requester: Uuid) -> String {
    let id = Uuid::now_v7();
    let call = format!("GET /api/v2/global/call/{id} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {requester}\r\n\r\n");
    connection.write_all(call.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = connection.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length.min(12)]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_of_the_management_port_keep_no_probe_out() {
    let target = Target::start().await;
    let idle = join_all((0..300).map(|_| Target::connect(target.process.management_address, b""))).await;
    target.assert_serves(Duration::from_secs(1)).await;
    drop(idle);
}
