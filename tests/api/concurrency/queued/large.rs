//! Lists of ten thousand ids, and of as many as a call may have.

use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use rstest::rstest;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::{assert_accepted, at_work, call, ended, list, many_contacts, waiting};
use crate::support::TestService;
use crate::support::service::{collection, send};

#[rstest]
#[case::ten_thousand(10_000)]
#[ignore = "takes memory and time; cargo test --test api -- --ignored large"]
#[case::the_most(100_000)]
#[tokio::test]
async fn a_long_list_is_deleted_at_one_time(#[case] many: i32) {
    let service = at_work().await;
    let family = service.world.family().await;
    let contacts = many_contacts(&service.database.pool, family.sub_customer, many).await;
    let operation = assert_accepted(
        &send(call(&service, family.requester, family.sub_customer, Resource::Contact, &contacts)).await,
    );
    let ended = ended(&service, family.requester, operation).await;
    assert_eq!(ended["status"], "SUCCESS", "{ended}");
    let (rows, times): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct deleted_at) from contact where deleted_by = $1")
            .bind(operation)
            .fetch_one(&service.database.pool)
            .await
            .unwrap();
    assert_eq!((rows, times), (i64::from(many), 1));
    assert_eq!(waiting(&service.database.pool).await, 0);
}

#[rstest]
#[case::ten_thousand(10_000)]
#[ignore = "takes memory and time; cargo test --test api -- --ignored large"]
#[case::the_most(100_000)]
#[tokio::test]
async fn one_foreign_id_in_the_middle_fails_a_long_list(#[case] many: i32) {
    let service = at_work().await;
    let family = service.world.family().await;
    let mut contacts = many_contacts(&service.database.pool, family.sub_customer, many).await;
    contacts.sort();
    let foreign = service.world.contact(family.second_sub_customer).await;
    contacts.insert(contacts.len() / 2, foreign);
    contacts.pop();
    let operation = assert_accepted(
        &send(call(&service, family.requester, family.sub_customer, Resource::Contact, &contacts)).await,
    );
    let ended = ended(&service, family.requester, operation).await;
    assert_eq!(
        (ended["status"].as_str(), ended["errorCode"].as_str()),
        (Some("FAILURE"), Some("AUTH_1010")),
        "{ended}"
    );
    assert_eq!(ended["failedIds"], serde_json::json!([foreign]));
    let gone: i64 = sqlx::query_scalar("select count(*) from contact where deleted_at is not null")
        .fetch_one(&service.database.pool)
        .await
        .unwrap();
    assert_eq!(gone, 0);
}

/// However many arrive at once, only a few large bodies are in memory.
#[tokio::test]
async fn large_bodies_have_few_permits_and_small_ones_need_none() {
    const PERMITS: usize = 4;
    let service = TestService::start_with(|settings| settings.http.body_timeout = Duration::from_secs(30)).await;
    let family = service.world.family().await;
    let mut slow = Vec::new();
    // One requester may use at most half of the permits.
    let requesters = [family.requester, family.parent];
    for index in 0..PERMITS {
        let mut connection = TcpStream::connect(service.address).await.unwrap();
        let head = format!(
            "DELETE {} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {}\r\nPrefer: respond-async\r\nContent-Length: 8000000\r\n\r\n{{",
            collection(family.sub_customer, Resource::Contact),
            requesters[index % 2]
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        slow.push(connection);
    }
    // A body of unknown length counts as large only once it is large.
    let chunked = call(&service, family.requester, family.sub_customer, Resource::Contact, &[]).body(
        reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(list(&[Uuid::now_v7()]))])),
    );
    assert_accepted(&send(chunked).await);
    let ids: Vec<Uuid> = (0..30_000).map(|_| Uuid::now_v7()).collect();
    let large = || call(&service, family.sibling, family.sub_customer, Resource::Contact, &ids);
    let began = Instant::now();
    let refused = loop {
        let answer = send(large()).await;
        // The service may not have counted the slow bodies yet.
        if answer.status != 202 || began.elapsed() > Duration::from_secs(5) {
            break answer;
        }
    };
    refused.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    assert!(refused.header("Retry-After").is_some());
    let more = send(call(&service, family.requester, family.sub_customer, Resource::Contact, &ids)).await;
    more.assert_malformed(429, "TOO_MANY_REQUESTS", "Retry-After");
    let small = call(&service, family.requester, family.sub_customer, Resource::Contact, &ids[..1000]);
    assert_accepted(&send(small).await);

    drop(slow);
    let began = Instant::now();
    while send(large()).await.status != 202 {
        assert!(began.elapsed() < Duration::from_secs(20), "the permits are not released");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(waiting(&service.database.pool).await >= 2);
}
