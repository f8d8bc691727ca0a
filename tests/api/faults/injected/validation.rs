//! Errors in the statements of a call that is only validated. They are treated like those of a deletion, and never recorded.

use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::injector::{ALWAYS, Fault, Injector, inspection};
use super::{DEFECTS, PASSING, Pairs, UNAVAILABLE, UNAVAILABLE_TEXT};
use crate::support::resources::every_resource;
use crate::support::service::{Answer, collection, send, validating};

async fn validate(injector: &Injector, resource: Resource, id: Uuid, fault: &Fault) -> (Answer, i64) {
    injector.inject(fault).await;
    let path = format!("{}/{id}", collection(injector.family.in_scope(resource), resource));
    let call = injector.service.call(reqwest::Method::DELETE, &path, injector.family.requester);
    let answer = send(validating(call.header("Idempotency-Key", "k"))).await;
    (answer, injector.tries().await)
}

#[tokio::test]
async fn an_error_in_a_validation_is_treated_like_one_in_a_deletion() {
    errors_on_the_way_to_a_validation(Pairs::One).await;
}

#[tokio::test]
#[ignore = "each code at each step: takes minutes; cargo test --test api -- --ignored injected"]
async fn every_error_in_a_validation() {
    errors_on_the_way_to_a_validation(Pairs::All).await;
}

async fn errors_on_the_way_to_a_validation(pairs: Pairs) {
    let mut injector = Injector::start().await;
    for resource in every_resource() {
        injector.heal().await;
        // Each resource has a family of its own, and so a key `k` of its own.
        injector.family = injector.service.world.family().await;
        let world = &injector.service.world;
        let id = world.row(resource, injector.family.in_scope(resource)).await;
        // An operation under the key, so that the validation reads one.
        injector.delete(resource, &[Uuid::now_v7()], "k").await;
        let before = (world.fingerprint().await, world.operations().await);

        let index = resource as usize;
        let steps =
            [format!("{}: reads customer", inspection(resource)), "replay_operation: reads operation".to_owned()];
        for step in pairs.steps(&steps, index) {
            let fault = |sqlstate, times| Fault::new(step.as_str(), sqlstate).times(times);
            for sqlstate in pairs.codes(&PASSING, index) {
                let (answer, tries) = validate(&injector, resource, id, &fault(sqlstate, ALWAYS)).await;
                assert_eq!((answer.status, tries), (503, 3), "{step} {sqlstate} {}", answer.text);
                let (answer, tries) = validate(&injector, resource, id, &fault(sqlstate, 2)).await;
                // The try that succeeds may read several rows at the step.
                assert_eq!((answer.status, tries.min(3)), (422, 3), "{step} {sqlstate} {}", answer.text);
            }
            for sqlstate in pairs.codes(&UNAVAILABLE, index) {
                let (answer, tries) = validate(&injector, resource, id, &fault(sqlstate, ALWAYS)).await;
                assert_eq!((answer.status, tries), (503, 1), "{step} {sqlstate} {}", answer.text);
            }
            for sqlstate in pairs.codes(&DEFECTS, index) {
                let (answer, tries) = validate(&injector, resource, id, &fault(sqlstate, ALWAYS)).await;
                answer.assert_failed(500, "GLOBAL_1001", UNAVAILABLE_TEXT);
                assert_eq!(tries, 1, "{step} {sqlstate}");
            }
        }
        assert_eq!((world.fingerprint().await, world.operations().await), before, "{resource:?}");
    }
}
