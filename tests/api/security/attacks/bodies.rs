//! Heads and bodies that are large, slow or never end.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::Target;

impl Target {
    /// Sends a head and the begin of a body of another length.
    async fn send_part(&self, requester: Uuid, lines: &str, announced: usize, sent: usize) -> Option<TcpStream> {
        let head = self.head(requester, &format!("Content-Length: {announced}\r\n{lines}"));
        let mut stream = TcpStream::connect(self.process.address).await.ok()?;
        let bytes = [head.as_bytes(), &b" ".repeat(sent)[..]].concat();
        let _ = tokio::time::timeout(Duration::from_secs(2), stream.write_all(&bytes)).await;
        Some(stream)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_never_end_take_no_more_memory_than_they_may() {
    const MIB: usize = 1 << 20;

    let target = Target::start().await;
    let requesters = [target.usual.parent, target.usual.sibling, Uuid::now_v7()];
    let bodies = (0..128_usize).map(|index| {
        let (size, lines) = if index.is_multiple_of(2) { (MIB, "") } else { (8 * MIB, "Prefer: respond-async\r\n") };
        target.send_part(requesters[index % 3], lines, size, size - 1)
    });
    let bodies = join_all(bodies).await;
    target.assert_serves(Duration::from_secs(3)).await;
    drop(bodies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_heads_that_never_end_take_no_more_memory_than_they_may() {
    let target = Target::start().await;
    let head = format!("GET / HTTP/1.1\r\nHost: test\r\nA: {}", "x".repeat(126_000));
    let heads = join_all((0..500).map(|_| Target::connect(target.process.address, head.as_bytes()))).await;
    target.assert_serves(Duration::from_secs(2)).await;
    drop(heads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_of_one_requester_do_not_turn_others_away() {
    let target = Target::start().await;
    let slow = join_all((0..160).map(|_| target.send_part(target.usual.parent, "", 100, 1))).await;
    target.assert_serves(Duration::from_secs(2)).await;
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_on_every_connection_do_not_keep_others_out() {
    let target = Target::start().await;
    let slow = join_all((0..1200).map(|_| target.send_part(target.usual.parent, "", 100, 1))).await;
    target.assert_serves(Duration::from_secs(2)).await;
    drop(slow);
}
