//! Errors in the statements that a deletion runs when it deletes nothing, and in those around it.

use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::injector::{ALWAYS, Fault, Injector, inspection};
use super::{DEFECTS, PASSING, Pairs, UNAVAILABLE, UNAVAILABLE_TEXT};

use crate::support::resources::{contract, every_resource};

/// The steps at which a refusal is found, recorded and committed.
fn steps(resource: Resource) -> [String; 4] {
    [
        format!("{}: reads customer", inspection(resource)),
        "record_failure: before insert of operation".to_owned(),
        "record_failure: after insert of operation".to_owned(),
        "commit: after insert of operation".to_owned(),
    ]
}

/// Sends a call that is refused because no row has its id, with this fault. Returns its answer, its tries and its recorded
/// operations.
async fn refuse(injector: &Injector, resource: Resource, fault: &Fault) -> (u16, String, i64, Vec<String>) {
    let key = Uuid::now_v7().to_string();
    let before = injector.service.world.fingerprint().await;
    injector.inject(fault).await;
    let answer = injector.delete(resource, &[Uuid::now_v7()], &key).await;
    let tries = injector.tries().await;
    assert_eq!(injector.service.world.fingerprint().await, before, "{fault:?}");
    injector.assert_rows_and_operations_agree().await;
    let code = answer.json()["errorCode"].as_str().unwrap().to_owned();
    let statuses = injector.statuses(answer.request_id(), &key).await;
    (answer.status, code, tries, statuses)
}

fn left(status: u16, code: &str, tries: i64, statuses: &[&str]) -> (u16, String, i64, Vec<String>) {
    (status, code.to_owned(), tries, statuses.iter().map(|status| (*status).to_owned()).collect())
}

#[tokio::test]
async fn an_error_in_the_statements_of_a_refusal_is_treated_like_one_in_a_deletion() {
    errors_on_the_way_to_a_refusal(Pairs::One).await;
}

#[tokio::test]
#[ignore = "each code at each step: takes minutes; cargo test --test api -- --ignored injected"]
async fn every_error_in_the_statements_of_a_refusal() {
    errors_on_the_way_to_a_refusal(Pairs::All).await;
}

async fn errors_on_the_way_to_a_refusal(pairs: Pairs) {
    let injector = Injector::start().await;
    for resource in every_resource() {
        let code = contract(resource).unknown.0;
        let index = resource as usize;
        for step in pairs.steps(&steps(resource), index) {
            let fault = |sqlstate, times| Fault::new(step.as_str(), sqlstate).times(times);
            for sqlstate in pairs.codes(&PASSING, index) {
                let failed = refuse(&injector, resource, &fault(sqlstate, ALWAYS)).await;
                assert_eq!(failed, left(503, "GLOBAL_1001", 3, &[]), "{step} {sqlstate}");
                let (status, answered, tries, statuses) = refuse(&injector, resource, &fault(sqlstate, 2)).await;
                // The try that succeeds may read several rows at the step.
                assert_eq!(
                    (status, answered, tries.min(3), statuses),
                    left(404, code, 3, &["FAILURE"]),
                    "{step} {sqlstate}"
                );
            }
            for sqlstate in pairs.codes(&UNAVAILABLE, index) {
                let failed = refuse(&injector, resource, &fault(sqlstate, ALWAYS)).await;
                assert_eq!(failed, left(503, "GLOBAL_1001", 1, &[]), "{step} {sqlstate}");
            }
            // A defect is recorded by the statement that records a refusal, so it reaches the same step again.
            let tries = if step.starts_with("inspect") { 1 } else { 2 };
            for sqlstate in pairs.codes(&DEFECTS, index) {
                let failed = refuse(&injector, resource, &fault(sqlstate, 1)).await;
                assert_eq!(failed, left(500, "GLOBAL_1001", tries, &["INTERNAL_ERROR"]), "{step} {sqlstate}");
            }
        }
    }
}

/// The answer is the same without a record.
#[tokio::test]
async fn a_defect_that_cannot_be_recorded_is_500_all_the_same() {
    let injector = Injector::start().await;
    for step in steps(Resource::Contact).into_iter().skip(1) {
        let failed = refuse(&injector, Resource::Contact, &Fault::new(step.as_str(), "23514")).await;
        assert_eq!(failed, left(500, "GLOBAL_1001", 2, &[]), "{step}");
    }
}

#[tokio::test]
async fn an_error_while_a_status_is_read_is_treated_like_one_in_a_deletion() {
    errors_on_the_way_to_a_status(Pairs::One).await;
}

#[tokio::test]
#[ignore = "each code: takes a while; cargo test --test api -- --ignored injected"]
async fn every_error_while_a_status_is_read() {
    errors_on_the_way_to_a_status(Pairs::All).await;
}

async fn errors_on_the_way_to_a_status(pairs: Pairs) {
    let injector = Injector::start().await;
    let contact = injector.service.world.contact(injector.family.sub_customer).await;
    let id = injector.delete(Resource::Contact, &[contact], "k").await.assert_deleted();
    let ask = async |sqlstate: &'static str, times: i64| {
        injector.inject(&Fault::new("find_operation: reads operation", sqlstate).times(times)).await;
        injector.inject_also(&Fault::new("replay_operation: reads operation", sqlstate).times(times)).await;
        let answer = injector.service.status(injector.family.requester, id).await;
        let replay = injector.delete(Resource::Contact, &[contact], "k").await;
        (answer, injector.tries().await, replay)
    };

    for sqlstate in pairs.codes(&PASSING, 3) {
        // The replay finds the operation by its key, and reads it by its id.
        let (answer, tries, replay) = ask(sqlstate, 2).await;
        assert_eq!((answer.status, tries), (200, 5), "{sqlstate} {}", answer.text);
        assert_eq!(replay.assert_deleted(), id);
        let (answer, tries, replay) = ask(sqlstate, ALWAYS).await;
        assert_eq!((answer.status, replay.status, tries), (503, 503, 6), "{sqlstate} {}", answer.text);
    }
    for sqlstate in pairs.codes(&UNAVAILABLE, 8) {
        let (answer, tries, replay) = ask(sqlstate, ALWAYS).await;
        assert_eq!((answer.status, replay.status, tries), (503, 503, 2), "{sqlstate} {}", answer.text);
    }
    for sqlstate in pairs.codes(&DEFECTS, 9) {
        let (answer, tries, replay) = ask(sqlstate, 1).await;
        assert_eq!((answer.status, replay.status, tries), (500, 200, 3), "{sqlstate} {}", answer.text);
        answer.assert_failed(500, "GLOBAL_1001", UNAVAILABLE_TEXT);
    }
    assert_eq!(injector.service.world.operations().await, 1);
}

/// The schema is verified before the first call, after a defect, and at intervals.
#[tokio::test]
async fn an_error_while_the_schema_is_verified_is_503_and_no_table_is_touched() {
    errors_on_the_way_to_the_schema(Pairs::One).await;
}

#[tokio::test]
#[ignore = "each code: takes a while; cargo test --test api -- --ignored injected"]
async fn every_error_while_the_schema_is_verified() {
    errors_on_the_way_to_the_schema(Pairs::All).await;
}

async fn errors_on_the_way_to_the_schema(pairs: Pairs) {
    let injector = Injector::start().await;
    let contact = injector.service.world.contact(injector.family.sub_customer).await;

    injector.inject(&Fault::new("check_schema: reads schema_version", "XX000")).await;
    injector.inject_also(&Fault::new("delete_contacts: reads customer", "XX000")).await;
    // A defect makes the service verify the schema again, unless a verification is already due.
    injector.delete(Resource::Contact, &[contact], "k").await;
    sqlx::raw_sql("delete from fault where step like 'delete%'").execute(injector.pool()).await.unwrap();

    for sqlstate in [&PASSING[..], &UNAVAILABLE, &DEFECTS].into_iter().flat_map(|class| pairs.codes(class, 4)) {
        // One error replaces another, so the service, which verifies at intervals, never succeeds in between.
        sqlx::query("update fault set sqlstate = $1").bind(sqlstate).execute(injector.pool()).await.unwrap();
        let recorded = injector.service.world.operations().await;

        let answer = injector.delete(Resource::Contact, &[contact], "k").await;

        answer.assert_failed(503, "GLOBAL_1001", UNAVAILABLE_TEXT);
        assert_eq!(injector.service.world.operations().await, recorded, "{sqlstate}");
    }
    assert!(injector.service.world.deleted(Resource::Contact, &[contact]).await.is_empty());
    injector.heal().await;
    injector.delete(Resource::Contact, &[contact], "k").await.assert_deleted();
}
