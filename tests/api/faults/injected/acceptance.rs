//! Errors in the one statement that records a call whose caller does not wait.

use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::injector::{ALWAYS, Fault, Injector};
use super::{DEFECTS, PASSING, Pairs, UNAVAILABLE, UNAVAILABLE_TEXT};
use crate::concurrency::queued::{assert_accepted, waiting};
use crate::support::service::Answer;

const STEPS: [&str; 6] = [
    "accept_operation: before insert of operation",
    "accept_operation: after insert of operation",
    "accept_operation: before insert of operation_queue",
    "accept_operation: after insert of operation_queue",
    "commit: after insert of operation",
    "commit: after insert of operation_queue",
];

/// The answer to a call that fails this often, the number of tries, and the statuses of the recorded operations.
async fn fail(injector: &Injector, key: &str, fault: &Fault) -> (Answer, i64, Vec<String>) {
    injector.inject(fault).await;
    let answer = injector.delete_later(Resource::Contact, &[Uuid::now_v7()], key).await;
    let statuses = injector.statuses(answer.request_id(), key).await;
    injector.assert_rows_and_operations_agree().await;
    (answer, injector.tries().await, statuses)
}

#[tokio::test]
async fn an_error_that_passes_is_tried_three_times_in_all_and_leaves_one_operation_or_none() {
    errors_that_pass(Pairs::One).await;
}

#[tokio::test]
#[ignore = "each code at each step: takes minutes; cargo test --test api -- --ignored injected"]
async fn every_error_of_an_acceptance() {
    errors_that_pass(Pairs::All).await;
    other_errors(Pairs::All).await;
}

async fn errors_that_pass(pairs: Pairs) {
    let injector = Injector::start().await;
    for (number, step) in STEPS.into_iter().enumerate() {
        for sqlstate in pairs.codes(&PASSING, number) {
            let waiting_before = waiting(injector.pool()).await;
            let key = Uuid::now_v7().to_string();
            let (answer, tries, statuses) = fail(&injector, &key, &Fault::new(step, sqlstate)).await;
            assert_eq!((tries, statuses.len()), (3, 0), "{step} {sqlstate}");
            answer.assert_failed(503, "GLOBAL_1001", UNAVAILABLE_TEXT);
            assert_eq!(answer.header("Retry-After"), Some("1"));
            assert_eq!(waiting(injector.pool()).await, waiting_before, "{step} {sqlstate}");

            let (answer, tries, statuses) = fail(&injector, &key, &Fault::new(step, sqlstate).times(2)).await;
            assert_accepted(&answer);
            assert_eq!(answer.header("Idempotency-Replayed"), None);
            assert_eq!((tries, statuses), (3, vec!["OPEN".to_owned()]), "{step} {sqlstate}");
            assert_eq!(waiting(injector.pool()).await, waiting_before + 1, "{step} {sqlstate}");
        }
    }
}

#[tokio::test]
async fn any_other_error_is_answered_after_one_try_and_leaves_nothing_that_waits() {
    other_errors(Pairs::One).await;
}

async fn other_errors(pairs: Pairs) {
    let injector = Injector::start().await;
    for (number, step) in STEPS.into_iter().enumerate() {
        for sqlstate in pairs.codes(&UNAVAILABLE, number) {
            let (answer, tries, statuses) = fail(&injector, "k", &Fault::new(step, sqlstate)).await;
            assert_eq!((tries, statuses.len()), (1, 0), "{step} {sqlstate}");
            answer.assert_failed(503, "GLOBAL_1001", UNAVAILABLE_TEXT);
        }
        for sqlstate in pairs.codes(&DEFECTS, number) {
            // The record of the defect is inserted and committed as well.
            let recorded = step.starts_with("commit: after insert of operation") && !step.ends_with("queue");
            let times = if recorded { 1 } else { ALWAYS };
            let (answer, _, statuses) = fail(&injector, "k", &Fault::new(step, sqlstate).times(times)).await;
            let id = answer.assert_failed(500, "GLOBAL_1001", UNAVAILABLE_TEXT);
            assert_eq!(answer.header("Retry-After"), None, "{step} {sqlstate}");
            assert_eq!(statuses, ["INTERNAL_ERROR"], "{step} {sqlstate}");
            let details = injector.service.details(injector.family.requester, id).await.json();
            assert_eq!(details["content"][0]["errorCode"], "GLOBAL_1001", "{step} {sqlstate}");
        }
    }
    assert_eq!(waiting(injector.pool()).await, 0);
    // None of them has kept the key.
    injector.heal().await;
    assert_accepted(&injector.delete_later(Resource::Contact, &[Uuid::now_v7()], "k").await);
}
