//! The envelope of every JSON response.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::error::{Code, Error};

/// The `Retry-After` of a call that may be sent again soon: a 503, or a 429 because of calls in
/// progress.
const RETRY_AFTER_SECONDS: u32 = 1;

/// `errorCode` and `errorMessage` are empty strings, as in the documents' examples.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Success<C> {
    error_code: &'static str,
    error_message: &'static str,
    content: C,
    pageable: Pageable,
}

/// The page of a list that is in `content`. Pages are counted from 0.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pageable {
    page: u32,
    size: u32,
    total_pages: u32,
    total_elements: u32,
    /// The member is left out if no more elements follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// `content` and `pageable` are empty strings, as in the documents' examples.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure<'a> {
    error_code: &'a str,
    error_message: &'a str,
    content: &'static str,
    pageable: &'static str,
}

/// 200 with one element of content.
pub fn success<T: Serialize>(element: T) -> HttpResponse {
    one(StatusCode::OK, element)
}

/// 200 with a page of a list.
pub fn page<T: Serialize>(elements: Vec<T>, pageable: Pageable) -> HttpResponse {
    answer(StatusCode::OK, elements, pageable)
}

/// 202 with one element of content.
pub fn accepted<T: Serialize>(element: T) -> HttpResponse {
    one(StatusCode::ACCEPTED, element)
}

fn one<T: Serialize>(status: StatusCode, element: T) -> HttpResponse {
    answer(status, [element], Pageable::new(0, 10, 1, None))
}

fn answer<C: Serialize>(status: StatusCode, content: C, pageable: Pageable) -> HttpResponse {
    HttpResponse::build(status).json(Success { error_code: "", error_message: "", content, pageable })
}

impl Pageable {
    /// # Panics
    ///
    /// If `size` is 0.
    pub fn new(page: u32, size: u32, total_elements: u32, next_page_token: Option<String>) -> Pageable {
        Pageable { page, size, total_pages: total_elements.div_ceil(size), total_elements, next_page_token }
    }
}

impl Failure<'_> {
    pub fn of(error: &Error) -> Failure<'_> {
        Failure { error_code: error.code_name(), error_message: error.message(), content: "", pageable: "" }
    }
}

impl ResponseError for Error {
    /// A rule that only a newer build knows is a conflict: the call is well-formed, and no retry
    /// helps.
    fn status_code(&self) -> StatusCode {
        match self {
            Error::Defect(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Malformed(..)
            | Error::Unauthenticated { .. }
            | Error::Refused(_)
            | Error::TooManyRequests(_)
            | Error::OverPortion(_)
            | Error::TooManyQueued(_)
            | Error::TooManyRows(_)
            | Error::Unavailable(_) => self.code().map_or(StatusCode::CONFLICT, Code::status),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Error::Unavailable(_) | Error::OverPortion(_) => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            Error::TooManyRequests(wait) | Error::TooManyQueued(wait) | Error::TooManyRows(wait) => {
                let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1) as u64;
                response.insert_header((header::RETRY_AFTER, seconds));
            }
            Error::Unauthenticated { challenge, .. } => {
                response.insert_header((header::WWW_AUTHENTICATE, challenge.as_ref()));
            }
            Error::Malformed(..) | Error::Refused(_) | Error::Defect(_) => {}
        }
        response.json(Failure::of(self))
    }
}
