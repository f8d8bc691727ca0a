//! Deletions that succeed.

use customer_deletion::resource::Resource;
use rstest::rstest;
use sqlx::Row;
use uuid::Uuid;

use crate::support::resources::{every_list, every_resource, table};
use crate::support::service::{collection, send, validating};
use crate::support::{TestService, body};

#[tokio::test]
async fn an_id_in_the_url_deletes_that_row_and_no_other() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let [wanted, other] = service.world.rows(resource, customer, 2).await.try_into().unwrap();

        let answer = service.delete_one(family.requester, customer, resource, wanted).await;

        answer.assert_deleted();
        assert_eq!(service.world.deleted(resource, &[wanted, other]).await, [wanted]);
    }
}

#[tokio::test]
async fn a_list_deletes_every_row_at_one_time_by_one_operation() {
    for resource in every_list() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let mut wanted = service.world.rows(resource, customer, 25).await;
        wanted.reverse();
        let other = service.world.row(resource, customer).await;

        let request_id = service.delete_list(family.requester, customer, resource, &wanted).await.assert_deleted();

        let mut asked = wanted.clone();
        asked.push(other);
        wanted.sort();
        assert_eq!(service.world.deleted(resource, &asked).await, wanted);
        let sql = format!(
            "select count(*), count(distinct deleted_at), min(deleted_by::text) = max(deleted_by::text), min(deleted_by::text)::uuid
         from {} where deleted_at is not null and customer_id = $1",
            table(resource)
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(customer).fetch_one(&service.database.pool).await.unwrap();
        assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1), row.get::<bool, _>(2)), (25, 1, true));
        assert_eq!(row.get::<Uuid, _>(3), request_id);
    }
}

#[tokio::test]
async fn batch_delete_is_the_same_call() {
    for resource in every_list() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let wanted = service.world.rows(resource, customer, 3).await;

        let answer = service.batch_delete(family.requester, customer, resource, &wanted).await;

        answer.assert_deleted();
        assert_eq!(service.world.deleted(resource, &wanted).await, wanted);
    }
}

#[tokio::test]
async fn the_colon_of_batch_delete_may_be_percent_encoded() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;

    let path = format!("{}%3AbatchDelete", collection(family.sub_customer, Resource::Contact));
    let call = service.call(reqwest::Method::POST, &path, family.requester).body(body(&[contact]));

    send(call).await.assert_deleted();
}

#[tokio::test]
async fn external_params_on_each_kind_of_own_entity_are_deleted_together() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let subscriber = service.world.subscriber(family.requester).await;
    let sell_plan = service.world.sell_plan(family.requester).await;
    let ids = [
        service.world.external_params(family.requester, "sub_customer_id", family.sub_customer).await,
        service.world.external_params(family.requester, "subscriber_id", subscriber).await,
        service.world.external_params(family.requester, "sell_plan_id", sell_plan).await,
    ];

    service.delete_list(family.requester, family.requester, Resource::ExternalParams, &ids).await.assert_deleted();

    assert_eq!(service.world.deleted(Resource::ExternalParams, &ids).await.len(), 3);
}

#[tokio::test]
async fn external_params_on_a_deleted_own_entity_are_deleted() {
    let service = TestService::shared().await;
    let (world, family) = (&service.world, service.world.family().await);
    let requester = family.requester;
    let (subscriber, sell_plan) = (world.subscriber(requester).await, world.sell_plan(requester).await);
    let mut ids = Vec::new();
    for (column, entity) in
        [("sub_customer_id", family.sub_customer), ("subscriber_id", subscriber), ("sell_plan_id", sell_plan)]
    {
        for _ in 0..2 {
            ids.push(world.external_params(requester, column, entity).await);
        }
    }
    world.kill_customer(family.sub_customer).await;
    world.execute("update subscriber set deleted_at = now() where id = $1", subscriber).await;
    world.execute("update sell_plan set deleted_at = now() where id = $1", sell_plan).await;

    let delete = async |ids: &[Uuid]| {
        send(validating(service.list_call(requester, requester, Resource::ExternalParams, ids))).await.assert_deleted();
        service.delete_list(requester, requester, Resource::ExternalParams, ids).await.assert_deleted();
    };
    for pair in ids.chunks(2) {
        delete(&pair[..1]).await;
    }
    let rest: Vec<Uuid> = ids.chunks(2).map(|pair| pair[1]).collect();
    delete(&rest).await;
    assert_eq!(world.deleted(Resource::ExternalParams, &ids).await.len(), 6);
}

#[tokio::test]
async fn a_product_that_only_dead_allocations_name_is_deleted() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;
    service.world.allocation(product, family.second_sub_customer).await;
    let detached = service.world.allocation(product, family.sub_customer).await;
    service.world.execute("update product_allocation set detached_at = now() where id = $1", detached).await;
    service.world.kill_customer(family.second_sub_customer).await;

    let answer = service.delete_one(family.requester, family.requester, Resource::Product, product).await;

    answer.assert_deleted();
    assert_eq!(service.world.deleted(Resource::Product, &[product]).await, [product]);
}

#[rstest]
#[case::zone(
    Resource::Zone,
    "insert into zone (id, customer_id, name, country_code) select gen_random_uuid(), customer_id, name, 'DEU' from zone where id = $1"
)]
#[case::product(
    Resource::Product,
    "insert into product (id, customer_id, name) select gen_random_uuid(), customer_id, name from product where id = $1"
)]
#[tokio::test]
async fn the_name_of_a_deleted_row_is_free_again(#[case] resource: Resource, #[case] insert_twin: &'static str) {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let row = service.world.row(resource, family.requester).await;
    let twin = sqlx::query(insert_twin).bind(row).execute(&service.database.pool).await;
    assert_eq!(twin.unwrap_err().as_database_error().unwrap().code().as_deref(), Some("23505"));

    service.delete_one(family.requester, family.requester, resource, row).await.assert_deleted();

    service.world.execute(insert_twin, row).await;
}

#[tokio::test]
async fn a_list_of_the_largest_size_is_deleted() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let sql = "insert into contact (id, customer_id, email, mobile)
        select gen_random_uuid(), $1, 'a@example.com', '+491510000' from generate_series(1, 1000) returning id";
    let ids: Vec<Uuid> =
        sqlx::query_scalar(sql).bind(family.sub_customer).fetch_all(&service.database.pool).await.unwrap();

    service.delete_list(family.requester, family.sub_customer, Resource::Contact, &ids).await.assert_deleted();

    assert_eq!(service.world.deleted(Resource::Contact, &ids).await.len(), 1000);
}
