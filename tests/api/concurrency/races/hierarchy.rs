//! Customers and entities that are moved or deleted while a deletion waits, and the locks by which a deletion prevents this.

use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::{begin, code_of, in_background, run};
use crate::support::resources::{contract, every_resource, most, table};
use crate::support::service::until_so_many_wait;
use crate::support::world::Family;
use crate::support::{TestPool, TestService};

const RE_PARENT: &str = "update customer set parent_id = $2 where id = $1";
const DELETE: &str = "update customer set deleted_at = now() where id = $1 and id <> $2";
const MOVE_ONE_LEVEL_DOWN: &str = "
    update customer
    set parent_id = (
      select id from customer where parent_id = (select parent_id from customer where id = $1) and id <> $1
    )
    where id = $1 and id <> $2";

/// Asserts that another service that runs this statement now has to wait.
async fn assert_waits(pool: &TestPool, sql: &str, ids: &[Uuid]) {
    let mut tx = begin(pool, "set local lock_timeout = '50ms'", &[]).await;
    let result = run(&mut tx, sql, ids).await;
    assert_eq!(code_of(&result.expect_err(sql)), "55P03", "{sql}");
}

#[tokio::test]
async fn a_customer_cannot_be_re_parented_while_a_deletion_waits_for_a_row() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    for resource in [Resource::Contact, Resource::Address] {
        println!("{resource:?}");
        let family = service.world.family().await;
        let row = service.world.row(resource, family.sub_customer).await;

        let holding = begin(pool, &hold(resource), &[row]).await;
        let call = in_background(&service, family, resource, &[row]);
        until_so_many_wait(pool, 1).await;
        assert_waits(pool, RE_PARENT, &[family.sub_customer, family.sibling]).await;
        holding.rollback().await.unwrap();

        call.await.unwrap().assert_deleted();
    }
}

#[tokio::test]
async fn neither_requester_nor_customer_can_be_deleted_while_a_deletion_waits_for_a_row() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    for resource in every_resource() {
        let family = service.world.family().await;
        let row = service.world.row(resource, family.in_scope(resource)).await;

        let holding = begin(pool, &hold(resource), &[row]).await;
        let call = in_background(&service, family, resource, &[row]);
        until_so_many_wait(pool, 1).await;
        for customer in [family.requester, family.in_scope(resource)] {
            assert_waits(pool, DELETE, &[customer, family.sibling]).await;
        }
        holding.rollback().await.unwrap();

        call.await.unwrap().assert_deleted();
    }
}

fn hold(resource: Resource) -> String {
    format!("select from {} where id = $1 for update", table(resource))
}

#[tokio::test]
async fn an_ordinary_update_of_a_customer_and_a_deletion_do_not_wait_for_each_other() {
    let service = TestService::start().await;
    for resource in every_resource() {
        let family = service.world.family().await;
        let row = service.world.row(resource, family.in_scope(resource)).await;
        let rename = "update customer set name = 'Renamed' where id in ($1, $2)";

        let renaming = begin(&service.database.pool, rename, &[family.requester, family.sub_customer]).await;
        let answer = service.delete_one(family.requester, family.in_scope(resource), resource, row).await;
        renaming.rollback().await.unwrap();

        answer.assert_deleted();
    }
}

#[tokio::test]
async fn a_deletion_that_waited_for_its_customer_acts_on_what_it_finds_then() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    for (case, resource, sql, code) in [
        ("contact re-parented", Resource::Contact, RE_PARENT, "CUSTOMER_1002"),
        ("contact moved one level down", Resource::Contact, MOVE_ONE_LEVEL_DOWN, "AUTH_1010"),
        ("contact deleted", Resource::Contact, DELETE, "CUSTOMER_1002"),
        ("address re-parented", Resource::Address, RE_PARENT, "CUSTOMER_1002"),
        ("address moved one level down", Resource::Address, MOVE_ONE_LEVEL_DOWN, "AUTH_1011"),
        ("address deleted", Resource::Address, DELETE, "CUSTOMER_1002"),
    ] {
        let family = service.world.family().await;
        let row = service.world.row(resource, family.sub_customer).await;

        let moving = begin(pool, sql, &[family.sub_customer, family.sibling]).await;
        let call = in_background(&service, family, resource, &[row]);
        until_so_many_wait(pool, 1).await;
        moving.commit().await.unwrap();

        let answer = call.await.unwrap();
        assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (404, Some(code)), "{case}: {}", answer.text);
        assert!(service.world.deleted(resource, &[row]).await.is_empty(), "{case}");
    }
}

#[tokio::test]
async fn a_requester_that_is_deleted_while_its_call_waits_deletes_nothing() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    for resource in every_resource() {
        let family = service.world.family().await;
        let row = service.world.row(resource, family.in_scope(resource)).await;

        let dying = begin(pool, DELETE, &[family.requester, family.sibling]).await;
        let call = in_background(&service, family, resource, &[row]);
        until_so_many_wait(pool, 1).await;
        dying.commit().await.unwrap();

        call.await.unwrap().assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
        assert!(service.world.deleted(resource, &[row]).await.is_empty());
    }
}

#[tokio::test]
async fn a_row_that_moves_to_another_customer_while_a_deletion_waits_for_it_stays() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    for resource in every_resource() {
        let count = most(3, resource);
        let code = contract(resource).not_yours.0;
        let message = contract(resource).not_yours.1;
        let family = service.world.family().await;
        let rows = service.world.rows(resource, family.in_scope(resource), count).await;

        let sql = format!("update {} set customer_id = $2 where id = $1", table(resource));
        let moving = begin(pool, &sql, &[rows[count / 2], family.second_sub_customer]).await;
        let call = in_background(&service, family, resource, &rows);
        until_so_many_wait(pool, 1).await;
        moving.commit().await.unwrap();

        call.await.unwrap().assert_failed(404, code, message);
        assert!(service.world.deleted(resource, &rows).await.is_empty());
    }
}

/// The columns of external params that refer to their entity, and a statement that moves the entity.
const MOVES: [(&str, &str); 3] = [
    ("sub_customer_id", RE_PARENT),
    ("subscriber_id", "update subscriber set customer_id = $2 where id = $1"),
    ("sell_plan_id", "update sell_plan set customer_id = $2 where id = $1"),
];

#[tokio::test]
async fn external_params_stay_when_their_entity_moves_while_the_deletion_waits() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    for (column, sql) in MOVES {
        println!("{column}");
        let family = service.world.family().await;
        let entity = entity(&service, family, column).await;
        let params = service.world.external_params(family.requester, column, entity).await;

        let moving = begin(pool, sql, &[entity, family.sibling]).await;
        let call = in_background(&service, family, Resource::ExternalParams, &[params]);
        until_so_many_wait(pool, 1).await;
        moving.commit().await.unwrap();

        call.await.unwrap().assert_failed(404, "CUSTOMER_1026", "Failed to delete external params item");
        assert!(service.world.deleted(Resource::ExternalParams, &[params]).await.is_empty());
    }
}

#[tokio::test]
async fn an_entity_cannot_move_while_a_deletion_waits_for_its_external_params() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    for (column, sql) in MOVES {
        println!("{column}");
        let family = service.world.family().await;
        let entity = entity(&service, family, column).await;
        let params = service.world.external_params(family.requester, column, entity).await;

        let holding = begin(pool, &hold(Resource::ExternalParams), &[params]).await;
        let call = in_background(&service, family, Resource::ExternalParams, &[params]);
        until_so_many_wait(pool, 1).await;
        assert_waits(pool, sql, &[entity, family.sibling]).await;
        holding.rollback().await.unwrap();

        call.await.unwrap().assert_deleted();
    }
}

/// The entity that the column refers to, owned by the requester.
async fn entity(service: &TestService, family: Family, column: &str) -> Uuid {
    match column {
        "sub_customer_id" => family.sub_customer,
        "subscriber_id" => service.world.subscriber(family.requester).await,
        _ => service.world.sell_plan(family.requester).await,
    }
}
