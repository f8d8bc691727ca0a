//! The network between the service and its database, and single sessions of it.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::load::Connections;
use super::trial::{CLIENTS, FEW_CLIENTS, Trial, rounds};
use crate::support::process::{IMPATIENT, Process};
use crate::support::proxy::{Proxy, Weather};
use crate::support::service::collection;
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, World, client};

/// The duration of a fault. It is longer than a call may take.
const WHILE: Duration = Duration::from_secs(3);

struct Scene {
    database: TestDatabase,
    proxy: Proxy,
    process: Process,
    trial: Trial,
}

impl Scene {
    async fn begin(name: &'static str) -> Scene {
        Scene::begin_with(CLIENTS, name, &[]).await
    }

    async fn begin_with(clients: usize, name: &'static str, environment: &[(&str, &str)]) -> Scene {
        let (database, proxy, url) = Proxy::with_database().await;
        let family = World::new(database.pool.clone()).family().await;
        let process = Process::serve_with(&url, &[&IMPATIENT[..], environment].concat());
        let kept = Connections::Kept;
        let trial = Trial::begin_with(clients, kept, name, &database.pool, family, &process).await;
        Scene { database, proxy, process, trial }
    }

    fn pool(&self) -> TestPool {
        self.database.pool.clone()
    }

    async fn weather(&mut self, weather: Weather, lasts: Duration) {
        let proxy = &self.proxy;
        let fault = async || {
            proxy.set(weather);
            tokio::time::sleep(lasts).await;
            proxy.set(Weather::Fair);
            Instant::now()
        };
        self.trial.disturb(&self.database.pool, fault).await;
    }

    async fn slowness(&mut self, delay: Duration) {
        let proxy = &self.proxy;
        let fault = async || {
            proxy.slow_down(delay);
            tokio::time::sleep(WHILE).await;
            proxy.slow_down(Duration::ZERO);
            Instant::now()
        };
        self.trial.disturb(&self.database.pool, fault).await;
    }
}

async fn the_network_is_cut(clients: usize) {
    let mut scene = Scene::begin_with(clients, "network cut for 3 s", &[]).await;
    for _ in 0..rounds(1) {
        scene.weather(Weather::Cut, WHILE).await;
    }
    let seen = scene.trial.end(&scene.database.pool).await;
    assert!(seen.unavailable > 0, "nobody noticed: {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_cut_loses_nothing() {
    the_network_is_cut(FEW_CLIENTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn a_network_that_is_cut_loses_nothing_of_eight_clients() {
    the_network_is_cut(CLIENTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn a_network_that_freezes_loses_nothing() {
    let mut scene = Scene::begin("network frozen for 3 s").await;
    for _ in 0..rounds(1) {
        scene.weather(Weather::Frozen, WHILE).await;
    }
    let seen = scene.trial.end(&scene.database.pool).await;
    assert!(seen.unavailable > 0, "nobody noticed: {seen:?}");
}

/// A call waits for a database that comes back before its deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn a_database_that_is_away_for_a_moment_is_waited_for() {
    let mut scene = Scene::begin("connections cut and refused for 0.3 s").await;
    for _ in 0..rounds(3) {
        let proxy = &scene.proxy;
        let fault = async || {
            proxy.go_away().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.set(Weather::Fair);
            Instant::now()
        };
        scene.trial.disturb(&scene.database.pool, fault).await;
    }
    let seen = scene.trial.end(&scene.database.pool).await;
    seen.assert_not_noticed(&scene.process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn connections_that_are_reset_fail_no_call() {
    let mut scene = Scene::begin("every connection to the database reset").await;
    let pool = scene.pool();
    for _ in 0..rounds(10) {
        let proxy = &scene.proxy;
        let fault = async || {
            proxy.reset_connections();
            Instant::now()
        };
        scene.trial.disturb(&pool, fault).await;
    }
    let seen = scene.trial.end(&pool).await;
    seen.assert_not_noticed(&scene.process);
}

/// Each silent connection costs only the call that waits on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn connections_that_go_silent_for_ever_cost_no_session_of_the_pool() {
    let mut scene = Scene::begin_with(CLIENTS, "every connection to the database silent for ever", &[DEADLINE]).await;
    let pool = scene.pool();
    for _ in 0..rounds(2) {
        let proxy = &scene.proxy;
        let fault = async || {
            proxy.abandon_connections();
            Instant::now()
        };
        scene.trial.disturb(&pool, fault).await;
    }
    let Scene { database, process, trial, .. } = scene;
    let family = trial.load.stock.family;
    trial.end(&pool).await;
    assert_eight_can_wait_at_once(&database, &process, family).await;
}

/// A statement waits for a lock for 3 seconds. Before 5 seconds are over, no session can leave the pool and still wait in
/// PostgreSQL.
const DEADLINE: (&str, &str) = ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "5000");
const BEFORE_THE_DEADLINE: Duration = Duration::from_millis(4500);

/// As many calls as the pool has sessions reach PostgreSQL, and wait there for one row.
async fn assert_eight_can_wait_at_once(database: &TestDatabase, process: &Process, family: Family) {
    let contact = World::new(database.pool.clone()).contact(family.sub_customer).await;
    let mut holding = database.pool.begin().await.unwrap();
    sqlx::query("select from contact where id = $1 for update").bind(contact).execute(&mut *holding).await.unwrap();
    let url = format!("http://{}{}/{contact}", process.address, collection(family.sub_customer, Resource::Contact));
    let ask = || AbortOnDropHandle::new(tokio::spawn(ask_again_and_again(url.clone(), family.requester)));
    let asking: Vec<_> = (0..8).map(|_| ask()).collect();
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'customer-deletion' and wait_event_type = 'Lock'";
    let began = Instant::now();
    let mut most: i64 = 0;
    while most < 8 {
        assert!(began.elapsed() < BEFORE_THE_DEADLINE, "sessions of the pool are lost, but for {most}");
        most = most.max(sqlx::query_scalar(waiting).fetch_one(&database.pool).await.unwrap());
    }
    assert_eq!(most, 8);
    drop(asking);
    holding.rollback().await.unwrap();
}

async fn ask_again_and_again(url: String, requester: Uuid) {
    loop {
        let call = client().delete(&url).header("X-Requester-Id", requester.to_string());
        call.send().await.expect("the service answers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn a_network_that_is_slow_fails_no_call() {
    let mut scene = Scene::begin("network slower by 0.1 s each way").await;
    for _ in 0..rounds(1) {
        scene.slowness(Duration::from_millis(100)).await;
    }
    let seen = scene.trial.end(&scene.database.pool).await;
    seen.assert_not_noticed(&scene.process);
}

/// Answers arrive after their callers have given up, and must not be taken for those of later calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn a_network_that_is_too_slow_loses_nothing() {
    let mut scene = Scene::begin("network slower by 2 s each way").await;
    for _ in 0..rounds(1) {
        scene.slowness(Duration::from_secs(2)).await;
    }
    let seen = scene.trial.end(&scene.database.pool).await;
    assert!(seen.unavailable > 0, "nobody noticed: {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn backends_that_are_terminated_one_by_one_fail_no_call() {
    let mut scene = Scene::begin("backends terminated one by one").await;
    let pool = scene.pool();
    for _ in 0..rounds(2) {
        // A call is tried three times, so a call that met three terminations would correctly be a 503. A slow machine is given
        // more time, but hardly more than half of the deadline of a call. So no call meets three of them.
        let pause = scene.trial.allowance().await.clamp(Duration::from_millis(400), Duration::from_millis(1300));
        let fault = async || {
            for _ in 0..5 {
                terminate_a_backend(&pool).await;
                tokio::time::sleep(pause).await;
            }
            Instant::now()
        };
        scene.trial.disturb_for(&pool, 5 * pause, fault).await;
    }
    let seen = scene.trial.end(&pool).await;
    seen.assert_not_noticed(&scene.process);
}

/// Terminates a busy backend if there is one.
async fn terminate_a_backend(pool: &TestPool) {
    sqlx::query(
        "select pg_terminate_backend(pid)
         from pg_stat_activity
         where datname = current_database() and application_name = 'customer-deletion'
         order by state = 'active' desc, md5(pid::text || $1)
         limit 1",
    )
    .bind(Uuid::now_v7().to_string())
    .execute(pool)
    .await
    .unwrap();
}
