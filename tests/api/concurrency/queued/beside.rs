//! The effect of a long operation on other calls.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use uuid::Uuid;

use super::{list, many_contacts};
use crate::support::process::{IMPATIENT, Process};
use crate::support::service::{collection, send};
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, World, body};

const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(10);
const IDS_OF_A_CALL: usize = 5;
const IDS_OF_AN_OPERATION: i32 = 100_000;
const CONTACTS_OF_A_LOAD: i32 = 40_000;
const ROUNDS: usize = 5;

/// For a debug build on a busy machine. The goal is 1.5, which a release build (`TEST_BINARY`) reaches.
const MOST: f64 = 4.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures: takes a minute; cargo test --test api -- --ignored --nocapture beside_a_deletion"]
async fn calls_beside_a_deletion_of_a_hundred_thousand_keep_their_latency() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let process = Process::serve_impatiently(&database.url);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut longest_acceptance = Duration::ZERO;
    for round in 0..=ROUNDS {
        let first = many_contacts(&database.pool, family.sub_customer, CONTACTS_OF_A_LOAD).await;
        let second = many_contacts(&database.pool, family.sub_customer, CONTACTS_OF_A_LOAD).await;
        let long = many_contacts(&database.pool, family.second_sub_customer, IDS_OF_AN_OPERATION).await;
        for sql in ["vacuum analyze contact", "checkpoint"] {
            sqlx::raw_sql(sql).execute(&database.pool).await.unwrap();
        }

        let running = Arc::new(AtomicBool::new(true));
        let began = Instant::now();
        let accepted = accept(&process, family, &long).await;
        let acceptance = began.elapsed();
        let load = tokio::spawn(calls(process.address, first, family, Arc::clone(&running)));
        until_ended(&database.pool, accepted).await;
        let took = began.elapsed();
        running.store(false, Ordering::Relaxed);
        let with = load.await.unwrap();

        let running = Arc::new(AtomicBool::new(true));
        let load = tokio::spawn(calls(process.address, second, family, Arc::clone(&running)));
        tokio::time::sleep(took).await;
        running.store(false, Ordering::Relaxed);
        let without = load.await.unwrap();
        // The first round makes sessions and plans.
        if round > 0 {
            longest_acceptance = longest_acceptance.max(acceptance);
            alone.extend(without);
            beside.extend(with);
        }
    }
    let (alone, beside) = (Percentiles::of(alone), Percentiles::of(beside));
    let ratio = beside.p99 / alone.p99;
    let _ = writeln!(
        std::io::stderr(),
        "beside a deletion of {IDS_OF_AN_OPERATION}: alone {alone:?}, beside {beside:?}, p99 {ratio:.2} times, \
         accepted in {longest_acceptance:?} at most",
    );
    assert!(ratio < MOST, "p99 is {ratio:.2} times what it is without");
}

/// Callers that wait for the end of an operation that does not end. They are more than one requester may have.
const WAITING_CALLERS: usize = 200;

/// How many times longer the p99 may be beside them: with a release build (`TEST_BINARY`), and with a debug build on a busy
/// machine.
const MOST_BESIDE_WAITING: (f64, f64) = (1.2, 3.0);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures: takes a minute; cargo test --test api -- --ignored --nocapture beside_waiting_callers"]
async fn deletions_beside_waiting_callers_keep_their_latency() {
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    let family = world.family().await;
    let process =
        Process::serve_with(&database.url, &[&IMPATIENT[..], &[("CUSTOMER_DELETION__QUEUE__WORKERS", "0")]].concat());
    let mut waited_for = Vec::new();
    for waiting in [family, world.family().await] {
        let operation = accept(&process, waiting, &[Uuid::now_v7()]).await;
        waited_for.push((format!("http://{}/api/v3/global/call/{operation}", process.address), waiting.requester));
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        for is_beside in [false, true] {
            let contacts = many_contacts(&database.pool, family.sub_customer, CONTACTS_OF_A_LOAD / 10).await;
            for sql in ["vacuum analyze contact", "checkpoint"] {
                sqlx::raw_sql(sql).execute(&database.pool).await.unwrap();
            }
            let running = Arc::new(AtomicBool::new(true));
            let callers = if is_beside { WAITING_CALLERS } else { 0 };
            let waiting: Vec<_> = (0..callers)
                .map(|number| {
                    let (url, requester) = &waited_for[number % waited_for.len()];
                    let call = client.get(url).header("X-Requester-Id", requester.to_string());
                    tokio::spawn(wait_again_and_again(call.header("Prefer", "wait=2"), number, Arc::clone(&running)))
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let took = calls(process.address, contacts, family, Arc::new(AtomicBool::new(true))).await;
            running.store(false, Ordering::Relaxed);
            for waiting in waiting {
                waiting.await.unwrap();
            }
            // The first round makes sessions and plans.
            if round > 0 {
                if is_beside { beside.extend(took) } else { alone.extend(took) }
            }
        }
    }
    let (alone, beside) = (Percentiles::of(alone), Percentiles::of(beside));
    let ratio = beside.p99 / alone.p99;
    let _ = writeln!(
        std::io::stderr(),
        "beside {WAITING_CALLERS} waiting callers: alone {alone:?}, beside {beside:?}, p99 {ratio:.2} times"
    );
    let (release, debug) = MOST_BESIDE_WAITING;
    let most = if std::env::var_os("TEST_BINARY").is_some() { release } else { debug };
    assert!(ratio < most, "p99 is {ratio:.2} times what it is without");
}

/// The callers begin one after the other, because a requester may use only a part of the permits.
async fn wait_again_and_again(call: reqwest::RequestBuilder, number: usize, running: Arc<AtomicBool>) {
    tokio::time::sleep(Duration::from_millis(5) * number as u32).await;
    while running.load(Ordering::Relaxed) {
        let answer = send(call.try_clone().unwrap()).await;
        assert_eq!((answer.status, answer.header("Preference-Applied")), (200, Some("wait=2")), "{}", answer.text);
    }
}

async fn accept(process: &Process, family: Family, ids: &[Uuid]) -> Uuid {
    let url = format!("http://{}{}", process.address, collection(family.second_sub_customer, Resource::Contact));
    let call = reqwest::Client::new().delete(url).header("X-Requester-Id", family.requester.to_string());
    let answer = send(call.header("Prefer", "respond-async").body(list(ids))).await;
    super::assert_accepted(&answer)
}

async fn until_ended(pool: &TestPool, operation: Uuid) {
    loop {
        let sql = "select status from operation where id = $1";
        let status: String = sqlx::query_scalar(sql).bind(operation).fetch_one(pool).await.unwrap();
        if status != "OPEN" {
            assert_eq!(status, "SUCCESS");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The durations in seconds of the calls of clients that pause after each.
async fn calls(
    address: std::net::SocketAddr,
    contacts: Vec<Uuid>,
    family: Family,
    running: Arc<AtomicBool>,
) -> Vec<f64> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}{}", collection(family.sub_customer, Resource::Contact));
    let share = contacts.len() / CLIENTS;
    let clients = contacts.chunks(share).map(|own| {
        let (client, url, running) = (client.clone(), url.clone(), Arc::clone(&running));
        async move {
            let mut took = Vec::new();
            for ids in own.chunks(IDS_OF_A_CALL) {
                if !running.load(Ordering::Relaxed) {
                    break;
                }
                let began = Instant::now();
                let call = client.delete(&url).header("X-Requester-Id", family.requester.to_string()).body(body(ids));
                send(call).await.assert_deleted();
                took.push(began.elapsed().as_secs_f64());
                tokio::time::sleep(PAUSE).await;
            }
            took
        }
    });
    join_all(clients).await.concat()
}

#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Percentiles {
    calls: usize,
    p50: f64,
    p99: f64,
}

impl Percentiles {
    fn of(mut seconds: Vec<f64>) -> Percentiles {
        seconds.sort_by(f64::total_cmp);
        let at = |share: f64| seconds[((seconds.len() - 1) as f64 * share) as usize];
        Percentiles { calls: seconds.len(), p50: at(0.5), p99: at(0.99) }
    }
}
