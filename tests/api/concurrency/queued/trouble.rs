//! Attempts that fail, stop, or never return.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use secrecy::SecretString;
use serde_json::Value;
use uuid::Uuid;

use super::{accept, assert_agreement, at_work, call, details, ended, waiting};
use crate::support::process::Process;
use crate::support::proxy::Proxy;
use crate::support::service::{send, until_somebody_waits};
use crate::support::{StallWatch, TestDatabase, TestService, until};

/// Another transaction that locks a row.
async fn hold<'p>(pool: &'p crate::support::TestPool, contact: Uuid) -> sqlx::Transaction<'p, sqlx::Postgres> {
    let mut transaction = pool.begin().await.unwrap();
    let sql = "select id from contact where id = $1 for update";
    sqlx::query(sql).bind(contact).execute(&mut *transaction).await.unwrap();
    transaction
}

#[tokio::test]
async fn attempts_that_fail_are_repeated_until_one_succeeds() {
    let service = TestService::start_with(|settings| {
        settings.queue.workers = 1;
        settings.queue.run_timeout = Duration::from_secs(1);
    })
    .await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let holder = hold(&service.database.pool, contact).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    until_attempts(&service, operation, 2).await;
    assert_eq!(details(&service, family.requester, operation).await["status"], "OPEN");
    holder.rollback().await.unwrap();
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
    assert_agreement(&service.database.pool).await;
}

#[tokio::test]
async fn after_so_many_attempts_it_is_an_internal_error_that_keeps_no_key_and_changes_nothing() {
    let service = TestService::start().await;
    let gives_up = TestService::beside(&service, |settings| {
        settings.queue.workers = 1;
        settings.queue.run_timeout = Duration::from_secs(1);
        settings.queue.max_attempts = 2;
    })
    .await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let holder = hold(&service.database.pool, contact).await;
    let keyed = || {
        call(&service, family.requester, family.sub_customer, Resource::Contact, &[contact])
            .header("Idempotency-Key", "k")
    };
    let operation = super::assert_accepted(&send(keyed()).await);
    let failed = ended(&service, family.requester, operation).await;
    assert_eq!(
        (failed["status"].as_str(), failed["errorCode"].as_str()),
        (Some("INTERNAL_ERROR"), Some("GLOBAL_1001")),
        "{failed}"
    );
    assert_eq!(failed["attempts"], 2);
    assert_eq!(waiting(&service.database.pool).await, 0);
    holder.rollback().await.unwrap();
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());

    drop(gives_up);
    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    let again = send(keyed()).await;
    assert_eq!(again.header("Idempotency-Replayed"), None);
    let again = super::assert_accepted(&again);
    assert_ne!(again, operation);
    assert_eq!(ended(&service, family.requester, again).await["status"], "SUCCESS");
    assert_agreement(&service.database.pool).await;
}

/// One operation that keeps failing does not delay those behind it.
#[tokio::test]
async fn an_operation_that_waits_before_its_next_attempt_lets_others_go_first() {
    let service = TestService::start_with(|settings| {
        settings.queue.workers = 1;
        settings.queue.run_timeout = Duration::from_secs(1);
    })
    .await;
    let family = service.world.family().await;
    let held = service.world.contact(family.sub_customer).await;
    let free = service.world.contact(family.sub_customer).await;
    let holder = hold(&service.database.pool, held).await;
    let first = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[held]).await;
    let second = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[free]).await;
    assert_eq!(ended(&service, family.requester, second).await["status"], "SUCCESS");
    assert_eq!(details(&service, family.requester, first).await["status"], "OPEN");
    holder.rollback().await.unwrap();
    assert_eq!(ended(&service, family.requester, first).await["status"], "SUCCESS");
}

/// An operation gets a later rank after each attempt, so one that fails is not always before the operations of others.
#[tokio::test]
async fn operations_that_keep_failing_do_not_hold_up_those_of_others() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let held = service.world.contact(family.sub_customer).await;
    let holder = hold(&service.database.pool, held).await;
    for _ in 0..20 {
        accept(&service, family.requester, family.sub_customer, Resource::Contact, &[held]).await;
    }
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(accept(&service, family.parent, family.requester, Resource::Contact, &[Uuid::now_v7()]).await);
    }
    let _worker = TestService::beside(&service, |settings| {
        settings.queue.workers = 1;
        settings.database.deadline = Duration::from_millis(2500);
    })
    .await;
    for operation in others {
        ended(&service, family.parent, operation).await;
    }
    let tried: i64 = sqlx::query_scalar("select count(*) from operation_queue where attempts > 0")
        .fetch_one(&service.database.pool)
        .await
        .unwrap();
    assert!(tried <= 12, "{tried} of those that cannot be done were tried before 8 of another's");
    holder.rollback().await.unwrap();
}

/// The lease expired long ago, and still no other replica takes an operation that is being executed.
#[tokio::test]
async fn an_operation_that_is_being_executed_is_not_taken_by_another_replica() {
    let service = at_work().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let holder = hold(&service.database.pool, contact).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    until_somebody_waits(&service.database.pool).await;
    let free = sqlx::query_scalar::<_, Uuid>("select operation_id from operation_queue for update skip locked");
    assert_eq!(free.fetch_optional(&service.database.pool).await.unwrap(), None, "the operation is not held");
    holder.rollback().await.unwrap();
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
}

/// An attempt that has lost its lease changes nothing, even if it continues later.
#[tokio::test]
async fn an_attempt_that_has_lost_its_lease_changes_nothing() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    // The attempt is leased, and stops before it locks the operation, because another transaction has locked it.
    let pool = &service.database.pool;
    sqlx::raw_sql(
        "create function later() returns trigger language plpgsql as $$
         begin
           if new.lease_id is distinct from old.lease_id and new.attempts = 1 then
             -- As if another attempt had come in between: the first finds this lease instead of its own.
             new.lease_id := gen_random_uuid();
           end if;
           return new;
         end $$;
         create trigger later before update on operation_queue for each row execute function later();",
    )
    .execute(pool)
    .await
    .unwrap();
    let _worker = TestService::beside(&service, |settings| {
        settings.queue.workers = 1;
        settings.queue.lease = Duration::from_secs(6);
    })
    .await;
    until_attempts(&service, operation, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(details(&service, family.requester, operation).await["status"], "OPEN");
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());
    // The next attempt has the lease that it took.
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
    assert_agreement(pool).await;
}

#[tokio::test]
#[ignore = "a kill and a long wait: takes half a minute; cargo test --test api -- --ignored killed_replica"]
async fn an_operation_of_a_killed_replica_is_executed_by_another_within_a_minute() {
    let database = TestDatabase::migrated().await;
    let service = TestService::start_on(database, |_| {}).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let holder = hold(&service.database.pool, contact).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    let doomed = Process::serve_with(&service.database.url, &[("CUSTOMER_DELETION__QUEUE__WORKERS", "1")]);
    until_somebody_waits(&service.database.pool).await;
    doomed.kill();
    let killed = Instant::now();

    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    holder.rollback().await.unwrap();
    while details(&service, family.requester, operation).await["status"] == "OPEN" {
        assert!(killed.elapsed() < Duration::from_secs(60), "the operation is open a minute after the kill");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
    assert_agreement(&service.database.pool).await;
}

/// The attempt does not learn that its session is gone, and PostgreSQL released the operation long ago.
#[tokio::test]
async fn an_attempt_whose_session_went_silent_is_given_up_within_a_minute() {
    let (database, proxy, url) = Proxy::with_database().await;
    let service = TestService::start_on(database, |settings| {
        settings.database.url = Some(SecretString::from(url));
        settings.queue.workers = 1;
    })
    .await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let holder = hold(&service.database.pool, contact).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    until_somebody_waits(&service.database.pool).await;
    proxy.abandon_connections();
    let silent = Instant::now();
    holder.rollback().await.unwrap();
    loop {
        let sql = "select status from operation where id = $1";
        let status = sqlx::query_scalar::<_, String>(sql).bind(operation).fetch_one(&service.database.pool).await;
        match status.unwrap().as_str() {
            "OPEN" => assert!(silent.elapsed() < Duration::from_secs(60), "it is open a minute after the fault"),
            status => break assert_eq!(status, "SUCCESS"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_agreement(&service.database.pool).await;
}

#[tokio::test]
async fn sigterm_lets_an_operation_end() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let holder = hold(&service.database.pool, contact).await;
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    let waiting_one =
        accept(&service, family.requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;
    let tells_more = [("CUSTOMER_DELETION__LOG__LEVEL", "info,customer_deletion=debug")];
    let mut process = Process::serve_with(&service.database.url, &tells_more);
    until_somebody_waits(&service.database.pool).await;
    process.send_sigterm();
    until_logged(&process, |line| line["message"] == "no more operations are claimed").await;
    holder.rollback().await.unwrap();
    assert_eq!(process.exit_code().await, Some(0));
    assert_eq!(details(&service, family.requester, operation).await["status"], "SUCCESS");
    // No further operation was begun.
    assert_eq!(details(&service, family.requester, waiting_one).await["status"], "OPEN");
    assert_agreement(&service.database.pool).await;
}

#[tokio::test]
async fn sigterm_hands_back_what_takes_longer() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let pool = &service.database.pool;
    sqlx::raw_sql(
        "create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return new; end $$;
         create trigger slowly before update on contact for each row execute function slowly();",
    )
    .execute(pool)
    .await
    .unwrap();
    let operation = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    let mut process = Process::serve_with(
        &service.database.url,
        &[
            ("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", "300"),
            ("CUSTOMER_DELETION__HTTP__DRAIN_SECONDS", "3"),
            // The lock timeout is shorter than the time that PostgreSQL needs to notice that the client of the attempt is gone.
            ("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", "1000"),
        ],
    );
    let asleep = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    until(|| async { sqlx::query_scalar::<_, i64>(asleep).fetch_one(pool).await.unwrap() > 0 }).await;
    let told = StallWatch::start();
    assert_eq!(process.terminate().await, Some(0));
    assert!(told.took() < Duration::from_secs(10), "{:?}", told.took());
    assert_eq!(details(&service, family.requester, operation).await["status"], "OPEN");
    let log = process.log();
    assert!(log.iter().any(|line| line["message"] == "an operation takes longer, and is handed back to the queue"));
    let attempts: i32 =
        sqlx::query_scalar("select attempts from operation_queue").fetch_one(&service.database.pool).await.unwrap();
    assert_eq!(attempts, 0, "an attempt that was broken off counts");

    sqlx::raw_sql("drop trigger slowly on contact").execute(pool).await.unwrap();
    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
    assert_agreement(&service.database.pool).await;
}

#[tokio::test]
async fn an_operation_has_one_line_in_the_log_and_is_counted_in_the_metrics() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let good = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    let bad = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[Uuid::now_v7()]).await;
    let process = Process::serve(&service.database.url);
    ended(&service, family.requester, bad).await;
    ended(&service, family.requester, good).await;
    for operation in [good, bad] {
        until_logged(&process, |line| line["request_id"] == operation.to_string()).await;
    }

    for (operation, status, code) in [(good, "SUCCESS", None), (bad, "FAILURE", Some("CUSTOMER_1017"))] {
        let log = process.log();
        let lines: Vec<_> = log.iter().filter(|line| line["request_id"] == operation.to_string()).collect();
        let [line] = lines[..] else { panic!("{lines:#?}") };
        assert_eq!(line["message"], "operation");
        assert_eq!((line["operation_status"].as_str(), line["code"].as_str()), (Some(status), code), "{line}");
        assert_eq!(line["requester_id"], family.requester.to_string());
        assert_eq!(line["customer_id"], family.sub_customer.to_string());
        assert_eq!(
            (line["resource"].as_str(), line["ids"].as_u64(), line["attempts"].as_u64()),
            (Some("contact"), Some(1), Some(1))
        );
    }
    let page = send(crate::support::client().get(format!("http://{}/metrics", process.management_address))).await.text;
    for line in [
        "customer_deletion_operations_total{resource=\"contact\",status=\"SUCCESS\"} 1",
        "customer_deletion_operations_total{resource=\"contact\",status=\"FAILURE\"} 1",
        "customer_deletion_deleted_rows_total{resource=\"contact\"} 1",
        "customer_deletion_queue_run_duration_seconds_count{resource=\"contact\"} 2",
        "customer_deletion_queue_wait_seconds_count 2",
        "customer_deletion_queue_failed_attempts_total{resource=\"contact\"} 0",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

/// Waits until the process has logged such a line. The line follows a moment after the end of the operation.
async fn until_logged(process: &Process, is_it: impl Fn(&Value) -> bool) {
    let began = Instant::now();
    while !process.log().iter().any(&is_it) {
        assert!(began.elapsed() < Duration::from_secs(20), "the line is not in the log: {:#?}", process.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_attempts(service: &TestService, operation: Uuid, attempts: i32) {
    for _ in 0..1000 {
        let sql = "select attempts from operation_queue where operation_id = $1";
        let seen: i32 = sqlx::query_scalar(sql).bind(operation).fetch_one(&service.database.pool).await.unwrap();
        if seen >= attempts {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there are not {attempts} attempts");
}
