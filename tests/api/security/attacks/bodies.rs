//! Heads and bodies that are large, slow or endless.

use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::Target;
use crate::support::body;

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
    target.assert_serves().await;
    drop(bodies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_heads_that_never_end_take_no_more_memory_than_they_may() {
    const MEMORY: usize = 96 << 20;

    let target = Target::start().await;
    let head = format!("GET / HTTP/1.1\r\nHost: test\r\nA: {}", "x".repeat(126_000));
    let heads = join_all((0..600).map(|_| Target::connect(target.process.address, head.as_bytes()))).await;
    target.assert_serves().await;
    let most = target.process.status("VmHWM:") << 10;
    assert!(most < MEMORY, "{most} bytes of memory");
    drop(heads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_of_one_requester_do_not_get_others_rejected() {
    let target = Target::start().await;
    let slow = join_all((0..160).map(|_| target.send_part(target.usual.parent, "", 100, 1))).await;
    target.assert_serves().await;
    drop(slow);
}

/// A body may take 4 seconds here, so that 200 are read at the same time. With the default of 10 seconds, 20 a second are as
/// many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes 8 seconds: cargo test --test api -- --ignored fifty_slow_bodies"]
async fn fifty_slow_bodies_a_second_of_one_requester_do_not_get_others_rejected() {
    let target = Target::start().await;
    let flood = async {
        let mut interval = tokio::time::interval(Duration::from_secs(1) / 50);
        let mut slow = Vec::new();
        loop {
            interval.tick().await;
            slow.push(target.send_part(target.usual.parent, "", 100, 1).await);
        }
    };
    tokio::select! {
        () = flood => {}
        () = target.assert_serves_for(Duration::from_secs(8)) => {}
    }
}

/// One requester may use the permits for half of the large bodies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_of_one_requester_leave_some_to_others() {
    const LARGE: usize = 2_000_000;

    let target = Target::start().await;
    let lines = "Prefer: respond-async\r\n";
    let slow = join_all((0..4).map(|_| target.send_part(target.usual.parent, lines, LARGE, LARGE - 1))).await;
    for _ in 0..3 {
        let mut list = body(&[Uuid::now_v7()]);
        list.push_str(&" ".repeat(LARGE - list.len()));
        let call = target
            .deletion(target.usual.requester, target.usual.sub_customer)
            .header("Prefer", "respond-async")
            .body(list);
        assert_eq!(call.send().await.unwrap().status(), 202);
    }
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_on_every_connection_do_not_keep_others_out() {
    let target = Target::start().await;
    let slow = join_all((0..1200).map(|_| target.send_part(target.usual.parent, "", 100, 1))).await;
    target.assert_serves().await;
    drop(slow);
}
