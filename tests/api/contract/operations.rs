//! The record of a call, and who may read it.

use customer_deletion::resource::Resource;
use reqwest::Method;
use rstest::rstest;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::let_contacts_fail;
use crate::support::TestService;
use crate::support::resources::{every_resource, word};
use crate::support::service::send;

#[tokio::test]
async fn a_success_can_be_asked_for_in_both_versions() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        let before = OffsetDateTime::now_utc() - time::Duration::seconds(5);
        let id = service.delete_one(family.requester, customer, resource, row).await.assert_deleted();

        let status = service.status(family.requester, id).await;
        assert_eq!(status.status, 200);
        assert_eq!(
            status.text,
            r#"{"errorCode":"","errorMessage":"","content":[{"status":"SUCCESS"}],"pageable":{"page":0,"size":10,"totalPages":1,"totalElements":1}}"#
        );

        let details = service.details(family.requester, id).await;
        assert_eq!(details.status, 200);
        let content = &details.json()["content"][0];
        assert_eq!(content["requestId"], id.to_string());
        assert_eq!(content["status"], "SUCCESS");
        assert_eq!(content["resource"], word(resource));
        assert_eq!(content["customerId"], customer.to_string());
        assert_eq!((content["errorCode"].as_str(), content["errorMessage"].as_str()), (Some(""), Some("")));
        assert_eq!(content["failedIds"], serde_json::json!([]));
        let moment = |field: &str| OffsetDateTime::parse(content[field].as_str().unwrap(), &Rfc3339).unwrap();
        assert!(before <= moment("createdAt") && moment("createdAt") <= moment("completedAt"), "{content}");
    }
}

#[tokio::test]
async fn a_refusal_shows_in_version_3_which_ids_caused_it() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let own = service.world.contact(family.sub_customer).await;
    let unknown = Uuid::from_u128(7);
    let refused = service.delete_list(family.requester, family.sub_customer, Resource::Contact, &[own, unknown]).await;
    let id = refused.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");

    let status = service.status(family.requester, id).await.json();
    assert_eq!(status["content"], serde_json::json!([{ "status": "FAILURE" }]));
    let details = service.details(family.requester, id).await.json();
    let content = &details["content"][0];
    assert_eq!(content["status"], "FAILURE");
    assert_eq!(content["errorCode"], "CUSTOMER_1017");
    assert_eq!(content["errorMessage"], "Unknown Contact ID");
    assert_eq!(content["failedIds"], serde_json::json!([unknown]));
}

#[tokio::test]
async fn only_the_requester_may_ask() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let id =
        service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact).await.assert_deleted();

    for stranger in [family.parent, family.sub_customer, family.sibling, Uuid::now_v7()] {
        let foreign = [service.status(stranger, id).await, service.details(stranger, id).await];
        let unknown = service.status(stranger, Uuid::now_v7()).await;
        for answer in foreign {
            answer.assert_failed(404, "GLOBAL_1003", "Provided request ID does not exist for your account.");
            assert_eq!(answer.text, unknown.text);
        }
    }
}

#[tokio::test]
async fn a_malformed_request_id_is_a_bad_request() {
    let service = TestService::shared().await;
    for version in ["v2", "v3"] {
        for id in ["nonsense", "0", "%20", "ff74dca68e7f4b85a42b13860913b370"] {
            let path = format!("/api/{version}/global/call/{id}");
            let answer = send(service.call(Method::GET, &path, Uuid::now_v7())).await;
            answer.assert_malformed(400, "BAD_REQUEST", "requestId in the path");
        }
    }
}

#[rstest]
#[case::open("OPEN", None)]
#[case::internal_error("INTERNAL_ERROR", Some("GLOBAL_1001"))]
#[tokio::test]
async fn the_other_statuses_are_shown_as_well(#[case] status: &str, #[case] code: Option<&str>) {
    let service = TestService::shared().await;
    let (requester, id) = (Uuid::now_v7(), Uuid::now_v7());
    sqlx::query(
        "insert into operation (id, requester_id, customer_id, resource, target_ids, status, error_code, completed_at)
         values ($1, $2, $2, 'zone', array[$1], $3, $4, case when $3 <> 'OPEN' then now() end)",
    )
    .bind(id)
    .bind(requester)
    .bind(status)
    .bind(code)
    .execute(&service.database.pool)
    .await
    .unwrap();

    assert_eq!(service.status(requester, id).await.json()["content"][0]["status"], status);
    let details = service.details(requester, id).await.json();
    assert_eq!(details["content"][0]["errorCode"], code.unwrap_or(""));
    assert_eq!(details["content"][0]["completedAt"].is_null(), status == "OPEN");
}

#[tokio::test]
async fn a_defect_is_a_500_that_changes_nothing_and_is_recorded() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let_contacts_fail(&service).await;

    let call = service
        .list_call(family.requester, family.sub_customer, Resource::Contact, &[contact])
        .header("Idempotency-Key", "mended-later");
    let id = send(call).await.assert_failed(500, "GLOBAL_1001", "Service unavailable. Please try again");
    assert_eq!(service.status(family.requester, id).await.json()["content"][0]["status"], "INTERNAL_ERROR");
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());

    // The same key works once the defect is corrected.
    sqlx::raw_sql("drop function fail() cascade").execute(&service.database.pool).await.unwrap();
    let again = service
        .list_call(family.requester, family.sub_customer, Resource::Contact, &[contact])
        .header("Idempotency-Key", "mended-later");
    send(again).await.assert_deleted();
}
