//! Connections that go silent for ever while they are in the pool.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::outages::{assert_recovers, assert_unavailable, delete, service_behind_a_proxy};
use crate::support::proxy::Proxy;
use crate::support::service::{Answer, impatient, until_so_many_wait};
use crate::support::world::Family;
use crate::support::{StallWatch, TestService};

/// So few connections that a lost one is noticed.
async fn service_with_connections(count: u32) -> (TestService, Proxy, Family) {
    let (service, proxy) = service_behind_a_proxy(|settings| {
        impatient(settings);
        settings.database.max_connections = count;
    })
    .await;
    let family = service.world.family().await;
    (service, proxy, family)
}

/// A connection is lent without a ping for this long after its last use. The limit is a second, and this is a little less to be
/// safe.
const LONGEST_REST: Duration = Duration::from_millis(700);

/// Uses every connection, and returns all of them to the pool. If the machine takes too long for that, it is repeated. Returns
/// a watch that was started before.
async fn use_every_connection(service: &TestService, family: Family, count: i64) -> StallWatch {
    let first = Instant::now();
    while first.elapsed() < PATIENCE {
        // Each call that waits for this row has a connection. More calls than connections wait, so all connections are in use.
        let contact = service.world.contact(family.sub_customer).await;
        let mut holding = service.database.pool.begin().await.unwrap();
        sqlx::query("select from contact where id = $1 for update").bind(contact).execute(&mut *holding).await.unwrap();
        let (began, watch) = (Instant::now(), StallWatch::start());
        let calls = join_all((0..10).map(|_| delete(service, family, contact)));
        let release = async {
            let _ = timeout(LONGEST_REST, until_so_many_wait(&service.database.pool, count)).await;
            holding.rollback().await.unwrap();
        };
        tokio::join!(calls, release);
        tokio::time::sleep(Duration::from_millis(100)).await;
        if began.elapsed() < LONGEST_REST {
            return watch;
        }
    }
    panic!("this machine is too slow to use a connection twice in a second");
}

/// The longest wait of the tests for a second in which the machine does not stall.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends this many calls at the same time to a service whose connections go silent a moment after their use. A call that
/// succeeds although the machine did not stall fails the test, because it waited for no silent connection.
async fn assert_unavailable_after_silence(
    service: &TestService,
    proxy: &Proxy,
    family: Family,
    count: i64,
    calls: usize,
) {
    let first = Instant::now();
    loop {
        let contacts = service.world.rows(Resource::Contact, family.sub_customer, calls).await;
        let watch = use_every_connection(service, family, count).await;
        proxy.abandon_connections();
        let answers = join_all(contacts.iter().map(|contact| delete(service, family, *contact))).await;
        let stood_still = watch.longest() > Duration::from_millis(200);
        let succeeded = |answer: &Answer| answer.status == 200;
        if !(stood_still && answers.iter().any(succeeded)) || first.elapsed() > PATIENCE {
            return answers.iter().for_each(assert_unavailable);
        }
    }
}

#[tokio::test]
async fn connections_that_go_silent_for_ever_are_replaced() {
    let (service, proxy, family) = service_with_connections(2).await;

    assert_unavailable_after_silence(&service, &proxy, family, 2, 10).await;

    assert_recovers(&service, family).await;
}

/// One call waits for an answer that does not arrive. The connections that went silent with its own do not cost one call each.
#[tokio::test]
async fn connections_beside_one_that_went_silent_are_asked_before_they_are_lent() {
    let (service, proxy, family) = service_with_connections(8).await;

    assert_unavailable_after_silence(&service, &proxy, family, 8, 1).await;

    for contact in service.world.rows(Resource::Contact, family.sub_customer, 2).await {
        delete(&service, family, contact).await.assert_deleted();
    }
}
