//! `purge` of single rows, and of the rows of one operation.

use customer_deletion::resource::Resource;
use rstest::rstest;
use sqlx::{AssertSqlSafe, Row};
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::dba::maintenance::{maintenance_sql, present, rows, run, told};
use crate::support::TestService;
use crate::support::database::MAINTENANCE;
use crate::support::resources::{every_resource, statement, word};

/// Later than any deletion.
const EVER: OffsetDateTime = datetime!(9999-12-31 0:00 UTC);

#[tokio::test]
async fn a_deleted_row_is_erased_by_its_id_and_the_purge_is_recorded() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    for (number, resource) in every_resource().enumerate() {
        let customer = family.in_scope(resource);
        let ids = service.world.rows(resource, customer, 3).await;
        let mut operations = Vec::new();
        for id in &ids[..2] {
            operations.push(service.delete_one(family.requester, customer, resource, *id).await.assert_deleted());
        }
        let (option, id) = (format!("--{}", word(resource)), ids[0].to_string());

        let dry = run(database, &["purge", &option, &id, "--dry-run"]).await.done();
        assert_eq!((told(&dry, word(resource)), rows(&database.pool, "purge").await), (1, number as i64));
        let said = run(database, &["purge", &option, &id]).await.done();

        assert_eq!(told(&said, word(resource)), 1);
        let mut kept = ids[1..].to_vec();
        kept.sort();
        assert_eq!(present(&database.pool, resource, &ids).await, kept);
        let record = sqlx::query(
            "select subject_ids, (erased ->> $1)::bigint, purged_by, ended_at is not null from purge where kind = $1",
        )
        .bind(word(resource))
        .fetch_one(&database.pool)
        .await
        .unwrap();
        assert_eq!(record.get::<Vec<Uuid>, _>(0), [ids[0]]);
        assert_eq!((record.get::<i64, _>(1), record.get::<&str, _>(2), record.get(3)), (1, MAINTENANCE, true));
        let erasures: Vec<i32> = sqlx::query_scalar("select erased_rows from erasure where operation_id = $1")
            .bind(operations[0])
            .fetch_all(&database.pool)
            .await
            .unwrap();
        assert_eq!((erasures, rows(&database.pool, "erasure").await), (vec![1], 1 + number as i64));
    }
    run(database, &["verify"]).await.done();
}

#[tokio::test]
async fn a_live_and_an_unknown_row_refuse_all_of_them() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let ids = service.world.rows(Resource::Contact, family.sub_customer, 2).await;
    service.delete_one(family.requester, family.sub_customer, Resource::Contact, ids[0]).await.assert_deleted();
    let (deleted, live, unknown) = (ids[0].to_string(), ids[1].to_string(), Uuid::now_v7().to_string());

    let arguments = ["purge", "--contact", &deleted, "--contact", &live, "--contact", &unknown];
    let reasons = [format!("contact {live} is live: delete it first"), format!("contact {unknown} is unknown")];
    run(database, &arguments).await.refused(&[&reasons[0], &reasons[1]]);

    assert_eq!((rows(&database.pool, "contact").await, rows(&database.pool, "purge").await), (2, 0));
    // The id of a contact is not the id of a zone.
    run(database, &["purge", "--zone", &deleted]).await.refused(&["is unknown"]);
    assert_eq!(rows(&database.pool, "contact").await, 2);
}

#[tokio::test]
async fn the_rows_of_an_operation_are_erased_and_the_operation_stays() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let ids = service.world.rows(Resource::Zone, family.requester, 3).await;
    let (requester, zone) = (family.requester, Resource::Zone);
    let operation = service.delete_list(requester, requester, zone, &ids[..2]).await.assert_deleted();
    service.delete_one(requester, requester, zone, ids[2]).await.assert_deleted();
    let id = operation.to_string();

    let said = run(database, &["purge", "--operation", &id]).await.done();

    assert_eq!(told(&said, "zone"), 2);
    assert_eq!(present(&database.pool, zone, &ids).await, [ids[2]]);
    assert_eq!(rows(&database.pool, "operation").await, 2);
    run(database, &["verify"]).await.done();
    run(database, &["purge", "--operation", &id]).await.refused(&["no row is left that operation"]);
    let unknown = Uuid::now_v7().to_string();
    run(database, &["purge", "--operation", &unknown]).await.refused(&["no operation has the id"]);
}

/// The rows of the operation were restored, and deleted by another one.
#[tokio::test]
async fn a_restored_operation_leads_to_no_row() {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let zone = service.world.zone(family.requester).await;
    let (requester, resource) = (family.requester, Resource::Zone);
    let first = service.delete_one(requester, requester, resource, zone).await.assert_deleted().to_string();
    run(database, &["restore", "--operation", &first]).await.done();
    service.delete_one(requester, requester, resource, zone).await.assert_deleted();

    run(database, &["purge", "--operation", &first]).await.refused(&["no row is left that operation"]);

    assert_eq!(rows(&database.pool, "zone").await, 1);
}

/// The restore comes between the search for the rows and their erasure.
#[rstest]
#[case::restored("--operation", "", "is live again")]
#[case::restored_though_it_is_named("--zone", "", "is live again")]
#[case::restored_and_deleted_again(
    "--operation",
    "update zone set deleted_at = now(), deleted_by = gen_random_uuid();",
    "was restored and deleted again"
)]
#[tokio::test]
async fn a_restore_that_is_faster_than_the_purge_is_reported(
    #[case] option: &str,
    #[case] afterwards: &str,
    #[case] state: &str,
) {
    let service = TestService::start().await;
    let (database, family) = (&service.database, service.world.family().await);
    let zone = service.world.zone(family.requester).await;
    let operation = service.delete_one(family.requester, family.requester, Resource::Zone, zone).await.assert_deleted();
    let restore = format!(
        "create function restore() returns trigger language plpgsql security definer as $$
         begin
           insert into restoration (id, operation_id, requester_id, customer_id, resource, restored_ids)
           select gen_random_uuid(), id, requester_id, customer_id, resource, target_ids from operation;
           {afterwards}
           return null;
         end $$;
         create trigger restore after insert on purge for each row execute function restore()"
    );
    sqlx::raw_sql(AssertSqlSafe(restore)).execute(&database.pool).await.unwrap();

    let id = if option == "--zone" { zone } else { operation };
    let said = run(database, &["purge", option, &id.to_string()]).await;

    let said = said.refused(&["restored meanwhile, and not erased: 1\n", &format!("\n  zone {zone} {state}")]);
    assert_eq!((told(&said.out, "zone"), rows(&database.pool, "zone").await), (0, 1));
}

/// A row that was restored and deleted again since the purge found it belongs to another operation.
#[tokio::test]
async fn the_statement_that_erases_compares_the_operation_once_more() {
    let service = TestService::start().await;
    let (pool, family) = (&service.database.pool, service.world.family().await);
    for resource in every_resource() {
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        let operation = service.delete_one(family.requester, customer, resource, row).await.assert_deleted();
        let sql = maintenance_sql(&statement("erase", resource));
        let erased_of = async |operation: Uuid| {
            let erase = sqlx::query(AssertSqlSafe(sql.clone())).bind([row]).bind(EVER).bind(None::<Uuid>).bind(false);
            let batch = erase.bind(operation).bind(false).fetch_one(pool).await.unwrap();
            (batch.get::<i64, _>("due!"), batch.get::<Vec<Uuid>, _>("erased!"))
        };

        assert_eq!(erased_of(Uuid::now_v7()).await, (0, vec![]));
        assert_eq!(present(pool, resource, &[row]).await, [row]);
        assert_eq!(erased_of(operation).await, (1, vec![row]));
    }
}

#[rstest]
#[case::nothing_that_is_to_be_erased(&["purge"])]
#[case::two_kinds(&["purge", "--contact", "3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098", "--older-than", "90d"])]
#[case::an_age_of_operations_beside_a_row(
    &["purge", "--contact", "3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098", "--operations-older-than", "90d"]
)]
#[tokio::test]
async fn a_mistyped_purge_is_status_2(#[case] arguments: &[&str]) {
    let service = TestService::start().await;
    assert_eq!(run(&service.database, arguments).await.status, Some(2));
}
