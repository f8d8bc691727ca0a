//! Rows that a statement does not see: rows that violate a constraint, and rows that it should delete.

use customer_deletion::resource::Resource;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::injector::{Fault, Injector};
use crate::concurrency::queued::{assert_accepted, ended};

/// The statement sees only its own rows of the table, as if all others were committed after its snapshot. Constraints see them
/// all.
async fn blind(injector: &Injector, statement: &str, table: &str) {
    let sql = format!(
        "alter table {table} enable row level security;
         drop policy if exists reads on {table};
         create policy reads on {table}
           using (current_query() not like '-- {statement}:%' or created_at = now()) with check (true)"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(injector.pool()).await.unwrap();
}

#[tokio::test]
async fn the_allocation_of_a_product_that_the_deletion_did_not_see_is_customer_1046() {
    let injector = Injector::start().await;
    let world = &injector.service.world;
    let product = world.product(injector.family.requester).await;
    world.allocation(product, injector.family.sub_customer).await;
    blind(&injector, "delete_products", "product_allocation").await;
    let before = world.fingerprint().await;
    // Counts, and never fails.
    injector.inject(&Fault::new("delete_products: before update of product", "P0001").times(0)).await;

    let answer = injector.delete(Resource::Product, &[product], "k").await;

    let id = answer.assert_failed(
        409,
        "CUSTOMER_1046",
        "Product deletion failure. It is not allowed to delete a product allocated to sub customers",
    );
    assert_eq!(injector.tries().await, 1, "the foreign key was not asked");
    assert_eq!(world.fingerprint().await, before);
    assert_eq!(injector.statuses(id, "k").await, ["FAILURE"]);
    let details = injector.service.details(injector.family.requester, id).await.json();
    assert_eq!(details["content"][0]["failedIds"], serde_json::json!([product]));
}

/// The violation of the foreign key is found within the attempt.
#[tokio::test]
async fn an_operation_that_did_not_see_the_allocation_of_its_product_is_customer_1046_at_the_first_attempt() {
    let injector = Injector::start_with(|settings| settings.queue.workers = 1).await;
    let world = &injector.service.world;
    let product = world.product(injector.family.requester).await;
    world.allocation(product, injector.family.sub_customer).await;
    blind(&injector, "delete_products", "product_allocation").await;

    let answer = injector.delete_later(Resource::Product, &[product], "k").await;

    let id = assert_accepted(&answer);
    let ended = ended(&injector.service, injector.family.requester, id).await;
    assert_eq!((ended["status"].as_str(), ended["errorCode"].as_str()), (Some("FAILURE"), Some("CUSTOMER_1046")));
    assert_eq!(ended["failedIds"], serde_json::json!([product]));
    let attempts: i64 = sqlx::query_scalar("select attempts_at($1)").bind(id).fetch_one(injector.pool()).await.unwrap();
    assert_eq!(attempts, 1);
    assert!(world.deleted(Resource::Product, &[product]).await.is_empty());
}

/// Only the foreign key of the allocations means CUSTOMER_1046. A violation of another one does not.
#[tokio::test]
async fn another_foreign_key_of_a_product_is_a_defect() {
    let injector = Injector::start().await;
    let world = &injector.service.world;
    let product = world.product(injector.family.requester).await;
    sqlx::raw_sql(
        "create table brochure (product_id uuid, live boolean, foreign key (product_id, live) references product (id, live))",
    )
    .execute(injector.pool())
    .await
    .unwrap();
    world.execute("insert into brochure values ($1, true)", product).await;

    let answer = injector.delete(Resource::Product, &[product], "k").await;

    let id = answer.assert_failed(500, "GLOBAL_1001", "Service unavailable. Please try again");
    assert_eq!(injector.statuses(id, "k").await, ["INTERNAL_ERROR"]);
    assert!(world.deleted(Resource::Product, &[product]).await.is_empty());
}

#[tokio::test]
async fn an_operation_under_the_key_that_the_deletion_did_not_see_is_replayed() {
    let injector = Injector::start().await;
    let world = &injector.service.world;
    let contacts = world.rows(Resource::Contact, injector.family.sub_customer, 2).await;
    let id = injector.delete(Resource::Contact, &contacts[..1], "k").await.assert_deleted();
    blind(&injector, "delete_contacts", "operation").await;

    // Its row is live, so the deletion reaches the record, and finds that the key is used.
    let other = injector.delete(Resource::Contact, &contacts[1..], "k").await;
    assert_eq!((other.status, other.json()["errorCode"].as_str()), (422, Some("IDEMPOTENCY_KEY_REUSED")));
    // The same for a twin whose row was deleted in the meantime.
    let same = injector.delete(Resource::Contact, &contacts[..1], "k").await;
    assert_eq!((same.assert_deleted(), same.header("Idempotency-Replayed")), (id, Some("true")));

    assert_eq!(world.deleted(Resource::Contact, &contacts).await, contacts[..1]);
    assert_eq!(injector.statuses(Uuid::nil(), "k").await, ["SUCCESS"]);
}

/// Each deletion before the try `seen_at` finds no row, and each inspection finds no reason for a refusal.
#[tokio::test]
async fn a_deletion_that_finds_no_row_and_that_nothing_refuses_is_tried_three_times_in_all() {
    let injector = Injector::start().await;
    let (world, customer) = (&injector.service.world, injector.family.sub_customer);
    // Counts, and never fails.
    let each_try = Fault::new("delete_contacts: reads customer", "P0001").at_row(Some(customer)).times(0);
    for (seen_at, is_deleted) in [(2, true), (3, true), (4, false)] {
        let contact = world.contact(customer).await;
        let sql = format!(
            "grant select on sequence reached to customer_deletion_service;
             drop policy reads on contact;
             create policy reads on contact
               using (current_query() not like '-- delete_contacts:%' or (select last_value from reached) >= {seen_at})"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(injector.pool()).await.unwrap();
        let before = world.fingerprint().await;
        injector.inject(&each_try).await;

        let answer = injector.delete(Resource::Contact, &[contact], &contact.to_string()).await;

        if is_deleted {
            answer.assert_deleted();
            assert_eq!(
                (injector.tries().await, world.deleted(Resource::Contact, &[contact]).await.len()),
                (seen_at, 1)
            );
        } else {
            let id = answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
            assert_eq!((injector.tries().await, world.fingerprint().await), (3, before));
            assert_eq!(injector.statuses(id, &contact.to_string()).await, [""; 0]);
        }
    }
}
