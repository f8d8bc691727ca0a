//! `verify` finds nothing if everything agrees, and reports what it has checked.

use customer_deletion::maintenance::verify::SCHEMA;
use customer_deletion::resource::Resource;
use serde_json::Value;
use uuid::Uuid;

use crate::dba::maintenance::{age_operation, age_rows, change_restorations, run, told};
use crate::support::resources::{contract, every_resource, word};
use crate::support::{TestDatabase, TestService};

#[tokio::test]
async fn the_guards_that_it_expects_are_those_of_the_migrations() {
    let database = TestDatabase::migrated().await;
    let sql = include_str!("../../../src/maintenance/sql/verify_schema.sql");
    let lines: Vec<String> = sqlx::query_scalar(sql).fetch_all(&database.pool).await.unwrap();
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut expected: Vec<&str> = SCHEMA.lines().collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(
        expected,
        lines,
        "src/maintenance/verify/schema.txt is the output of verify_schema.sql:\n{}",
        lines.join("\n")
    );
}

/// Deleted, restored and erased rows, refused calls and rows that other services deleted.
#[tokio::test]
async fn nothing_is_found_after_deletions_restores_and_purges() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    for (number, resource) in every_resource().enumerate() {
        let customer = family.in_scope(resource);
        // A different number of rows of each resource is left in the end.
        let rows = service.world.rows(resource, customer, 6 + number).await;
        let mut operations = Vec::new();
        for row in &rows[..4] {
            operations.push(service.delete_one(family.requester, customer, resource, *row).await.assert_deleted());
        }
        service.delete_one(family.requester, customer, resource, Uuid::now_v7()).await;
        age_rows(&database.pool, resource, &rows[4..5], 91).await;
        if contract(resource).can_be_restored {
            run(database, &["restore", "--operation", &operations[3].to_string()]).await.done();
        }
        // One row is erased before its operation, another together with it.
        age_rows(&database.pool, resource, &rows[..2], 91).await;
        age_operation(&database.pool, operations[0], 121).await;
        age_operation(&database.pool, operations[1], 91).await;
    }

    let arguments = ["purge", "--older-than", "90d", "--operations-older-than", "120d"];
    let purged = run(database, &arguments).await.done();
    let verified = run(database, &["verify"]).await.done();

    let resources = every_resource().count() as u64;
    assert_eq!(told(&purged, "operation"), resources, "{purged}");
    assert_eq!(told(&verified, "operation"), 4 * resources, "{verified}");
    assert_eq!(told(&verified, "customer"), 6, "{verified}");
    for (number, resource) in every_resource().enumerate() {
        assert_eq!(told(&purged, word(resource)), 3, "{purged}");
        assert_eq!(told(&verified, word(resource)), 3 + number as u64, "{verified}");
    }
}

/// A service whose only operation is old and was restored a moment ago.
pub async fn restored_late() -> TestService {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let zone = service.world.zone(family.requester).await;
    let operation = service.delete_one(family.requester, family.requester, Resource::Zone, zone).await.assert_deleted();
    run(database, &["restore", "--operation", &operation.to_string()]).await.done();
    // The id of an operation contains its time.
    let old =
        "update operation set id = '00000000-0000-7000-8000-000000000001', created_at = now() - interval '91 days'";
    let sql = format!(
        "alter table operation disable trigger operation_ends_once; {old};
        alter table operation enable trigger operation_ends_once"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();
    change_restorations(&database.pool, "operation_id = '00000000-0000-7000-8000-000000000001'").await;
    service
}

/// The record of a restore may outlive its operation.
#[tokio::test]
async fn a_restored_operation_may_be_purged_before_the_record_of_its_restore() {
    let service = restored_late().await;
    let database = &service.database;

    let said = run(database, &["purge", "--older-than", "90d"]).await.done();

    assert_eq!((told(&said, "operation"), told(&said, "restoration")), (1, 0), "{said}");
    run(database, &["verify"]).await.done();
}

#[tokio::test]
async fn verify_since_a_time_reads_the_operations_of_that_time_and_their_rows() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    for contact in &contacts {
        service.delete_one(family.requester, family.sub_customer, Resource::Contact, *contact).await.assert_deleted();
    }
    let old = "set session_replication_role = replica;
        update operation set id = '00000000-0000-7000-8000-000000000001'
        where id = (select id from operation order by id limit 1);
        set session_replication_role = origin";
    sqlx::raw_sql(old).execute(&database.pool).await.unwrap();

    let recent = run(database, &["verify", "--since", "36h", "--json"]).await.done();
    let recent: Value = serde_json::from_str(&recent).unwrap();

    assert_eq!(recent["disagreements"], serde_json::json!([]));
    assert_eq!(recent["verified"][0], serde_json::json!({"part": "operation", "rows": 1}));
    assert_eq!(recent["verified"].as_array().unwrap().len(), 3);
    let all = run(database, &["verify", "--json"]).await;
    assert_eq!(all.status, Some(1), "{all:?}");
    let all: Value = serde_json::from_str(&all.out).unwrap();
    let names: Vec<&str> =
        all["disagreements"].as_array().unwrap().iter().map(|found| found["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["success without all its rows", "row deleted by an unknown operation"]);
    assert_eq!(all["disagreements"][1]["part"], "contact");
    assert_eq!(all["disagreements"][1]["ids"].as_array().unwrap().len(), 1);
}

/// Pages follow one another without a gap, whatever their size.
#[tokio::test]
async fn verify_reads_every_row_of_a_large_table_once() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    crate::concurrency::queued::many_contacts(&service.database.pool, family.sub_customer, 20_000).await;

    let said = run(&service.database, &["verify"]).await.done();

    assert_eq!(told(&said, "contact"), 20_000, "{said}");
}
