//! Many requests on one connection, whose answers the client does not read.

use futures_util::future::join_all;

use super::Target;

const CONNECTIONS: usize = 18;
const REQUESTS: usize = 2500;

async fn thousands_of_requests_at_once(path: &str, is_management: bool) {
    let target = Target::start().await;
    let address = if is_management { target.process.management_address } else { target.process.address };
    let requests = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").repeat(REQUESTS);
    let attackers = join_all((0..CONNECTIONS).map(|_| Target::connect(address, requests.as_bytes()))).await;
    target.assert_serves().await;
    assert_eq!(attackers.iter().flatten().count(), CONNECTIONS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_for_the_docs_page_take_no_memory() {
    thousands_of_requests_at_once("/docs/swagger-ui-bundle.js", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the same on the other port: takes some seconds; cargo test --test api -- --ignored thousands_of_requests"]
async fn thousands_of_requests_for_metrics_take_no_memory() {
    thousands_of_requests_at_once("/metrics", true).await;
}
