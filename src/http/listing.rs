//! The list of the requester's operations.

use actix_web::web::{Data, Query, ReqData};
use actix_web::{HttpRequest, HttpResponse};

use super::admission::{Admission, Permit};
use super::call::Requester;
use super::envelope;
use super::envelope::Pageable;
use super::operations::OperationContent;
use super::request::body::{Incoming, beside_body};
use crate::error::Error;
use crate::operation::{Listing, Status};
use crate::repository::Repository;
use crate::resource::Resource;

pub const LIST: &str = "/api/v3/global/call";

pub const MAX_SIZE: u32 = 100;
pub const DEFAULT_SIZE: u32 = 10;

/// The last page if `size` is 1.
pub const LAST_PAGE: u32 = Listing::FARTHEST - 1;

/// `GET /api/v3/global/call`
pub async fn list(
    (repository, admission): (Data<Repository>, Data<Admission>),
    request: HttpRequest,
    (requester, permit): (ReqData<Requester>, Permit),
    incoming: Incoming,
) -> Result<HttpResponse, Error> {
    let query = ListQuery::parse(request.query_string())?;
    let listing = Listing {
        requester_id: requester.0,
        status: query.status,
        resource: query.resource,
        offset: query.offset(),
        // The last page must not go beyond the operations that are counted.
        size: query.size.min(Listing::FARTHEST - query.offset()),
    };
    let listed = repository.list_operations(listing, permit);
    let listed = beside_body(incoming, listed).await?;
    let operations: Vec<_> = listed.operations.into_iter().map(OperationContent::from).collect();
    let page = envelope::page(operations, Pageable::new(query.page, query.size, listed.total));
    admission.hold_answer(*requester, page)
}

#[derive(Debug, PartialEq, Eq)]
pub struct ListQuery {
    status: Option<Status>,
    resource: Option<Resource>,
    page: u32,
    size: u32,
}

impl ListQuery {
    pub fn parse(query: &str) -> Result<ListQuery, Error> {
        let parameters = Parameters::parse(query)?;
        let query = ListQuery {
            status: parameters.word("status", &Status::ALL.map(Status::name))?,
            resource: parameters.word("resource", &Resource::ALL.map(Resource::word))?,
            page: parameters.number("page", 0, LAST_PAGE)?.unwrap_or(0),
            size: parameters.number("size", 1, MAX_SIZE)?.unwrap_or(DEFAULT_SIZE),
        };
        if query.offset() < Listing::FARTHEST { Ok(query) } else { Err(too_far()) }
    }

    /// The number of operations on earlier pages.
    fn offset(&self) -> u32 {
        self.page * self.size
    }
}

fn too_far() -> Error {
    Error::bad_request(format!(
        "page in the query is beyond the newest {} operations; narrow them by status or resource",
        Listing::FARTHEST
    ))
}

struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(query: &str) -> Result<Parameters, Error> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query);
        let pairs = pairs.map_err(|_| Error::bad_request("the query cannot be read"))?;
        Ok(Parameters(pairs.into_inner()))
    }

    /// Returns `None` if the parameter is missing.
    fn one(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.0.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value.as_str());
        let value = values.next();
        match values.next() {
            Some(_) => Err(Error::bad_request(format!("{name} in the query was sent twice"))),
            None => Ok(value),
        }
    }

    fn word<T: std::str::FromStr>(&self, name: &str, words: &[&str]) -> Result<Option<T>, Error> {
        let parsed = self.one(name)?.map(str::parse).transpose();
        parsed.map_err(|_| Error::bad_request(format!("{name} in the query must be one of {}", words.join(", "))))
    }

    fn number(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Error> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        // `parse` accepts a sign.
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let number = number.filter(|number| (least..=most).contains(number));
        let refuse =
            || Error::bad_request(format!("{name} in the query must be a whole number from {least} to {most}"));
        number.map(Some).ok_or_else(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<ListQuery, String> {
        ListQuery::parse(query).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn what_is_not_sent_is_not_narrowed() {
        let everything = ListQuery { status: None, resource: None, page: 0, size: 10 };
        for query in ["", "&", "other=1&other=2", "Status=OPEN", "PAGE=1"] {
            assert_eq!(parse(query).as_ref(), Ok(&everything), "{query}");
        }
    }

    #[test]
    fn a_query_is_read_however_it_is_encoded() {
        let expected =
            ListQuery { status: Some(Status::Open), resource: Some(Resource::ExternalParams), page: 7, size: 100 };
        for query in [
            "status=OPEN&resource=external-params&page=7&size=100",
            "size=%31%300&p%61ge=007&resource=external%2Dparams&&status=%4FPEN&",
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
            ("page=1000", "page in the query is beyond the newest 10000 operations; narrow them by status or resource"),
            ("page=9999&size=2", "page in the query is beyond"),
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
