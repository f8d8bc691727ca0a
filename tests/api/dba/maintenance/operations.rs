//! The age at which operations are erased.

use customer_deletion::resource::Resource;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{age_operation, age_rows, change_restorations, rows, run, told};
use crate::support::TestService;
use crate::support::resources::{every_resource, table};

#[tokio::test]
async fn an_operation_is_kept_as_long_as_its_row_whatever_the_resource() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    for resource in every_resource() {
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        let operation = service.delete_one(family.requester, customer, resource, row).await.assert_deleted();
        age_operation(pool, operation, 91).await;
    }
    let purge = async || {
        let said = run(&service.database, &["purge", "--older-than", "90d"]).await.done();
        told(&said, "operation")
    };

    assert_eq!(purge().await, 0);
    for resource in every_resource() {
        let deleted: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(format!("select id from {}", table(resource))))
            .fetch_all(pool)
            .await
            .unwrap();
        age_rows(pool, resource, &deleted, 91).await;
    }
    assert_eq!(purge().await, Resource::ALL.len() as u64);
}

#[tokio::test]
async fn an_operation_is_kept_for_its_age_or_that_of_the_rows_it_deleted_and_as_long_as_one_is_there() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let zones = service.world.rows(Resource::Zone, family.requester, 5).await;
    let delete = |id| service.delete_one(family.requester, family.requester, Resource::Zone, id);
    let [young, with_row, restored, restored_long_ago, row_goes] = [
        delete(zones[0]).await.assert_deleted(),
        delete(zones[1]).await.assert_deleted(),
        delete(zones[2]).await.assert_deleted(),
        delete(zones[3]).await.assert_deleted(),
        delete(zones[4]).await.assert_deleted(),
    ];
    let old_refusal = delete(Uuid::now_v7()).await.request_id();
    let young_refusal = delete(Uuid::now_v7()).await.request_id();
    for operation in [restored, restored_long_ago] {
        run(&service.database, &["restore", "--operation", &operation.to_string()]).await.done();
    }
    for (operation, days) in [
        (young, 29),
        (with_row, 91),
        (restored, 89),
        (restored_long_ago, 91),
        (row_goes, 91),
        (old_refusal, 31),
        (young_refusal, 29),
    ] {
        age_operation(pool, operation, days).await;
    }
    age_rows(pool, Resource::Zone, &[zones[4]], 91).await;
    let open = Uuid::now_v7();
    service
        .world
        .execute(
            "insert into operation (id, requester_id, customer_id, resource, target_ids, status, created_at)
         values ($1, $1, $1, 'zone', array[$1], 'OPEN', now() - interval '1 year')",
            open,
        )
        .await;

    let dry = run(&service.database, &["purge", "--older-than", "90d", "--dry-run"]).await.done();
    assert_eq!(told(&dry, "operation"), 3, "{dry}");
    assert_eq!(service.world.operations().await, 8);
    let said = run(&service.database, &["purge", "--older-than", "90d"]).await.done();
    assert_eq!(told(&said, "operation"), 3, "{said}");

    let kept: Vec<Uuid> = sqlx::query_scalar("select id from operation").fetch_all(pool).await.unwrap();
    for (operation, expected) in [
        (young, true),
        (with_row, true),
        (restored, true),
        (restored_long_ago, false),
        (row_goes, false),
        (old_refusal, false),
        (young_refusal, true),
        (open, true),
    ] {
        assert_eq!(kept.contains(&operation), expected, "{operation}: {kept:?}");
    }
    // The records of the restores are younger than their operations, and still exist.
    assert_eq!(rows(pool, "restoration").await, 2);
    // A row that still has its operation can still be restored.
    run(&service.database, &["restore", "--operation", &with_row.to_string()]).await.done();
    let purged = run(&service.database, &["restore", "--operation", &row_goes.to_string()]).await;
    purged.refused(&["no operation has the id"]);
}

#[tokio::test]
async fn an_operation_that_deleted_is_kept_for_its_own_age_where_that_is_the_longer() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let (requester, zone) = (family.requester, service.world.zone(family.requester).await);
    let operation = service.delete_one(requester, requester, Resource::Zone, zone).await.assert_deleted();
    age_operation(&service.database.pool, operation, 29).await;

    let said = run(&service.database, &["purge", "--older-than", "0d"]).await.done();
    assert_eq!((told(&said, "zone"), service.world.operations().await), (1, 1), "{said}");
    age_operation(&service.database.pool, operation, 2).await;
    let said = run(&service.database, &["purge", "--older-than", "0d"]).await.done();
    assert_eq!(told(&said, "operation"), 1, "{said}");
}

#[tokio::test]
async fn operations_of_every_resource_are_kept_as_long_as_their_rows() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    for resource in Resource::ALL {
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        let operation = service.delete_one(family.requester, customer, resource, row).await.assert_deleted();
        age_operation(pool, operation, 60).await;
    }
    run(&service.database, &["purge", "--older-than", "90d"]).await.done();
    assert_eq!(service.world.operations().await, 5);

    let dry = run(&service.database, &["purge", "--older-than", "0d", "--dry-run"]).await.done();
    assert_eq!(told(&dry, "operation"), 5);
    let said = run(&service.database, &["purge", "--older-than", "0d"]).await.done();
    assert_eq!(told(&said, "operation"), 5);
    assert_eq!(service.world.operations().await, 0);
}

#[tokio::test]
async fn an_idempotency_key_lives_as_long_as_its_operation() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let unknown = [Uuid::now_v7()];
    let call = || {
        let call = service.list_call(family.requester, family.requester, Resource::Zone, &unknown);
        crate::support::service::send(call.header("Idempotency-Key", "k"))
    };
    let first = call().await;
    sqlx::raw_sql(
        "alter table operation disable trigger operation_ends_once;
         update operation set created_at = now() - interval '23 hours'",
    )
    .execute(pool)
    .await
    .unwrap();
    let shortest = ["purge", "--older-than", "0d", "--operations-older-than", "24h"];

    run(&service.database, &shortest).await.done();
    assert_eq!(call().await.request_id(), first.request_id());

    sqlx::raw_sql("update operation set created_at = now() - interval '25 hours'").execute(pool).await.unwrap();
    run(&service.database, &shortest).await.done();
    assert_ne!(call().await.request_id(), first.request_id());
}

/// Without its record, a restore could be repeated as long as its operation exists.
#[tokio::test]
async fn records_of_restores_are_kept_as_long_as_operations_that_deleted() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let operation = service.delete_one(family.requester, family.requester, Resource::Zone, zone).await.assert_deleted();
    run(&service.database, &["restore", "--operation", &operation.to_string()]).await.done();
    let purge = ["purge", "--older-than", "90d"];
    let dry_run = [&purge[..], &["--dry-run"]].concat();
    // The operation is older than its restore.
    age_operation(pool, operation, 91).await;
    for (days, expected) in [(89, 0), (91, 1)] {
        change_restorations(pool, &format!("restored_at = now() - interval '{days} days'")).await;

        let dry = run(&service.database, &dry_run).await.done();
        assert_eq!((told(&dry, "restoration"), rows(pool, "restoration").await), (expected, 1));
        let said = run(&service.database, &purge).await.done();
        assert_eq!((told(&said, "restoration"), rows(pool, "restoration").await), (expected, 1 - expected as i64));
    }
}
