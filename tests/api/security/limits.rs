//! Calls over a limit are rejected, so that the accepted ones succeed.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::resources::every_resource;
use crate::support::service::{
    Answer, collection, hang_up_while_waiting, send, send_deletion, until_so_many_wait, until_somebody_waits,
    validating,
};
use crate::support::world::Family;
use crate::support::{StallWatch, TestService, body};

#[tokio::test]
async fn a_requester_over_its_rate_gets_a_retry_after_and_others_are_not_held_up() {
    let service = TestService::start_with(|settings| {
        settings.requester.rate_per_second = NonZeroU32::new(1);
        settings.requester.rate_burst = NonZeroU32::new(3);
    })
    .await;
    let OneTooMany { family, contact, before, answer } = one_call_too_many(&service).await;
    answer.assert_malformed(429, "TOO_MANY_REQUESTS", "Retry-After");
    let wait: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait} s");
    assert_eq!((service.world.fingerprint().await, service.world.operations().await), before);

    assert_eq!(service.status(family.parent, Uuid::now_v7()).await.status, 404, "another requester");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    let answer = service.delete_list(family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
    answer.assert_deleted();
}

/// A call of a requester that has used up its burst.
struct OneTooMany {
    family: Family,
    contact: Uuid,
    /// The rows and the number of operations before.
    before: (String, i64),
    answer: Answer,
}

/// On a machine on which these four calls take a second, the fourth is not over the limit. Then another requester is tried.
async fn one_call_too_many(service: &TestService) -> OneTooMany {
    for _ in 0..10 {
        let family = service.world.family().await;
        let contact = service.world.contact(family.sub_customer).await;
        let before = (service.world.fingerprint().await, service.world.operations().await);
        let began = Instant::now();
        for _ in 0..3 {
            service.status(family.requester, Uuid::now_v7()).await.assert_failed(
                404,
                "GLOBAL_1003",
                "Provided request ID does not exist for your account.",
            );
        }
        let answer = service.delete_list(family.requester, family.sub_customer, Resource::Contact, &[contact]).await;
        if began.elapsed() < Duration::from_secs(1) {
            return OneTooMany { family, contact, before, answer };
        }
    }
    panic!("four calls take more than a second, ten times");
}

/// A deletion of contacts whose body has not arrived.
fn head_of_a_deletion(family: Family, length: usize) -> String {
    format!(
        "DELETE {} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {}\r\nContent-Length: {length}\r\n\r\n",
        collection(family.sub_customer, Resource::Contact),
        family.requester
    )
}

async fn send_head(address: SocketAddr, head: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    client
}

#[tokio::test]
async fn a_call_with_a_large_head_is_the_last_of_its_connection() {
    let service = TestService::shared().await;
    let head = format!("GET /docs HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    let mut client = send_head(service.address, &head).await;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).to_lowercase().contains("\r\nconnection: close\r\n"));
}

/// The service would answer 400 after the time limit of a body.
#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_rejected_before_it_comes() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let contacts = collection(family.sub_customer, Resource::Contact);
    for resource in every_resource() {
        for (query, prefer, length) in
            [("", "", 1_048_577), ("?validateOnly=true", "", 1_048_577), ("", "Prefer: respond-async\r\n", 8_388_609)]
        {
            let path = format!("{}{query}", collection(family.in_scope(resource), resource));
            let head = head_of_a_deletion(family, length).replace(&contacts, &path);
            let head = head.replace("Host: test\r\n", &format!("Host: test\r\n{prefer}"));
            let mut client = send_head(service.address, &head).await;
            let mut answer = [0; 12];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(str::from_utf8(&answer), Ok("HTTP/1.1 413"), "{head}");
        }
    }
    assert_eq!(service.world.operations().await, 0);
}

/// Longer than the service keeps an idle connection.
#[tokio::test]
#[ignore = "takes 15 seconds: cargo test --test api -- --ignored a_monitor_keeps"]
async fn a_monitor_keeps_its_connection() {
    let service = TestService::shared().await;
    let mut monitor = TcpStream::connect(service.management_address).await.unwrap();
    for _ in 0..6 {
        monitor.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 4096];
        let length = monitor.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(2500)).await;
    }
}

#[tokio::test]
async fn a_call_without_a_permit_is_rejected_at_once() {
    let service = TestService::start_with(|settings| settings.http.max_in_flight = 1).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let holding = hold(&service, contact).await;
    let mut slow = send_deletion(service.address, family, contact).await;
    until_somebody_waits(&service.database.pool).await;

    let watch = StallWatch::start();
    let answer = service.status(family.parent, Uuid::now_v7()).await;
    let took = watch.took();
    answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
    assert_eq!(answer.header("Retry-After"), Some("1"));
    assert!(took < Duration::from_secs(2), "it was made to wait: {took:?}");
    assert_eq!(service.management("/health/ready").await.status, 200, "health is not held up");
    let mine = service.status(family.requester, Uuid::now_v7()).await;
    mine.assert_malformed(429, "TOO_MANY_REQUESTS", "Retry-After");
    assert_eq!(mine.header("Retry-After"), Some("1"));

    holding.rollback().await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    until_there_is_a_permit(&service, family).await;
}

async fn hold(service: &TestService, contact: Uuid) -> sqlx::Transaction<'_, sqlx::Postgres> {
    let mut holding = service.database.pool.begin().await.unwrap();
    sqlx::query("select from contact where id = $1 for update").bind(contact).execute(&mut *holding).await.unwrap();
    holding
}

async fn until_there_is_a_permit(service: &TestService, family: Family) {
    let began = Instant::now();
    while service.status(family.parent, Uuid::now_v7()).await.status == 503 {
        assert!(began.elapsed() < Duration::from_secs(5), "the permit is lost");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn one_requester_has_at_most_two_thirds_of_the_permits() {
    let service = TestService::start_with(|settings| settings.http.max_in_flight = 3).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let holding = hold(&service, contact).await;
    let calls = [(), ()].map(|()| send_deletion(service.address, family, contact));
    let calls = futures_util::future::join_all(calls).await;
    until_so_many_wait(&service.database.pool, 2).await;

    let answer = service.status(family.requester, Uuid::now_v7()).await;
    answer.assert_malformed(429, "TOO_MANY_REQUESTS", "Retry-After");
    assert_eq!(service.status(family.parent, Uuid::now_v7()).await.status, 404, "another requester");
    holding.rollback().await.unwrap();
    drop(calls);
}

#[tokio::test]
async fn a_body_that_comes_after_the_answer_is_no_request() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let head = head_of_a_deletion(family, 9).replace("X-Requester-Id", "X-Nobody");
    let mut client = send_head(service.address, &head).await;
    client.readable().await.unwrap();
    // The connection may be closed already.
    let _ = client.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_call_whose_body_has_not_come_takes_no_permit() {
    let service = TestService::start_with(|settings| settings.http.max_in_flight = 1).await;
    let family = service.world.family().await;
    let mut slow = send_head(service.address, &head_of_a_deletion(family, 9)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(service.status(family.requester, Uuid::now_v7()).await.status, 404);
    slow.write_all(b"{\"id\": 1}").await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}

/// Otherwise resets after the call has begun would make the queue that the limit forbids.
#[tokio::test]
async fn work_for_a_client_that_hung_up_keeps_its_permit() {
    let service = TestService::start_with(|settings| settings.http.max_in_flight = 1).await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let holding = hold(&service, contact).await;
    hang_up_while_waiting(service.address, family, contact, &service.database.pool).await;

    assert_eq!(service.status(family.parent, Uuid::now_v7()).await.status, 503);
    holding.rollback().await.unwrap();
    until_there_is_a_permit(&service, family).await;
}

/// They wait for no row, but for a table that another transaction has locked.
#[tokio::test]
async fn two_long_lists_are_validated_at_once_and_one_of_a_requester() {
    let service = TestService::start().await;
    let (family, other, pool) = (service.world.family().await, service.world.family().await, &service.database.pool);
    let ids: Vec<Uuid> = (0..1001).map(|_| Uuid::now_v7()).collect();
    let validate = |requester: Uuid, customer: Uuid| {
        let call = service.list_call(requester, customer, Resource::Contact, &ids);
        send(validating(call.header("Prefer", "respond-async")))
    };
    let mut locking = pool.begin().await.unwrap();
    sqlx::raw_sql("lock table contact in access exclusive mode").execute(&mut *locking).await.unwrap();

    let first = tokio::spawn(validate(family.requester, family.sub_customer));
    until_so_many_wait(pool, 1).await;
    let mine = validate(family.requester, family.sub_customer).await;
    mine.assert_malformed(429, "TOO_MANY_REQUESTS", "Retry-After");
    let second = tokio::spawn(validate(family.parent, family.requester));
    until_so_many_wait(pool, 2).await;
    let third = validate(other.requester, other.sub_customer).await;
    third.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");

    locking.rollback().await.unwrap();
    for validated in [first, second] {
        validated.await.unwrap().assert_malformed(404, "CUSTOMER_1017", "Unknown Contact ID");
    }
}

async fn service_with_short_idle_time() -> TestService {
    TestService::start_with(|settings| settings.http.keep_alive = Duration::from_millis(500)).await
}

/// The time for which the service keeps the connection open.
async fn until_closed(mut connection: TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(30), connection.read_to_end(&mut rest)).await;
    assert!(reading.is_ok(), "the connection stays open");
    began.elapsed()
}

#[rstest]
#[case::of_a_call(false)]
#[case::of_a_probe(true)]
#[tokio::test]
async fn a_second_head_that_does_not_come_to_its_end_is_not_waited_for_for_ever(#[case] is_probe: bool) {
    let service = service_with_short_idle_time().await;
    let address = if is_probe { service.management_address } else { service.address };
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /none HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    slow.readable().await.unwrap();
    slow.write_all(b"GET /none HTTP/1.1\r\nHost: te").await.unwrap();
    until_closed(slow).await;
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_not_waited_for_for_ever() {
    let service = service_with_short_idle_time().await;
    let mut slow = TcpStream::connect(service.address).await.unwrap();
    // More than the buffers of both ends can hold.
    let asks = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: test\r\n\r\n".repeat(200);
    slow.write_all(&asks).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    // Bytes that are on the way can still be read. Then the connection ends or is reset.
    let mut taken = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length @ 1..) = slow.read(&mut buffer).await {
        taken += length;
    }
    assert!(taken < 200 * 400_000, "every answer came");
}

#[tokio::test]
async fn a_call_at_work_is_not_idle() {
    let service = TestService::start_with(|settings| {
        settings.http.keep_alive = Duration::from_millis(500);
        settings.http.body_timeout = Duration::from_secs(30);
    })
    .await;
    let family = service.world.family().await;
    let contact = service.world.contact(family.sub_customer).await;
    let text = body(&[contact]);
    let mut slow = send_head(service.address, &head_of_a_deletion(family, text.len())).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    slow.write_all(text.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

/// A list of 1,000 ids counts as ten calls.
#[tokio::test]
async fn the_ids_of_a_list_count_towards_the_rate() {
    let service = TestService::start_with(|settings| {
        settings.requester.rate_per_second = NonZeroU32::new(1);
        settings.requester.rate_burst = NonZeroU32::new(60);
    })
    .await;
    let family = service.world.family().await;
    let ids: Vec<Uuid> = (0..1000).map(|_| Uuid::now_v7()).collect();
    let delete = |count: usize| {
        let ids = &ids[..count];
        service.delete_list(family.requester, family.sub_customer, Resource::Contact, ids)
    };
    for _ in 0..6 {
        delete(1000).await.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
    }
    let before = service.world.operations().await;
    delete(1000).await.assert_malformed(429, "TOO_MANY_REQUESTS", "Retry-After");
    assert_eq!(service.world.operations().await, before);
}

#[tokio::test]
async fn a_list_that_counts_more_than_a_burst_can_be_sent() {
    let service = TestService::start_with(|settings| {
        settings.requester.rate_per_second = NonZeroU32::new(1);
        settings.requester.rate_burst = NonZeroU32::new(2);
    })
    .await;
    for _ in 0..10 {
        let family = service.world.family().await;
        let contacts = service.world.rows(Resource::Contact, family.sub_customer, 1000).await;
        let began = Instant::now();
        let answer = service.delete_list(family.requester, family.sub_customer, Resource::Contact, &contacts).await;
        answer.assert_deleted();
        let status = service.status(family.requester, Uuid::now_v7()).await.status;
        // After a second the requester may call again.
        if began.elapsed() < Duration::from_secs(1) {
            return assert_eq!(status, 429);
        }
    }
    panic!("two calls take more than a second, ten times");
}
