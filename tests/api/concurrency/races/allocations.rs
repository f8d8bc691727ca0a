//! A product that is deleted while it is allocated, in both orders.

use std::time::Duration;

use customer_deletion::resource::Resource;

use super::{begin, code_of, in_background, run};
use crate::support::service::until_so_many_wait;
use crate::support::{TestPool, TestService};

async fn assert_no_deleted_product_is_allocated(pool: &TestPool) {
    let broken: i64 = sqlx::query_scalar(
        "select count(*)
         from product_allocation
         join product on product.id = product_allocation.product_id
         join customer on customer.id = product_allocation.customer_id
         where product.deleted_at is not null
           and product_allocation.detached_at is null
           and customer.deleted_at is null",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(broken, 0, "a deleted product is allocated");
}

const ALLOCATE: &str =
    "insert into product_allocation (id, product_id, customer_id) values (gen_random_uuid(), $1, $2)";
const ALLOCATED: (u16, &str, &str) = (
    409,
    "CUSTOMER_1046",
    "Product deletion failure. It is not allowed to delete a product allocated to sub customers",
);

#[tokio::test]
async fn a_product_that_is_just_being_allocated_stays() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;

    let allocating = begin(pool, ALLOCATE, &[product, family.sub_customer]).await;
    let call = in_background(&service, family, Resource::Product, &[product]);
    until_so_many_wait(pool, 1).await;
    allocating.commit().await.unwrap();

    call.await.unwrap().assert_failed(ALLOCATED.0, ALLOCATED.1, ALLOCATED.2);
    assert!(service.world.deleted(Resource::Product, &[product]).await.is_empty());
}

#[tokio::test]
async fn an_allocation_that_is_committed_after_the_deletion_looked_is_still_seen() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;

    // The deletion takes its snapshot, and waits for its customer before it reaches the product.
    let holding = begin(pool, "select from customer where id = $1 for update", &[family.requester]).await;
    let call = in_background(&service, family, Resource::Product, &[product]);
    until_so_many_wait(pool, 1).await;
    service.world.allocation(product, family.sub_customer).await;
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_failed(ALLOCATED.0, ALLOCATED.1, ALLOCATED.2);
    assert!(service.world.deleted(Resource::Product, &[product]).await.is_empty());
}

#[tokio::test]
async fn a_product_that_is_just_being_deleted_cannot_be_allocated() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;
    // The deletion waits at the record of its operation, with the product deleted but not committed.
    sqlx::raw_sql(
        "create function wait_for_test() returns trigger language plpgsql as
           $$ begin perform pg_advisory_xact_lock_shared(1); return new; end $$;
         create trigger wait_for_test before insert on operation for each row execute function wait_for_test();",
    )
    .execute(pool)
    .await
    .unwrap();
    let mut holding = pool.begin().await.unwrap();
    run(&mut holding, "select pg_advisory_xact_lock(1)", &[]).await.unwrap();

    let call = in_background(&service, family, Resource::Product, &[product]);
    until_so_many_wait(pool, 1).await;
    let allocator = pool.clone();
    let allocation = tokio::spawn(async move {
        let mut connection = allocator.acquire().await.unwrap();
        run(&mut connection, ALLOCATE, &[product, family.sub_customer]).await
    });
    until_so_many_wait(pool, 2).await;
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_deleted();
    assert_eq!(code_of(&allocation.await.unwrap().unwrap_err()), "23503");
    assert_no_deleted_product_is_allocated(pool).await;
}

#[tokio::test]
async fn deleting_and_allocating_at_once_never_leaves_both() {
    delete_and_allocate_at_once(20).await;
}

#[tokio::test]
#[ignore = "many rounds; cargo test --test api -- --ignored deleting_and_allocating"]
async fn deleting_and_allocating_at_once_never_leaves_both_in_many_rounds() {
    let (deletions, allocations) = delete_and_allocate_at_once(200).await;
    assert!(deletions > 0 && allocations > 0, "{deletions} deletions, {allocations} allocations");
}

/// Returns how many deletions and how many allocations succeeded.
async fn delete_and_allocate_at_once(rounds: u64) -> (u64, u64) {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;

    let (mut deletions, mut allocations) = (0, 0);
    for round in 0..rounds {
        let product = service.world.product(family.requester).await;
        let mut connection = pool.acquire().await.unwrap();
        let allocate = async {
            tokio::time::sleep(Duration::from_micros(100 * (round % 20))).await;
            run(&mut connection, ALLOCATE, &[product, family.sub_customer]).await
        };
        let delete = service.delete_one(family.requester, family.requester, Resource::Product, product);
        let (allocated, answer) = tokio::join!(allocate, delete);
        match (allocated, answer.status) {
            (Ok(_), 409) => allocations += 1,
            (Err(error), 200) if code_of(&error) == "23503" => deletions += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_no_deleted_product_is_allocated(pool).await;
    (deletions, allocations)
}
