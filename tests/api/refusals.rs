//! The table of refusals, cell by cell. Every test ends by asserting that nothing changed.

use customer_deletion::resource::Resource;
use rstest::rstest;
use uuid::Uuid;

use crate::support::world::Family;
use crate::support::{Answer, TestService};

/// Sends a call that must be refused, and asserts that nothing changed and that the refusal is recorded.
async fn refused(service: &TestService, requester: Uuid, customer: Uuid, resource: Resource, ids: &[Uuid]) -> Answer {
    let before = service.world.fingerprint().await;
    let answer = service.delete(requester, customer, resource, ids).await;
    assert_eq!(service.world.fingerprint().await, before, "something changed: {}", answer.text);

    let details = service.details(requester, answer.request_id()).await.json();
    assert_eq!(details["content"][0]["status"], "FAILURE", "{details}");
    assert_eq!(details["content"][0]["errorCode"], answer.json()["errorCode"]);
    assert_eq!(details["content"][0]["errorMessage"], answer.json()["errorMessage"]);
    answer
}

async fn failed_ids(service: &TestService, requester: Uuid, answer: &Answer) -> Vec<Uuid> {
    let details = service.details(requester, answer.request_id()).await.json();
    serde_json::from_value(details["content"][0]["failedIds"].clone()).unwrap()
}

#[rstest]
#[case::contact(Resource::Contact)]
#[case::address(Resource::Address)]
#[case::external_params(Resource::ExternalParams)]
#[case::zone(Resource::Zone)]
#[case::product(Resource::Product)]
#[tokio::test]
async fn a_customer_without_depth_does_not_exist(#[case] resource: Resource) {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let deleted = service.world.customer(Some(family.requester)).await;
    let orphan = service.world.customer(Some(deleted)).await;
    service.world.kill_customer(deleted).await;

    let strangers = [
        ("unknown", Uuid::now_v7()),
        ("deleted", deleted),
        ("below a deleted one", orphan),
        ("beside the requester", family.sibling),
        ("above the requester", family.parent),
    ];
    let mut texts = Vec::new();
    for (name, customer) in strangers {
        // A row that would be eligible, if only the customer were.
        let row = if name == "unknown" { Uuid::now_v7() } else { service.world.row(resource, customer).await };
        let answer = refused(&service, family.requester, customer, resource, &[row]).await;
        answer.assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
        assert!(failed_ids(&service, family.requester, &answer).await.is_empty(), "{name}");
        texts.push(answer.text);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "a foreign customer and one that never existed answer alike");
}

#[rstest]
#[case::contact(Resource::Contact)]
#[case::address(Resource::Address)]
#[case::external_params(Resource::ExternalParams)]
#[case::zone(Resource::Zone)]
#[case::product(Resource::Product)]
#[tokio::test]
async fn a_deleted_requester_has_no_customers(#[case] resource: Resource) {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let customer = family.in_scope(resource);
    let row = service.world.row(resource, customer).await;
    service.world.kill_customer(family.requester).await;

    let answer = refused(&service, family.requester, customer, resource, &[row]).await;

    answer.assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
}

#[rstest]
#[case::contact_of_itself(Resource::Contact, |family: Family| family.requester, "AUTH_1010", "Contact for your customer was not found")]
#[case::contact_two_below(Resource::Contact, |family: Family| family.grandchild, "AUTH_1010", "Contact for your customer was not found")]
#[case::address_of_itself(Resource::Address, |family: Family| family.requester, "AUTH_1011", "Address for your customer was not found")]
#[case::address_two_below(Resource::Address, |family: Family| family.grandchild, "AUTH_1011", "Address for your customer was not found")]
#[case::external_params_one_below(Resource::ExternalParams, |family: Family| family.sub_customer, "CUSTOMER_1026", "Failed to delete external params item")]
#[case::external_params_two_below(Resource::ExternalParams, |family: Family| family.grandchild, "CUSTOMER_1026", "Failed to delete external params item")]
#[case::zone_one_below(Resource::Zone, |family: Family| family.sub_customer, "CUSTOMER_1030", "Failed to delete customer zone\\s")]
#[case::zone_two_below(Resource::Zone, |family: Family| family.grandchild, "CUSTOMER_1030", "Failed to delete customer zone\\s")]
#[case::product_one_below(Resource::Product, |family: Family| family.sub_customer, "AUTH_1015", "Product was not found for your account")]
#[case::product_two_below(Resource::Product, |family: Family| family.grandchild, "AUTH_1015", "Product was not found for your account")]
#[tokio::test]
async fn a_customer_at_another_depth_is_refused(
    #[case] resource: Resource,
    #[case] customer: fn(Family) -> Uuid,
    #[case] code: &str,
    #[case] message: &str,
) {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let row = service.world.row(resource, customer(family)).await;

    let answer = refused(&service, family.requester, customer(family), resource, &[row]).await;

    answer.assert_failed(404, code, message);
    assert!(failed_ids(&service, family.requester, &answer).await.is_empty());
}

#[rstest]
#[case::contact(Resource::Contact, "CUSTOMER_1017", "Unknown Contact ID")]
#[case::address(Resource::Address, "CUSTOMER_1018", "Unknown Address ID")]
#[case::external_params(Resource::ExternalParams, "CUSTOMER_1026", "Failed to delete external params item")]
#[case::zone(Resource::Zone, "CUSTOMER_1030", "Failed to delete customer zone\\s")]
#[case::product(Resource::Product, "CUSTOMER_1047", "Unknown product id")]
#[tokio::test]
async fn an_id_that_no_live_row_has_is_unknown(#[case] resource: Resource, #[case] code: &str, #[case] message: &str) {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let customer = family.in_scope(resource);
    let deleted = service.world.row(resource, customer).await;
    service.delete(family.requester, customer, resource, &[deleted]).await.assert_deleted();

    for id in [Uuid::now_v7(), deleted] {
        let answer = refused(&service, family.requester, customer, resource, &[id]).await;
        answer.assert_failed(404, code, message);
        assert_eq!(failed_ids(&service, family.requester, &answer).await, [id]);
    }
}

#[rstest]
#[case::contact(Resource::Contact, "AUTH_1010", "Contact for your customer was not found")]
#[case::address(Resource::Address, "AUTH_1011", "Address for your customer was not found")]
#[case::external_params(Resource::ExternalParams, "CUSTOMER_1026", "Failed to delete external params item")]
#[case::zone(Resource::Zone, "CUSTOMER_1030", "Failed to delete customer zone\\s")]
#[case::product(Resource::Product, "AUTH_1015", "Product was not found for your account")]
#[tokio::test]
async fn a_row_of_another_customer_is_not_yours(#[case] resource: Resource, #[case] code: &str, #[case] message: &str) {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let customer = family.in_scope(resource);
    let everyone = [
        family.parent,
        family.requester,
        family.sub_customer,
        family.second_sub_customer,
        family.grandchild,
        family.sibling,
    ];

    for owner in everyone.into_iter().filter(|owner| *owner != customer) {
        let foreign = service.world.row(resource, owner).await;
        let answer = refused(&service, family.requester, customer, resource, &[foreign]).await;
        answer.assert_failed(404, code, message);
        assert_eq!(failed_ids(&service, family.requester, &answer).await, [foreign]);
    }
}

#[rstest]
#[case::contact(Resource::Contact, "CUSTOMER_1017", "AUTH_1010")]
#[case::address(Resource::Address, "CUSTOMER_1018", "AUTH_1011")]
#[case::external_params(Resource::ExternalParams, "CUSTOMER_1026", "CUSTOMER_1026")]
#[case::zone(Resource::Zone, "CUSTOMER_1030", "CUSTOMER_1030")]
#[tokio::test]
async fn one_bad_id_at_any_place_fails_the_whole_list(
    #[case] resource: Resource,
    #[case] unknown_code: &str,
    #[case] foreign_code: &str,
) {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let customer = family.in_scope(resource);
    let first_foreign = service.world.row(resource, family.sibling).await;
    let own = service.world.rows(resource, customer, 4).await;
    let last_foreign = service.world.row(resource, family.grandchild).await;

    for place in 0..=own.len() {
        for (bad, code) in [(Uuid::now_v7(), unknown_code), (first_foreign, foreign_code), (last_foreign, foreign_code)]
        {
            let mut ids = own.clone();
            ids.insert(place, bad);
            let answer = refused(&service, family.requester, customer, resource, &ids).await;
            assert_eq!(answer.json()["errorCode"], code, "place {place}");
            assert_eq!(failed_ids(&service, family.requester, &answer).await, [bad]);
        }
    }
}

#[rstest]
#[case::contact(Resource::Contact, "CUSTOMER_1017")]
#[case::address(Resource::Address, "CUSTOMER_1018")]
#[case::external_params(Resource::ExternalParams, "CUSTOMER_1026")]
#[case::zone(Resource::Zone, "CUSTOMER_1030")]
#[tokio::test]
async fn unknown_comes_before_not_yours(#[case] resource: Resource, #[case] code: &str) {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let foreign = service.world.row(resource, family.sibling).await;
    let unknown = [Uuid::from_u128(1), Uuid::from_u128(2)];

    let ids = [unknown[1], foreign, unknown[0]];
    let answer = refused(&service, family.requester, family.in_scope(resource), resource, &ids).await;

    assert_eq!(answer.json()["errorCode"], code);
    assert_eq!(failed_ids(&service, family.requester, &answer).await, unknown);
}

#[tokio::test]
async fn external_params_on_what_is_not_an_own_entity_are_refused() {
    let service = TestService::start().await;
    let world = &service.world;
    let family = world.family().await;
    let requester = family.requester;
    let subscriber_of_sub = world.subscriber(family.sub_customer).await;
    let sell_plan_of_sub = world.sell_plan(family.sub_customer).await;
    let dead_sub_customer = world.customer(Some(requester)).await;
    let dead_subscriber = world.subscriber(requester).await;
    let dead_sell_plan = world.sell_plan(requester).await;
    let refused_params = [
        ("itself", world.external_params(requester, "sub_customer_id", requester).await),
        ("two below", world.external_params(requester, "sub_customer_id", family.grandchild).await),
        ("beside", world.external_params(requester, "sub_customer_id", family.sibling).await),
        ("above", world.external_params(requester, "sub_customer_id", family.parent).await),
        ("a sub-customer's subscriber", world.external_params(requester, "subscriber_id", subscriber_of_sub).await),
        ("a sub-customer's sell plan", world.external_params(requester, "sell_plan_id", sell_plan_of_sub).await),
        ("a deleted sub-customer", world.external_params(requester, "sub_customer_id", dead_sub_customer).await),
        ("a deleted subscriber", world.external_params(requester, "subscriber_id", dead_subscriber).await),
        ("a deleted sell plan", world.external_params(requester, "sell_plan_id", dead_sell_plan).await),
    ];
    world.kill_customer(dead_sub_customer).await;
    world.execute("update subscriber set deleted_at = now() where id = $1", dead_subscriber).await;
    world.execute("update sell_plan set deleted_at = now() where id = $1", dead_sell_plan).await;
    let eligible = world.row(Resource::ExternalParams, requester).await;

    for (entity, id) in refused_params {
        for ids in [vec![id], vec![eligible, id]] {
            let answer = refused(&service, requester, requester, Resource::ExternalParams, &ids).await;
            answer.assert_failed(404, "CUSTOMER_1026", "Failed to delete external params item");
            assert_eq!(failed_ids(&service, requester, &answer).await, [id], "{entity}");
        }
    }
}

#[tokio::test]
async fn a_product_that_is_allocated_to_a_live_customer_stays() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;
    let first = service.world.allocation(product, family.sub_customer).await;
    service.world.allocation(product, family.sub_customer).await;
    service.world.execute("update product_allocation set detached_at = now() where id = $1", first).await;

    let answer = refused(&service, family.requester, family.requester, Resource::Product, &[product]).await;

    answer.assert_failed(
        409,
        "CUSTOMER_1046",
        "Product deletion failure. It is not allowed to delete a product allocated to sub customers",
    );
    assert_eq!(failed_ids(&service, family.requester, &answer).await, [product]);
}
