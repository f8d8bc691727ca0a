//! Errors in the one statement that cancels an operation.

use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::injector::{Fault, Injector};
use super::{DEFECTS, PASSING, UNAVAILABLE, UNAVAILABLE_TEXT};
use crate::concurrency::queued::{assert_accepted, details, waiting};

const STEPS: [&str; 9] = [
    "cancel_operation: reads operation_queue",
    "cancel_operation: reads operation",
    "cancel_operation: before update of operation",
    "cancel_operation: after update of operation",
    "cancel_operation: before delete of operation_queue",
    "cancel_operation: after delete of operation_queue",
    "commit: after update of operation",
    "commit: after delete of operation_queue",
    "find_operation: reads operation",
];

async fn accept(injector: &Injector) -> Uuid {
    assert_accepted(&injector.delete_later(Resource::Contact, &[Uuid::now_v7()], &Uuid::now_v7().to_string()).await)
}

async fn ends(injector: &Injector, operation: Uuid) -> Vec<String> {
    let ends = sqlx::query_scalar("select status from ends where operation_id = $1").bind(operation);
    ends.fetch_all(injector.pool()).await.unwrap()
}

#[tokio::test]
async fn an_error_that_passes_is_tried_again_and_the_operation_ends_once() {
    let injector = Injector::start().await;
    for (index, step) in STEPS.into_iter().enumerate() {
        let operation = accept(&injector).await;
        let fault = Fault::new(step, PASSING[index % PASSING.len()]).at_row(Some(operation)).times(2);
        injector.inject(&fault).await;

        let answer = injector.service.cancel(injector.family.requester, operation).await;

        answer.assert_status(200);
        assert_eq!(answer.json()["content"][0]["errorCode"], "CANCELLED", "{fault:?}");
        assert!(injector.tries().await > 2, "{fault:?}");
        assert_eq!(ends(&injector, operation).await, ["FAILURE"], "{fault:?}");
    }
    assert_eq!(waiting(injector.pool()).await, 0);
    injector.assert_rows_and_operations_agree().await;
}

#[tokio::test]
async fn any_other_error_is_answered_after_one_try_and_the_operation_waits_on() {
    let injector = Injector::start().await;
    let operation = accept(&injector).await;
    // After the last step, the operation has ended already.
    for (index, step) in STEPS[..STEPS.len() - 1].iter().enumerate() {
        for (status, codes) in [(503, &UNAVAILABLE[..]), (500, &DEFECTS[..])] {
            let fault = Fault::new(*step, codes[index % codes.len()]).at_row(Some(operation));
            injector.inject(&fault).await;
            let answer = injector.service.cancel(injector.family.requester, operation).await;
            answer.assert_failed(status, "GLOBAL_1001", UNAVAILABLE_TEXT);
            assert_eq!(injector.tries().await, 1, "{fault:?}");
        }
    }
    injector.heal().await;
    assert_eq!(details(&injector.service, injector.family.requester, operation).await["status"], "OPEN");
    injector.service.cancel(injector.family.requester, operation).await.assert_status(200);
    assert_eq!(ends(&injector, operation).await, ["FAILURE"]);
}
