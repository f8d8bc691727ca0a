//! One slash at the end of a path changes nothing. No path is normalized otherwise.

use customer_deletion::resource::Resource;
use reqwest::Method;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::resources::{every_list, every_resource};
use crate::support::service::{collection, send};
use crate::support::{TestService, body};

#[tokio::test]
async fn a_list_is_deleted_with_a_slash_too() {
    for resource in every_list() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let rows = service.world.rows(resource, family.in_scope(resource), 4).await;
        let path = collection(family.in_scope(resource), resource);
        let call = |method, path: String, ids| service.call(method, &path, family.requester).body(body(ids));

        send(call(Method::DELETE, format!("{path}/"), &rows[..2])).await.assert_deleted();
        send(call(Method::POST, format!("{path}:batchDelete/"), &rows[2..])).await.assert_deleted();

        assert_eq!(service.world.deleted(resource, &rows).await.len(), 4);
    }
}

#[tokio::test]
async fn one_is_deleted_and_asked_for_with_a_slash_too() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let row = service.world.row(resource, family.in_scope(resource)).await;
        let path = format!("{}/{row}/", collection(family.in_scope(resource), resource));

        let id = send(service.call(Method::DELETE, &path, family.requester)).await.assert_deleted();

        assert_eq!(service.world.deleted(resource, &[row]).await, [row]);
        let get = |path: String| send(service.call(Method::GET, &path, family.requester));
        for path in ["/api/v2/global/call/", "/api/v3/global/call/"] {
            let path = format!("{path}{id}");
            let [without, with] = [get(path.clone()).await, get(format!("{path}/")).await];
            assert_eq!((without.status, without.text), (200, with.text), "{path}");
        }
        let [without, with] =
            [get("/api/v3/global/call?size=1".to_owned()).await, get("/api/v3/global/call/?size=1".to_owned()).await];
        assert_eq!((without.status, without.text), (200, with.text));
    }
}

#[rstest]
#[case::contact(Resource::Contact)]
#[case::product(Resource::Product)]
#[tokio::test]
async fn a_missing_id_before_the_slash_deletes_nothing(#[case] resource: Resource) {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let row = service.world.row(resource, family.in_scope(resource)).await;
    let path = format!("{}/", collection(family.in_scope(resource), resource));

    for text in ["", "{}", r#"{"id": []}"#] {
        let call = service.call(Method::DELETE, &path, family.requester).body(text);
        send(call).await.assert_malformed(400, "BAD_REQUEST", "id");
    }
    let answer = send(service.call(Method::GET, &path, family.requester)).await;
    answer.assert_malformed(405, "METHOD_NOT_ALLOWED", "Allow");
    assert_eq!(answer.header("Allow"), Some("DELETE"));

    assert!(service.world.deleted(resource, &[row]).await.is_empty());
    assert_eq!(service.world.operations().await, 0);
}

/// A gateway may merge or decode slashes, or resolve dots. The service takes each path as it is.
#[tokio::test]
async fn other_slashes_and_dots_are_no_route() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let customer = family.sub_customer;

    for path in [
        format!("/api/v2/customer/{customer}/contact//"),
        format!("/api/v2/customer/{customer}/contact/{contact}//"),
        format!("/api/v2/customer/{customer}/contact//{contact}"),
        format!("/api/v2/customer/{customer}//contact"),
        "/api/v2/customer//contact".to_owned(),
        format!("/api/v2/customer//contact/{contact}"),
        format!("/api/v2//customer/{customer}/contact"),
        format!("/api//v2/customer/{customer}/contact"),
        format!("//api/v2/customer/{customer}/contact"),
        format!("/api/v2/customer/{customer}/contact%2F"),
        format!("/api/v2/customer/{customer}/contact%2F{contact}"),
        format!("/api/v2/customer/{customer}/contact\\"),
        format!("/api/./v2/customer/{customer}/contact"),
        format!("/api/v2/customer/{customer}/zone/../contact"),
        format!("/api/v2/customer/{customer}/contact:batchDelete//"),
        format!("/api/v2/customer/{customer}/contact/:batchDelete/x"),
        "/api/v3/global/call//".to_owned(),
        "/api/v2/global/call/".to_owned(),
    ] {
        for method in ["DELETE", "POST", "GET"] {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {}\r\n", family.requester);
            let text = body(&[contact]);
            let answer = exchange(&service, &format!("{head}Content-Length: {}\r\n\r\n{text}", text.len())).await;
            assert!(
                answer.starts_with("HTTP/1.1 404") && answer.contains("There is no such route"),
                "{path}: {answer}"
            );
        }
    }

    assert!(service.world.deleted(Resource::Contact, &[contact]).await.is_empty());
    assert_eq!(service.world.operations().await, 0);
}

/// As bytes, because an HTTP client would normalize the path.
async fn exchange(service: &TestService, call: &str) -> String {
    let mut connection = TcpStream::connect(service.address).await.unwrap();
    connection.write_all(call.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with('}') {
        let mut buffer = [0; 4096];
        let length = connection.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "{answer}");
        answer.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    answer
}
