//! A few callers who try to make the service unavailable to all others, within the memory and the descriptors of a small
//! container.
//!
//! During each attack a requester sends ordinary calls, and the liveness probe runs. Both must hardly be affected.

mod answers;
mod bodies;
mod connections;
mod lists;
mod long;
mod pipelines;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use reqwest::{RequestBuilder, Response};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::process::Process;
use crate::support::service::collection;
use crate::support::world::Family;
use crate::support::{TestDatabase, World, body, client};

/// The limit of `deploy/kubernetes/deployment.yaml`.
const MEMORY: usize = 256 << 20;

const DESCRIPTORS: usize = 1024;

/// As in the image.
const ALLOCATOR: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// A debug build on a busy machine answers late. `.ci/attacks` uses the limit of `deploy/kubernetes/deployment.yaml`.
const PROBE: Duration = Duration::from_secs(15);

/// The usual requester sends calls for at least this long during an attack. On a busy machine the calls take longer.
const LONG: Duration = Duration::from_secs(1);
const LEAST_CALLS: usize = 10;

/// The number of calls in a longer run if one of them fails, because one call in a hundred may fail.
const CALLS_WITH_A_FAILURE: usize = 100;

/// The pause of the usual requester after each call.
const PAUSE: Duration = Duration::from_millis(20);

/// A service in its own process, with little memory and few descriptors.
struct Target {
    process: Process,
    world: World,
    usual: Family,
    _database: TestDatabase,
}

impl Target {
    async fn start() -> Target {
        let database = TestDatabase::migrated().await;
        let world = World::new(database.pool.clone());
        let usual = world.family().await;
        let process = Process::serve_within(&database.url, MEMORY, DESCRIPTORS, &[ALLOCATOR]);
        let target = Target { process, world, usual, _database: database };
        assert_eq!(target.usual_call().await, 200);
        target
    }

    /// Connects, and sends these bytes. Bytes that the service does not read stay with the client.
    async fn connect(address: SocketAddr, bytes: &[u8]) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let _ = tokio::time::timeout(Duration::from_millis(200), stream.write_all(bytes)).await;
        Some(stream)
    }

    /// A whole deletion, on its own connection. Returns 0 if there is no answer.
    async fn usual_call(&self) -> u16 {
        let contact = self.world.contact(self.usual.sub_customer).await;
        let call = self.deletion(self.usual.requester, self.usual.sub_customer).body(body(&[contact]));
        call.send().await.map_or(0, |answer| answer.status().as_u16())
    }

    /// A deletion without its list.
    fn deletion(&self, requester: Uuid, customer: Uuid) -> RequestBuilder {
        let url = format!("http://{}{}", self.process.address, collection(customer, Resource::Contact));
        client().delete(url).header("X-Requester-Id", requester.to_string())
    }

    /// Deletes unknown contacts of a sub-customer.
    async fn refuse_list(&self, (requester, customer): (Uuid, Uuid), ids: usize) -> Response {
        let ids: Vec<Uuid> = (0..ids).map(|_| Uuid::now_v7()).collect();
        let answer = self.deletion(requester, customer).body(body(&ids)).send().await.unwrap();
        assert_eq!(answer.status(), 404);
        answer
    }

    /// Resident memory in bytes, without the pages of the program that were read.
    fn resident(&self) -> usize {
        self.process.status("RssAnon:") << 10
    }

    async fn probe(&self) -> u16 {
        let url = format!("http://{}/health/live", self.process.management_address);
        client().get(url).timeout(PROBE).send().await.map_or(0, |answer| answer.status().as_u16())
    }

    /// Sends ordinary calls for a second. No call may fail.
    async fn assert_serves(&self) {
        self.assert_serves_for(LONG).await;
    }

    /// Sends ordinary calls for this long. Fails if the probe fails, if the memory is exceeded, or if a call fails. In a run of
    /// more than a second, one call in a hundred may fail.
    async fn assert_serves_for(&self, long: Duration) {
        let began = Instant::now();
        let (mut calls, mut failed) = (0, Vec::new());
        let is_short = long <= LONG;
        let least = |failed: &[u16]| if is_short || failed.is_empty() { LEAST_CALLS } else { CALLS_WITH_A_FAILURE };
        while began.elapsed() < long || calls < least(&failed) {
            let (status, alive) = tokio::join!(self.usual_call(), self.probe());
            assert_eq!(alive, 200, "after {:?}, {calls} calls: {failed:?}", began.elapsed());
            calls += 1;
            if status != 200 {
                failed.push(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let allowed = if is_short { 0 } else { calls / 100 };
        assert!(failed.len() <= allowed, "of {calls} calls these failed: {failed:?}");
        let most = self.process.status("VmHWM:") << 10;
        assert!(most < MEMORY, "{most} bytes of memory");
        println!("{calls} calls, {} failed, {} MB at most", failed.len(), most / 1_000_000);
    }

    /// The head of a deletion.
    fn head(&self, requester: Uuid, lines: &str) -> String {
        let path = collection(self.usual.sub_customer, Resource::Contact);
        format!("DELETE {path} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {requester}\r\n{lines}\r\n")
    }

    /// Sends a head and the beginning of a body, of another length than announced.
    async fn send_part(&self, requester: Uuid, lines: &str, announced: usize, sent: usize) -> Option<TcpStream> {
        let head = self.head(requester, &format!("Content-Length: {announced}\r\n{lines}"));
        let mut stream = TcpStream::connect(self.process.address).await.ok()?;
        let bytes = [head.as_bytes(), &b" ".repeat(sent)[..]].concat();
        let _ = tokio::time::timeout(Duration::from_secs(2), stream.write_all(&bytes)).await;
        Some(stream)
    }
}
