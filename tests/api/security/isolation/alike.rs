//! A customer that exists where the requester cannot see it, and one that never existed, cannot be told apart: not by the bytes
//! of an answer, and not by its time.

use std::time::Instant;

use customer_deletion::resource::Resource;
use reqwest::RequestBuilder;
use rstest::rstest;
use uuid::Uuid;

use super::position::Kin;
use crate::support::TestService;
use crate::support::resources::every_resource;
use crate::support::service::{Answer, collection, send};

/// Pairs of calls, after those that warm up.
const SAMPLES: usize = 100;
const WARM_UP: usize = 20;

/// In milliseconds. Less than this is noise on any machine; how much more of it there is, the pairs tell themselves.
const NOISE: f64 = 1.0;

/// Everything in an answer but its `Request-Id` and its time. The HTTP library sends headers in a random order.
fn bytes(answer: &Answer) -> (u16, Vec<(String, Vec<u8>)>, String) {
    let own = ["request-id", "date"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    headers.sort();
    (answer.status, headers, answer.text.clone())
}

/// The lower quartile, the median and the upper quartile.
fn quartiles(mut differences: Vec<f64>) -> [f64; 3] {
    differences.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| differences[differences.len() * quarter / 4])
}

/// Sends the two calls in turns, compares every pair of answers, and then by how much the one took longer than the other: in the
/// middle of all pairs that is less than half of the pairs differ among themselves.
async fn assert_alike(name: &str, foreign: impl Fn() -> RequestBuilder, unknown: impl Fn() -> RequestBuilder) {
    let mut differences = Vec::new();
    for sample in 0..WARM_UP + SAMPLES {
        // Who is first changes, so that neither has the warmer caches.
        let ((first, first_took), (second, second_took)) = if sample % 2 == 0 {
            (timed(foreign()).await, timed(unknown()).await)
        } else {
            let second = timed(unknown()).await;
            (timed(foreign()).await, second)
        };
        assert_eq!(bytes(&first), bytes(&second), "{name}");
        assert_eq!(first.status, 404, "{name}");
        if sample >= WARM_UP {
            differences.push(first_took - second_took);
        }
    }
    let [lower, median, upper] = quartiles(differences);
    println!("{name}: {median:.2} ms, the quartiles are {lower:.2} and {upper:.2}");
    assert!(median.abs() < (upper - lower).max(NOISE), "{name}: {median} ms, from {lower} to {upper}");
}

/// An answer, and how many milliseconds it took.
async fn timed(call: RequestBuilder) -> (Answer, f64) {
    let began = Instant::now();
    let answer = send(call).await;
    (answer, began.elapsed().as_secs_f64() * 1e3)
}

#[tokio::test]
async fn a_foreign_customer_and_one_that_never_was_answer_alike() {
    for resource in every_resource() {
        let service = TestService::start().await;
        let kin = Kin::of_a_new_customer(&service.world).await;
        let row = service.world.row(resource, kin.customer).await;
        let before = service.world.fingerprint().await;
        let call = |customer: Uuid, id: Uuid| {
            let path = format!("{}/{id}", collection(customer, resource));
            service.call(reqwest::Method::DELETE, &path, kin.stranger)
        };

        assert_alike(&format!("{resource:?}"), || call(kin.customer, row), || call(Uuid::now_v7(), Uuid::now_v7()))
            .await;

        assert_eq!(service.world.fingerprint().await, before);
    }
}

#[rstest]
#[case::status("/api/v2/global/call")]
#[case::details("/api/v3/global/call")]
#[tokio::test]
async fn a_foreign_operation_and_one_that_never_was_answer_alike(#[case] path: &str) {
    let service = TestService::shared().await;
    let kin = Kin::of_a_new_customer(&service.world).await;
    let contact = service.world.contact(kin.customer).await;
    let answer = service.delete_one(kin.parent, kin.customer, Resource::Contact, contact).await;
    let operation = answer.assert_deleted();
    let call = |id: Uuid| service.call(reqwest::Method::GET, &format!("{path}/{id}"), kin.stranger);

    assert_alike(path, || call(operation), || call(Uuid::now_v7())).await;
}
