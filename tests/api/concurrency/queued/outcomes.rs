//! The outcomes of operations. Rules and codes are those of a call that waits, and are checked at execution.

use customer_deletion::resource::Resource;
use serde_json::json;
use uuid::Uuid;

use super::{accept, assert_agreement, at_work, ended, waiting};
use crate::support::TestService;
use crate::support::resources::{contract, every_resource, most};
use crate::support::service::until_somebody_waits;

#[tokio::test]
async fn everything_is_deleted_at_one_time_by_the_operation() {
    for resource in every_resource() {
        let count = most(3, resource);
        let service = at_work().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let mut rows = service.world.rows(resource, customer, count).await;
        rows.sort();

        let operation = accept(&service, family.requester, customer, resource, &rows).await;
        let ended = ended(&service, family.requester, operation).await;

        assert_eq!((ended["status"].as_str(), ended["errorCode"].as_str()), (Some("SUCCESS"), Some("")), "{ended}");
        assert!(ended["completedAt"].is_string());
        assert_eq!(service.world.deleted(resource, &rows).await, rows);
        assert_agreement(&service.database.pool).await;
        assert_eq!(waiting(&service.database.pool).await, 0);
    }
}

#[tokio::test]
async fn a_refusal_is_a_failure_with_its_code_and_changes_nothing() {
    for resource in every_resource() {
        let unknown_code = contract(resource).unknown.0;
        let foreign_code = contract(resource).not_yours.0;
        let depth_code = contract(resource).not_yours.0;
        let service = at_work().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let own = service.world.row(resource, customer).await;
        let unknown = Uuid::now_v7();
        let foreign = service.world.row(resource, family.sibling).await;
        let list = |id: Uuid| if contract(resource).takes_list { vec![own, id] } else { vec![id] };
        let before = service.world.fingerprint().await;

        for (customer, ids, code, failed) in [
            (customer, list(unknown), unknown_code, vec![unknown]),
            (customer, list(foreign), foreign_code, vec![foreign]),
            (family.grandchild, vec![own], depth_code, vec![]),
            (family.sibling, vec![own], "CUSTOMER_1002", vec![]),
        ] {
            let operation = accept(&service, family.requester, customer, resource, &ids).await;
            let ended = ended(&service, family.requester, operation).await;
            assert_eq!(
                (ended["status"].as_str(), ended["errorCode"].as_str()),
                (Some("FAILURE"), Some(code)),
                "{ended}"
            );
            assert_eq!(ended["failedIds"], json!(failed), "{ended}");
            let failures: Vec<_> = failed.iter().map(|id| json!({ "id": id, "errorCode": code })).collect();
            let told = ended["failures"].as_array().unwrap().iter();
            let told: Vec<_> = told.map(|told| json!({ "id": told["id"], "errorCode": told["errorCode"] })).collect();
            assert_eq!(told, failures, "{ended}");
        }
        assert_eq!(service.world.fingerprint().await, before);
        assert_agreement(&service.database.pool).await;
        assert_eq!(waiting(&service.database.pool).await, 0);
    }
}

#[tokio::test]
async fn an_allocated_product_stays() {
    let service = at_work().await;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;
    service.world.allocation(product, family.sub_customer).await;
    let operation = accept(&service, family.requester, family.requester, Resource::Product, &[product]).await;
    let ended = ended(&service, family.requester, operation).await;
    assert_eq!((ended["status"].as_str(), ended["errorCode"].as_str()), (Some("FAILURE"), Some("CUSTOMER_1046")));
    assert!(service.world.deleted(Resource::Product, &[product]).await.is_empty());
}

/// The allocation is committed between the check and the update. PostgreSQL itself then rejects the update.
#[tokio::test]
async fn a_product_that_is_allocated_meanwhile_stays() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let product = service.world.product(family.requester).await;
    let operation = accept(&service, family.requester, family.requester, Resource::Product, &[product]).await;

    let mut other = service.database.pool.begin().await.unwrap();
    sqlx::query("insert into product_allocation (id, product_id, customer_id) values ($1, $2, $3)")
        .bind(Uuid::now_v7())
        .bind(product)
        .bind(family.sub_customer)
        .execute(&mut *other)
        .await
        .unwrap();
    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    until_somebody_waits(&service.database.pool).await;
    other.commit().await.unwrap();

    let ended = ended(&service, family.requester, operation).await;
    assert_eq!((ended["status"].as_str(), ended["errorCode"].as_str()), (Some("FAILURE"), Some("CUSTOMER_1046")));
    assert_agreement(&service.database.pool).await;
}

/// A row that was eligible at acceptance is checked again at execution.
#[tokio::test]
async fn eligibility_is_checked_when_the_operation_is_executed() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let gone = service.world.contact(family.sub_customer).await;
    let stays = service.world.contact(family.second_sub_customer).await;
    let first = accept(&service, family.requester, family.sub_customer, Resource::Contact, &[gone]).await;
    let second = accept(&service, family.requester, family.second_sub_customer, Resource::Contact, &[stays]).await;
    service.world.execute("update contact set deleted_at = now() where id = $1", gone).await;
    service.world.kill_customer(family.second_sub_customer).await;

    let _worker = TestService::beside(&service, |settings| settings.queue.workers = 1).await;
    let first = ended(&service, family.requester, first).await;
    let second = ended(&service, family.requester, second).await;
    assert_eq!((first["errorCode"].as_str(), &first["failedIds"]), (Some("CUSTOMER_1017"), &json!([gone])));
    assert_eq!(second["errorCode"], "CUSTOMER_1002");
    assert!(service.world.deleted(Resource::Contact, &[stays]).await.is_empty());
}
