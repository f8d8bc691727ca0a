//! Many requests on one connection, whose answers nobody reads.

use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::Target;

const CONNECTIONS: usize = 18;
const REQUESTS: usize = 2500;

#[rstest]
#[case::the_docs_page("/docs/swagger-ui-bundle.js", false)]
#[case::metrics("/metrics", true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_at_once_take_no_memory(#[case] path: &str, #[case] is_management: bool) {
    let target = Target::start().await;
    let address = if is_management { target.process.management_address } else { target.process.address };
    let requests = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").repeat(REQUESTS);
    let attackers = join_all((0..CONNECTIONS).map(|_| Target::connect(address, requests.as_bytes()))).await;
    target.assert_serves(Duration::from_secs(4)).await;
    assert_eq!(attackers.iter().flatten().count(), CONNECTIONS);
}
