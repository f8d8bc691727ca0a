//! The reason why each id of a refused call could not be deleted: in the v3 status, in a problem, and in a validation.

use customer_deletion::resource::Resource;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::TestService;
use crate::support::resources::{contract, every_list};
use crate::support::service::{Answer, send, validating};

const PROBLEM: &str = "application/problem+json";

const ALLOCATED: (&str, &str) =
    ("CUSTOMER_1046", "Product deletion failure. It is not allowed to delete a product allocated to sub customers");

async fn as_problem(call: RequestBuilder) -> Answer {
    send(call.header("Accept", PROBLEM)).await
}

fn failure(id: Uuid, (code, message): (&str, &str)) -> Value {
    json!({ "id": id, "errorCode": code, "errorMessage": message })
}

async fn failures_of_status(service: &TestService, requester: Uuid, id: Uuid) -> Value {
    service.details(requester, id).await.json()["content"][0]["failures"].clone()
}

#[tokio::test]
async fn unknown_foreign_and_good_ids_are_distinguished_in_one_call() {
    for resource in every_list() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let (requester, customer) = (family.requester, family.in_scope(resource));
        let before = Uuid::now_v7();
        let foreign = service.world.row(resource, family.sibling).await;
        let good = service.world.row(resource, customer).await;
        let after = Uuid::now_v7();
        let (unknown, not_yours) = (contract(resource).unknown, contract(resource).not_yours);
        let expected = json!([failure(before, unknown), failure(foreign, not_yours), failure(after, unknown)]);
        let fingerprint = service.world.fingerprint().await;
        let call = || service.list_call(requester, customer, resource, &[good, after, foreign, before]);

        let validated = as_problem(validating(call())).await;
        assert_eq!((validated.status, &validated.json()["failures"]), (404, &expected), "{resource:?}");
        let refused = as_problem(call()).await;
        assert_eq!((refused.status, &refused.json()["failures"]), (404, &expected));
        assert_eq!(refused.json()["errorCode"], unknown.0, "the code of the call is that of the first rule");
        assert_eq!(failures_of_status(&service, requester, refused.request_id()).await, expected);

        // The envelope cannot contain them. The status does.
        let refused = send(call()).await;
        let id = refused.assert_failed(404, unknown.0, unknown.1);
        let details = service.details(requester, id).await.json();
        assert_eq!(details["content"][0]["failures"], expected);
        assert_eq!(details["content"][0]["failedIds"], json!([before, after]), "those of the first rule");
        assert_eq!(service.world.fingerprint().await, fingerprint, "nothing changed");
    }
}

#[tokio::test]
async fn a_replay_shows_the_recorded_failures() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let foreign = service.world.contact(family.second_sub_customer).await;
    let unknown = Uuid::now_v7();
    let call = || {
        let call = service.list_call(family.requester, family.sub_customer, Resource::Contact, &[unknown, foreign]);
        call.header("Idempotency-Key", "failures")
    };

    let first = as_problem(call()).await;
    service.world.execute("update contact set deleted_at = now() where id = $1", foreign).await;
    for replay in [as_problem(call()).await, as_problem(validating(call())).await] {
        assert_eq!((replay.header("Idempotency-Replayed"), &replay.text), (Some("true"), &first.text));
    }
    assert_eq!(first.json()["failures"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_allocated_product_has_the_customers_that_have_it() {
    let service = TestService::shared().await;
    let world = &service.world;
    let family = world.family().await;
    let requester = family.requester;
    let product = world.product(requester).await;
    let dead = world.customer(Some(requester)).await;
    for customer in [family.second_sub_customer, family.sub_customer, family.sub_customer, dead] {
        world.allocation(product, customer).await;
    }
    let detached = world.allocation(product, family.grandchild).await;
    world.execute("update product_allocation set detached_at = now() where id = $1", detached).await;
    world.kill_customer(dead).await;

    let mut expected = failure(product, ALLOCATED);
    let mut holders = [family.sub_customer, family.second_sub_customer];
    holders.sort_unstable();
    expected["allocations"] = json!(holders.map(|customer| json!({ "customerId": customer })));
    let call = || service.deletion(requester, requester, Resource::Product, &[product]);
    let validated = as_problem(validating(call())).await;
    assert_eq!((validated.status, &validated.json()["failures"]), (409, &json!([expected])));
    let refused = as_problem(call()).await;
    assert_eq!((refused.status, &refused.json()["failures"]), (409, &json!([expected])));
    assert_eq!(failures_of_status(&service, requester, refused.request_id()).await, json!([expected]));
    assert!(world.deleted(Resource::Product, &[product]).await.is_empty());
}

/// Only the owner of the product may learn them.
#[tokio::test]
async fn the_customers_of_a_foreign_product_are_not_shown() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let foreign = service.world.product(family.sibling).await;
    service.world.allocation(foreign, family.sub_customer).await;

    let refused = as_problem(service.deletion(family.requester, family.requester, Resource::Product, &[foreign])).await;

    let expected = json!([failure(foreign, contract(Resource::Product).not_yours)]);
    assert_eq!((refused.status, &refused.json()["failures"]), (404, &expected));
    assert_eq!(failures_of_status(&service, family.requester, refused.request_id()).await, expected);
}

#[tokio::test]
async fn a_hundred_customers_of_a_product_are_shown_and_a_thousand_ids() {
    let service = TestService::shared().await;
    let world = &service.world;
    let family = world.family().await;
    let product = world.product(family.requester).await;
    let mut customers = Vec::new();
    for _ in 0..103 {
        let customer = world.customer(Some(family.requester)).await;
        world.allocation(product, customer).await;
        customers.push(customer);
    }
    customers.sort_unstable();
    let refused = as_problem(service.deletion(family.requester, family.requester, Resource::Product, &[product])).await;
    let told = refused.json()["failures"][0]["allocations"].as_array().unwrap().clone();
    let first: Vec<Value> = customers[..100].iter().map(|customer| json!({ "customerId": customer })).collect();
    assert_eq!(told, first);

    let ids: Vec<Uuid> = (0..1000).map(|_| Uuid::now_v7()).collect();
    let refused = as_problem(service.list_call(family.requester, family.requester, Resource::Zone, &ids)).await;
    let told = refused.json()["failures"].as_array().unwrap().iter().map(|failure| failure["id"].clone()).collect();
    assert_eq!(Value::Array(told), json!(ids));
}

#[tokio::test]
async fn without_a_refused_id_there_are_no_failures() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let unknown = Uuid::now_v7();
    for customer in [unknown, family.requester, family.grandchild, family.sibling] {
        let refused =
            as_problem(service.list_call(family.requester, customer, Resource::Contact, &[Uuid::now_v7()])).await;
        assert_eq!((refused.status, refused.json().get("failures")), (404, None));
        assert_eq!(failures_of_status(&service, family.requester, refused.request_id()).await, json!([]));
    }
    let zone = service.world.zone(family.requester).await;
    let id = service.delete(family.requester, family.requester, Resource::Zone, &[zone]).await.assert_deleted();
    assert_eq!(failures_of_status(&service, family.requester, id).await, json!([]));
    let stored: Option<String> = sqlx::query_scalar("select failures::text from operation where id = $1")
        .bind(id)
        .fetch_one(&service.database.pool)
        .await
        .unwrap();
    assert_eq!(stored, None, "a success stores nothing");
}
