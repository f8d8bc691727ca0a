//! More clients than a small pool has sessions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use uuid::Uuid;

use crate::support::process::{IMPATIENT, Process};
use crate::support::service::{collection, send};
use crate::support::{StallWatch, TestDatabase, World, body, client, pause};

const CLIENTS: usize = 200;

/// The calls of each client in a round.
const CALLS: usize = 5;

/// A service with a pool of five, whose clients call in rounds.
struct Crowded {
    database: TestDatabase,
    world: World,
    process: Process,
    requester: Uuid,
    sub_customer: Uuid,
}

impl Crowded {
    async fn start() -> Crowded {
        let database = TestDatabase::migrated().await;
        let world = World::new(database.pool.clone());
        let family = world.family().await;
        let crowded = [
            ("CUSTOMER_DELETION__DATABASE__MAX_CONNECTIONS", "5"),
            ("CUSTOMER_DELETION__REQUESTER__RATE_PER_SECOND", "1000"),
        ];
        let process = Process::serve_with(&database.url, &[&IMPATIENT[..], &crowded].concat());
        Crowded { database, world, process, requester: family.requester, sub_customer: family.sub_customer }
    }

    /// Lets every client send its calls, and asserts that each is answered or rejected in time.
    async fn assert_answered_or_rejected(&self) {
        let contacts: Vec<Uuid> = sqlx::query_scalar(
            "insert into contact (id, customer_id, email, mobile)
             select gen_random_uuid(), $1, 'a@example.com', '+491510000' from generate_series(1, $2) returning id",
        )
        .bind(self.sub_customer)
        .bind((CLIENTS * CALLS) as i32)
        .fetch_all(&self.database.pool)
        .await
        .unwrap();
        self.process.forget_log();
        let url = format!("http://{}{}", self.process.address, collection(self.sub_customer, Resource::Contact));
        let watch = StallWatch::start();
        let clients =
            contacts.chunks(CALLS).map(|own| tokio::spawn(call_in_turn(url.clone(), self.requester, own.to_vec())));
        let clients: Vec<_> = clients.collect();

        let (mut answers, mut longest_wait) = (BTreeMap::<u16, usize>::new(), Duration::ZERO);
        for client in clients {
            for (status, took) in client.await.unwrap() {
                *answers.entry(status).or_default() += 1;
                longest_wait = longest_wait.max(took);
            }
        }
        assert_eq!(answers.values().sum::<usize>(), CLIENTS * CALLS);
        assert!(answers.keys().all(|status| [200, 429, 503].contains(status)), "{answers:?}");
        let deleted = self.world.deleted(Resource::Contact, &contacts).await.len();
        assert_eq!(Some(&deleted), answers.get(&200), "{answers:?}");
        // The deadline of database calls is 2.5 s.
        let longest = Duration::from_secs(6) + watch.allowance();
        let slowest = self.slowest_call().await;
        assert!(slowest < longest.as_secs_f64() * 1e3, "{slowest} ms");
        assert!(longest_wait < Duration::from_secs(15) + watch.allowance(), "a client waited for {longest_wait:?}");
    }

    /// The duration in milliseconds that the service logs, from the time when it has read the head. The clients also wait for
    /// the processor.
    async fn slowest_call(&self) -> f64 {
        let began = Instant::now();
        loop {
            let log = self.process.log();
            let calls = log.iter().filter(|line| line["message"] == "call");
            let durations: Vec<f64> = calls.map(|line| line["duration_ms"].as_f64().unwrap()).collect();
            if durations.len() == CLIENTS * CALLS {
                return durations.into_iter().fold(0.0, f64::max);
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{} calls are logged", durations.len());
            pause(began).await;
        }
    }

    async fn resident_bytes(&self) -> f64 {
        let page = client().get(format!("http://{}/metrics", self.process.management_address)).send().await.unwrap();
        let page = page.text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        line.unwrap().parse().unwrap()
    }
}

/// The calls of one client: their statuses and durations.
async fn call_in_turn(url: String, requester: Uuid, contacts: Vec<Uuid>) -> Vec<(u16, Duration)> {
    let mut statuses = Vec::new();
    for contact in contacts {
        let call = client().delete(&url).header("X-Requester-Id", requester.to_string()).body(body(&[contact]));
        let began = Instant::now();
        let answer = send(call).await;
        if answer.status != 200 {
            assert!(answer.header("Retry-After").is_some(), "{answer:?}");
        }
        statuses.push((answer.status, began.elapsed()));
    }
    statuses
}

/// The clients have threads of their own, so that the service does not wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_on_a_pool_of_five_are_answered_or_rejected() {
    Crowded::start().await.assert_answered_or_rejected().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures: takes some seconds; cargo test --test api -- --ignored rounds_of_two_hundred_clients"]
async fn three_rounds_of_two_hundred_clients_take_no_more_memory_than_one() {
    let crowded = Crowded::start().await;
    let mut memory = Vec::new();
    for _ in 0..3 {
        crowded.assert_answered_or_rejected().await;
        memory.push(crowded.resident_bytes().await);
    }
    assert!(memory[2] < memory[0] * 1.25, "memory grows: {memory:?}");
}
