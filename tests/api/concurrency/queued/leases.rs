//! Leases: which replica has an operation, and for how long. They are tested before its transaction, in it, and after the
//! replica has ended.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use super::{accept, assert_agreement, details, ended, waiting};
use crate::support::process::Process;
use crate::support::{TestPool, TestService};

/// Leases the next operation for this long, as a replica does that is then killed. Returns the operation and its attempts.
pub async fn lease(pool: &TestPool, seconds: f64) -> Option<(Uuid, i32)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/queue/sql/claim_operation.sql");
    let sql = std::fs::read_to_string(file).unwrap();
    let lease = sqlx::query(AssertSqlSafe(sql)).bind(Uuid::now_v7()).bind(seconds).bind(vec!["contact"]);
    let leased = lease.fetch_optional(pool).await.unwrap();
    leased.map(|row| (row.get("id"), row.get("attempts!")))
}

/// Contacts whose updates take until the gate is opened. They do not wait for a lock, because that would have a timeout.
pub async fn close_gate(pool: &TestPool) {
    sqlx::raw_sql(
        "create table gate (contact_id uuid primary key);
         create function pass() returns trigger language plpgsql security definer as $$
         begin
           while exists (select from gate where contact_id = new.id) loop perform pg_sleep(0.02); end loop;
           return new;
         end $$;
         create trigger pass before update on contact for each row execute function pass();",
    )
    .execute(pool)
    .await
    .unwrap();
}

pub async fn shut_out(pool: &TestPool, contact: Uuid) {
    sqlx::query("insert into gate values ($1)").bind(contact).execute(pool).await.unwrap();
}

pub async fn open_gate(pool: &TestPool) {
    sqlx::query("delete from gate").execute(pool).await.unwrap();
}

/// The number of deletions that run in PostgreSQL.
async fn at_the_gate(pool: &TestPool) -> i64 {
    let sql = "select count(*) from pg_stat_activity
        where datname = current_database() and state = 'active' and query like '-- delete_contacts:%'";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

pub async fn until_at_the_gate(pool: &TestPool, wanted: i64) {
    let began = Instant::now();
    while at_the_gate(pool).await != wanted {
        assert!(began.elapsed() < Duration::from_secs(30), "{} deletions, not {wanted}", at_the_gate(pool).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_lease_keeps_others_away_until_it_is_over_and_counts_as_an_attempt() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let pool = &service.database.pool;
    let accept =
        async || accept(&service, family.requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;
    let (first, second) = (accept().await, accept().await);
    assert_eq!(lease(pool, 60.0).await, Some((first, 1)));
    assert_eq!(lease(pool, 0.0).await, Some((second, 1)));
    assert_eq!(lease(pool, 60.0).await, Some((second, 2)));
    assert_eq!(lease(pool, 60.0).await, None);
}

#[tokio::test]
async fn a_locked_operation_is_skipped_even_after_its_lease() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let pool = &service.database.pool;
    close_gate(pool).await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 3).await;
    shut_out(pool, contacts[0]).await;
    let accept =
        async |id: Uuid| accept(&service, family.requester, family.sub_customer, Resource::Contact, &[id]).await;
    let slow = accept(contacts[0]).await;
    let _workers = TestService::beside(&service, |settings| {
        settings.queue.workers = 2;
        settings.queue.lease = Duration::from_secs(3);
    })
    .await;
    until_at_the_gate(pool, 1).await;
    tokio::time::sleep(Duration::from_millis(3500)).await;

    for contact in &contacts[1..] {
        let operation = accept(*contact).await;
        assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
    }
    let attempts = "select attempts from operation_queue where operation_id = $1";
    let attempts: i32 = sqlx::query_scalar(attempts).bind(slow).fetch_one(pool).await.unwrap();
    assert_eq!((attempts, at_the_gate(pool).await), (1, 1));
    open_gate(pool).await;
    assert_eq!(ended(&service, family.requester, slow).await["status"], "SUCCESS");
    assert_agreement(pool).await;
}

/// The statement of a killed replica ends long before its time limit.
#[tokio::test]
#[ignore = "a kill and a long wait: takes half a minute; cargo test --test api -- --ignored killed_replica"]
async fn the_statement_of_a_killed_replica_ends_at_once() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let pool = &service.database.pool;
    close_gate(pool).await;
    let contact = service.world.contact(family.sub_customer).await;
    shut_out(pool, contact).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    let doomed = Process::serve(&service.database.url);
    until_at_the_gate(pool, 1).await;
    doomed.kill();
    until_at_the_gate(pool, 0).await;

    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    open_gate(pool).await;
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
    assert_agreement(pool).await;
}

/// An operation that kills each replica is not tried for ever.
#[tokio::test]
async fn attempts_that_nobody_came_back_from_count() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    for attempt in 1..=3 {
        assert_eq!(lease(&service.database.pool, 0.0).await, Some((operation, attempt)));
    }
    let _worker = TestService::beside(&service, |settings| {
        settings.queue.workers = 1;
        settings.queue.max_attempts = 3;
    })
    .await;
    let ended = ended(&service, family.requester, operation).await;
    assert_eq!(ended["status"], "INTERNAL_ERROR");
    // The lease that gives the operation up is no attempt.
    assert_eq!(ended["attempts"], 3);
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());
    assert_agreement(&service.database.pool).await;
}

/// For example, a DBA ended it without removing it from the queue.
#[tokio::test]
async fn an_operation_that_a_dba_has_ended_stays_and_leaves_the_queue() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let pool = &service.database.pool;
    let contact = service.world.contact(family.sub_customer).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    sqlx::query(
        "update operation set status = 'FAILURE', error_code = 'CUSTOMER_1002', completed_at = clock_timestamp() where id = $1",
    )
    .bind(operation)
    .execute(pool)
    .await
    .unwrap();
    let before = details(&service, family.requester, operation).await;
    let _worker = TestService::beside(&service, |settings| {
        settings.queue.workers = 1;
        settings.queue.max_attempts = 1;
    })
    .await;
    let began = Instant::now();
    while waiting(pool).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "it waits for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(details(&service, family.requester, operation).await, before);
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());
    assert_agreement(pool).await;
}
