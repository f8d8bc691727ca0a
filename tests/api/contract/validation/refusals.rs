//! The tables of deletions and refusals, cell by cell. Each call is validated before it is sent.

use customer_deletion::resource::Resource;
use reqwest::Method;
use uuid::Uuid;

use super::{alike, deletion, refused_alike};
use crate::support::resources::{contract, every_list, every_resource};
use crate::support::service::{collection, send, validating};
use crate::support::{TestService, body};

#[tokio::test]
async fn a_success_is_answered_alike_by_every_url() {
    let service = TestService::start().await;
    for resource in every_resource() {
        let family = service.world.family().await;
        let (requester, customer) = (family.requester, family.in_scope(resource));
        let path = collection(customer, resource);
        let rows = service.world.rows(resource, customer, 8).await;

        let one = service.call(Method::DELETE, &format!("{path}/{}", rows[0]), requester);
        alike(&service, one).await.assert_deleted();
        let one = service.call(Method::DELETE, &format!("{path}/{}", rows[1]), requester).body(r#"{"id": []}"#);
        alike(&service, one).await.assert_deleted();
        let mut deleted = vec![rows[0], rows[1]];
        if contract(resource).takes_list {
            let twice = [rows[2], rows[3], rows[2]];
            alike(&service, service.list_call(requester, customer, resource, &twice)).await.assert_deleted();
            let batch = service.call(Method::POST, &format!("{path}:batchDelete"), requester).body(body(&rows[4..7]));
            alike(&service, batch).await.assert_deleted();
            deleted.extend(&rows[2..7]);
        }
        assert_eq!(service.world.deleted(resource, &rows).await, deleted, "what was sent, and nothing else");
    }
}

#[tokio::test]
async fn every_refusal_of_customer_and_ids_is_answered_alike() {
    let service = TestService::start().await;
    for resource in every_resource() {
        let not_yours = contract(resource).not_yours.0;
        let unknown = contract(resource).unknown.0;
        let world = &service.world;
        let family = world.family().await;
        let (requester, customer) = (family.requester, family.in_scope(resource));
        let dead = world.customer(Some(requester)).await;
        let orphan = world.customer(Some(dead)).await;
        world.kill_customer(dead).await;

        for elsewhere in [dead, orphan, family.sibling, family.parent] {
            let row = world.row(resource, elsewhere).await;
            refused_alike(&service, deletion(&service, requester, elsewhere, resource, &[row]), 404, "CUSTOMER_1002")
                .await;
        }
        let nobody = deletion(&service, requester, Uuid::now_v7(), resource, &[Uuid::now_v7()]);
        refused_alike(&service, nobody, 404, "CUSTOMER_1002").await;
        for elsewhere in
            [requester, family.sub_customer, family.grandchild].into_iter().filter(|other| *other != customer)
        {
            let row = world.row(resource, elsewhere).await;
            refused_alike(&service, deletion(&service, requester, elsewhere, resource, &[row]), 404, not_yours).await;
        }
        let deleted = world.row(resource, customer).await;
        alike(&service, deletion(&service, requester, customer, resource, &[deleted])).await.assert_deleted();
        for id in [deleted, Uuid::now_v7()] {
            refused_alike(&service, deletion(&service, requester, customer, resource, &[id]), 404, unknown).await;
        }
        for owner in [family.parent, family.sibling, family.second_sub_customer, family.grandchild] {
            let foreign = world.row(resource, owner).await;
            refused_alike(&service, deletion(&service, requester, customer, resource, &[foreign]), 404, not_yours)
                .await;
        }

        let row = world.row(resource, customer).await;
        world.kill_customer(requester).await;
        refused_alike(&service, deletion(&service, requester, customer, resource, &[row]), 404, "CUSTOMER_1002").await;
    }
}

#[tokio::test]
async fn a_mixed_list_is_answered_alike() {
    let service = TestService::start().await;
    for resource in every_list() {
        let unknown = contract(resource).unknown.0;
        let not_yours = contract(resource).not_yours.0;
        let family = service.world.family().await;
        let (requester, customer) = (family.requester, family.in_scope(resource));
        let own = service.world.rows(resource, customer, 3).await;
        let foreign = service.world.row(resource, family.sibling).await;

        for index in [0, 1, own.len()] {
            for (bad, code) in [(Uuid::now_v7(), unknown), (foreign, not_yours)] {
                let mut ids = own.clone();
                ids.insert(index, bad);
                refused_alike(&service, service.list_call(requester, customer, resource, &ids), 404, code).await;
            }
        }
        let both = [foreign, own[0], Uuid::now_v7()];
        refused_alike(&service, service.list_call(requester, customer, resource, &both), 404, unknown).await;
        alike(&service, service.list_call(requester, customer, resource, &own)).await.assert_deleted();
    }
}

#[tokio::test]
async fn external_params_on_what_is_not_an_own_entity_are_refused_alike() {
    let service = TestService::start().await;
    let world = &service.world;
    let family = world.family().await;
    let requester = family.requester;
    let subscriber_of_sub = world.subscriber(family.sub_customer).await;
    let sell_plan_of_sub = world.sell_plan(family.sub_customer).await;
    let dead_subscriber = world.subscriber(family.sub_customer).await;
    let own_sell_plan = world.sell_plan(requester).await;
    let refused = [
        ("sub_customer_id", requester),
        ("sub_customer_id", family.grandchild),
        ("sub_customer_id", family.sibling),
        ("subscriber_id", subscriber_of_sub),
        ("sell_plan_id", sell_plan_of_sub),
        ("subscriber_id", dead_subscriber),
    ];
    let mut params = Vec::new();
    for (column, entity) in refused {
        params.push(world.external_params(requester, column, entity).await);
    }
    let eligible = [
        world.external_params(requester, "sub_customer_id", family.sub_customer).await,
        world.external_params(requester, "sell_plan_id", own_sell_plan).await,
    ];
    world.execute("update subscriber set deleted_at = now() where id = $1", dead_subscriber).await;

    for id in params {
        let list = service.list_call(requester, requester, Resource::ExternalParams, &[eligible[0], id]);
        refused_alike(&service, list, 404, "CUSTOMER_1026").await;
    }
    let list = service.list_call(requester, requester, Resource::ExternalParams, &eligible);
    alike(&service, list).await.assert_deleted();
}

#[tokio::test]
async fn a_product_that_is_allocated_is_refused_alike_until_it_is_not() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;
    let allocation = service.world.allocation(product, family.sub_customer).await;
    let foreign = service.world.product(family.sibling).await;
    service.world.allocation(foreign, family.sub_customer).await;
    let call = |id| deletion(&service, family.requester, family.requester, Resource::Product, &[id]);

    refused_alike(&service, call(product), 409, "CUSTOMER_1046").await;
    refused_alike(&service, call(foreign), 404, "AUTH_1015").await;
    service.world.execute("update product_allocation set detached_at = now() where id = $1", allocation).await;
    alike(&service, call(product)).await.assert_deleted();
}

#[tokio::test]
async fn what_is_only_validated_is_no_operation() {
    let service = TestService::shared().await;
    for resource in every_resource() {
        let family = service.world.family().await;
        let (requester, customer) = (family.requester, family.in_scope(resource));
        let row = service.world.row(resource, customer).await;

        for (id, status) in [(row, 200), (Uuid::now_v7(), 404), (row, 200)] {
            let validated = send(validating(deletion(&service, requester, customer, resource, &[id]))).await;
            assert_eq!(validated.status, status, "{}", validated.text);
            for answer in [
                service.status(requester, validated.request_id()).await,
                service.details(requester, validated.request_id()).await,
            ] {
                answer.assert_failed(404, "GLOBAL_1003", "Provided request ID does not exist for your account.");
            }
        }
        assert_eq!(service.world.operations().await, 0);
    }
}
