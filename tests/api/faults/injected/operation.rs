//! Errors while an accepted operation is leased, locked, executed, ended, committed, and handed back.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use rstest::rstest;
use serde_json::Value;
use uuid::Uuid;

use super::injector::{ALWAYS, Fault, Injector, inspection, steps};
use super::{DEFECTS, PASSING, UNAVAILABLE};
use crate::concurrency::queued::{assert_accepted, details, ended, waiting};
use crate::support::TestService;
use crate::support::resources::{contract, every_resource, most, table};

/// Long enough for an attempt on a busy machine. An expired lease would add an attempt.
const LEASE: Duration = Duration::from_secs(10);

/// Short enough to wait until it expires.
const SHORT_LEASE: Duration = Duration::from_secs(3);

/// Steps that every locked operation reaches, where the row is that of the operation itself.
const OF_THE_OPERATION: [&str; 9] = [
    "lock_operation: reads operation_queue",
    "end_operation: reads operation",
    "end_operation: before update of operation",
    "end_operation: after update of operation",
    "end_operation: reads operation_queue",
    "end_operation: before delete of operation_queue",
    "end_operation: after delete of operation_queue",
    "commit: after update of operation",
    "commit: after delete of operation_queue",
];

/// One operation that fails at some step.
struct Failing {
    operation: Uuid,
    rows: Vec<Uuid>,
    /// `None` for a success.
    refusal: Option<&'static str>,
    fault: Fault,
}

/// A worker for the operations that a service without workers accepts.
async fn worker(injector: &Injector, lease: Duration, max_attempts: i32) -> TestService {
    TestService::beside(&injector.service, |settings| {
        settings.queue.workers = 2;
        settings.queue.lease = lease;
        settings.queue.max_attempts = max_attempts;
    })
    .await
}

async fn accept(injector: &Injector, resource: Resource, ids: &[Uuid]) -> Uuid {
    assert_accepted(&injector.delete_later(resource, ids, &Uuid::now_v7().to_string()).await)
}

async fn rows(injector: &Injector, resource: Resource) -> Vec<Uuid> {
    let mut rows = injector.service.world.rows(resource, injector.family.in_scope(resource), most(3, resource)).await;
    rows.sort();
    rows
}

async fn attempts(injector: &Injector, operation: Uuid) -> i64 {
    sqlx::query_scalar("select coalesce(attempts_at($1), 0)").bind(operation).fetch_one(injector.pool()).await.unwrap()
}

async fn ends(injector: &Injector, operation: Uuid) -> Vec<String> {
    let ends = sqlx::query_scalar("select status from ends where operation_id = $1").bind(operation);
    ends.fetch_all(injector.pool()).await.unwrap()
}

async fn outcome(injector: &Injector, operation: Uuid) -> (String, String) {
    let ended: Value = ended(&injector.service, injector.family.requester, operation).await;
    let text = |name: &str| ended[name].as_str().unwrap().to_owned();
    (text("status"), text("errorCode"))
}

/// An operation whose first attempts fail with the code at one of the steps. The index selects the step.
async fn failing(
    injector: &Injector,
    (resource, unknown_code): (Resource, &'static str),
    index: usize,
    sqlstate: &'static str,
) -> Failing {
    let mut rows = rows(injector, resource).await;
    let of_rows = steps(resource, &rows).into_iter().filter(|(_, row)| row.is_some()).collect::<Vec<_>>();
    let steps = OF_THE_OPERATION.len() + of_rows.len();
    // Five is coprime to the number of steps, so that neighbouring codes meet different steps. Only one operation at a time is
    // refused, because the inspection of one may read the rows of another.
    let step = (index * 5 + 2) % (steps + 1);
    let refused = step == steps && index <= steps;
    if refused {
        rows = with_an_unknown_one(resource, &rows);
    }
    let operation = accept(injector, resource, &rows).await;
    let (step, row) = match step {
        _ if refused => where_it_is_refused(resource, &rows),
        step if step < OF_THE_OPERATION.len() => (OF_THE_OPERATION[step].to_owned(), Some(operation)),
        step => of_rows[(step - OF_THE_OPERATION.len()) % of_rows.len()].clone(),
    };
    let times = 1 + i64::from(index.is_multiple_of(4));
    let fault = Fault::new(step, sqlstate).at_row(row).in_attempts_at(operation, times);
    injector.inject_also(&fault).await;
    Failing { operation, rows, refusal: refused.then_some(unknown_code), fault }
}

/// A product is deleted alone.
fn with_an_unknown_one(resource: Resource, rows: &[Uuid]) -> Vec<Uuid> {
    if contract(resource).takes_list { [rows, &[Uuid::now_v7()]].concat() } else { vec![Uuid::now_v7()] }
}

fn where_it_is_refused(resource: Resource, rows: &[Uuid]) -> (String, Option<Uuid>) {
    let statement = inspection(resource);
    match contract(resource).takes_list {
        true => (format!("{statement}: reads {}", table(resource)), Some(rows[0])),
        false => (format!("{statement}: reads customer"), None),
    }
}

impl Failing {
    /// Asserts that the operation was retried until it succeeded, and ended once.
    async fn assert_executed_once(&self, injector: &Injector, resource: Resource) {
        let Failing { operation, rows, refusal, fault } = self;
        let expected = refusal.map_or(("SUCCESS", ""), |code| ("FAILURE", code));
        let (status, code) = outcome(injector, *operation).await;
        assert_eq!((status.as_str(), code.as_str()), expected, "{fault:?}");
        assert_eq!(ends(injector, *operation).await, [expected.0], "{fault:?}");
        assert_eq!(attempts(injector, *operation).await, fault.times + 1, "{fault:?}");
        let deleted = injector.service.world.deleted(resource, rows).await;
        assert_eq!(deleted, if refusal.is_none() { rows.clone() } else { Vec::new() }, "{fault:?}");
    }
}

/// Each code and each step, at one of the resources.
#[tokio::test]
async fn an_attempt_that_fails_is_tried_again_and_the_operation_ends_once() {
    attempts_that_fail(|index, resource| index % Resource::ALL.len() == resource as usize).await;
}

#[tokio::test]
#[ignore = "each code at each resource: takes a while; cargo test --test api -- --ignored injected"]
async fn every_error_in_an_attempt() {
    attempts_that_fail(|_, _| true).await;
}

async fn attempts_that_fail(is_tried: fn(usize, Resource) -> bool) {
    let injector = Injector::start().await;
    injector.heal().await;
    let mut all = Vec::new();
    for resource in every_resource() {
        let unknown_code = contract(resource).unknown.0;
        for (index, sqlstate) in PASSING.into_iter().chain(UNAVAILABLE).chain(DEFECTS).enumerate() {
            if is_tried(index, resource) {
                all.push((resource, failing(&injector, (resource, unknown_code), index, sqlstate).await));
            }
        }
    }
    let _worker = worker(&injector, LEASE, 8).await;
    for (resource, failing) in &all {
        failing.assert_executed_once(&injector, *resource).await;
    }
    injector.assert_rows_and_operations_agree().await;
    assert_eq!(waiting(injector.pool()).await, 0);
}

#[rstest]
#[case::passing(&PASSING)]
#[case::unavailable(&UNAVAILABLE)]
#[case::defects(&DEFECTS)]
#[tokio::test]
async fn an_error_in_a_lease_costs_no_attempt(#[case] codes: &[&'static str]) {
    let injector = Injector::start().await;
    let _worker = worker(&injector, LEASE, 1).await;
    for (index, step) in [
        "claim_operation: reads operation_queue",
        "claim_operation: before update of operation_queue",
        "claim_operation: after update of operation_queue",
        "claim_operation: reads operation",
        "commit: after update of operation_queue",
    ]
    .into_iter()
    .enumerate()
    {
        let contact = injector.service.world.contact(injector.family.sub_customer).await;
        let fault = Fault::new(step, codes[index * 2 % codes.len()]).times(2);
        injector.inject(&fault).await;
        let operation = accept(&injector, Resource::Contact, &[contact]).await;
        assert_eq!(outcome(&injector, operation).await.0, "SUCCESS", "{fault:?}");
        assert!(injector.tries().await > 2, "{fault:?}");
        assert_eq!(attempts(&injector, operation).await, 1, "{fault:?}");
        assert_eq!(ends(&injector, operation).await, ["SUCCESS"], "{fault:?}");
    }
    injector.assert_rows_and_operations_agree().await;
}

/// An attempt that cannot be handed back ends when its lease expires.
#[tokio::test]
async fn an_error_in_handing_an_attempt_back_only_takes_time() {
    let injector = Injector::start().await;
    injector.heal().await;
    let mut all = Vec::new();
    for (index, step) in ["reads", "before update of", "after update of"].into_iter().enumerate() {
        for (number, codes) in [&PASSING[..], &UNAVAILABLE, &DEFECTS].into_iter().enumerate() {
            let failing = failing(&injector, (Resource::Contact, "CUSTOMER_1017"), index + 1, codes[number]).await;
            let step = format!("postpone_operation: {step} operation_queue");
            let also = Fault::new(step, codes[index]).at_row(Some(failing.operation));
            injector.inject_also(&also.in_attempts_at(failing.operation, 1)).await;
            all.push(failing);
        }
    }
    let began = Instant::now();
    let _worker = worker(&injector, SHORT_LEASE, 8).await;
    for failing in &all {
        failing.assert_executed_once(&injector, Resource::Contact).await;
    }
    injector.assert_rows_and_operations_agree().await;
    assert!(began.elapsed() >= SHORT_LEASE, "an attempt was put back");
}

#[tokio::test]
async fn an_operation_that_always_fails_is_an_internal_error_once_that_can_be_recorded() {
    let injector = Injector::start().await;
    injector.heal().await;
    let mut all = Vec::new();
    // The deletion fails for ever. The statement that ends the operation fails for longer than there are attempts.
    let steps =
        [("delete_contacts: before update of contact", ALWAYS), ("delete_contacts: after update of contact", ALWAYS)];
    let of_the_operation = OF_THE_OPERATION.map(|step| (step, 3));
    for (number, (step, times)) in steps.into_iter().chain(of_the_operation).enumerate() {
        let contact = injector.service.world.contact(injector.family.sub_customer).await;
        let key = format!("k-{number}");
        let operation = assert_accepted(&injector.delete_later(Resource::Contact, &[contact], &key).await);
        let row = if times == ALWAYS { contact } else { operation };
        let sqlstate = DEFECTS[number % DEFECTS.len()];
        let fault = Fault::new(step, sqlstate).at_row(Some(row)).in_attempts_at(operation, times);
        injector.inject_also(&fault).await;
        all.push((operation, contact, key, fault));
    }
    let before = injector.service.world.fingerprint().await;
    let _worker = worker(&injector, SHORT_LEASE, 2).await;
    for (operation, _, key, fault) in &all {
        let outcome = outcome(&injector, *operation).await;
        assert_eq!(outcome, ("INTERNAL_ERROR".to_owned(), "GLOBAL_1001".to_owned()), "{fault:?}");
        assert_eq!(ends(&injector, *operation).await, ["INTERNAL_ERROR"], "{fault:?}");
        let attempts = attempts(&injector, *operation).await;
        assert_eq!(attempts, if fault.times == ALWAYS { 2 } else { 4 }, "{fault:?}");
        assert_eq!(injector.statuses(Uuid::nil(), key).await, [""; 0], "{fault:?}");
    }
    assert_eq!(injector.service.world.fingerprint().await, before);
    assert_eq!(waiting(injector.pool()).await, 0);

    injector.heal().await;
    let (first, contact, key, _) = &all[0];
    let again = assert_accepted(&injector.delete_later(Resource::Contact, &[*contact], key).await);
    assert_eq!(outcome(&injector, again).await.0, "SUCCESS");
    let first = details(&injector.service, injector.family.requester, *first).await;
    assert_eq!(first["status"], "INTERNAL_ERROR");
}
