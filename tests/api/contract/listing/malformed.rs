//! A list with an invalid query is rejected, with a message that names the parameter.

use reqwest::Method;
use rstest::rstest;
use uuid::Uuid;

use super::{LIST, list};
use crate::support::TestService;
use crate::support::service::send;

#[rstest]
#[case::an_unknown_status("status=DONE", "status in the query must be one of OPEN, SUCCESS, FAILURE, INTERNAL_ERROR")]
#[case::a_status_in_lower_case("status=open", "status in the query must be one of")]
#[case::an_empty_status("status=&page=0", "status in the query must be one of")]
#[case::a_status_without_a_value("status", "status in the query must be one of")]
#[case::two_statuses_in_one("status=OPEN,FAILURE", "status in the query must be one of")]
#[case::a_status_that_is_not_text("status=%00%ff", "status in the query must be one of")]
#[case::an_unknown_resource(
    "resource=customer",
    "resource in the query must be one of contact, address, external-params, zone, product"
)]
#[case::an_empty_resource("resource=", "resource in the query must be one of")]
#[case::an_empty_page("page=", "page in the query must be a whole number from 0 to 9999")]
#[case::a_page_before_the_first("page=-1", "page in the query must be")]
#[case::a_page_with_a_sign("page=%2B1", "page in the query must be")]
#[case::half_a_page("page=0.5", "page in the query must be")]
#[case::a_page_in_words("page=first", "page in the query must be")]
#[case::a_page_out_of_bounds("page=10000&size=1", "page in the query must be")]
#[case::a_page_beyond_all_numbers("page=18446744073709551616", "page in the query must be")]
#[case::no_size("size=0", "size in the query must be a whole number from 1 to 100")]
#[case::an_empty_size("size=", "size in the query must be")]
#[case::a_negative_size("size=-10", "size in the query must be")]
#[case::a_size_over_the_limit("size=101", "size in the query must be")]
#[case::a_hexadecimal_size("size=0x10", "size in the query must be")]
#[case::status_twice("status=OPEN&status=OPEN", "status in the query was sent twice")]
#[case::resource_twice("resource=zone&size=1&resource=contact", "resource in the query was sent twice")]
#[case::page_twice("page=0&p%61ge=0", "page in the query was sent twice")]
#[case::size_twice("size=10&size=", "size in the query was sent twice")]
#[case::a_page_beyond_the_farthest("page=100&size=100", "page in the query is beyond the newest 10000 operations")]
#[case::a_usual_page_beyond_the_farthest("page=1000", "narrow them by status or resource, or use pageToken")]
#[case::an_empty_customer("customerId=", "customerId in the query is not a UUID")]
#[case::a_customer_in_braces(
    "customerId={01946983-4c40-7e85-a42b-13860913b370}",
    "customerId in the query is not a UUID"
)]
#[case::half_a_target("targetId=01946983-4c40-7e85", "targetId in the query is not a UUID")]
#[case::targets_in_one(
    "targetId=01946983-4c40-7e85-a42b-13860913b370,01946983-4c40-7e85-a42b-13860913b371",
    "targetId in the query is not a UUID"
)]
#[case::target_twice("targetId=&targetId=", "targetId in the query was sent twice")]
#[case::a_day("createdAfter=2026-01-01", "createdAfter in the query must be a time of RFC 3339")]
#[case::a_time_of_no_zone("createdBefore=2026-01-01T12:00:00", "createdBefore in the query must be a time of RFC 3339")]
#[case::a_plus_that_is_a_space("createdAfter=2026-01-01T12:00:00+01:00", "with + as %2B")]
#[case::a_number("createdAfter=1767268800", "createdAfter in the query must be a time of RFC 3339")]
#[case::a_time_after_all_years("createdAfter=9999-12-31T23:59:59-01:00", "createdAfter in the query must be")]
#[case::an_empty_time("createdBefore=", "createdBefore in the query must be")]
#[case::after_twice("createdAfter=&createdAfter=", "createdAfter in the query was sent twice")]
#[case::an_empty_token("pageToken=", "pageToken in the query is malformed")]
#[case::a_token_of_nobody(
    "pageToken=AQAGRqqqqqqqAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "pageToken in the query is malformed"
)]
#[case::a_long_token(&format!("pageToken={}", "A".repeat(4_000)), "pageToken in the query is malformed")]
#[case::token_twice("pageToken=&pageToken=", "pageToken in the query was sent twice")]
#[case::a_token_beside_a_page("page=0&pageToken=", "page and pageToken in the query exclude each other")]
#[tokio::test]
async fn a_malformed_query_is_a_bad_request(#[case] query: &str, #[case] part_of_message: &str) {
    let service = TestService::shared().await;
    let answer = list(&service, Uuid::now_v7(), &format!("?{query}")).await;
    answer.assert_malformed(400, "BAD_REQUEST", part_of_message);
}

#[tokio::test]
async fn identity_method_and_route_are_checked_before_parameters() {
    let service = TestService::shared().await;

    let nobody = send(service.anonymous(Method::GET, &format!("{LIST}?size=0"))).await;
    nobody.assert_malformed(401, "UNAUTHORIZED", "");
    for method in [Method::POST, Method::DELETE, Method::PUT] {
        let answer = send(service.call(method, &format!("{LIST}?size=0"), Uuid::now_v7())).await;
        answer.assert_malformed(405, "METHOD_NOT_ALLOWED", "Allow");
        assert_eq!(answer.header("Allow"), Some("GET, HEAD"));
    }
    let no_route = send(service.call(Method::GET, &format!("{LIST}//?size=0"), Uuid::now_v7())).await;
    no_route.assert_malformed(404, "NOT_FOUND", "");
}
