//! The table of refusals, cell by cell. Every test ends by asserting that nothing changed.

use customer_deletion::resource::Resource;
use uuid::Uuid;

use crate::support::resources::{contract, every_list, every_resource};
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

#[tokio::test]
async fn a_customer_outside_the_requesters_tree_is_customer_1002() {
    for resource in every_resource() {
        let service = TestService::shared().await;
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
            // A row that would be eligible under an eligible customer.
            let row = if name == "unknown" { Uuid::now_v7() } else { service.world.row(resource, customer).await };
            let answer = refused(&service, family.requester, customer, resource, &[row]).await;
            answer.assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
            assert!(failed_ids(&service, family.requester, &answer).await.is_empty(), "{name}");
            texts.push(answer.text);
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "a foreign customer and one that never existed answer alike");
    }
}

#[tokio::test]
async fn a_deleted_requester_has_no_customers() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        service.world.kill_customer(family.requester).await;

        let answer = refused(&service, family.requester, customer, resource, &[row]).await;

        answer.assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
    }
}

#[tokio::test]
async fn a_customer_at_another_depth_is_refused() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let (code, message) = contract(resource).not_yours;
        let own_line = [family.requester, family.sub_customer, family.grandchild];
        for customer in own_line.into_iter().filter(|customer| *customer != family.in_scope(resource)) {
            let row = service.world.row(resource, customer).await;
            let answer = refused(&service, family.requester, customer, resource, &[row]).await;
            answer.assert_failed(404, code, message);
            assert!(failed_ids(&service, family.requester, &answer).await.is_empty());
        }
    }
}

#[tokio::test]
async fn an_id_that_no_live_row_has_is_unknown() {
    for resource in every_resource() {
        let code = contract(resource).unknown.0;
        let message = contract(resource).unknown.1;
        let service = TestService::shared().await;
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
}

#[tokio::test]
async fn a_row_of_another_customer_is_not_yours() {
    for resource in every_resource() {
        let code = contract(resource).not_yours.0;
        let message = contract(resource).not_yours.1;
        let service = TestService::shared().await;
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
}

#[tokio::test]
async fn one_bad_id_at_any_index_fails_the_whole_list() {
    for resource in every_list() {
        let unknown_code = contract(resource).unknown.0;
        let foreign_code = contract(resource).not_yours.0;
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let first_foreign = service.world.row(resource, family.sibling).await;
        let own = service.world.rows(resource, customer, 4).await;
        let last_foreign = service.world.row(resource, family.grandchild).await;

        for index in [0, own.len() / 2, own.len()] {
            for (bad, code) in
                [(Uuid::now_v7(), unknown_code), (first_foreign, foreign_code), (last_foreign, foreign_code)]
            {
                let mut ids = own.clone();
                ids.insert(index, bad);
                let answer = refused(&service, family.requester, customer, resource, &ids).await;
                assert_eq!(answer.json()["errorCode"], code, "index {index}");
                assert_eq!(failed_ids(&service, family.requester, &answer).await, [bad]);
            }
        }
    }
}

#[tokio::test]
async fn unknown_comes_before_not_yours() {
    for resource in every_list() {
        let code = contract(resource).unknown.0;
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let foreign = service.world.row(resource, family.sibling).await;
        let unknown = [Uuid::from_u128(1), Uuid::from_u128(2)];

        let ids = [unknown[1], foreign, unknown[0]];
        let answer = refused(&service, family.requester, family.in_scope(resource), resource, &ids).await;

        assert_eq!(answer.json()["errorCode"], code);
        assert_eq!(failed_ids(&service, family.requester, &answer).await, unknown);
    }
}

#[tokio::test]
async fn external_params_on_what_is_not_an_own_entity_are_refused() {
    let service = TestService::shared().await;
    let world = &service.world;
    let family = world.family().await;
    let requester = family.requester;
    let subscriber_of_sub = world.subscriber(family.sub_customer).await;
    let sell_plan_of_sub = world.sell_plan(family.sub_customer).await;
    let dead_grandchild = world.customer(Some(family.sub_customer)).await;
    let dead_subscriber = world.subscriber(family.sub_customer).await;
    let dead_sell_plan = world.sell_plan(family.sibling).await;
    let refused_params = [
        ("itself", world.external_params(requester, "sub_customer_id", requester).await),
        ("two below", world.external_params(requester, "sub_customer_id", family.grandchild).await),
        ("beside", world.external_params(requester, "sub_customer_id", family.sibling).await),
        ("above", world.external_params(requester, "sub_customer_id", family.parent).await),
        ("a sub-customer's subscriber", world.external_params(requester, "subscriber_id", subscriber_of_sub).await),
        ("a sub-customer's sell plan", world.external_params(requester, "sell_plan_id", sell_plan_of_sub).await),
        ("a deleted one two below", world.external_params(requester, "sub_customer_id", dead_grandchild).await),
        ("a foreign deleted subscriber", world.external_params(requester, "subscriber_id", dead_subscriber).await),
        ("a foreign deleted sell plan", world.external_params(requester, "sell_plan_id", dead_sell_plan).await),
    ];
    world.kill_customer(dead_grandchild).await;
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
    let service = TestService::shared().await;
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
