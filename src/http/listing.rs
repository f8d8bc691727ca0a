//! The list of the requester's operations.

use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use uuid::Uuid;

use super::Service;
use super::admission::Permit;
use super::call::Requester;
use super::envelope;
use super::envelope::Pageable;
use super::operations::OperationContent;
use super::page_token::PageToken;
use super::request::body::{Incoming, beside_body};
use super::request::query::Parameters;
use crate::error::Error;
use crate::operation::{Filters, OperationPage, PageQuery, Position, Status};
use crate::resource::Resource;

pub const LIST: &str = "/api/v3/global/call";

pub const MAX_SIZE: u32 = 100;
pub const DEFAULT_SIZE: u32 = 10;

/// The last page if `size` is 1.
pub const LAST_PAGE: u32 = PageQuery::FARTHEST - 1;

/// `GET /api/v3/global/call`
pub async fn list(
    service: Data<Service>,
    request: HttpRequest,
    (requester, permit): (ReqData<Requester>, Permit),
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    let query = ListQuery::parse(request.query_string(), requester.0)?;
    let listed = service.repository.list_operations(query.listing(), permit);
    let listed = beside_body(incoming, listed).await?;
    let pageable = query.pageable(&listed);
    let operations: Vec<_> = listed.operations.into_iter().map(OperationContent::from).collect();
    service.admission.hold_answer(*requester, envelope::page(operations, pageable))
}

#[derive(Debug, PartialEq, Eq)]
pub struct ListQuery {
    filters: Filters,
    start: Start,
    size: u32,
}

/// The start of the page in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Numbered(u32),
    After(PageToken),
}

impl ListQuery {
    pub fn parse(query: &str, requester_id: Uuid) -> Result<ListQuery, Error> {
        let parameters = Parameters::parse(query)?;
        let filters = Filters {
            requester_id,
            status: parameters.word("status", &Status::ALL.map(Status::word))?,
            resource: parameters.word("resource", &Resource::ALL.map(Resource::word))?,
            customer_id: parameters.id("customerId")?,
            target_id: parameters.id("targetId")?,
            created_from: parameters.time("createdAfter")?,
            created_before: parameters.time("createdBefore")?,
        };
        let page = parameters.number("page", 0, LAST_PAGE)?;
        let size = parameters.number("size", 1, MAX_SIZE)?.unwrap_or(DEFAULT_SIZE);
        let start = match (page, parameters.one("pageToken")?) {
            (Some(_), Some(_)) => {
                return Err(Error::bad_request("page and pageToken in the query exclude each other"));
            }
            (page, None) => Start::Numbered(page.unwrap_or(0)),
            (None, Some(token)) => Start::After(PageToken::read(token, &filters).ok_or_else(unreadable_token)?),
        };
        let query = ListQuery { filters, start, size };
        if query.offset() < PageQuery::FARTHEST { Ok(query) } else { Err(too_far()) }
    }

    /// The number of operations on earlier pages, or 0 if the page starts after a token.
    fn offset(&self) -> u32 {
        match self.start {
            Start::Numbered(page) => page * self.size,
            Start::After(_) => 0,
        }
    }

    fn listing(&self) -> PageQuery {
        let ListQuery { filters, start, size } = *self;
        let offset = self.offset();
        match start {
            // The last page must not go beyond the operations that are counted.
            Start::Numbered(_) => {
                let size = size.min(PageQuery::FARTHEST - offset);
                PageQuery { filters, after: None, offset, size, count_limit: PageQuery::FARTHEST }
            }
            Start::After(token) => PageQuery { filters, after: Some(token.last), offset, size, count_limit: 0 },
        }
    }

    fn pageable(&self, listed: &OperationPage) -> Pageable {
        let (page, total) = match self.start {
            Start::Numbered(page) => (page, listed.total),
            Start::After(token) => (token.page, token.total),
        };
        let last = listed.operations.last().filter(|_| listed.has_more);
        let next = last.map(|operation| {
            let last = Position { created_at: operation.created_at, id: operation.id };
            PageToken { last, page: page.saturating_add(1), total }.write(&self.filters)
        });
        Pageable::new(page, self.size, total, next)
    }
}

fn unreadable_token() -> Error {
    Error::bad_request("pageToken in the query is malformed, or is not for this requester and these filters")
}

fn too_far() -> Error {
    Error::bad_request(format!(
        "page in the query is beyond the newest {} operations; narrow them by status or resource, or use pageToken",
        PageQuery::FARTHEST
    ))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn parse(query: &str) -> Result<ListQuery, String> {
        ListQuery::parse(query, Uuid::nil()).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn what_is_not_sent_is_not_narrowed() {
        let everything = ListQuery { filters: Filters::default(), start: Start::Numbered(0), size: 10 };
        for query in ["", "&", "other=1&other=2", "Status=OPEN", "PAGE=1"] {
            assert_eq!(parse(query).as_ref(), Ok(&everything), "{query}");
        }
    }

    #[test]
    fn a_query_is_read_however_it_is_encoded() {
        let id = Some(Uuid::from_u128(0xa));
        let filters = Filters {
            status: Some(Status::Open),
            resource: Some(Resource::ExternalParams),
            customer_id: id,
            target_id: id,
            created_from: Some(datetime!(2026-01-01 11:00 UTC)),
            created_before: Some(datetime!(2026-01-02 0:00:00.000001 UTC)),
            ..Filters::default()
        };
        let expected = ListQuery { filters, start: Start::Numbered(7), size: 100 };
        for query in [
            "status=OPEN&resource=external-params&page=7&size=100&customerId=00000000-0000-0000-0000-00000000000a\
             &targetId=00000000-0000-0000-0000-00000000000A&createdAfter=2026-01-01T11:00:00Z\
             &createdBefore=2026-01-02T00:00:00.000001Z",
            "size=%31%300&p%61ge=007&resource=external%2Dparams&&status=%4FPEN&targetId=00000000-0000-0000-0000-00000000000a\
             &customerId=00000000%2D0000-0000-0000-00000000000a&createdAfter=2026-01-01T12:00:00%2B01:00\
             &createdBefore=2026-01-01T23:30:00.0000001-00:30",
        ] {
            assert_eq!(parse(query).as_ref(), Ok(&expected), "{query}");
        }
    }

    #[test]
    fn the_message_names_what_is_wrong() {
        for (query, message) in [
            ("status=", "status in the query must be one of OPEN, SUCCESS, FAILURE, INTERNAL_ERROR"),
            ("status", "status in the query must be one of"),
            ("status=open", "status in the query must be one of"),
            ("status=OPEN+", "status in the query must be one of"),
            ("status=%FF", "status in the query must be one of"),
            ("status=OPEN,SUCCESS", "status in the query must be one of"),
            ("status=OPEN&status=OPEN", "status in the query was sent twice"),
            ("resource=zones", "resource in the query must be one of contact, address, external-params, zone, product"),
            ("resource=zone&page=1&resource=zone", "resource in the query was sent twice"),
            ("page=", "page in the query must be a whole number from 0 to 9999"),
            ("page=-1", "page in the query must be"),
            ("page=%2B1", "page in the query must be"),
            ("page=+1", "page in the query must be"),
            ("page=1.0", "page in the query must be"),
            ("page=1e3", "page in the query must be"),
            ("page=\u{0661}", "page in the query must be"),
            ("page=10000", "page in the query must be"),
            ("page=4294967296", "page in the query must be"),
            ("page=0&page=0", "page in the query was sent twice"),
            ("size=0", "size in the query must be a whole number from 1 to 100"),
            ("size=101", "size in the query must be"),
            ("size=99999999999999999999", "size in the query must be"),
            ("size=10&siz%65=10", "size in the query was sent twice"),
            (
                "page=1000",
                "page in the query is beyond the newest 10000 operations; narrow them by status or resource, or use pageToken",
            ),
            ("page=9999&size=2", "page in the query is beyond"),
            ("customerId=", "customerId in the query is not a UUID"),
            ("customerId=0000000000000000000000000000000a", "customerId in the query is not a UUID"),
            ("targetId=nonsense", "targetId in the query is not a UUID"),
            ("targetId=a&targetId=a", "targetId in the query was sent twice"),
            ("createdAfter=", "createdAfter in the query must be a time of RFC 3339, like 2026-01-01T12:00:00Z"),
            ("createdAfter=2026-01-01", "createdAfter in the query must be"),
            ("createdAfter=2026-01-01T12:00:00", "createdAfter in the query must be"),
            ("createdAfter=2026-02-30T12:00:00Z", "createdAfter in the query must be"),
            ("createdAfter=1767268800", "createdAfter in the query must be"),
            ("createdBefore=2026-01-01T12:00:00+01:00", "with + as %2B"),
            ("createdBefore=9999-12-31T23:59:59-00:01", "createdBefore in the query must be"),
            ("createdBefore=9999-12-31T23:59:59.9999999Z", "createdBefore in the query must be"),
            ("createdAfter=0000-01-01T00:00:00%2B00:01", "createdAfter in the query must be"),
            ("pageToken=", "pageToken in the query is malformed, or is not for this requester and these filters"),
            ("pageToken=nonsense", "pageToken in the query is malformed"),
            ("pageToken=a&pageToken=a", "pageToken in the query was sent twice"),
            ("pageToken=a&page=0", "page and pageToken in the query exclude each other"),
        ] {
            let told = parse(query).unwrap_err();
            assert!(told.contains(message), "{query}: {told}");
        }
    }

    #[test]
    fn the_last_page_begins_before_the_end() {
        for (query, offset) in [("page=9999&size=1", 9999), ("page=99&size=100", 9900), ("page=3333&size=3", 9999)] {
            assert_eq!(parse(query).unwrap().offset(), offset, "{query}");
        }
    }
}
