//! Filters by time, customer and target, alone and combined.

use customer_deletion::resource::Resource;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use uuid::Uuid;

use super::{STATUSES, ids, list, listed};
use crate::dba::maintenance::run;
use crate::support::TestService;
use crate::support::resources::{every_resource, word};

const BEGIN: OffsetDateTime = datetime!(2026-03-01 0:00 UTC);

/// The parts of a recorded call by which it can be filtered.
#[derive(Clone, Copy)]
struct Recorded {
    id: Uuid,
    customer: Uuid,
    resource: Resource,
    status: &'static str,
    created_at: OffsetDateTime,
}

/// Calls of every status and resource about three customers, a minute apart. The newest come first.
async fn record_many(service: &TestService, requester: Uuid, customers: &[Uuid]) -> Vec<Recorded> {
    let call = |number: usize| Recorded {
        // The ids are in another order than the times.
        id: Uuid::from_u128(Uuid::now_v7().as_u128().reverse_bits()),
        customer: customers[number % customers.len()],
        resource: Resource::ALL[number / 4 % 5],
        status: STATUSES[number % 4],
        created_at: BEGIN + time::Duration::minutes(number as i64) + time::Duration::microseconds(1),
    };
    let recorded: Vec<Recorded> = (0..120).rev().map(call).collect();
    sqlx::query(
        "insert into operation
           (id, requester_id, customer_id, resource, target_ids, status, error_code, deleted_rows, created_at, completed_at)
         select id, $2, customer, resource::resource, array[id], status,
           case status when 'FAILURE' then 'CUSTOMER_1002' when 'INTERNAL_ERROR' then 'GLOBAL_1001' end,
           case status when 'SUCCESS' then 1 else 0 end, at, case when status <> 'OPEN' then at end
         from unnest($1::uuid[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[])
           as call (id, customer, resource, status, at)",
    )
    .bind(recorded.iter().map(|call| call.id).collect::<Vec<_>>())
    .bind(requester)
    .bind(recorded.iter().map(|call| call.customer).collect::<Vec<_>>())
    .bind(recorded.iter().map(|call| word(call.resource)).collect::<Vec<_>>())
    .bind(recorded.iter().map(|call| call.status).collect::<Vec<_>>())
    .bind(recorded.iter().map(|call| call.created_at).collect::<Vec<_>>())
    .execute(&service.database.pool)
    .await
    .unwrap();
    recorded
}

#[tokio::test]
async fn every_combination_of_filters_lists_what_has_all_of_them() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    let customers = [requester, Uuid::now_v7(), Uuid::now_v7()];
    let recorded = record_many(&service, requester, &customers).await;
    // Calls of another requester about the same customers.
    record_many(&service, Uuid::now_v7(), &customers).await;

    let (from, before) = (BEGIN + time::Duration::minutes(30), BEGIN + time::Duration::minutes(90));
    for combination in 0..32_u32 {
        let is_set = |bit: u32| combination & 1 << bit != 0;
        let mut query = "?size=100".to_owned();
        let mut expected = recorded.clone();
        let mut narrow = |bit: u32, filter: String, is_right: &dyn Fn(&Recorded) -> bool| {
            if is_set(bit) {
                query += &filter;
                expected.retain(is_right);
            }
        };
        narrow(0, "&status=SUCCESS".to_owned(), &|call| call.status == "SUCCESS");
        narrow(1, "&resource=zone".to_owned(), &|call| call.resource == Resource::Zone);
        narrow(2, format!("&customerId={}", customers[1]), &|call| call.customer == customers[1]);
        narrow(3, format!("&createdAfter={}", from.format(&Rfc3339).unwrap()), &|call| call.created_at >= from);
        narrow(4, format!("&createdBefore={}", before.format(&Rfc3339).unwrap()), &|call| call.created_at < before);
        let expected: Vec<Uuid> = expected.iter().map(|call| call.id).collect();

        let (content, pageable) = listed(&service, requester, &query).await;
        assert_eq!(ids(&content), expected[..expected.len().min(100)], "{query}");
        assert_eq!(pageable["totalElements"], expected.len(), "{query}");
        // By token.
        let mut seen = Vec::new();
        let mut token = String::new();
        loop {
            let (content, pageable) = listed(&service, requester, &query.replace("=100", &format!("=20{token}"))).await;
            seen.extend(ids(&content));
            assert!(seen.len() <= expected.len(), "{query}: the pages have no end");
            let Some(next) = pageable.get("nextPageToken") else { break };
            token = format!("&pageToken={}", next.as_str().unwrap());
        }
        assert_eq!(seen, expected, "{query}");
    }
}

#[tokio::test]
async fn times_are_compared_to_the_microsecond() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    let recorded = record_many(&service, requester, &[requester]).await;
    let count = async |query: &str| listed(&service, requester, query).await.1["totalElements"].as_u64().unwrap();
    for (at, from, before) in [
        // The newest call was made at 01:59:00.000001.
        ("2026-03-01T01:59:00Z", 1, 119),
        ("2026-03-01T01:59:00.000001Z", 1, 119),
        ("2026-03-01T01:59:00.0000001Z", 1, 119),
        ("2026-03-01T01:59:00.0000011Z", 0, 120),
        ("2026-03-01T01:59:00.000002Z", 0, 120),
        ("2026-03-01T02:59:00.000001%2B01:00", 1, 119),
        ("2026-02-28T20:59:00.000002-05:00", 0, 120),
        ("0000-01-01T00:00:00Z", 120, 0),
        ("9999-12-31T23:59:59Z", 0, 120),
    ] {
        assert_eq!(count(&format!("?createdAfter={at}")).await, from, "{at}");
        assert_eq!(count(&format!("?createdBefore={at}")).await, before, "{at}");
        assert_eq!(count(&format!("?createdAfter={at}&createdBefore={at}")).await, 0, "{at}");
    }
    // A time in the list can be sent as a filter.
    let (content, _) = listed(&service, requester, "?size=1").await;
    let told = content[0]["createdAt"].as_str().unwrap();
    let (content, _) = listed(&service, requester, &format!("?createdAfter={told}")).await;
    assert_eq!(ids(&content), [recorded[0].id]);
}

#[tokio::test]
async fn the_call_that_deleted_a_row_is_found_by_the_row() {
    for resource in every_resource() {
        let service = TestService::shared().await;
        let family = service.world.family().await;
        let customer = family.in_scope(resource);
        let row = service.world.row(resource, customer).await;
        let refused = service.delete_one(family.grandchild, customer, resource, row).await.request_id();
        let operation = service.delete_one(family.requester, customer, resource, row).await.assert_deleted();
        service.delete_one(family.requester, customer, resource, row).await.request_id();

        let (content, pageable) = listed(&service, family.requester, &format!("?targetId={row}")).await;
        assert_eq!((ids(&content), &content[0]["status"]), (vec![operation], &json!("SUCCESS")));
        assert_eq!(pageable, json!({ "page": 0, "size": 10, "totalPages": 1, "totalElements": 1 }));

        let (after, before) = ("createdAfter=2026-01-01T00:00:00Z", "createdBefore=2026-01-01T00:00:00Z");
        let word = word(resource);
        for (more, found) in [
            (format!("status=SUCCESS&resource={word}&customerId={customer}&{after}"), 1),
            ("status=FAILURE".to_owned(), 0),
            (format!("resource={}", if word == "zone" { "product" } else { "zone" }), 0),
            (format!("customerId={}", family.sibling), 0),
            (before.to_owned(), 0),
            ("createdAfter=9999-01-01T00:00:00Z".to_owned(), 0),
            ("page=1".to_owned(), 0),
        ] {
            let (content, _) = listed(&service, family.requester, &format!("?targetId={row}&{more}")).await;
            assert_eq!(content.len(), found, "{more}");
        }
        // Neither the refused requester nor the customer of the row has made that call.
        for stranger in [family.grandchild, family.parent, family.sub_customer, family.sibling, Uuid::now_v7()] {
            let (content, _) = listed(&service, stranger, &format!("?targetId={row}")).await;
            assert_eq!(content, Vec::<Value>::new(), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_live_restored_or_erased_row_names_no_call() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let zones = service.world.rows(Resource::Zone, family.requester, 2).await;
    let find = async |id: Uuid| ids(&listed(&service, family.requester, &format!("?targetId={id}")).await.0);
    assert!(find(zones[0]).await.is_empty());
    let first = service.delete_list(family.requester, family.requester, Resource::Zone, &zones).await.assert_deleted();
    assert_eq!(find(zones[0]).await, [first]);

    run(&service.database, &["restore", "--operation", &first.to_string()]).await.done();
    assert!(find(zones[0]).await.is_empty());
    let second = service.delete_list(family.requester, family.requester, Resource::Zone, &zones).await.assert_deleted();
    assert_eq!(find(zones[0]).await, [second]);
    run(&service.database, &["purge", "--zone", &zones[0].to_string()]).await.done();
    assert_eq!((find(zones[0]).await, find(zones[1]).await), (vec![], vec![second]));
    assert!(find(Uuid::now_v7()).await.is_empty());
}

/// Ids are unique in their table only.
#[tokio::test]
async fn one_id_in_two_tables_names_two_calls() {
    let service = TestService::start().await;
    let family = service.world.family().await;
    let zone = service.world.zone(family.requester).await;
    let insert = "insert into contact (id, customer_id, email, mobile) values ($1, $2, 'a@example.com', '+491510000')";
    sqlx::query(insert).bind(zone).bind(family.sub_customer).execute(&service.database.pool).await.unwrap();
    let first = service.delete_one(family.requester, family.requester, Resource::Zone, zone).await.assert_deleted();
    let second =
        service.delete_one(family.requester, family.sub_customer, Resource::Contact, zone).await.assert_deleted();

    let (content, pageable) = listed(&service, family.requester, &format!("?targetId={zone}&size=1")).await;
    assert_eq!((ids(&content), &pageable["totalElements"]), (vec![second], &json!(2)));
    let token = pageable["nextPageToken"].as_str().unwrap();
    let (content, _) = listed(&service, family.requester, &format!("?targetId={zone}&size=1&pageToken={token}")).await;
    assert_eq!(ids(&content), [first]);
    let (content, _) = listed(&service, family.requester, &format!("?targetId={zone}&resource=zone")).await;
    assert_eq!(ids(&content), [first]);
}

#[tokio::test]
async fn a_customer_of_somebody_else_has_an_empty_list() {
    let service = TestService::shared().await;
    let family = service.world.family().await;
    let refused = service.delete_one(family.requester, family.sibling, Resource::Contact, Uuid::now_v7()).await;
    let id = refused.assert_failed(404, "CUSTOMER_1002", "Customer does not exist");
    let find = async |requester: Uuid| list(&service, requester, &format!("?customerId={}", family.sibling)).await;
    assert_eq!(ids(find(family.requester).await.json()["content"].as_array().unwrap()), [id]);
    // Its calls about the sibling are not the sibling's.
    for stranger in [family.sibling, family.parent, family.sub_customer] {
        assert_eq!(find(stranger).await.text, list(&service, Uuid::now_v7(), "").await.text);
    }
}
