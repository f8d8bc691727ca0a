//! Operations that their requester cancels. Either the cancel or the execution takes effect, and never both.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::kills::{random, record_ends, until_accepted};
use super::leases::{close_gate, lease, open_gate, shut_out, until_at_the_gate};
use super::{accept, assert_accepted, assert_agreement, at_work, details, ended, kills, waiting};
use crate::faults::audit::until_quiet;
use crate::support::process::Process;
use crate::support::resources::every_resource;
use crate::support::service::send;
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, TestService, World, client};

const NOT_CANCELLABLE: &str = "The call is being executed or has ended, and cannot be cancelled.";
const CANCELLED: &str = "The call was cancelled before it was executed.";

/// A service that accepts calls and executes none, and a queued operation.
struct Waiting {
    service: TestService,
    family: Family,
    contact: Uuid,
    operation: Uuid,
}

impl Waiting {
    async fn new() -> Waiting {
        let service = TestService::start().await;
        let family = service.world.family().await;
        let contact = service.world.contact(family.sub_customer).await;
        let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
        Waiting { service, family, contact, operation }
    }

    /// Lets a replica execute the queue, and asserts that the contact stays live.
    async fn assert_has_no_effect(&self) {
        let pool = &self.service.database.pool;
        let worker = TestService::beside(&self.service, |settings| settings.queue.workers = 1).await;
        let other = self.service.world.zone(self.family.requester).await;
        let later = accept(&worker, self.family.requester, self.family.requester, Resource::Zone, &[other]).await;
        assert_eq!(ended(&worker, self.family.requester, later).await["status"], "SUCCESS");
        assert!(self.service.world.deleted(Resource::Contact, &[self.contact]).await.is_empty());
        assert_eq!(waiting(pool).await, 0);
        assert_agreement(pool).await;
    }
}

#[tokio::test]
async fn an_operation_that_waits_is_cancelled_and_has_no_effect() {
    for resource in every_resource() {
        let service = TestService::start().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        let operation = accept(&service, family.requester, customer, resource, &[row]).await;

        let cancelled = service.cancel(family.requester, operation).await;

        cancelled.assert_status(200);
        assert_eq!(cancelled.text, service.details(family.requester, operation).await.text);
        let told = &cancelled.json()["content"][0];
        assert_eq!((&told["status"], &told["errorCode"]), (&json!("FAILURE"), &json!("CANCELLED")));
        assert_eq!((&told["errorMessage"], told["completedAt"].is_string()), (&json!(CANCELLED), true));
        assert_eq!((&told["failedIds"], &told["failures"]), (&json!([]), &json!([])));
        assert_eq!(waiting(&service.database.pool).await, 0);
        assert_agreement(&service.database.pool).await;
        assert!(service.world.deleted(resource, &[row]).await.is_empty());
    }
    Waiting::new().await.cancelled_by_its_requester().await.assert_has_no_effect().await;
}

impl Waiting {
    async fn cancelled_by_its_requester(self) -> Waiting {
        self.service.cancel(self.family.requester, self.operation).await.assert_status(200);
        self
    }
}

#[tokio::test]
async fn an_operation_that_has_ended_is_not_cancelled() {
    let service = at_work().await;
    let family = service.world.family().await;
    let (requester, customer) = (family.requester, family.sub_customer);
    let contact = service.world.contact(customer).await;
    let done = accept(&service, requester, customer, Resource::Contact, &[contact]).await;
    let refused = accept(&service, requester, customer, Resource::Contact, &[Uuid::now_v7()]).await;
    let awaited = service.delete(requester, customer, Resource::Contact, &[Uuid::now_v7()]).await.request_id();
    for (operation, status) in [(done, "SUCCESS"), (refused, "FAILURE"), (awaited, "FAILURE")] {
        let before = ended(&service, requester, operation).await;
        assert_eq!(before["status"], status);
        let answer = service.cancel(requester, operation).await;
        answer.assert_failed(409, "NOT_CANCELLABLE", NOT_CANCELLABLE);
        assert_eq!(details(&service, requester, operation).await, before);
    }
}

#[tokio::test]
async fn an_operation_is_cancelled_once() {
    let waiting = Waiting::new().await.cancelled_by_its_requester().await;
    let before = details(&waiting.service, waiting.family.requester, waiting.operation).await;
    let again = waiting.service.cancel(waiting.family.requester, waiting.operation).await;
    again.assert_failed(409, "NOT_CANCELLABLE", NOT_CANCELLABLE);
    assert_eq!(details(&waiting.service, waiting.family.requester, waiting.operation).await, before);
}

#[tokio::test]
async fn an_operation_that_is_being_executed_is_not_cancelled() {
    let service = at_work().await;
    let pool = &service.database.pool;
    close_gate(pool).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    shut_out(pool, contact).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    until_at_the_gate(pool, 1).await;

    let answer = service.cancel(family.requester, operation).await;

    answer.assert_failed(409, "NOT_CANCELLABLE", NOT_CANCELLABLE);
    open_gate(pool).await;
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
    assert_agreement(pool).await;
}

/// Its replica was killed before it began, and its lease has not expired. Or an attempt failed, and the operation waits for the
/// next.
#[tokio::test]
async fn an_operation_between_two_attempts_is_cancelled() {
    let leased = Waiting::new().await;
    let pool = &leased.service.database.pool;
    assert_eq!(lease(pool, 600.0).await, Some((leased.operation, 1)));
    leased.cancelled_by_its_requester().await.assert_has_no_effect().await;

    let paused = Waiting::new().await;
    let pause = "update operation_queue set attempts = 3, lease_id = null, free_at = now() + interval '1 hour'";
    sqlx::raw_sql(pause).execute(&paused.service.database.pool).await.unwrap();
    paused.cancelled_by_its_requester().await.assert_has_no_effect().await;
}

#[tokio::test]
async fn only_its_requester_cancels_an_operation() {
    let waiting = Waiting::new().await;
    let Waiting { service, family, operation, .. } = &waiting;
    let before = details(service, family.requester, *operation).await;
    for stranger in [family.parent, family.sub_customer, family.sibling, Uuid::now_v7()] {
        let foreign = service.cancel(stranger, *operation).await;
        foreign.assert_failed(404, "GLOBAL_1003", "Provided request ID does not exist for your account.");
        assert_eq!(foreign.text, service.cancel(stranger, Uuid::now_v7()).await.text);
    }
    assert_eq!(details(service, family.requester, *operation).await, before);
    assert_eq!(super::waiting(&service.database.pool).await, 1);
}

#[tokio::test]
async fn a_malformed_call_cancels_nothing() {
    let waiting = Waiting::new().await;
    let Waiting { service, family, operation, .. } = &waiting;
    let cancel = |id: &str| service.call(Method::POST, &format!("/api/v3/global/call/{id}:cancel"), family.requester);
    for id in ["nonsense", "ff74dca68e7f4b85a42b13860913b370"] {
        send(cancel(id)).await.assert_malformed(400, "BAD_REQUEST", "requestId in the path");
    }
    let large = send(cancel(&operation.to_string()).body(" ".repeat(1024 * 1024 + 1))).await;
    large.assert_malformed(413, "PAYLOAD_TOO_LARGE", "larger than");
    let path = format!("/api/v3/global/call/{operation}:cancel");
    let get = send(service.call(Method::GET, &path, family.requester)).await;
    assert_eq!((get.status, get.header("Allow")), (405, Some("POST")));
    assert_eq!(details(service, family.requester, *operation).await["status"], "OPEN");

    // A body that is small enough is ignored.
    send(cancel(&operation.to_string()).body("{")).await.assert_status(200);
}

#[tokio::test]
async fn the_same_call_under_its_key_is_answered_as_cancelled() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let deletion = || {
        let call = service.deletion(family.requester, family.sub_customer, Resource::Contact, &[contact]);
        call.header("Idempotency-Key", "taken-back")
    };
    let operation = assert_accepted(&send(deletion().header("Prefer", "respond-async")).await);
    service.cancel(family.requester, operation).await.assert_status(200);

    let again = send(deletion()).await;
    assert_eq!(again.assert_failed(409, "CANCELLED", CANCELLED), operation);
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
    assert_eq!(assert_accepted(&send(deletion().header("Prefer", "respond-async")).await), operation);
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());
}

/// Accepted operations, each with rows of its own.
async fn accept_many(service: &TestService, family: Family, count: usize) -> Vec<(Uuid, [Uuid; 2])> {
    let rows = service.world.rows(Resource::Contact, family.sub_customer, count * 2).await;
    let mut accepted = Vec::new();
    for rows in rows.chunks(2) {
        let operation = accept(service, family.requester, family.sub_customer, Resource::Contact, rows).await;
        accepted.push((operation, [rows[0], rows[1]]));
    }
    accepted
}

#[tokio::test]
async fn of_cancelling_and_executing_one_wins() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let accepted = accept_many(&service, family, 100).await;
    let _workers = join_all((0..2).map(|_| TestService::beside(&service, |settings| settings.queue.workers = 2))).await;

    let mut cancelled = 0;
    for (operation, rows) in accepted.iter().rev() {
        let answer = service.cancel(family.requester, *operation).await;
        let end = ended(&service, family.requester, *operation).await;
        let deleted = service.world.deleted(Resource::Contact, rows).await.len();
        let expected = if answer.status == 200 { ("FAILURE", "CANCELLED", 0) } else { ("SUCCESS", "", 2) };
        assert_eq!(
            (end["status"].as_str(), end["errorCode"].as_str(), deleted),
            (Some(expected.0), Some(expected.1), expected.2)
        );
        cancelled += usize::from(answer.status == 200);
    }
    assert!(cancelled > 0, "workers were quicker each time");
    assert_agreement(&service.database.pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a thousand cancels, with kills: takes a minute; cargo test --test api -- --ignored a_thousand_cancels"]
async fn a_thousand_cancels_against_three_replicas_that_are_killed_leave_nothing_cancelled_and_executed() {
    const CANCELS: usize = 1000;
    const KILLS: usize = 20;
    let database = TestDatabase::migrated().await;
    let world = World::new(database.pool.clone());
    record_ends(&database.pool).await;
    let family = world.family().await;
    let replicas = Arc::new(Mutex::new((0..3).map(|_| Process::serve(&database.url)).collect::<Vec<_>>()));

    let mut callers = JoinSet::new();
    for caller in 0..4 {
        let (replicas, world) = (Arc::clone(&replicas), world.clone());
        callers.spawn(async move {
            let mut ends = Vec::new();
            for number in (caller..CANCELS).step_by(4) {
                let wanted = kills::Wanted {
                    key: format!("operation-{number}"),
                    requester: family.requester,
                    customer: family.sub_customer,
                    ids: world.rows(Resource::Contact, family.sub_customer, 2).await,
                    status: "",
                };
                let operation = until_accepted(&replicas, &wanted).await;
                // The delay ranges from before the claim of the operation to after its end.
                tokio::time::sleep(random(Duration::from_millis(40))).await;
                ends.push((operation, wanted.ids, until_answered(&replicas, family, operation).await));
            }
            ends
        });
    }
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(300) + random(Duration::from_millis(600))).await;
        let fresh = Process::serve(&database.url);
        let place = Uuid::now_v7().as_u128() as usize % 3;
        let victim = std::mem::replace(&mut replicas.lock().unwrap()[place], fresh);
        victim.kill();
    }
    let ends: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    let last_kill = Instant::now();
    while waiting(&database.pool).await > 0 {
        assert!(last_kill.elapsed() < Duration::from_secs(60), "operations are open a minute after the last kill");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_quiet(&database.pool).await;
    assert_agreement(&database.pool).await;
    assert_each_was_cancelled_or_done(&database.pool, &world, &ends).await;
}

/// Whether the first answered cancel said that it cancelled the operation. `None` if an earlier one got no answer.
async fn until_answered(replicas: &Mutex<Vec<Process>>, family: Family, operation: Uuid) -> Option<bool> {
    for attempt in 0..600 {
        let address = {
            let replicas = replicas.lock().unwrap();
            replicas[Uuid::now_v7().as_u128() as usize % replicas.len()].address
        };
        let call = client()
            .post(format!("http://{address}/api/v3/global/call/{operation}:cancel"))
            .header("X-Requester-Id", family.requester.to_string());
        match call.send().await.map(|answer| answer.status().as_u16()) {
            Ok(200) => return Some(true),
            Ok(409) => return (attempt == 0).then_some(false),
            Ok(503) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Ok(other) => panic!("{other}"),
        }
    }
    panic!("a cancel is not answered");
}

async fn assert_each_was_cancelled_or_done(pool: &TestPool, world: &World, ends: &[(Uuid, Vec<Uuid>, Option<bool>)]) {
    let mut cancelled = 0;
    for (operation, rows, was_told) in ends {
        let (status, code): (String, Option<String>) =
            sqlx::query_as("select status, error_code from operation where id = $1")
                .bind(operation)
                .fetch_one(pool)
                .await
                .unwrap();
        let times: i64 = sqlx::query_scalar("select count(*) from ends where operation_id = $1")
            .bind(operation)
            .fetch_one(pool)
            .await
            .unwrap();
        assert_eq!(times, 1, "{operation} ended more than once, or not at all");
        let deleted = world.deleted(Resource::Contact, rows).await.len();
        let is_cancelled = code.as_deref() == Some("CANCELLED");
        let expected = if is_cancelled { ("FAILURE", 0) } else { ("SUCCESS", rows.len()) };
        assert_eq!((status.as_str(), deleted), expected, "{operation}");
        assert!(was_told.is_none_or(|told| told == is_cancelled), "{operation}: the answer and the end differ");
        cancelled += usize::from(is_cancelled);
    }
    println!("{cancelled} of {} operations were cancelled", ends.len());
    assert!((50..ends.len() - 50).contains(&cancelled), "{cancelled} of {} were cancelled", ends.len());
}
