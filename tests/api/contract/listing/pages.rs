//! The pages of a list, and its largest length.

use customer_deletion::resource::Resource;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ids, listed, record};
use crate::support::TestService;

#[rstest]
#[case::as_nobody_says(25, "", 10, 3)]
#[case::one_at_a_time(3, "&size=1", 1, 3)]
#[case::full_to_the_last(20, "&size=5", 5, 4)]
#[case::the_largest(101, "&size=100", 100, 2)]
#[case::all_on_one(7, "&size=7", 7, 1)]
#[tokio::test]
async fn the_pages_together_are_the_list(
    #[case] count: usize,
    #[case] size_in_query: &str,
    #[case] size: usize,
    #[case] pages: usize,
) {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    let mut recorded = Vec::new();
    // Several kinds, so that a page has some of each.
    for number in 0..count {
        let resource = Resource::ALL[number % 5];
        let status = if number % 3 == 0 { "FAILURE" } else { "SUCCESS" };
        recorded.extend(record(&service.database.pool, requester, status, resource, 1).await);
    }
    recorded.reverse();

    let mut seen = Vec::new();
    for page in 0..pages {
        let (content, mut pageable) = listed(&service, requester, &format!("?page={page}{size_in_query}")).await;
        let token = pageable.as_object_mut().unwrap().shift_remove("nextPageToken");
        assert_eq!(token.is_some(), page + 1 < pages, "page {page}");
        let expected = json!({ "page": page, "size": size, "totalPages": pages, "totalElements": count });
        assert_eq!(pageable, expected, "page {page}");
        assert_eq!(content.len(), size.min(count - page * size), "page {page}");
        seen.extend(ids(&content));
    }
    assert_eq!(seen, recorded);

    let past_the_end = listed(&service, requester, &format!("?page={pages}{size_in_query}")).await;
    let pageable = json!({ "page": pages, "size": size, "totalPages": pages, "totalElements": count });
    assert_eq!(past_the_end, (vec![], pageable));
}

#[tokio::test]
async fn only_the_newest_ten_thousand_are_counted_and_listed() {
    let service = TestService::shared().await;
    let pool = &service.database.pool;
    let requester = Uuid::now_v7();
    record(pool, requester, "SUCCESS", Resource::Product, 2).await;
    record(pool, requester, "SUCCESS", Resource::Contact, 40).await;
    let zones = record(pool, requester, "FAILURE", Resource::Zone, 6_000).await;
    let addresses = record(pool, requester, "SUCCESS", Resource::Address, 4_000).await;
    let newest = [addresses, zones].concat();

    let numbers = |mut pageable: Value| {
        pageable.as_object_mut().unwrap().shift_remove("nextPageToken").expect("older ones follow");
        pageable
    };
    let (content, pageable) = listed(&service, requester, "?page=99&size=100").await;
    assert_eq!(numbers(pageable), json!({ "page": 99, "size": 100, "totalPages": 100, "totalElements": 10_000 }));
    assert_eq!(ids(&content), newest[9_900..]);
    let (content, _) = listed(&service, requester, "?page=39&size=100").await;
    assert_eq!(ids(&content), newest[3_900..4_000]);

    // The last page begins before the end and is cut off there, so that every page of `totalPages` exists.
    let (content, pageable) = listed(&service, requester, "?page=3333&size=3").await;
    assert_eq!(numbers(pageable), json!({ "page": 3333, "size": 3, "totalPages": 3334, "totalElements": 10_000 }));
    assert_eq!(ids(&content), newest[9_999..]);

    // Older calls can be found by filters.
    for (query, total) in [("?status=SUCCESS", 4_042), ("?resource=zone", 6_000), ("?resource=product", 2)] {
        assert_eq!(listed(&service, requester, query).await.1["totalElements"], total, "{query}");
    }
}
