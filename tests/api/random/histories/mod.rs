//! Random histories of calls and of changes by other services. The service and a model of the contract must agree about them.
//!
//! `HISTORIES` sets the number, and `HISTORIES_SEED` the seed. A failure prints its seed, and the smallest history that still
//! fails.

mod alone;
mod calls;
mod cast;
mod contract;
mod deeds;
mod model;
mod plan;
mod serial;
mod strategies;
mod tables;
mod together;

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use tokio::runtime::Runtime;

use self::alone::{Tally, live_through};
use self::calls::ACTOR;
use self::together::Crowd;
use crate::support::TestService;

/// The number of histories that run at the same time, each in its own tree of customers.
const SIDE_BY_SIDE: u32 = 4;

#[test]
fn forty_random_histories_go_as_the_model_says() {
    histories_go_as_the_model_says(seed(), number_from("HISTORIES", 40) as u32);
}

/// All answers that the histories must see, including the rare ones.
const ANSWERS: [&str; 21] = [
    "validated",
    "a problem",
    "deleted",
    "deleted, replayed",
    "deleted, later",
    "deleted, replayed, later",
    "AUTH_1010, later",
    "CUSTOMER_1002, later",
    "CUSTOMER_1017, later",
    "CUSTOMER_1046, later",
    "CUSTOMER_1002",
    "AUTH_1010",
    "AUTH_1011",
    "AUTH_1015",
    "CUSTOMER_1017",
    "CUSTOMER_1018",
    "CUSTOMER_1026",
    "CUSTOMER_1030",
    "CUSTOMER_1046",
    "CUSTOMER_1047",
    "IDEMPOTENCY_KEY_REUSED",
];

/// The answers that a history sees are random. So rounds are added, up to this number, until each answer was seen.
const MOST_ROUNDS: u32 = 10;

#[test]
#[ignore = "two thousand histories: takes 1 minute; cargo test --test api -- --ignored two_thousand_random_histories"]
fn two_thousand_random_histories_go_as_the_model_says() {
    let mut missing = ANSWERS.to_vec();
    for round in 0..MOST_ROUNDS {
        let seed = seed() + u64::from(round * SIDE_BY_SIDE);
        let tally = histories_go_as_the_model_says(seed, number_from("HISTORIES", 2000) as u32);
        eprintln!("{tally:#?}");
        missing.retain(|answer| !tally.contains_key(*answer));
        if missing.is_empty() {
            return;
        }
    }
    panic!("{missing:?} were never met");
}

#[test]
fn histories_of_eight_clients_at_once_equal_a_serial_order() {
    histories_equal_a_serial_order(number_from("HISTORIES", 12));
}

#[test]
#[ignore = "a thousand histories: takes 2 minutes; cargo test --test api -- --ignored a_thousand_histories"]
fn a_thousand_histories_of_eight_clients_at_once_equal_a_serial_order() {
    histories_equal_a_serial_order(number_from("HISTORIES", 1000));
}

fn number_from(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is a number")),
        Err(_) => default,
    }
}

/// The seed from the environment, or else a random one.
fn seed() -> u64 {
    number_from("HISTORIES_SEED", uuid::Uuid::now_v7().as_u64_pair().1 >> 16)
}

fn histories_go_as_the_model_says(seed: u64, count: u32) -> BTreeMap<String, usize> {
    let runtime = Runtime::new().unwrap();
    let workers = SIDE_BY_SIDE as usize;
    let service = runtime.block_on(TestService::start_with(|settings| {
        settings.queue.workers = workers;
        settings.requester.header.actor_name = Some(ACTOR.to_owned());
    }));
    let tally = Mutex::default();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SIDE_BY_SIDE)
            .map(|worker| {
                let count = count.div_ceil(SIDE_BY_SIDE);
                let (runtime, service, tally) = (&runtime, &service, &tally);
                scope.spawn(move || first_failure(runtime, service, seed + u64::from(worker), count, tally))
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "HISTORIES_SEED={seed} tells this again:\n{}", failures.join("\n\n"));
    tally.into_inner().unwrap()
}

fn first_failure(runtime: &Runtime, service: &TestService, seed: u64, count: u32, tally: &Tally) -> Option<String> {
    let config = Config {
        cases: count,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 1000,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&strategies::plans(), |plan| {
        runtime.block_on(live_through(service, &plan, tally)).map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => None,
        Err(TestError::Fail(reason, _)) => Some(reason.to_string()),
        Err(TestError::Abort(reason)) => Some(format!("gave up: {reason}")),
    }
}

/// The histories run one after the other. The calls within a history run at the same time.
fn histories_equal_a_serial_order(count: u64) {
    let seed = seed();
    let runtime = Runtime::new().unwrap();
    let config = Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    let mut runner = TestRunner::new(config);
    let plans = strategies::crowds();
    let mut next = || plans.new_tree(&mut runner).expect("nothing is rejected").current();
    let outcome = runtime.block_on(async {
        let crowd = Crowd::new().await;
        for number in 0..count {
            crowd.live_through(&next()).await.map_err(|error| format!("history {number}: {error}"))?;
        }
        crowd.assert_invariants(count).await;
        Ok::<(), String>(())
    });
    outcome.unwrap_or_else(|error| panic!("HISTORIES_SEED={seed} tells the same plans again; {error}"));
}
