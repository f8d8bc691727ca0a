//! `purge --customer` erases the actors of the customer's calls. They are users of that customer.

use customer_deletion::config::Settings;
use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::{maintenance, run, told};
use crate::support::service::send;
use crate::support::{TestPool, TestService};

fn record_actors(settings: &mut Settings) {
    settings.requester.header.actor_name = Some("X-Actor-Id".to_owned());
}

/// The number of operations of the requester that name an actor.
async fn named(pool: &TestPool, requester: Uuid) -> i64 {
    let sql = "select count(actor) from operation where requester_id = $1";
    sqlx::query_scalar(sql).bind(requester).fetch_one(pool).await.unwrap()
}

/// A deletion, a refusal and an accepted call of a requester about a customer, each for an actor.
async fn three_calls(service: &TestService, requester: Uuid, customer: Uuid, resource: Resource) {
    let row = service.world.row(resource, customer).await;
    let call = || service.deletion(requester, customer, resource, &[row]).header("X-Actor-Id", "an-actor");
    send(call()).await.assert_deleted();
    assert_eq!(send(call()).await.status, 404);
    assert_eq!(send(call().header("Prefer", "respond-async")).await.status, 202);
}

#[tokio::test]
async fn a_purge_of_a_customer_erases_the_actors_of_its_own_calls_and_keeps_the_calls() {
    let service = TestService::start_with(record_actors).await;
    let (pool, family) = (&service.database.pool, service.world.family().await);
    three_calls(&service, family.requester, family.sub_customer, Resource::Contact).await;
    three_calls(&service, family.sub_customer, family.sub_customer, Resource::Zone).await;
    let sub_customer = family.sub_customer.to_string();

    let dry = run(&service.database, &["purge", "--customer", &sub_customer, "--dry-run"]).await.done();
    assert_eq!((named(pool, family.requester).await, named(pool, family.sub_customer).await), (3, 3));
    let said = run(&service.database, &["purge", "--customer", &sub_customer]).await.done();

    assert_eq!((told(&dry, "actor"), told(&said, "actor")), (3, 3), "{dry} {said}");
    // The call about it belongs to the customer above, and so does its actor.
    assert_eq!((named(pool, family.requester).await, named(pool, family.sub_customer).await), (3, 0));
    assert_eq!(service.world.operations().await, 6);
    let recorded = "select (erased ->> 'actor')::bigint from purge";
    assert_eq!(sqlx::query_scalar::<_, i64>(recorded).fetch_one(pool).await.unwrap(), 3);
    let again = run(&service.database, &["purge", "--customer", &sub_customer]).await.done();
    assert_eq!(told(&again, "actor"), 0);
    run(&service.database, &["verify"]).await.done();
}

#[tokio::test]
async fn an_actor_of_a_call_about_a_customer_under_legal_hold_stays() {
    let service = TestService::start_with(record_actors).await;
    let (pool, family) = (&service.database.pool, service.world.family().await);
    three_calls(&service, family.requester, family.sub_customer, Resource::Contact).await;
    let held = family.sub_customer.to_string();
    run(&service.database, &["hold", "--customer", &held, "--reason", "case 12"]).await.done();

    let purge = ["purge", "--customer", &family.requester.to_string()];
    let told_held = format!("left, because of legal holds: 3\n  customer {held}: 3");
    run(&service.database, &purge).await.refused(&[&told_held]);
    assert_eq!(named(pool, family.requester).await, 3);
    // The statement itself checks it again.
    let erase = include_str!("../../../../src/maintenance/sql/erase_actors.sql");
    let ids: Vec<Uuid> = sqlx::query_scalar("select id from operation").fetch_all(pool).await.unwrap();
    assert_eq!(sqlx::query(erase).bind(ids).execute(pool).await.unwrap().rows_affected(), 0);

    run(&service.database, &["release", "--customer", &held]).await.done();
    run(&service.database, &purge).await.done();
    assert_eq!(named(pool, family.requester).await, 0);
}

#[tokio::test]
async fn a_retried_operation_keeps_the_actor_and_it_is_shown() {
    let service = TestService::start_with(record_actors).await;
    let (pool, family) = (&service.database.pool, service.world.family().await);
    let zone = service.world.zone(family.requester).await;
    let call = service.deletion(family.requester, family.requester, Resource::Zone, &[zone]);
    let call = call.header("X-Actor-Id", "an-actor").header("Prefer", "respond-async");
    let failed = send(call).await.request_id();
    let fail = "with dequeued as (delete from operation_queue)
        update operation set status = 'INTERNAL_ERROR', error_code = 'GLOBAL_1001', completed_at = now()";
    sqlx::query(fail).execute(pool).await.unwrap();

    run(&service.database, &["operations", "--retry", &failed.to_string()]).await.done();
    assert_eq!(named(pool, family.requester).await, 2);
    let shown = run(&service.database, &["operations", "--id", &failed.to_string()]).await.done();
    assert!(shown.contains("\n  actor        an-actor\n"), "{shown}");
}

/// Not even the role that erases actors can.
#[tokio::test]
async fn nobody_changes_an_actor_of_a_call_that_has_ended_but_to_erase_it() {
    let service = TestService::start_with(record_actors).await;
    let (pool, family) = (&service.database.pool, service.world.family().await);
    three_calls(&service, family.requester, family.sub_customer, Resource::Contact).await;
    for change in [
        "actor = 'another'",
        "actor = null, completed_at = clock_timestamp()",
        "actor = null, target_ids = target_ids || gen_random_uuid(), deleted_rows = 2",
        "deleted_rows = deleted_rows",
    ] {
        let sql = format!("update operation set {change} where status = 'SUCCESS'");
        let error = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(pool).await.unwrap_err().to_string();
        assert!(error.contains("has ended"), "{change}: {error}");
    }
    let erase = "update operation set actor = null where status = 'SUCCESS'";
    assert_eq!(sqlx::query(erase).execute(pool).await.unwrap().rows_affected(), 1);
}

#[tokio::test]
async fn after_a_recovery_from_a_backup_a_replay_erases_the_actors_again() {
    let service = TestService::start_with(record_actors).await;
    let (pool, family) = (&service.database.pool, service.world.family().await);
    three_calls(&service, family.requester, family.sub_customer, Resource::Contact).await;
    let ledger = std::env::temp_dir().join(format!("customer-deletion-actors-{}", Uuid::now_v7()));
    let customer = family.requester.to_string();
    let purge = ["purge", "--customer", &customer, "--ledger", ledger.to_str().unwrap()];
    assert!(maintenance(&service.database, &purge).status().unwrap().success());
    assert_eq!(named(pool, family.requester).await, 0);

    // As in a backup from before the purge.
    sqlx::raw_sql(
        "alter table purge disable trigger purge_is_kept;
         delete from purge;
         alter table purge enable trigger purge_is_kept;
         alter table operation disable trigger operation_ends_once;
         update operation set actor = 'an-actor';
         alter table operation enable trigger operation_ends_once;",
    )
    .execute(pool)
    .await
    .unwrap();
    let said = run(&service.database, &["purge", "--replay", ledger.to_str().unwrap()]).await.done();
    std::fs::remove_file(&ledger).unwrap();
    assert_eq!((told(&said, "actor"), named(pool, family.requester).await), (3, 0), "{said}");
}
