//! The process of the service, ended in the middle of its work.

use std::time::Instant;

use super::load::Connections;
use super::trial::{CLIENTS, Trial, rounds};
use crate::support::process::Process;
use crate::support::{TestDatabase, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn a_service_that_is_killed_again_and_again_loses_nothing() {
    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let mut process = Process::serve_impatiently(&database.url);
    let mut trial = Trial::begin("service killed (-9) and started again", &database.pool, family, &process).await;
    for _ in 0..rounds(5) {
        let url = &database.url;
        let load = trial.load.aim();
        let fault = async || {
            process.child.kill().unwrap();
            process.child.wait().unwrap();
            let began = Instant::now();
            process = Process::serve_impatiently(url);
            load.at(process.address);
            began
        };
        trial.disturb(&database.pool, fault).await;
    }
    let seen = trial.end(&database.pool).await;
    assert!(seen.unanswered > 0, "the kills missed the calls: {seen:?}");
}

/// As in a rollout, the next process serves before this one ends. Every call that has begun is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn a_service_that_is_stopped_again_and_again_answers_what_it_has_begun() {
    let database = TestDatabase::migrated().await;
    let family = World::new(database.pool.clone()).family().await;
    let mut process = Process::serve_impatiently(&database.url);
    let (name, kept) = ("SIGTERM under load", Connections::Kept);
    let mut trial = Trial::begin_with(CLIENTS, kept, name, &database.pool, family, &process).await;
    for _ in 0..rounds(5) {
        let url = &database.url;
        let load = trial.load.aim();
        let fault = async || {
            let next = Process::serve_impatiently(url);
            process.send_sigterm();
            load.at(next.address);
            let told = Instant::now();
            assert_eq!(process.exit_code().await, Some(0));
            process = next;
            told
        };
        trial.disturb(&database.pool, fault).await;
    }
    let seen = trial.end(&database.pool).await;
    assert_eq!(seen.replayed_unanswered, 0, "an effect without its answer: {seen:?}");
}
