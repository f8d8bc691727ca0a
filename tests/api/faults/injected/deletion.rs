//! Errors in the one statement of a deletion.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::injector::{ALWAYS, Fault, Injector, deletion, steps};
use super::{DEFECTS, PASSING, Pairs, UNAVAILABLE, UNAVAILABLE_TEXT};
use crate::support::resources::{every_resource, most, table};
use crate::support::service::Answer;

/// The first, the middle and the last row. A product is deleted alone.
async fn rows(injector: &Injector, resource: Resource) -> Vec<Uuid> {
    let mut ids = injector.service.world.rows(resource, injector.family.in_scope(resource), most(3, resource)).await;
    ids.sort();
    ids
}

/// A call that fails at a step, each time that it reaches the step.
struct Failed<'a> {
    injector: &'a Injector,
    fault: Fault,
    ids: Vec<Uuid>,
    key: String,
    answer: Answer,
    tries: i64,
}

/// Sends a call that fails, and asserts that its rows are as they were.
async fn fail(injector: &Injector, ids: Vec<Uuid>, resource: Resource, fault: Fault) -> Failed<'_> {
    let key = Uuid::now_v7().to_string();
    let before = injector.service.world.fingerprint().await;
    injector.inject(&fault).await;
    let answer = injector.delete(resource, &ids, &key).await;
    let tries = injector.tries().await;
    assert_eq!(injector.service.world.fingerprint().await, before, "something changed: {fault:?} {}", answer.text);
    Failed { injector, fault, ids, key, answer, tries }
}

impl Failed<'_> {
    /// Asserts a 503 that allows a retry, after this many tries, and no trace of the call.
    async fn assert_unavailable(&self, tries: i64) {
        let Failed { answer, fault, .. } = self;
        assert_eq!((answer.status, self.tries), (503, tries), "{fault:?} {}", answer.text);
        let id = answer.assert_failed(503, "GLOBAL_1001", UNAVAILABLE_TEXT);
        assert_eq!(answer.header("Retry-After"), Some("1"), "{fault:?}");
        assert_eq!(self.injector.statuses(id, &self.key).await, [""; 0], "{fault:?}");
    }

    /// Asserts a 500 after one try. The defect is recorded, without the key.
    async fn assert_defect(&self) {
        let Failed { injector, answer, fault, .. } = self;
        assert_eq!((answer.status, self.tries), (500, 1), "{fault:?} {}", answer.text);
        let id = answer.assert_failed(500, "GLOBAL_1001", UNAVAILABLE_TEXT);
        assert_eq!(answer.header("Retry-After"), None, "{fault:?}");
        assert_eq!(injector.statuses(id, &self.key).await, ["INTERNAL_ERROR"], "{fault:?}");
        let details = injector.service.details(injector.family.requester, id).await.json();
        let recorded = &details["content"][0];
        assert_eq!((&recorded["status"], &recorded["errorCode"]), (&"INTERNAL_ERROR".into(), &"GLOBAL_1001".into()));
    }

    /// Without the error, the same call under the same key succeeds as one operation.
    async fn assert_goes_through_now(self, resource: Resource) {
        let Failed { injector, fault, ids, key, .. } = self;
        injector.heal().await;
        let answer = injector.delete(resource, &ids, &key).await;
        let id = answer.assert_deleted();
        assert_eq!(answer.header("Idempotency-Replayed"), None, "{fault:?}");
        assert_eq!(injector.statuses(id, &key).await, ["SUCCESS"], "{fault:?}");
        assert_eq!(injector.service.world.deleted(resource, &ids).await, ids, "{fault:?}");
        injector.assert_rows_and_operations_agree().await;
    }
}

/// The steps, with their rows, that a code of the class meets.
fn steps_for(pairs: Pairs, class: usize, resource: Resource, ids: &[Uuid]) -> Vec<(String, Option<Uuid>)> {
    pairs.steps(&steps(resource, ids), class + 3 * resource as usize)
}

async fn an_error_that_passes_is_tried_again_but_not_for_ever(injector: &Injector, resource: Resource, pairs: Pairs) {
    for sqlstate in pairs.codes(&PASSING, resource as usize) {
        let ids = rows(injector, resource).await;
        for (step, row) in steps_for(pairs, 0, resource, &ids) {
            let fault = Fault::new(step, sqlstate).at_row(row);
            fail(injector, ids.clone(), resource, fault).await.assert_unavailable(3).await;
        }
        let fault = Fault::new(format!("{}: before update of {}", deletion(resource), table(resource)), sqlstate);
        fail(injector, ids, resource, fault).await.assert_goes_through_now(resource).await;
    }
}

async fn an_error_that_has_passed_leaves_one_operation(injector: &Injector, resource: Resource, pairs: Pairs) {
    for (number, sqlstate) in pairs.codes(&PASSING, resource as usize + 5).into_iter().enumerate() {
        // Every step needs rows of its own, because they are deleted in the end.
        let count = steps_for(pairs, 1, resource, &rows(injector, resource).await).len();
        for next in 0..count {
            let ids = rows(injector, resource).await;
            let (step, row) = steps_for(pairs, 1, resource, &ids).swap_remove(next);
            let times = 1 + (next + number + resource as usize) as i64 % 2;
            assert_passes(injector, resource, ids, Fault::new(step, sqlstate).at_row(row).times(times)).await;
        }
    }
}

/// The call fails as often as the fault says, and then succeeds.
async fn assert_passes(injector: &Injector, resource: Resource, ids: Vec<Uuid>, fault: Fault) {
    let key = Uuid::now_v7().to_string();
    injector.inject(&fault).await;
    let answer = injector.delete(resource, &ids, &key).await;
    assert_eq!(answer.status, 200, "{fault:?} {}", answer.text);
    let id = answer.assert_deleted();
    assert_eq!(answer.header("Idempotency-Replayed"), None, "{fault:?}");
    assert!(injector.tries().await > fault.times, "{fault:?}");
    assert_eq!(injector.statuses(id, &key).await, ["SUCCESS"], "{fault:?}");
    assert_eq!(injector.service.world.deleted(resource, &ids).await, ids, "{fault:?}");
    injector.assert_rows_and_operations_agree().await;
}

async fn a_database_that_is_not_fit_to_work_is_503_after_one_try(
    injector: &Injector,
    resource: Resource,
    pairs: Pairs,
) {
    for sqlstate in pairs.codes(&UNAVAILABLE, 2 * resource as usize) {
        let ids = rows(injector, resource).await;
        for (step, row) in steps_for(pairs, 2, resource, &ids) {
            let fault = Fault::new(step, sqlstate).at_row(row);
            fail(injector, ids.clone(), resource, fault).await.assert_unavailable(1).await;
        }
        let fault = Fault::new("commit: after insert of operation", sqlstate);
        fail(injector, ids, resource, fault).await.assert_goes_through_now(resource).await;
    }
}

async fn a_defect_is_500_after_one_try_and_gives_its_key_back(injector: &Injector, resource: Resource, pairs: Pairs) {
    for sqlstate in pairs.codes(&DEFECTS, 3 * resource as usize) {
        let ids = rows(injector, resource).await;
        for (step, row) in steps_for(pairs, 3, resource, &ids) {
            // The record of the defect is committed as well.
            let times = if step.starts_with("commit") { 1 } else { ALWAYS };
            let fault = Fault::new(step, sqlstate).at_row(row).times(times);
            let mut failed = fail(injector, ids.clone(), resource, fault).await;
            failed.tries -= i64::from(times == 1);
            failed.assert_defect().await;
        }
        let fault = Fault::new(format!("{}: before insert of operation", deletion(resource)), sqlstate);
        fail(injector, ids, resource, fault).await.assert_goes_through_now(resource).await;
    }
}

#[tokio::test]
async fn an_error_that_passes_is_tried_three_times_in_all() {
    let injector = Injector::start().await;
    for resource in every_resource() {
        an_error_that_passes_is_tried_again_but_not_for_ever(&injector, resource, Pairs::One).await;
    }
}

#[tokio::test]
async fn a_try_that_goes_through_leaves_one_operation() {
    let injector = Injector::start().await;
    for resource in every_resource() {
        an_error_that_has_passed_leaves_one_operation(&injector, resource, Pairs::One).await;
    }
}

#[tokio::test]
async fn an_error_that_does_not_pass_is_503_after_one_try() {
    let injector = Injector::start().await;
    for resource in every_resource() {
        a_database_that_is_not_fit_to_work_is_503_after_one_try(&injector, resource, Pairs::One).await;
    }
}

#[tokio::test]
async fn a_defect_is_500_after_one_try() {
    let injector = Injector::start().await;
    for resource in every_resource() {
        a_defect_is_500_after_one_try_and_gives_its_key_back(&injector, resource, Pairs::One).await;
    }
}

#[tokio::test]
#[ignore = "each code at each step: takes minutes; cargo test --test api -- --ignored injected"]
async fn every_error_at_every_step() {
    for resource in every_resource() {
        let injector = Injector::start().await;
        an_error_that_passes_is_tried_again_but_not_for_ever(&injector, resource, Pairs::All).await;
        an_error_that_has_passed_leaves_one_operation(&injector, resource, Pairs::All).await;
        a_database_that_is_not_fit_to_work_is_503_after_one_try(&injector, resource, Pairs::All).await;
        a_defect_is_500_after_one_try_and_gives_its_key_back(&injector, resource, Pairs::All).await;
    }
}

/// Two tries end long before the deadline of the call, and the third only long after it.
#[tokio::test]
async fn the_tries_of_a_call_have_one_deadline() {
    tokio::join!(has_one_deadline(Resource::Contact), has_one_deadline(Resource::Product));
}

async fn has_one_deadline(resource: Resource) {
    let injector = Injector::start_with(|settings| settings.database.deadline = Duration::from_secs(15)).await;
    let ids = rows(&injector, resource).await;
    let step = format!("{}: before insert of operation", deletion(resource));
    let fault = Fault { delay: 6.0, ..Fault::new(step, "40001") };
    // The first call opens the session and verifies the schema, which would take time from the deadline.
    injector.delete(resource, &[Uuid::now_v7()], &Uuid::now_v7().to_string()).await;

    let began = Instant::now();
    let failed = fail(&injector, ids, resource, fault).await;

    assert_eq!(failed.tries, 2, "{resource:?} in {:?}", began.elapsed());
    failed.assert_unavailable(2).await;
    failed.assert_goes_through_now(resource).await;
}
