//! The identity of the requester is checked first, and the route second.

use customer_deletion::resource::Resource;
use reqwest::Method;
use uuid::Uuid;

use crate::support::TestService;
use crate::support::service::{collection, send};

const UNAUTHORIZED: (u16, &str, &str) = (401, "UNAUTHORIZED", "The call is not authenticated.");

#[tokio::test]
async fn everything_under_api_asks_for_identity_first() {
    let service = TestService::shared().await;
    let customer = Uuid::now_v7();

    for (method, path) in [
        (Method::DELETE, collection(customer, Resource::Contact)),
        (Method::DELETE, "/api/v2/customer/not-a-uuid/contact/neither".to_owned()),
        (Method::POST, format!("{}:batchDelete", collection(customer, Resource::Zone))),
        (Method::PATCH, collection(customer, Resource::Contact)),
        (Method::GET, format!("/api/v2/global/call/{customer}")),
        (Method::GET, "/api/v9/no/such/route".to_owned()),
        (Method::GET, "/api/".to_owned()),
        (Method::GET, "/api".to_owned()),
    ] {
        let answer = send(service.anonymous(method.clone(), &path)).await;
        let (status, code, message) = UNAUTHORIZED;
        assert_eq!(answer.status, 401, "{method} {path}");
        answer.assert_failed(status, code, message);
        assert_eq!(answer.header("WWW-Authenticate"), Some(r#"Gateway realm="customer-deletion""#));
    }
}

#[tokio::test]
async fn a_requester_header_that_is_doubled_or_malformed_is_rejected() {
    let service = TestService::shared().await;
    let path = format!("/api/v2/global/call/{}", Uuid::now_v7());
    let id = Uuid::now_v7().to_string();

    for values in [vec![id.as_str(), id.as_str()], vec!["nobody"], vec![""]] {
        let mut call = service.anonymous(Method::GET, &path);
        for value in values {
            call = call.header("X-Requester-Id", value);
        }
        send(call).await.assert_failed(UNAUTHORIZED.0, UNAUTHORIZED.1, UNAUTHORIZED.2);
    }
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_is_not_believed() {
    let service =
        TestService::beside_shared(|settings| settings.requester.header.trusted_peers = "10.0.0.0/8".to_owned()).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;

    let answer = service.delete_one(family.requester, family.sub_customer, Resource::Contact, contact).await;

    answer.assert_failed(UNAUTHORIZED.0, UNAUTHORIZED.1, UNAUTHORIZED.2);
    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());
}

#[tokio::test]
async fn the_name_of_the_header_is_a_setting() {
    let service = TestService::beside_shared(|settings| settings.requester.header.name = "X-Customer".to_owned()).await;
    let family = service.world.family().await;
    let path = format!("/api/v2/global/call/{}", Uuid::now_v7());

    let call = service.anonymous(Method::GET, &path).header("X-Customer", family.requester.to_string());
    assert_eq!(send(call).await.status, 404);
    assert_eq!(send(service.call(Method::GET, &path, family.requester)).await.status, 401);
}

#[tokio::test]
async fn an_unknown_route_is_not_found_and_another_method_not_allowed() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    let customer = Uuid::now_v7();

    for path in [
        "/api".to_owned(),
        "/api/v2/customer".to_owned(),
        format!("/api/v2/customer/{customer}/subscriber"),
        format!("/api/v2/customer/{customer}/contact/{customer}/more"),
        format!("/api/v1/customer/{customer}/contact"),
        "/elsewhere".to_owned(),
    ] {
        for method in [Method::DELETE, Method::GET] {
            let answer = send(service.call(method, &path, requester)).await;
            assert_eq!(answer.status, 404, "{path}");
            answer.assert_failed(404, "NOT_FOUND", "There is no such route.");
        }
    }
    for (method, path, allowed) in [
        (Method::GET, collection(customer, Resource::Contact), "DELETE"),
        (Method::POST, collection(customer, Resource::Contact), "DELETE"),
        (Method::PUT, format!("{}/{customer}", collection(customer, Resource::Zone)), "DELETE"),
        (Method::DELETE, format!("{}:batchDelete", collection(customer, Resource::Zone)), "POST"),
        (Method::DELETE, format!("/api/v2/global/call/{customer}"), "GET, HEAD"),
        (Method::POST, format!("/api/v3/global/call/{customer}"), "GET, HEAD"),
        (Method::DELETE, "/api/v3/global/call".to_owned(), "GET, HEAD"),
    ] {
        let answer = send(service.call(method.clone(), &path, requester)).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        answer.assert_malformed(405, "METHOD_NOT_ALLOWED", "Allow");
        assert_eq!(answer.header("Allow"), Some(allowed));
    }
}

#[tokio::test]
async fn every_answer_has_its_own_request_id() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    let mut ids = Vec::new();
    for answer in [
        send(service.anonymous(Method::GET, "/")).await,
        send(service.anonymous(Method::GET, "/api/")).await,
        send(service.call(Method::GET, "/api/", requester)).await,
        service.status(requester, Uuid::now_v7()).await,
        service.delete_one(requester, requester, Resource::Zone, Uuid::now_v7()).await,
        service.management("/health/live").await,
        service.management("/health/ready").await,
        service.management("/elsewhere").await,
    ] {
        ids.push(answer.request_id());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
}
