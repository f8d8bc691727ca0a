//! Customers and entities that move or die while a deletion waits, and a deletion that holds them where they are.

use customer_deletion::resource::Resource;
use rstest::rstest;

use super::{begin, code_of, in_background, run, until_waiting};
use crate::support::TestService;

#[tokio::test]
async fn a_customer_cannot_be_re_parented_while_a_deletion_waits_for_a_row() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;

    let holding = begin(pool, "select from contact where id = $1 for update", &[contact]).await;
    let call = in_background(&service, family, Resource::Contact, &[contact]);
    until_waiting(pool, 1).await;

    for sql in [
        "update customer set parent_id = $2 where id = $1",
        "update customer set deleted_at = now() where id = $1 and id <> $2",
    ] {
        let mut tx = pool.begin().await.unwrap();
        run(&mut tx, "set local lock_timeout = '50ms'", &[]).await.unwrap();
        let moved = run(&mut tx, sql, &[family.sub_customer, family.sibling]).await;
        assert_eq!(code_of(&moved.unwrap_err()), "55P03", "{sql}");
    }
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_deleted();
}

#[tokio::test]
async fn an_ordinary_update_of_a_customer_and_a_deletion_do_not_wait_for_each_other() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let rename = "update customer set name = 'Renamed' where id in ($1, $2)";

    let renaming = begin(&service.database.pool, rename, &[family.requester, family.sub_customer]).await;
    let answer = service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact).await;
    renaming.rollback().await.unwrap();

    answer.assert_deleted();
}

#[rstest]
#[case::re_parented("update customer set parent_id = $2 where id = $1", "CUSTOMER_1002")]
#[case::moved_one_level_down(
    "update customer set parent_id = (select id from customer where parent_id = (select parent_id from customer where id = $1) and id <> $1) where id = $1 and id <> $2",
    "AUTH_1010"
)]
#[case::deleted("update customer set deleted_at = now() where id = $1 and id <> $2", "CUSTOMER_1002")]
#[tokio::test]
async fn a_deletion_that_waited_for_its_customer_acts_on_what_it_finds_then(#[case] sql: &str, #[case] code: &str) {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;

    let moving = begin(pool, sql, &[family.sub_customer, family.sibling]).await;
    let call = in_background(&service, family, Resource::Contact, &[contact]);
    until_waiting(pool, 1).await;
    moving.commit().await.unwrap();

    let answer = call.await.unwrap();
    assert_eq!((answer.status, answer.json()["errorCode"].as_str()), (404, Some(code)), "{}", answer.text);
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());
}

#[tokio::test]
async fn a_requester_that_is_deleted_while_its_call_waits_deletes_nothing() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;

    let dying = begin(pool, "update customer set deleted_at = now() where id = $1", &[family.requester]).await;
    let call = in_background(&service, family, Resource::Zone, &[zone]);
    until_waiting(pool, 1).await;
    dying.commit().await.unwrap();

    call.await.unwrap().assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
    assert!(service.world.deleted(Resource::Zone, &[zone]).await.is_empty());
}

#[tokio::test]
async fn a_contact_that_moves_to_another_customer_while_a_deletion_waits_for_it_stays() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let contacts = service.world.rows(Resource::Contact, family.sub_customer, 3).await;

    let sql = "update contact set customer_id = $2 where id = $1";
    let moving = begin(pool, sql, &[contacts[1], family.second_sub_customer]).await;
    let call = in_background(&service, family, Resource::Contact, &contacts);
    until_waiting(pool, 1).await;
    moving.commit().await.unwrap();

    call.await.unwrap().assert_failed(404, "AUTH_1010", "Contact for your customer was not found");
    assert!(service.world.deleted(Resource::Contact, &contacts).await.is_empty());
}

#[rstest]
#[case::sub_customer("sub_customer_id", "update customer set parent_id = $2 where id = $1")]
#[case::subscriber("subscriber_id", "update subscriber set customer_id = $2 where id = $1")]
#[case::sell_plan("sell_plan_id", "update sell_plan set customer_id = $2 where id = $1")]
#[tokio::test]
async fn external_params_stay_when_their_entity_moves_while_the_deletion_waits(
    #[case] column: &'static str,
    #[case] sql: &str,
) {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let entity = match column {
        "sub_customer_id" => family.sub_customer,
        "subscriber_id" => service.world.subscriber(family.requester).await,
        _ => service.world.sell_plan(family.requester).await,
    };
    let params = service.world.external_params(family.requester, column, entity).await;

    let moving = begin(pool, sql, &[entity, family.sibling]).await;
    let call = in_background(&service, family, Resource::ExternalParams, &[params]);
    until_waiting(pool, 1).await;
    moving.commit().await.unwrap();

    call.await.unwrap().assert_failed(404, "CUSTOMER_1026", "Failed to delete external params item");
    assert!(service.world.deleted(Resource::ExternalParams, &[params]).await.is_empty());
}

#[rstest]
#[case::sub_customer("sub_customer_id", "update customer set parent_id = $2 where id = $1")]
#[case::subscriber("subscriber_id", "update subscriber set customer_id = $2 where id = $1")]
#[case::sell_plan("sell_plan_id", "update sell_plan set customer_id = $2 where id = $1")]
#[tokio::test]
async fn an_entity_cannot_move_while_a_deletion_waits_for_its_external_params(
    #[case] column: &'static str,
    #[case] sql: &str,
) {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    let entity = match column {
        "sub_customer_id" => family.sub_customer,
        "subscriber_id" => service.world.subscriber(family.requester).await,
        _ => service.world.sell_plan(family.requester).await,
    };
    let params = service.world.external_params(family.requester, column, entity).await;

    let holding = begin(pool, "select from external_params where id = $1 for update", &[params]).await;
    let call = in_background(&service, family, Resource::ExternalParams, &[params]);
    until_waiting(pool, 1).await;
    let mut tx = pool.begin().await.unwrap();
    run(&mut tx, "set local lock_timeout = '50ms'", &[]).await.unwrap();
    let moved = run(&mut tx, sql, &[entity, family.sibling]).await;
    assert_eq!(code_of(&moved.unwrap_err()), "55P03");
    holding.rollback().await.unwrap();

    call.await.unwrap().assert_deleted();
}
