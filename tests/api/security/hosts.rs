//! A service that trusts its own machine, and web pages whose host name leads to it.

use customer_deletion::config::AllowedHosts;
use customer_deletion::resource::Resource;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::process::Process;
use crate::support::service::send;
use crate::support::{TestDatabase, TestService};

const SETTING: &str = "CUSTOMER_DELETION__HTTP__ALLOWED_HOSTS";

async fn only_for_this_machine() -> TestService {
    TestService::beside_shared(|settings| settings.http.allowed_hosts = Some(AllowedHosts::THIS_MACHINE.to_owned()))
        .await
}

#[tokio::test]
async fn a_call_for_another_host_is_rejected_and_changes_nothing() {
    let service = only_for_this_machine().await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let before = service.world.fingerprint().await;
    for host in ["rebound.example.com", "rebound.example.com:8080", "localhost.example.com", "127.0.0.2", ""] {
        let call = service.list_call(family.requester, family.sub_customer, Resource::Contact, &[contact]);
        let answer = send(call.header("Host", host)).await;
        answer.assert_malformed(400, "BAD_REQUEST", "the `Host` header does not name a host of this service");
        let pages = ["/docs", "/openapi.json", "/no/such/route"].map(|path| service.anonymous(Method::GET, path));
        for page in pages {
            assert_eq!(send(page.header("Host", host)).await.status, 400, "{host}");
        }
    }
    assert_eq!(service.world.fingerprint().await, before);

    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080"] {
        let page = service.anonymous(Method::GET, "/docs").header("Host", host);
        assert_eq!(send(page).await.status, 200, "{host}");
    }
    service.delete_list(family.requester, family.sub_customer, Resource::Contact, &[contact]).await.assert_deleted();
}

#[tokio::test]
async fn a_call_without_a_host_is_rejected_unless_its_url_has_one() {
    let service = only_for_this_machine().await;
    for (start, status) in [
        ("GET /docs HTTP/1.0", "400"),
        ("GET http://rebound.example.com/docs HTTP/1.0", "400"),
        ("GET http://localhost/docs HTTP/1.0", "200"),
    ] {
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all(format!("{start}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{start}: {answer}");
    }
}

#[tokio::test]
async fn without_a_list_every_host_is_served_and_a_trust_in_this_machine_is_warned_of() {
    let database = TestDatabase::migrated().await;
    let trusted = |peers| ("CUSTOMER_DELETION__REQUESTER__HEADER__TRUSTED_PEERS", peers);
    for (environment, warnings) in [
        (vec![trusted("127.0.0.0/8")], 1),
        (vec![trusted("10.0.0.0/8, ::1")], 1),
        (vec![trusted("127.0.0.0/8"), (SETTING, "localhost")], 0),
        (vec![trusted("10.0.0.0/8")], 0),
    ] {
        // Warnings of the start come before the line about listening.
        let process = Process::serve_with(&database.url, &environment);
        let log = process.log();
        let is_warning = |line: &&serde_json::Value| line["level"] == "WARN" && line.to_string().contains(SETTING);
        assert_eq!(log.iter().filter(is_warning).count(), warnings, "{environment:?}: {log:?}");
    }

    let service = TestService::shared().await;
    let status = service.call(Method::GET, &format!("/api/v2/global/call/{}", Uuid::now_v7()), Uuid::now_v7());
    assert_eq!(send(status.header("Host", "rebound.example.com")).await.status, 404);
}
