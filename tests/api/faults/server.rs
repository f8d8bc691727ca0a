//! PostgreSQL itself is killed, is shut down, or has a full disk.

use std::time::{Duration, Instant};

use rstest::rstest;

use super::cluster::{Cluster, Member};
use super::trial::{Seen, Trial, rounds};
use crate::support::process::Process;
use crate::support::proxy::Proxy;
use crate::support::{TestPool, World};

const FIRST: Member = Member::First;

/// The time for which the server is away.
const AWAY: Duration = Duration::from_secs(2);

/// A service under load on its own server, to which a fault happens a few times.
async fn with_a_server_of_its_own(name: &'static str, few: usize, fault: impl AsyncFn(&Cluster)) -> (Seen, Cluster) {
    let cluster = Cluster::start().await;
    let pool: TestPool = cluster.pool(FIRST);
    let family = World::new(pool.clone()).family().await;
    let proxy = Proxy::in_front_of(cluster.url(FIRST)).await;
    let process = Process::serve_impatiently(&proxy.url(cluster.url(FIRST)));
    let mut trial = Trial::begin(name, &pool, family, &process).await;
    for _ in 0..rounds(few) {
        let cluster = &cluster;
        let fault = async || {
            fault(cluster).await;
            Instant::now()
        };
        trial.disturb(&pool, fault).await;
    }
    (trial.end(&pool).await, cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a server of its own: takes half a minute; cargo test --test api -- --ignored faults"]
async fn a_server_that_is_killed_and_restarted_loses_nothing() {
    let (seen, _) = with_a_server_of_its_own("PostgreSQL killed (-9) and restarted", 3, async |cluster| {
        cluster.kill(FIRST).await;
        tokio::time::sleep(AWAY).await;
        cluster.launch(FIRST).await;
    })
    .await;
    assert!(seen.unavailable > 0, "nobody noticed: {seen:?}");
}

#[rstest]
#[case::immediate("PostgreSQL shut down (immediate) and restarted", "immediate")]
#[case::fast("PostgreSQL shut down (fast) and restarted", "fast")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a server of its own: takes half a minute; cargo test --test api -- --ignored faults"]
async fn a_server_that_is_shut_down_and_restarted_loses_nothing(#[case] name: &'static str, #[case] mode: &str) {
    with_a_server_of_its_own(name, 3, async |cluster| {
        cluster.stop(FIRST, mode).await;
        tokio::time::sleep(AWAY).await;
        cluster.launch(FIRST).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a server of its own: takes half a minute; cargo test --test api -- --ignored faults"]
async fn a_server_whose_disk_is_full_loses_nothing() {
    let (seen, cluster) = with_a_server_of_its_own("no room for WAL", 2, async |cluster| {
        cluster.fill_wal_disk().await;
        let pool = cluster.pool(FIRST);
        // Each of these uses a new file, until the disk is full.
        while sqlx::query("select pg_switch_wal()").execute(&pool).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(AWAY).await;
        cluster.empty_wal_disk().await;
    })
    .await;
    assert!(seen.unavailable > 0, "nobody noticed: {seen:?}");
    assert!(cluster.log().await.contains("No space left on device"), "the disk was not full");
}
