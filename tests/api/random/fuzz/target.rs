//! A served process that tests write to, and rows that must survive it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;

use super::answer::{self, Seen};
use super::call::Bytes;
use super::corpus::Known;
use crate::support::process::Process;
use crate::support::resources::word;
use crate::support::service::collection;
use crate::support::world::Family;
use crate::support::{TestDatabase, World, body, client};

/// Longer than the service waits for everything that a client sends, and far less than a gateway waits.
const LONGEST_CALL: Duration = Duration::from_secs(15);

/// A process that serves, and its rows.
pub struct Target {
    pub process: Process,
    pub world: World,
    pub family: Family,
    pub known: Known,
    database: TestDatabase,
}

impl Target {
    /// Starts the process with these environment variables. `identity` makes the line of a head that identifies a requester.
    pub async fn start(environment: &[(&str, &str)], identity: impl FnOnce(Family) -> String) -> Target {
        let database = TestDatabase::migrated().await;
        let world = World::new(database.pool.clone());
        let family = world.family().await;
        let mut rows = Vec::new();
        for resource in Resource::ALL {
            let customer = family.in_scope(resource);
            rows.push((customer, word(resource), world.rows(resource, customer, 3).await));
        }
        // A busy machine must not lead to a 503, and the service waits only briefly for a body that does not come.
        let waits = [
            ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "12000"),
            ("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", "1000"),
            ("CUSTOMER_DELETION__REQUESTER__DELETED_ROWS_PER_HOUR", "1000"),
            // Trace contexts are read only if traces are exported.
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ];
        let process = Process::serve_with(&database.url, &[&waits, environment].concat());
        let known = Known { requester: family.sibling, rows, identity: identity(family) };
        Target { process, world, family, known, database }
    }

    /// Waits until every accepted operation has ended.
    pub async fn until_nothing_waits(&self) {
        let began = Instant::now();
        let waiting = "select count(*) from operation_queue";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&self.database.pool).await.unwrap() > 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "what was accepted is not done");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Resident memory in KiB, now and at its highest. `None` if the system does not report it.
    pub fn memory(&self) -> Option<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse().ok()
        };
        Some((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Asserts that the process is the same one, has not panicked, and still deletes rows for their requester.
    pub async fn assert_unharmed(&mut self, identity: (&str, &str)) {
        assert!(self.process.child.try_wait().unwrap().is_none(), "the process has ended");
        assert_eq!(self.process.complaints(), [""; 0]);
        let panics = self.process.log().into_iter().filter(|line| line.to_string().contains("panic"));
        assert_eq!(panics.count(), 0);
        let contacts = &self.known.rows[0].2;
        let url = format!(
            "http://{}{}",
            self.process.address,
            collection(self.family.in_scope(Resource::Contact), Resource::Contact)
        );
        let call = client().delete(url).header(identity.0, identity.1).body(body(contacts));
        assert_eq!(call.send().await.unwrap().status().as_u16(), 200, "the rows could not be deleted by anybody");
        assert_eq!(self.world.deleted(Resource::Contact, contacts).await.len(), contacts.len());
    }
}

/// Writes all bytes, reads to the end, and checks the answers.
pub fn send(address: SocketAddr, Bytes(bytes): &Bytes) -> Result<Seen, String> {
    let began = Instant::now();
    let mut connection = TcpStream::connect(address).map_err(|error| format!("no connection: {error}"))?;
    connection.set_read_timeout(Some(LONGEST_CALL)).unwrap();
    connection.set_write_timeout(Some(LONGEST_CALL)).unwrap();
    // The service may close the connection before everything is written.
    let _ = connection.write_all(bytes);
    let _ = connection.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    match connection.read_to_end(&mut received) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => return Err(format!("the answer does not end: {error}")),
    }
    if began.elapsed() > LONGEST_CALL {
        return Err(format!("the answer took {:?}", began.elapsed()));
    }
    if received.is_empty() && has_whole_head(bytes) {
        return Err("no answer".to_owned());
    }
    answer::check(bytes, &received)
}

/// Whether the bytes have a whole head, so that there must be an answer.
fn has_whole_head(bytes: &[u8]) -> bool {
    let head = bytes.trim_ascii_start();
    head.windows(4).any(|window| window == b"\r\n\r\n")
}
