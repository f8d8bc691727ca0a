//! A customer that the requester cannot see and one that never existed have equal answers. Neither the bytes of an answer nor
//! its time show the difference.

use std::time::Instant;

use customer_deletion::resource::Resource;
use reqwest::RequestBuilder;
use uuid::Uuid;

use super::position::Kin;
use crate::support::TestService;
use crate::support::resources::every_resource;
use crate::support::service::{Answer, collection, send};

/// The number of pairs of calls whose time is compared, after those that warm up.
const SAMPLES: usize = 100;
const WARM_UP: usize = 20;

/// In milliseconds. A smaller difference is noise on any machine. The pairs themselves show how much more noise there is.
const NOISE: f64 = 1.0;

/// All of an answer but its `Request-Id` and its time. The HTTP library sends headers in a random order.
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

/// The way in which two calls are compared.
#[derive(Clone, Copy)]
enum Check {
    /// Compares the answers of a few pairs.
    Answers,
    /// Compares the times as well.
    Times,
}

/// Compares the answers. With [`Check::Times`], the median of the differences in milliseconds must also be smaller than the
/// distance of the quartiles.
async fn assert_alike(
    check: Check,
    name: &str,
    foreign: impl Fn() -> RequestBuilder,
    unknown: impl Fn() -> RequestBuilder,
) {
    let Check::Times = check else {
        differences(2, name, &foreign, &unknown).await;
        return;
    };
    differences(WARM_UP, name, &foreign, &unknown).await;
    let [lower, median, upper] = quartiles(differences(SAMPLES, name, &foreign, &unknown).await);
    println!("{name}: {median:.2} ms, the quartiles are {lower:.2} and {upper:.2}");
    assert!(median.abs() < (upper - lower).max(NOISE), "{name}: {median} ms, from {lower} to {upper}");
}

/// Sends the two calls alternately, asserts that the answers of every pair are equal, and returns by how many milliseconds one
/// call took longer than the other.
async fn differences(
    pairs: usize,
    name: &str,
    foreign: impl Fn() -> RequestBuilder,
    unknown: impl Fn() -> RequestBuilder,
) -> Vec<f64> {
    let mut differences = Vec::new();
    for pair in 0..pairs {
        // The first call of a pair alternates, so that neither has warmer caches.
        let ((first, first_took), (second, second_took)) = if pair % 2 == 0 {
            (timed(foreign()).await, timed(unknown()).await)
        } else {
            let second = timed(unknown()).await;
            (timed(foreign()).await, second)
        };
        assert_eq!(bytes(&first), bytes(&second), "{name}");
        assert_eq!(first.status, 404, "{name}");
        differences.push(first_took - second_took);
    }
    differences
}

/// An answer, and its time in milliseconds.
async fn timed(call: RequestBuilder) -> (Answer, f64) {
    let began = Instant::now();
    let answer = send(call).await;
    (answer, began.elapsed().as_secs_f64() * 1e3)
}

async fn foreign_customers_are_like_unknown_ones(check: Check) {
    let service = TestService::shared().await;
    for resource in every_resource() {
        let kin = Kin::of_a_new_customer(&service.world).await;
        let row = service.world.row(resource, kin.customer).await;
        let before = service.world.fingerprint().await;
        let call = |customer: Uuid, id: Uuid| {
            let path = format!("{}/{id}", collection(customer, resource));
            service.call(reqwest::Method::DELETE, &path, kin.stranger)
        };

        let (foreign, unknown) = (|| call(kin.customer, row), || call(Uuid::now_v7(), Uuid::now_v7()));
        assert_alike(check, &format!("{resource:?}"), foreign, unknown).await;

        assert_eq!(service.world.fingerprint().await, before, "{resource:?}");
    }
}

async fn foreign_operations_are_like_unknown_ones(check: Check) {
    let service = TestService::shared().await;
    let kin = Kin::of_a_new_customer(&service.world).await;
    let contact = service.world.contact(kin.customer).await;
    let answer = service.delete_one(kin.parent, kin.customer, Resource::Contact, contact).await;
    let operation = answer.assert_deleted();
    for path in ["/api/v2/global/call", "/api/v3/global/call"] {
        let call = |id: Uuid| service.call(reqwest::Method::GET, &format!("{path}/{id}"), kin.stranger);
        assert_alike(check, path, || call(operation), || call(Uuid::now_v7())).await;
    }
}

#[tokio::test]
async fn a_foreign_customer_and_one_that_never_was_answer_alike() {
    foreign_customers_are_like_unknown_ones(Check::Answers).await;
}

#[tokio::test]
async fn a_foreign_operation_and_one_that_never_was_answer_alike() {
    foreign_operations_are_like_unknown_ones(Check::Answers).await;
}

#[tokio::test]
#[ignore = "it measures: takes some seconds; cargo test --test api -- --ignored take_as_long"]
async fn answers_about_foreign_customers_and_operations_take_as_long_as_about_unknown_ones() {
    foreign_customers_are_like_unknown_ones(Check::Times).await;
    foreign_operations_are_like_unknown_ones(Check::Times).await;
}
