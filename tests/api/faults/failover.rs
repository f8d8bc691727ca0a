//! A primary that is lost, and an address that leads to another server.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use uuid::Uuid;

use super::cluster::{Cluster, Member};
use super::trial::{LONGEST_RECOVERY, Trial, rounds};
use crate::support::process::Process;
use crate::support::proxy::Proxy;
use crate::support::service::{Answer, collection, send};
use crate::support::world::Family;
use crate::support::{World, body, client};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two servers of its own: takes a minute; cargo test --test api -- --ignored faults"]
async fn after_a_failover_no_write_fails() {
    let cluster = Cluster::start().await;
    let mut primary = Member::First;
    let family = World::new(cluster.pool(primary)).family().await;
    cluster.replicate_to(primary.other()).await;
    let proxy = Proxy::in_front_of(cluster.url(primary)).await;
    let process = Process::serve_impatiently(&proxy.url(cluster.url(primary)));
    let mut trial = Trial::begin("failover to a streaming standby", &cluster.pool(primary), family, &process).await;
    for round in 0..rounds(2) {
        if round > 0 {
            cluster.replicate_to(primary.other()).await;
        }
        let (cluster, proxy) = (&cluster, &proxy);
        let fault = async || {
            cluster.kill(primary).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.promote(primary.other()).await;
            proxy.lead_to(cluster.url(primary.other()));
            Instant::now()
        };
        trial.disturb_for(&cluster.pool(primary), Duration::from_secs(15), fault).await;
        primary = primary.other();
        // Long enough to see whether a write fails after the time to recover.
        tokio::time::sleep(LONGEST_RECOVERY + Duration::from_secs(2)).await;
    }
    trial.end(&cluster.pool(primary)).await;
}

async fn delete(process: &Process, family: Family, contact: Uuid) -> Answer {
    let path = collection(family.sub_customer, Resource::Contact);
    let call = client().delete(format!("http://{}{path}", process.address));
    send(call.header("X-Requester-Id", family.requester.to_string()).body(body(&[contact]))).await
}

async fn status(process: &Process, family: Family) -> u16 {
    let call = client().get(format!("http://{}/api/v2/global/call/{}", process.address, Uuid::now_v7()));
    send(call.header("X-Requester-Id", family.requester.to_string())).await.status
}

/// The address leads to the standby for a while, and back. Sessions that were opened in between stay open, and refuse writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two servers of its own: takes half a minute; cargo test --test api -- --ignored faults"]
async fn sessions_left_on_a_server_that_takes_no_writes_fail_no_call() {
    let cluster = Cluster::start().await;
    let pool = cluster.pool(Member::First);
    let world = World::new(pool.clone());
    let family = world.family().await;
    cluster.replicate_to(Member::Second).await;
    let proxy = Proxy::in_front_of(cluster.url(Member::First)).await;
    let process = Process::serve_impatiently(&proxy.url(cluster.url(Member::First)));
    for _ in 0..rounds(3) {
        let contacts = world.rows(Resource::Contact, family.sub_customer, 3).await;
        delete(&process, family, contacts[0]).await.assert_deleted();

        proxy.lead_to(cluster.url(Member::Second));
        proxy.reset_connections();
        // Calls that only read succeed there, and leave sessions to the standby in the pool.
        let statuses = join_all((0..8).map(|_| status(&process, family))).await;
        assert_eq!(statuses, [404; 8]);
        let misled = delete(&process, family, contacts[1]).await;
        misled.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
        let statuses = join_all((0..8).map(|_| status(&process, family))).await;
        assert_eq!(statuses, [404; 8]);

        proxy.lead_to(cluster.url(Member::First));
        delete(&process, family, contacts[2]).await.assert_deleted();
        delete(&process, family, contacts[1]).await.assert_deleted();
    }
    super::audit::assert_agreement(&pool, &[]).await;
}

/// The same under load: every client is served again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two servers of its own: takes half a minute; cargo test --test api -- --ignored faults"]
async fn an_address_that_led_to_a_standby_for_a_while_loses_nothing() {
    let cluster = Cluster::start().await;
    let pool = cluster.pool(Member::First);
    let family = World::new(pool.clone()).family().await;
    cluster.replicate_to(Member::Second).await;
    let proxy = Proxy::in_front_of(cluster.url(Member::First)).await;
    let process = Process::serve_impatiently(&proxy.url(cluster.url(Member::First)));
    let mut trial = Trial::begin("address led to a standby for 2 s", &pool, family, &process).await;
    for _ in 0..rounds(3) {
        let (cluster, proxy) = (&cluster, &proxy);
        let fault = async || {
            proxy.lead_to(cluster.url(Member::Second));
            proxy.reset_connections();
            tokio::time::sleep(Duration::from_secs(2)).await;
            proxy.lead_to(cluster.url(Member::First));
            Instant::now()
        };
        trial.disturb(&pool, fault).await;
    }
    let seen = trial.end(&pool).await;
    assert!(seen.unavailable > 0, "nobody noticed: {seen:?}");
}
