//! `purge` erases rows that were deleted long ago, and nothing else.

use customer_deletion::resource::Resource;
use rstest::rstest;
use uuid::Uuid;

use super::{age_deletions, age_operation, age_rows, change_restorations, figures, present, rows, run, told};
use crate::concurrency::queued::{assert_accepted, call, ended, many_contacts};
use crate::support::TestService;
use crate::support::process::{command, output};
use crate::support::resources::{every_resource, word};
use crate::support::service::send;

#[tokio::test]
async fn old_deletions_are_erased_and_young_ones_and_live_rows_stay() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let mut all = Vec::new();
    for (number, resource) in every_resource().enumerate() {
        let customer = family.in_scope(resource);
        // Other services deleted rows without operations, a different number of rows of each resource.
        let unrecorded = service.world.rows(resource, customer, 1 + number).await;
        age_rows(pool, resource, &unrecorded, 91).await;
        let ids = service.world.rows(resource, customer, 5).await;
        let [recorded, young, almost, live, of_young] = ids[..] else { panic!() };
        for id in [recorded, young, almost] {
            let operation = service.delete_one(family.requester, customer, resource, id).await.assert_deleted();
            let days = if id == recorded { 91 } else { 89 };
            if id != young {
                age_rows(pool, resource, &[id], days).await;
                age_operation(pool, operation, days).await;
            }
        }
        // A DBA changed only its deleted_at.
        service.delete_one(family.requester, customer, resource, of_young).await.assert_deleted();
        age_rows(pool, resource, &[of_young], 91).await;
        let old = unrecorded.len() + 1;
        all.push((resource, old, [&unrecorded[..], &ids].concat(), vec![young, almost, live, of_young]));
    }

    let dry = run(&service.database, &["purge", "--older-than", "90d", "--dry-run"]).await.done();
    assert!(dry.starts_with("would be erased for good:\n"), "{dry}");
    for (resource, old, ids, _) in &all {
        assert_eq!(told(&dry, word(*resource)), *old as u64, "{dry}");
        assert_eq!(present(pool, *resource, ids).await.len(), ids.len(), "{resource:?}");
    }

    let said = run(&service.database, &["purge", "--older-than", "90d"]).await.done();

    assert!(said.starts_with("erased for good:\n"), "{said}");
    let again = run(&service.database, &["purge", "--older-than", "90d"]).await.done();
    for (resource, old, ids, mut kept) in all {
        assert_eq!(told(&said, word(resource)), old as u64, "{said}");
        assert_eq!(told(&again, word(resource)), 0, "{again}");
        kept.sort();
        assert_eq!(present(pool, resource, &ids).await, kept, "{resource:?}");
    }
}

/// Operations with long lists are read a few at a time, and none is left out.
#[tokio::test]
async fn all_rows_of_operations_with_long_lists_are_erased() {
    let service = TestService::start_with(|settings| settings.queue.workers = 1).await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let mut ids = many_contacts(pool, family.sub_customer, 16_000).await;
    let young = ids.split_off(15_000);
    for (list, days) in ids.chunks(6_000).map(|list| (list, 91)).chain([(young.as_slice(), 89)]) {
        let call = call(&service, family.requester, family.sub_customer, Resource::Contact, list);
        let operation = assert_accepted(&send(call).await);
        assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
        age_operation(pool, operation, days).await;
        age_rows(pool, Resource::Contact, list, days).await;
    }
    // Their ids get that time, too.
    let old = "update operation set id = ('00000000-0000-7000-8000-' || right(id::text, 12))::uuid";
    let sql = format!("alter table operation disable trigger operation_ends_once; {old}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await.unwrap();

    let arguments = ["purge", "--older-than", "90d", "--recorded-only", "--batch-size", "5000", "--pause", "0"];
    let said = run(&service.database, &arguments).await.done();

    assert_eq!(told(&said, "contact"), 15_000, "{said}");
    assert_eq!(rows(pool, "contact").await, 1_000);
}

#[tokio::test]
async fn rows_that_operations_deleted_are_found_without_reading_the_tables() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let zones = service.world.rows(Resource::Zone, family.requester, 2).await;
    let zone = Resource::Zone;
    let operation = service.delete_one(family.requester, family.requester, zone, zones[0]).await.assert_deleted();
    age_operation(pool, operation, 91).await;
    age_rows(pool, Resource::Zone, &zones, 91).await;

    let said = run(&service.database, &["purge", "--older-than", "90d", "--recorded-only"]).await.done();

    // The id of the operation is of today, so it is newer than the operations that the purge reads.
    assert_eq!(told(&said, "zone"), 0);
    let old = "update operation set id = '00000000-0000-7000-8000-000000000001'";
    let sql = format!("alter table operation disable trigger operation_ends_once; {old}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await.unwrap();
    let dry = run(&service.database, &["purge", "--older-than", "90d", "--recorded-only", "--dry-run"]).await.done();
    assert_eq!((told(&dry, "zone"), rows(pool, "zone").await), (1, 2));
    let said = run(&service.database, &["purge", "--older-than", "90d", "--recorded-only"]).await.done();
    assert_eq!(told(&said, "zone"), 1);
    assert_eq!(present(pool, Resource::Zone, &zones).await, [zones[1]]);
}

#[tokio::test]
async fn a_product_goes_with_what_is_left_of_its_allocations() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let products = service.world.rows(Resource::Product, family.requester, 2).await;
    for product in &products {
        let allocation = service.world.allocation(*product, family.sub_customer).await;
        service.world.execute("update product_allocation set detached_at = now() where id = $1", allocation).await;
    }
    let dead = service.world.customer(Some(family.requester)).await;
    service.world.allocation(products[0], dead).await;
    service.world.kill_customer(dead).await;
    let product = products[0];
    service.delete_one(family.requester, family.requester, Resource::Product, product).await.assert_deleted();
    age_deletions(pool, Resource::Product, &[product], 91).await;

    let dry = run(&service.database, &["purge", "--older-than", "90d", "--dry-run"]).await.done();
    let said = run(&service.database, &["purge", "--older-than", "90d"]).await.done();

    assert_eq!((told(&said, "product"), told(&said, "allocation")), (1, 2));
    assert_eq!(figures(&dry), figures(&said));
    assert_eq!(present(pool, Resource::Product, &products).await, [products[1]]);
    assert_eq!(rows(pool, "product_allocation").await, 1);
}

#[tokio::test]
async fn what_other_services_delete_is_theirs() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let subscriber = service.world.subscriber(family.requester).await;
    let plan = service.world.sell_plan(family.requester).await;
    for (sql, id) in [
        ("update subscriber set deleted_at = now() - interval '1 year' where id = $1", subscriber),
        ("update sell_plan set deleted_at = now() - interval '1 year' where id = $1", plan),
        ("update customer set deleted_at = now() - interval '1 year' where id = $1", family.grandchild),
    ] {
        service.world.execute(sql, id).await;
    }
    run(&service.database, &["purge", "--older-than", "0d"]).await.done();
    for (table, expected) in [("customer", 6), ("subscriber", 1), ("sell_plan", 1)] {
        assert_eq!(rows(pool, table).await, expected, "{table}");
    }
}

#[tokio::test]
async fn many_rows_go_in_many_batches() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    // Spread over more blocks than are read together, with live rows between them.
    let fill = "insert into contact (id, customer_id, email, mobile, remarks, deleted_at)
        select gen_random_uuid(), $1, 'a', '1', repeat('x', 900), case when i % 2 = 0 then now() - interval '91 days' end
        from generate_series(1, 6000) as i";
    service.world.execute(fill, family.sub_customer).await;

    let arguments = ["purge", "--older-than", "90d", "--batch-size", "97", "--pause", "0"];
    let said = run(&service.database, &arguments).await.done();

    assert_eq!(told(&said, "contact"), 3000);
    assert_eq!(rows(pool, "contact where deleted_at is null").await, 3000);
    assert_eq!(rows(pool, "contact").await, 3000);
}

#[rstest]
#[case::no_age(&[])]
#[case::an_age_without_a_unit(&["--older-than", "90"])]
#[case::a_negative_age(&["--older-than", "-90d"])]
#[case::operations_younger_than_idempotency_keys(&["--older-than", "90d", "--operations-older-than", "23h"])]
#[case::both_kinds(&["--older-than", "90d", "--customer", "5b0c2a94-7d36-4e58-9a1f-c3e86d4f0b27"])]
#[case::no_batch(&["--older-than", "90d", "--batch-size", "0"])]
#[case::a_huge_batch(&["--older-than", "90d", "--batch-size", "10001"])]
fn what_cannot_be_meant_is_refused(#[case] arguments: &[&str]) {
    let output = output(&mut command(&[&["purge"], arguments].concat()));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[tokio::test]
async fn a_row_that_was_restored_and_deleted_again_counts_from_the_second_time() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let delete = || service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact);
    let first = delete().await.assert_deleted();
    run(&service.database, &["restore", "--operation", &first.to_string()]).await.done();
    delete().await.assert_deleted();
    age_operation(pool, first, 91).await;

    let said = run(&service.database, &["purge", "--older-than", "90d"]).await.done();

    assert_eq!((told(&said, "contact"), told(&said, "operation")), (0, 1));
    assert_eq!(present(pool, Resource::Contact, &[contact]).await, [contact]);
    assert_eq!(present_operations(pool, first).await, 0);
}

/// Its row is found through the second operation alone, so a dry run does not count it twice.
#[tokio::test]
async fn an_operation_that_was_restored_leads_to_no_row() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let delete = || service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact);
    let first = delete().await.assert_deleted();
    run(&service.database, &["restore", "--operation", &first.to_string()]).await.done();
    let second = delete().await.assert_deleted();
    for operation in [first, second] {
        age_operation(pool, operation, 91).await;
    }
    age_rows(pool, Resource::Contact, &[contact], 91).await;
    let old = "update operation set id = ('00000000-0000-7000-8000-' || right(id::text, 12))::uuid";
    let sql = format!("alter table operation disable trigger operation_ends_once; {old}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await.unwrap();
    let old = "operation_id = ('00000000-0000-7000-8000-' || right(operation_id::text, 12))::uuid";
    change_restorations(pool, old).await;

    let purge = ["purge", "--older-than", "90d", "--recorded-only", "--batch-size", "1"];
    let dry = run(&service.database, &[&purge[..], &["--dry-run"]].concat()).await.done();
    let said = run(&service.database, &purge).await.done();

    assert_eq!((told(&said, "contact"), told(&said, "operation")), (1, 2), "{said}");
    assert_eq!(figures(&dry), figures(&said));
}

async fn present_operations(pool: &crate::support::TestPool, id: Uuid) -> i64 {
    rows(pool, &format!("operation where id = '{id}'")).await
}
