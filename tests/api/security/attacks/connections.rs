//! Connections whose client sends no request, or reads no answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use customer_deletion::limits::descriptors;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{DESCRIPTORS, Target};
use crate::support::{body, client};

/// The largest number of bytes that the kernel may hold for a connection: twice the sizes of its buffers. It completes a
/// segment that it has begun to send, of at most 64 KiB.
const RECEIVED: usize = 2 * 32_768;
const SENT: usize = 2 * 16_384 + 65_536;

/// The kernel moves bytes until the buffers are full. They count as full after this many equal measurements in a row.
const SAME_LOOKS: usize = 15;

impl Target {
    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.child.id())).unwrap().count()
    }

    /// Opens this many connections, and sends nothing, or only a part of a head.
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
    target.assert_serves().await;
    assert_eq!(idle.len(), CONNECTIONS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_idle_connections_than_there_may_be_keep_nobody_out() {
    let target = Target::start().await;
    let mut known = TcpStream::connect(target.process.address).await.unwrap();
    assert_eq!(ask(&mut known, target.usual.requester).await, "HTTP/1.1 404");

    let idle = target.connect_idle(2 * DESCRIPTORS).await;
    target.assert_serves().await;
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
    target.assert_serves().await;
    drop(idle);
}

/// The client sends a large body, which the service reads, and then requests more answers than it reads. Without a limit, the
/// kernel would enlarge the buffers of such a connection again and again. They count as memory of the container.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_no_more_memory_of_the_kernel_than_it_may() {
    const BODY: usize = 8_000_000;

    let target = Target::start().await;
    let mut list = body(&[Uuid::now_v7()]);
    list.push_str(&" ".repeat(BODY - list.len()));
    let head = target.head(target.usual.requester, &format!("Prefer: respond-async\r\nContent-Length: {BODY}\r\n"));
    let answers = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: test\r\n\r\n".repeat(200_000);
    let mut client = TcpStream::connect(target.process.address).await.unwrap();
    client.write_all(format!("{head}{list}").as_bytes()).await.unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 202");
    let client_address = client.local_addr().unwrap();
    let (_rest, mut asking) = client.into_split();
    let asking = tokio::spawn(async move { asking.write_all(answers.as_bytes()).await });

    let (received, sent) = until_full(target.process.address, client_address).await;
    println!("{received} bytes received, {sent} bytes sent");
    assert!((4096..=RECEIVED).contains(&received), "{received} bytes are received, and not read");
    assert!((4096..=SENT).contains(&sent), "{sent} bytes are sent, and not taken");
    assert!(!asking.is_finished(), "the client waits");
    asking.abort();
}

/// The numbers of bytes that the kernel has received for a socket and has to send, once both have been constant for some time.
async fn until_full(local: SocketAddr, remote: SocketAddr) -> (usize, usize) {
    let began = Instant::now();
    let (mut last, mut same) = ((0, 0), 0);
    while same < SAME_LOOKS {
        assert!(began.elapsed() < Duration::from_secs(30), "the buffers change for ever: {last:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let queues = queues(local, remote);
        same = if queues == last && queues.0 > 0 && queues.1 > 0 { same + 1 } else { 0 };
        last = queues;
    }
    last
}

/// From `/proc/net/tcp`: the local and the remote address of each socket, its state, and both queues, all hexadecimal.
fn queues(local: SocketAddr, remote: SocketAddr) -> (usize, usize) {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (local, remote) = (as_in_proc(local), as_in_proc(remote));
    let mut sockets = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let socket = sockets.find(|fields| fields[1] == local && fields[2] == remote).expect("it is open");
    let (sent, received) = socket[4].split_once(':').unwrap();
    let bytes = |text| usize::from_str_radix(text, 16).unwrap();
    (bytes(received), bytes(sent))
}

fn as_in_proc(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("the tests use IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}
