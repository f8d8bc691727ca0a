//! The order in which a deletion holds customers and entities.
//!
//! It locks the sub-customer first and the requester second, and entities from the lowest id up. Whoever takes several of them in
//! the same order never deadlocks with it.

use customer_deletion::resource::Resource;
use rstest::rstest;
use sqlx::PgPool;
use uuid::Uuid;

use super::{begin, in_background};
use crate::support::service::until_so_many_wait;
use crate::support::world::Family;
use crate::support::{TestDatabase, TestService};

const LOW: Uuid = Uuid::from_u128(1);
const HIGH: Uuid = Uuid::from_u128(2);

/// Asserts that nobody holds the row.
async fn assert_free(pool: &PgPool, table: &str, id: Uuid) {
    let sql = format!("select from {table} where id = $1 for update nowait");
    begin(pool, &sql, &[id]).await.rollback().await.unwrap();
}

async fn insert_customer(pool: &PgPool, id: Uuid, parent: Option<Uuid>) {
    let sql = "insert into customer (id, parent_id, name) values ($1, $2, 'A customer')";
    sqlx::query(sql).bind(id).bind(parent).execute(pool).await.unwrap();
}

#[rstest]
#[case::contact_of_a_lower_customer(Resource::Contact, HIGH, LOW)]
#[case::contact_of_a_higher_customer(Resource::Contact, LOW, HIGH)]
#[case::address_of_a_lower_customer(Resource::Address, HIGH, LOW)]
#[case::address_of_a_higher_customer(Resource::Address, LOW, HIGH)]
#[tokio::test]
async fn customers_are_locked_from_the_sub_customer_up(
    #[case] resource: Resource,
    #[case] requester: Uuid,
    #[case] sub_customer: Uuid,
) {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = Family { requester, sub_customer, ..service.world.family().await };
    insert_customer(pool, requester, None).await;
    insert_customer(pool, sub_customer, Some(requester)).await;
    let row = service.world.row(resource, sub_customer).await;

    let holding = begin(pool, "select from customer where id = $1 for update", &[sub_customer]).await;
    let call = in_background(&service, family, resource, &[row]);
    until_so_many_wait(pool, 1).await;
    assert_free(pool, "customer", requester).await;
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_deleted();
}

/// Told to read tables as they are stored. The service's own settings make it read the index, which gives the order.
async fn service_that_reads_tables() -> TestService {
    let database = TestDatabase::migrated().await;
    let url = database.url.split('?').next().unwrap().to_owned();
    let options = "-c%20enable_indexscan%3Doff%20-c%20enable_bitmapscan%3Don";
    TestService::start_on(database, |settings| settings.database.url = Some(format!("{url}?options={options}").into()))
        .await
}

#[rstest]
#[case::sub_customers("customer", "sub_customer_id", "insert into customer (id, parent_id, name) values ($1, $2, 'A')")]
#[case::subscribers(
    "subscriber",
    "subscriber_id",
    "insert into subscriber (id, customer_id, name) values ($1, $2, 'A')"
)]
#[case::sell_plans("sell_plan", "sell_plan_id", "insert into sell_plan (id, customer_id, name) values ($1, $2, 'A')")]
#[tokio::test]
async fn what_external_params_are_set_on_is_locked_in_the_order_of_its_ids(
    #[case] table: &str,
    #[case] column: &'static str,
    #[case] sql: &'static str,
) {
    let service = service_that_reads_tables().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let mut rows = Vec::new();
    // The table stores the higher one first.
    for entity in [HIGH, LOW] {
        sqlx::query(sql).bind(entity).bind(family.requester).execute(pool).await.unwrap();
        rows.push(service.world.external_params(family.requester, column, entity).await);
    }

    let holding = begin(pool, &format!("select from {table} where id = $1 for update"), &[LOW]).await;
    let call = in_background(&service, family, Resource::ExternalParams, &rows);
    until_so_many_wait(pool, 1).await;
    assert_free(pool, table, HIGH).await;
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_deleted();
}
