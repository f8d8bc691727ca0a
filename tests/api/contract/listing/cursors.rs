//! Pages that follow a token, for lists of any length, and while new calls are recorded.

use customer_deletion::resource::Resource;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ids, list, listed, record};
use crate::support::TestService;

/// The token of the next page.
fn next(pageable: &Value) -> Option<String> {
    pageable.get("nextPageToken").map(|token| token.as_str().unwrap().to_owned())
}

/// Every page from the first one of the query on. `between` runs between two of them.
async fn walk(service: &TestService, requester: Uuid, query: &str, mut between: impl AsyncFnMut()) -> Vec<Vec<Uuid>> {
    let mut pages = Vec::new();
    let mut token = None;
    loop {
        let with_token = token.map_or(query.to_owned(), |token: String| format!("{query}&pageToken={token}"));
        let (content, pageable) = listed(service, requester, &with_token).await;
        assert_eq!(pageable["page"], pages.len(), "{pageable}");
        pages.push(ids(&content));
        token = next(&pageable);
        if token.is_none() {
            return pages;
        }
        between().await;
    }
}

#[tokio::test]
async fn three_hundred_calls_are_each_listed_once_while_new_ones_come() {
    let service = TestService::shared().await;
    let pool = &service.database.pool;
    let requester = Uuid::now_v7();
    let mut recorded = Vec::new();
    for number in 0..300 {
        let resource = Resource::ALL[number % 5];
        let status = if number % 3 == 0 { "FAILURE" } else { "SUCCESS" };
        recorded.extend(record(pool, requester, status, resource, 1).await);
    }
    recorded.reverse();

    let mut newer = Vec::new();
    let pages = walk(&service, requester, "?size=7", async || {
        newer.extend(record(pool, requester, "SUCCESS", Resource::Contact, 3).await);
    })
    .await;

    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [vec![7; 42], vec![6]].concat());
    assert_eq!(pages.concat(), recorded);
    assert_eq!(listed(&service, requester, "").await.1["totalElements"], 300 + newer.len());
}

/// Many calls of one time are in the order of their ids.
#[tokio::test]
async fn calls_of_one_time_are_each_listed_once() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    let recorded = record(&service.database.pool, requester, "SUCCESS", Resource::Zone, 25).await;
    for size in [1, 4, 25] {
        let pages = walk(&service, requester, &format!("?size={size}"), async || {}).await;
        assert_eq!((pages.len(), pages.concat()), (recorded.len().div_ceil(size), recorded.clone()), "{size}");
    }
}

#[tokio::test]
async fn a_page_with_a_token_tells_where_it_is_and_the_last_one_has_none() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    record(&service.database.pool, requester, "SUCCESS", Resource::Zone, 5).await;

    let (_, first) = listed(&service, requester, "?size=2").await;
    let token = next(&first).unwrap();
    let expected = json!({ "page": 0, "size": 2, "totalPages": 3, "totalElements": 5, "nextPageToken": token });
    assert_eq!(first.to_string(), expected.to_string());
    // The number of the first page is kept, and the size may change.
    record(&service.database.pool, requester, "SUCCESS", Resource::Zone, 1).await;
    let (content, second) = listed(&service, requester, &format!("?size=3&pageToken={token}")).await;
    assert_eq!(second, json!({ "page": 1, "size": 3, "totalPages": 2, "totalElements": 5 }));
    assert_eq!(content.len(), 3);
    // A numbered page has a token as well.
    let (content, numbered) = listed(&service, requester, "?size=2&page=1").await;
    let (rest, _) = listed(&service, requester, &format!("?size=2&pageToken={}", next(&numbered).unwrap())).await;
    let (same, last) = listed(&service, requester, "?size=2&page=2").await;
    assert_eq!((ids(&rest), next(&last)), (ids(&same), None));
    assert_ne!(ids(&content), ids(&rest));
}

#[tokio::test]
async fn tokens_go_beyond_the_newest_ten_thousand() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    let recorded = record(&service.database.pool, requester, "FAILURE", Resource::Address, 10_120).await;

    let (content, pageable) = listed(&service, requester, "?size=100&page=99").await;
    assert_eq!(ids(&content), recorded[9_900..10_000]);
    let (content, pageable) =
        listed(&service, requester, &format!("?size=100&pageToken={}", next(&pageable).unwrap())).await;
    assert_eq!(ids(&content), recorded[10_000..10_100]);
    assert_eq!((&pageable["page"], &pageable["totalElements"]), (&json!(100), &json!(10_000)));
    let (content, pageable) =
        listed(&service, requester, &format!("?size=100&pageToken={}", next(&pageable).unwrap())).await;
    assert_eq!((ids(&content), next(&pageable)), (recorded[10_100..].to_vec(), None));
}

#[rstest]
#[case::status("status=SUCCESS")]
#[case::resource("resource=zone")]
#[case::customer("customerId=01946983-4c40-7e85-a42b-13860913b370")]
#[case::target("targetId=01946983-4c40-7e85-a42b-13860913b370")]
#[case::after("createdAfter=2026-01-01T12:00:00Z")]
#[case::before("createdBefore=9999-01-01T12:00:00Z")]
#[tokio::test]
async fn a_token_is_for_its_requester_and_its_filters(#[case] filter: &str) {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    record(&service.database.pool, requester, "SUCCESS", Resource::Zone, 3).await;
    let token = next(&listed(&service, requester, "?size=1").await.1).unwrap();
    let message = "pageToken in the query is malformed, or is not for this requester and these filters";

    let narrowed = list(&service, requester, &format!("?{filter}&pageToken={token}")).await;
    narrowed.assert_failed(400, "BAD_REQUEST", message);
    let foreign = list(&service, Uuid::now_v7(), &format!("?pageToken={token}")).await;
    foreign.assert_failed(400, "BAD_REQUEST", message);
    let both = list(&service, requester, &format!("?page=0&pageToken={token}")).await;
    both.assert_failed(400, "BAD_REQUEST", "page and pageToken in the query exclude each other");
    list(&service, requester, &format!("?pageToken={token}")).await.assert_status(200);
}

#[tokio::test]
async fn a_token_outlives_the_call_that_it_names_and_the_replica_that_made_it() {
    let service = TestService::start().await;
    let requester = Uuid::now_v7();
    let recorded = record(&service.database.pool, requester, "SUCCESS", Resource::Zone, 4).await;
    let (content, pageable) = listed(&service, requester, "?size=2").await;
    service.world.execute("delete from operation where id = $1", ids(&content)[1]).await;

    let beside = TestService::beside(&service, |_| {}).await;
    let token = next(&pageable).unwrap();
    let (content, _) = listed(&beside, requester, &format!("?size=2&pageToken={token}")).await;
    assert_eq!(ids(&content), recorded[2..]);
}
