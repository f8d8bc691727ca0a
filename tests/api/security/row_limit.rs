//! The rows that a requester may delete in an hour.

use std::num::NonZeroU32;

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::concurrency::queued::{assert_accepted, ended};
use crate::support::service::{
    Answer, hang_up, send, send_deletion, until_somebody_waits, validating, waiting_for_locks,
};
use crate::support::world::Family;
use crate::support::{TestDatabase, TestService};

const LIMIT: usize = 5;

async fn limited() -> TestService {
    TestService::start_with(|settings| settings.requester.deleted_rows_per_hour = NonZeroU32::new(5)).await
}

/// A deletion of zones.
fn call(service: &TestService, family: Family, zones: &[Uuid]) -> RequestBuilder {
    service.deletion(family.requester, family.requester, Resource::Zone, zones)
}

async fn delete(service: &TestService, family: Family, zones: &[Uuid]) -> Answer {
    send(call(service, family, zones)).await
}

async fn zones(service: &TestService, family: Family, count: usize) -> Vec<Uuid> {
    service.world.rows(Resource::Zone, family.requester, count).await
}

#[track_caller]
fn assert_over_limit(answer: &Answer) -> u64 {
    answer.assert_malformed(429, "TOO_MANY_REQUESTS", "Too many rows would be deleted within an hour.");
    answer.header("Retry-After").expect("it tells when").parse().unwrap()
}

/// Makes an operation look as if it had been called earlier.
async fn age(database: &TestDatabase, operation: Uuid, minutes: i32) {
    let sql = format!(
        "alter table operation disable trigger operation_ends_once;
         update operation set created_at = created_at - make_interval(mins => {minutes}) where id = '{operation}';
         alter table operation enable trigger operation_ends_once;"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();
}

#[tokio::test]
async fn of_calls_that_race_in_two_replicas_as_many_rows_are_deleted_as_the_limit_allows() {
    let service = limited().await;
    let replica = TestService::beside(&service, |settings| {
        settings.requester.deleted_rows_per_hour = NonZeroU32::new(5);
    })
    .await;
    for count in [1, 2] {
        let family = service.world.family().await;
        let zones = zones(&service, family, 8 * count).await;
        let calls = zones.chunks(count).enumerate().map(|(number, zones)| {
            let service = if number % 2 == 0 { &service } else { &replica };
            send(call(service, family, zones))
        });
        let answers = join_all(calls).await;
        let (deleted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((deleted.len(), refused.len()), (LIMIT / count, 8 - LIMIT / count), "{answers:?}");
        for answer in refused {
            assert_over_limit(answer);
        }
        assert_eq!(service.world.deleted(Resource::Zone, &zones).await.len(), LIMIT / count * count);
    }
    // A call over the limit is not recorded. It may be sent again.
    assert_eq!(service.world.operations().await, 5 + 2);
}

#[tokio::test]
async fn a_call_over_the_limit_may_be_retried_when_enough_rows_are_an_hour_old() {
    let service = limited().await;
    let family = service.world.family().await;
    let zones = zones(&service, family, 9).await;
    let first = delete(&service, family, &zones[..2]).await.assert_deleted();
    let second = delete(&service, family, &zones[2..4]).await.assert_deleted();
    age(&service.database, first, 40).await;
    age(&service.database, second, 20).await;
    let before = (service.world.fingerprint().await, service.world.operations().await);

    for (ids, minutes) in [(&zones[4..6], 20), (&zones[4..7], 20), (&zones[4..8], 40), (&zones[4..9], 40)] {
        let wait = assert_over_limit(&delete(&service, family, ids).await);
        assert!((minutes * 60 - 50..=minutes * 60 + 1).contains(&wait), "{wait} s for {} rows", ids.len());
    }
    assert_eq!((service.world.fingerprint().await, service.world.operations().await), before);
    // A smaller list fits now, and so does a call of another requester.
    delete(&service, family, &zones[4..5]).await.assert_deleted();
    let other = service.world.family().await;
    let of_other = service.world.zone(other.requester).await;
    delete(&service, other, &[of_other]).await.assert_deleted();

    age(&service.database, first, 21).await;
    delete(&service, family, &zones[5..7]).await.assert_deleted();
    assert_over_limit(&delete(&service, family, &zones[7..8]).await);
}

#[tokio::test]
async fn validations_refused_lists_and_repeats_are_free() {
    let service = limited().await;
    let family = service.world.family().await;
    let zones = zones(&service, family, 6).await;
    let unknown = Uuid::now_v7();
    let keyed = |ids: &[Uuid]| call(&service, family, ids).header("Idempotency-Key", "once");
    let first = send(keyed(&zones[..2])).await.assert_deleted();
    for _ in 0..3 {
        assert_eq!(send(validating(call(&service, family, &zones[2..5]))).await.status, 200);
        assert_eq!(delete(&service, family, &[zones[2], zones[3], unknown]).await.status, 404);
        assert_eq!(send(keyed(&zones[..2])).await.assert_deleted(), first);
    }
    delete(&service, family, &zones[2..5]).await.assert_deleted();

    // These calls have the same answers when no more rows may be deleted.
    assert_over_limit(&delete(&service, family, &zones[5..]).await);
    assert_eq!(send(keyed(&zones[..2])).await.assert_deleted(), first);
    assert_eq!(send(validating(call(&service, family, &zones[5..]))).await.status, 200);
    let refused = delete(&service, family, &[zones[5], unknown]).await;
    refused.assert_failed(404, "CUSTOMER_1030", r"Failed to delete customer zone\s");
    let reused = send(keyed(&zones[5..])).await;
    assert_eq!((reused.status, reused.json()["errorCode"].as_str()), (422, Some("IDEMPOTENCY_KEY_REUSED")));
    // A key of a call over the limit stays free.
    let later = || call(&service, family, &zones[5..]).header("Idempotency-Key", "later");
    assert_over_limit(&send(later()).await);
    age(&service.database, first, 61).await;
    send(later()).await.assert_deleted();
}

#[tokio::test]
async fn a_list_that_is_longer_than_the_limit_is_malformed_since_no_wait_would_help() {
    let service = limited().await;
    let family = service.world.family().await;
    let zones = zones(&service, family, LIMIT + 1).await;
    let list = || call(&service, family, &zones);
    for call in [list(), validating(list()), list().header("Prefer", "respond-async")] {
        let answer = send(call).await;
        let message = "the list has 6 ids, and a requester may delete 5 rows in an hour; send it in parts";
        answer.assert_malformed(400, "BAD_REQUEST", message);
    }
    assert_eq!(service.world.operations().await, 0);
    delete(&service, family, &zones[..LIMIT]).await.assert_deleted();
}

#[tokio::test]
async fn an_accepted_call_counts_until_it_fails_or_is_cancelled() {
    let service = limited().await;
    let family = service.world.family().await;
    let zones = zones(&service, family, 7).await;
    let accept = async |ids: &[Uuid]| send(call(&service, family, ids).header("Prefer", "respond-async")).await;
    let unknown = Uuid::now_v7();
    let cancelled = assert_accepted(&accept(&zones[..2]).await);
    let failing = assert_accepted(&accept(&[zones[2], unknown]).await);
    assert_accepted(&accept(&zones[3..4]).await);

    let before = service.world.operations().await;
    assert_over_limit(&accept(&zones[4..5]).await);
    assert_over_limit(&delete(&service, family, &zones[4..5]).await);
    assert_eq!(service.world.operations().await, before);

    assert_eq!(service.cancel(family.requester, cancelled).await.status, 200);
    delete(&service, family, &zones[..2]).await.assert_deleted();
    assert_over_limit(&delete(&service, family, &zones[4..5]).await);

    // The worker checks no limit, even if the operation has waited for more than an hour.
    age(&service.database, failing, 61).await;
    assert_over_limit(&delete(&service, family, &zones[4..5]).await);
    let worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    assert_eq!(ended(&worker, family.requester, failing).await["status"], "FAILURE");
    delete(&service, family, &zones[4..6]).await.assert_deleted();
    assert_over_limit(&delete(&service, family, &zones[6..]).await);
}

/// Calls that may not run at the same time wait without a session.
#[tokio::test]
async fn the_calls_of_one_requester_leave_the_sessions_to_others() {
    let service = TestService::start_with(|settings| {
        settings.requester.deleted_rows_per_hour = NonZeroU32::new(100);
        settings.database.max_connections = 2;
    })
    .await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let mut holding = service.database.pool.begin().await.unwrap();
    let hold = "select from contact where id = $1 for update";
    sqlx::query(hold).bind(contact).execute(&mut *holding).await.unwrap();
    let mut clients = vec![send_deletion(service.address, family, contact).await];
    until_somebody_waits(&service.database.pool).await;
    for _ in 0..8 {
        clients.push(send_deletion(service.address, family, contact).await);
    }

    for _ in 0..8 {
        let other = service.world.family().await;
        let zone = service.world.zone(other.requester).await;
        delete(&service, other, &[zone]).await.assert_deleted();
        assert_eq!(waiting_for_locks(&service.database.pool).await, 1);
    }
    holding.rollback().await.unwrap();
    for client in clients {
        hang_up(client).await;
    }
}
