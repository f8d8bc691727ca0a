//! All attacks at the same time, several times.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::Target;

const ROUNDS: usize = 6;

/// The last round uses at most this many times the memory of the second. Caches fill before that.
const GROWTH: f64 = 1.4;

/// In bytes: the caches, and free memory that was not returned to the system.
const KEPT: usize = 32 << 20;

/// The time to free the memory of connections that have ended.
const UNTIL_FREE: Duration = Duration::from_secs(30);

impl Target {
    /// Each attack uses many connections. Together they exceed the limit of connections.
    async fn attack(&self, requester: Uuid) -> Vec<TcpStream> {
        let (calls, management) = (self.process.address, self.process.management_address);
        let page = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2500);
        let metrics = "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2500);
        let head = format!("GET / HTTP/1.1\r\nHost: test\r\nA: {}", "x".repeat(126_000));
        let connections =
            [(18, calls, page), (18, management, metrics), (300, calls, head), (600, calls, String::new())];
        let connections = connections.iter().flat_map(|(count, address, bytes)| {
            (0..*count).map(|_| Target::connect(*address, bytes.as_bytes()).boxed())
        });
        let bodies =
            [(160, "", 100, 1), (64, "Prefer: respond-async\r\n", 8_000_000, 7_900_000), (64, "", 1_000_000, 999_999)];
        let bodies = bodies.iter().flat_map(|(count, lines, announced, sent)| {
            (0..*count).map(|_| self.send_part(requester, lines, *announced, *sent).boxed())
        });
        join_all(connections.chain(bodies)).await.into_iter().flatten().collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "every attack at once: takes half a minute; cargo test --test api -- --ignored attacks"]
async fn all_attacks_at_once_leave_the_service_to_the_others_and_memory_comes_back() {
    let target = Target::start().await;
    let before = target.resident();
    let mut memory = Vec::new();
    for _ in 0..ROUNDS {
        let attackers = target.attack(target.usual.parent).await;
        target.assert_serves_for(Duration::from_secs(4)).await;
        memory.push(target.process.status("VmHWM:"));
        drop(attackers);
    }
    assert!(
        (memory[ROUNDS - 1] as f64) < memory[1] as f64 * GROWTH,
        "KiB at most until the end of each round: {memory:?}"
    );
    let ended = Instant::now();
    while target.resident() > before + KEPT {
        assert!(ended.elapsed() < UNTIL_FREE, "{} bytes after, {before} before", target.resident());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{before} bytes before, {} after", target.resident());
}
