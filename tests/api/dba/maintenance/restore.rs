//! `restore` makes the rows live again that an operation deleted.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use super::{maintenance, maintenance_sql, run};
use crate::concurrency::queued::{assert_accepted, call, ended, many_contacts};
use crate::support::database::MAINTENANCE;
use crate::support::plan::set_planning;
use crate::support::process::output;
use crate::support::resources::every_list;
use crate::support::service::send;
use crate::support::{TestDatabase, TestPool, TestService, World};

#[tokio::test]
async fn a_thousand_rows_come_back_as_they_were_to_the_byte() {
    for resource in every_list() {
        let service = TestService::start().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let ids = service.world.rows(resource, customer, 1000).await;
        let before = service.world.fingerprint().await;
        let operation = service.delete(family.requester, customer, resource, &ids).await.assert_deleted();
        assert_ne!(service.world.fingerprint().await, before);

        let said = run(&service.database, &["restore", "--operation", &operation.to_string()]).await.done();

        assert_eq!(service.world.fingerprint().await, before);
        let word = crate::support::resources::word(resource);
        assert!(said.starts_with(&format!("restored 1000 rows ({word}) of customer {customer}, ")), "{said}");
        // They can be deleted again.
        service.delete(family.requester, customer, resource, &ids).await.assert_deleted();
        assert_eq!(service.world.deleted(resource, &ids).await.len(), 1000);
    }
}

/// No timeout of the database ends a long restore.
#[tokio::test]
async fn a_long_list_comes_back_however_long_it_takes() {
    let service = TestService::start_with(|settings| settings.queue.workers = 1).await;
    let family = service.world.family().await;
    let pool = &service.database.pool;
    let contacts = many_contacts(pool, family.sub_customer, 20_000).await;
    let call = call(&service, family.requester, family.sub_customer, Resource::Contact, &contacts);
    let operation = assert_accepted(&send(call).await);
    assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");

    let limit =
        "do $$ begin execute format('alter database %I set statement_timeout = 100', current_database()); end $$";
    sqlx::raw_sql(limit).execute(pool).await.unwrap();
    run(&service.database, &["restore", "--operation", &operation.to_string()]).await.done();

    let live: i64 = sqlx::query_scalar("select count(*) from live_contact where customer_id = $1")
        .bind(family.sub_customer)
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(live, 20_000);
}

/// A guard that searches the whole list for each row takes more than thirty times as long.
#[tokio::test]
#[ignore = "it measures: takes some seconds; cargo test --test api -- --ignored restore_of_eight_times_the_rows"]
async fn a_restore_of_eight_times_the_rows_takes_about_eight_times_as_long() {
    let database = TestDatabase::migrated().await;
    let customer = World::new(database.pool.clone()).customer(None).await;
    let mut best = [Duration::MAX; 2];
    for _ in 0..2 {
        for (count, best) in [5_000, 40_000].into_iter().zip(&mut best) {
            *best = restoration_time(&database.pool, customer, count).await.min(*best);
        }
    }
    assert!(best[1] < 20 * best[0], "{best:?}");
}

/// The duration of the statement that restores this many rows, in a session of the command.
async fn restoration_time(pool: &TestPool, customer: Uuid, count: i32) -> Duration {
    let contacts = many_contacts(pool, customer, count).await;
    let mut session = pool.begin().await.unwrap();
    set_planning(&mut session).await;
    let operation = Uuid::now_v7();
    let record = "insert into operation (id, requester_id, customer_id, resource, target_ids, status, deleted_rows, completed_at)
        values ($1, $2, $2, 'contact', $3, 'SUCCESS', cardinality($3), now())";
    sqlx::query(record).bind(operation).bind(customer).bind(&contacts).execute(&mut *session).await.unwrap();
    let delete = "update contact set deleted_at = now(), deleted_by = $1 where id = any($2)";
    sqlx::query(delete).bind(operation).bind(&contacts).execute(&mut *session).await.unwrap();
    let restore = maintenance_sql("restore_rows");
    let began = Instant::now();
    let restore = sqlx::query(AssertSqlSafe(restore)).bind(Uuid::now_v7()).bind(operation);
    assert_eq!(restore.execute(&mut *session).await.unwrap().rows_affected(), 1);
    let duration = began.elapsed();
    session.commit().await.unwrap();
    duration
}

#[tokio::test]
async fn a_restore_is_recorded_and_the_deletion_stays_on_record() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let mut zones = service.world.rows(Resource::Zone, family.requester, 3).await;
    zones.sort();
    let operation =
        service.delete_list(family.requester, family.requester, Resource::Zone, &zones).await.assert_deleted();

    let said = run(&service.database, &["restore", "--operation", &operation.to_string()]).await.done();

    let restoration = sqlx::query(
        "select id::text, operation_id, requester_id, customer_id, resource::text, restored_ids, restored_by from restoration",
    )
    .fetch_one(&service.database.pool)
    .await
    .unwrap();
    assert!(said.trim_end().ends_with(restoration.get::<&str, _>(0)), "{said}");
    assert_eq!(restoration.get::<Uuid, _>(1), operation);
    assert_eq!(restoration.get::<Uuid, _>(2), family.requester);
    assert_eq!(restoration.get::<Uuid, _>(3), family.requester);
    assert_eq!(restoration.get::<&str, _>(4), "zone");
    assert_eq!(restoration.get::<Vec<Uuid>, _>(5), zones);
    assert_eq!(restoration.get::<&str, _>(6), MAINTENANCE);
    // The status that the requester sees does not change, and has its documented form.
    let status = service.status(family.requester, operation).await;
    assert_eq!(status.json()["content"], serde_json::json!([{"status": "SUCCESS"}]));
    let restore: Uuid = restoration.get::<&str, _>(0).parse().unwrap();
    let message = "Provided request ID does not exist for your account.";
    service.status(family.requester, restore).await.assert_failed(404, "GLOBAL_1003", message);
    assert_eq!(service.world.operations().await, 1);
}

#[tokio::test]
async fn a_dry_run_lists_the_rows_and_changes_nothing() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 3).await;
    let deletion = service.delete_list(family.requester, family.sub_customer, Resource::Contact, &contacts).await;
    let operation = deletion.assert_deleted().to_string();
    let before = service.world.fingerprint().await;

    let said = run(&service.database, &["restore", "--operation", &operation, "--dry-run"]).await.done();

    assert_eq!(said.lines().count(), 4, "{said}");
    for contact in &contacts {
        assert!(said.contains(&format!("contact {contact} of customer {}\n", family.sub_customer)), "{said}");
    }
    let summary = format!("3 rows (contact) of customer {} can be restored; nothing is changed", family.sub_customer);
    assert!(said.contains(&summary), "{said}");
    assert_eq!(service.world.fingerprint().await, before);
    run(&service.database, &["restore", "--operation", &operation]).await.done();
    assert_eq!(service.world.deleted(Resource::Contact, &contacts).await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn only_what_the_named_operation_deleted_comes_back() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    let delete = |id| service.delete_one(family.requester, family.sub_customer, Resource::Contact, id);
    let first = delete(contacts[0]).await.assert_deleted();
    delete(contacts[1]).await.assert_deleted();

    run(&service.database, &["restore", "--operation", &first.to_string()]).await.done();

    assert_eq!(service.world.deleted(Resource::Contact, &contacts).await, [contacts[1]]);
    // A row that is deleted again belongs to the new operation, which can also be restored.
    let again = delete(contacts[0]).await.assert_deleted();
    let message = format!("operation {first} was restored already");
    run(&service.database, &["restore", "--operation", &first.to_string()]).await.refused(&[&message]);
    run(&service.database, &["restore", "--operation", &again.to_string()]).await.done();
    assert_eq!(service.world.deleted(Resource::Contact, &contacts).await, [contacts[1]]);
}

#[tokio::test]
async fn two_restores_at_once_have_one_effect() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let zones = service.world.rows(Resource::Zone, family.requester, 100).await;
    let deletion = service.delete_list(family.requester, family.requester, Resource::Zone, &zones).await;
    let operation = deletion.assert_deleted().to_string();
    let arguments = ["restore", "--operation", &operation];

    let (one, other) = tokio::join!(run(&service.database, &arguments), run(&service.database, &arguments));

    let (winner, loser) = if one.status == Some(0) { (one, other) } else { (other, one) };
    winner.done();
    loser.refused(&["was restored already"]);
    assert_eq!(service.world.deleted(Resource::Zone, &zones).await, Vec::<Uuid>::new());
}

#[test]
fn an_operation_must_be_named_and_must_be_an_id() {
    for arguments in [&["restore"][..], &["restore", "--operation", "yesterday"]] {
        let mut command = crate::support::process::command(arguments);
        assert_eq!(output(&mut command).status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn another_schema_than_that_of_the_build_is_refused() {
    let service = TestService::start().await;
    sqlx::raw_sql("delete from schema_version where version = 9").execute(&service.database.pool).await.unwrap();
    let id = Uuid::now_v7().to_string();
    for arguments in [&["restore", "--operation", &id][..], &["purge", "--older-than", "90d"]] {
        let output = output(&mut maintenance(&service.database, arguments));
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("the schema is at version"), "{message}");
    }
}
