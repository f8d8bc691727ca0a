//! Filters by status and resource.

use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::{STATUSES, ids, listed, record};
use crate::support::TestService;
use crate::support::resources::word;

/// A status, a resource, and the operations that have both; the newest come first.
type Recorded = (&'static str, Resource, Vec<Uuid>);

/// Records some operations of every status and resource, interleaved.
async fn record_some_of_each(service: &TestService, requester: Uuid) -> Vec<Recorded> {
    let mut recorded: Vec<Recorded> = Vec::new();
    for _round in 0..2 {
        for status in STATUSES {
            for resource in Resource::ALL {
                let more = record(&service.database.pool, requester, status, resource, 1).await;
                match recorded.iter_mut().find(|(of, about, _)| (*of, *about) == (status, resource)) {
                    Some((_, _, ids)) => ids.splice(..0, more).for_each(drop),
                    None => recorded.push((status, resource, more)),
                }
            }
        }
    }
    recorded
}

fn query(status: Option<&str>, resource: Option<Resource>) -> String {
    let status = status.map_or(String::new(), |status| format!("&status={status}"));
    let resource = resource.map_or(String::new(), |resource| format!("&resource={}", word(resource)));
    format!("?size=100{status}{resource}")
}

#[tokio::test]
async fn status_and_resource_narrow_the_list_alone_and_together() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    let recorded = record_some_of_each(&service, requester).await;
    // Operations of another requester, of every kind, which are newer.
    record_some_of_each(&service, Uuid::now_v7()).await;

    let statuses = [None].into_iter().chain(STATUSES.map(Some));
    for (status, resource) in
        statuses.flat_map(|status| [None].into_iter().chain(Resource::ALL.map(Some)).map(move |about| (status, about)))
    {
        let wanted = recorded.iter().filter(|(of, about, _)| {
            status.is_none_or(|status| status == *of) && resource.is_none_or(|resource| resource == *about)
        });
        let mut expected: Vec<Uuid> = wanted.flat_map(|(_, _, ids)| ids.iter().copied()).collect();
        expected.sort();
        expected.reverse();
        let query = query(status, resource);

        let (content, pageable) = listed(&service, requester, &query).await;

        assert_eq!(ids(&content), expected, "{query}");
        assert_eq!(pageable["totalElements"], expected.len(), "{query}");
        for call in content {
            assert!(status.is_none_or(|status| call["status"] == status), "{query}: {call}");
            assert!(resource.is_none_or(|resource| call["resource"] == word(resource)), "{query}: {call}");
        }
    }
}

#[tokio::test]
async fn parameters_are_read_however_they_are_encoded_and_others_are_ignored() {
    let service = TestService::shared().await;
    let requester = Uuid::now_v7();
    record(&service.database.pool, requester, "INTERNAL_ERROR", Resource::Zone, 1).await;
    let wanted = record(&service.database.pool, requester, "INTERNAL_ERROR", Resource::ExternalParams, 1).await;

    for query in [
        "?resource=external-params",
        "?resource=external%2Dparams&status=INTERNAL%5FERROR",
        "?%72esource=%65xternal-params&&page=0&size=100&",
        "?sort=asc&sort=desc&customerid=nonsense&resource=external-params&Status=OPEN&%ff=%ff&=",
    ] {
        let (content, _) = listed(&service, requester, query).await;
        assert_eq!(ids(&content), wanted, "{query}");
    }
}
