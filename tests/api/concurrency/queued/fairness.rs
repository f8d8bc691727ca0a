//! Requesters take turns, however many operations each has in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use uuid::Uuid;

use super::{accept, ended};
use crate::support::TestService;

/// The operations in the order in which they ended.
async fn order(service: &TestService) -> Vec<Uuid> {
    let sql = "select requester_id from operation order by completed_at, id";
    sqlx::query_scalar(sql).fetch_all(&service.database.pool).await.unwrap()
}

#[tokio::test]
async fn a_requester_with_many_operations_does_not_hold_up_anothers_first() {
    const MANY: usize = 40;
    let service = TestService::start().await;
    let family = service.world.family().await;
    let (busy, other) = (family.requester, family.parent);
    let unknown = || [Uuid::now_v7()];
    let mut last = Uuid::nil();
    for _ in 0..MANY {
        last = accept(&service, busy, family.sub_customer, Resource::Contact, &unknown()).await;
    }
    for _ in 0..3 {
        accept(&service, other, busy, Resource::Contact, &unknown()).await;
    }

    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    ended(&service, busy, last).await;
    let order = order(&service).await;
    let places: Vec<usize> = (0..order.len()).filter(|place| order[*place] == other).collect();
    assert_eq!(places, [2, 4, 6], "the other's operations are done after those of the busy one");
}

/// A requester that comes later is neither behind all older operations nor before those with the lowest rank.
#[tokio::test]
async fn a_requester_that_comes_late_is_next_but_one() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let (busy, other) = (family.requester, family.parent);
    let pool = &service.database.pool;
    let mut last = Uuid::nil();
    for _ in 0..20 {
        last = accept(&service, busy, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;
    }
    // As after eight operations that have ended.
    sqlx::query("delete from operation_queue where rank < 8").execute(pool).await.unwrap();
    accept(&service, other, busy, Resource::Contact, &[Uuid::now_v7()]).await;
    let rank: i64 = sqlx::query_scalar("select rank from operation_queue where requester_id = $1")
        .bind(other)
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(rank, 9);

    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    ended(&service, busy, last).await;
    let order: Vec<Uuid> =
        sqlx::query_scalar("select requester_id from operation where status <> 'OPEN' order by completed_at, id")
            .fetch_all(pool)
            .await
            .unwrap();
    assert_eq!(order.iter().position(|requester| *requester == other), Some(2));
}

/// The same if every operation before it has failed once. They wait for their next attempt, and nobody waits for them.
#[tokio::test]
async fn a_requester_that_comes_after_a_round_of_failures_is_next_but_one() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let (busy, other, third) = (family.requester, family.parent, Uuid::now_v7());
    let pool = &service.database.pool;
    let many = "insert into operation_queue (operation_id, requester_id, customer_id, rank)
        select gen_random_uuid(), $1, $2, number from generate_series(0, 69) as number";
    sqlx::query(many).bind(busy).bind(family.sub_customer).execute(pool).await.unwrap();
    let turn_of = async |requester: Uuid| -> i64 {
        let sql = "select max(rank) from operation_queue where requester_id = $1";
        sqlx::query_scalar(sql).bind(requester).fetch_one(pool).await.unwrap()
    };
    let failed = "update operation_queue set attempts = 1, rank = rank + 100, free_at = now()";
    sqlx::raw_sql(failed).execute(pool).await.unwrap();
    accept(&service, other, busy, Resource::Contact, &[Uuid::now_v7()]).await;
    assert_eq!(turn_of(other).await, 101);

    // The pause before the next attempt.
    sqlx::raw_sql("update operation_queue set free_at = now() + interval '30 s'").execute(pool).await.unwrap();
    accept(&service, third, busy, Resource::Contact, &[Uuid::now_v7()]).await;
    assert_eq!(turn_of(third).await, 101);
}

/// Each of them has an empty queue when it sends a call. Even so, none may be served before an operation that has waited longer
/// again and again.
#[tokio::test]
#[ignore = "hundreds of operations; cargo test --test api -- --ignored thirty_requesters"]
async fn thirty_requesters_with_one_operation_at_a_time_do_not_hold_up_one_with_many() {
    const MANY: usize = 15;
    let service = TestService::start_with(|settings| settings.queue.workers = 1).await;
    let family = service.world.family().await;
    let busy = family.requester;
    let done = Arc::new(AtomicBool::new(false));
    let others = (0..30).map(|_| {
        let (service, done) = (&service, Arc::clone(&done));
        async move {
            let other = Uuid::now_v7();
            while !done.load(Ordering::Relaxed) {
                let operation = accept(service, other, busy, Resource::Contact, &[Uuid::now_v7()]).await;
                ended(service, other, operation).await;
            }
        }
    });
    let backlog = async {
        let mut accepted = Vec::new();
        for _ in 0..MANY {
            accepted.push(accept(&service, busy, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await);
        }
        for operation in accepted {
            ended(&service, busy, operation).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(backlog, join_all(others));
}
